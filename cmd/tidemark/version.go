// SPDX-License-Identifier: Apache-2.0

// tidemark version: which build this is.

package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of the source; a build may set it with -ldflags "-X main.release=…".
var release = "0.1.0-dev"

type versionCommand struct{}

// Help adds an example to the command's help.
func (versionCommand) Help() string {
	return "Example:\n\n  tidemark version"
}

// Run prints the version, the commit it was built from where that is known, and the Go version.
func (versionCommand) Run(_ context.Context, output *Output) error {
	_, err := fmt.Fprintf(output.Out, "tidemark %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion is the release, and the commit where the build recorded it: "0.1.0-dev+33d3290f1c2a".
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	commit, dirty := "", ""
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			commit = setting.Value[:min(12, len(setting.Value))]
		case "vcs.modified":
			if setting.Value == "true" {
				dirty = ".modified"
			}
		}
	}
	if commit == "" {
		return release
	}
	return release + "+" + commit + dirty
}
