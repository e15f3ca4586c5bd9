// SPDX-License-Identifier: Apache-2.0

// Colours: only the sixteen that every terminal has, in the shades that its owner chose.

package chat

import (
	"hash/fnv"

	"charm.land/lipgloss/v2"
	tidemark "github.com/tidemark-im/tidemark"
)

var (
	plain    = lipgloss.NewStyle()
	dim      = plain.Foreground(lipgloss.BrightBlack)
	strong   = plain.Bold(true)
	good     = plain.Foreground(lipgloss.Green)
	bad      = plain.Foreground(lipgloss.Red)
	loud     = plain.Foreground(lipgloss.Yellow).Bold(true)
	readTick = plain.Foreground(lipgloss.Cyan).Bold(true)
	chosen   = plain.Reverse(true)
)

var nameColours = [...]lipgloss.Style{
	plain.Bold(true).Foreground(lipgloss.Red), plain.Bold(true).Foreground(lipgloss.Green),
	plain.Bold(true).Foreground(lipgloss.Yellow), plain.Bold(true).Foreground(lipgloss.Blue),
	plain.Bold(true).Foreground(lipgloss.Magenta), plain.Bold(true).Foreground(lipgloss.Cyan),
}

// nameStyle is the colour of a user, the same on every screen.
func nameStyle(user tidemark.UserID) lipgloss.Style {
	h := fnv.New32a()
	h.Write([]byte(user))
	return nameColours[h.Sum32()%uint32(len(nameColours))]
}
