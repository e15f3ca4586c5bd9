// SPDX-License-Identifier: Apache-2.0

// Devices: how many places there are, and what becomes of a device whose place another takes.

package partition

import (
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
)

// Devices says how many devices of each platform a user may have, beside the limit of all, and what happens when there
// is no place for a new one.
type Devices struct {
	Platforms map[string]uint32 // by platform, in lower case; one that is not named has no limit of its own
	Refuse    bool              // refuse the new device; else the one seen longest ago gives way
}

// SeeDevice completes the command with the places that there are.
func (s *Set) SeeDevice(cmd core.SeeDevice) *core.SeeDevice {
	cmd.PlatformMax = s.devices.Platforms[strings.ToLower(cmd.Platform)]
	cmd.Refuse = s.devices.Refuse
	return &cmd
}

// ForgetSoon forgets the cursors of a device whose record is gone already, with the next batch of each partition. It does
// not wait. After a crash a cursor may remain: a device without a record is a new one all the same.
func (s *Set) ForgetSoon(user tidemark.UserID, device tidemark.DeviceID) {
	for _, p := range s.partitions {
		p.acks.forgetSoon(deviceKey{user, device}, s.nowMs())
		p.queue.poke()
	}
}
