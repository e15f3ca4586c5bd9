// SPDX-License-Identifier: Apache-2.0

// tidemark serve with keys that cannot be used.

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestServeWithBadKeysLeavesNothing(t *testing.T) {
	for flag, value := range map[string]string{
		"--admin-key": "short", "--token-secret": "short", "--token-jwks-url": "http://keys.example/jwks", "--token-public-keys": filepath.Join("..", "..", "go.mod"),
	} {
		data := filepath.Join(t.TempDir(), "data")
		status, _, errOut := command(t, "serve", "--listen", "127.0.0.1:0", "--data", data, flag, value)
		if _, err := os.Stat(data); status != exitUsage || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s %s: status %d: %s; its data directory: %v", flag, value, status, errOut, err)
		}
	}
}
