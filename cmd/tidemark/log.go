// SPDX-License-Identifier: Apache-2.0

// The logger that the flags --log-level and --log-format describe.

package main

import (
	"io"
	"log/slog"
)

// logFlags are embedded by commands that log.
type logFlags struct {
	Level  slog.Level `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
	Format string     `default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json (${default})."`
}

// logger writes to w.
func (f *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: f.Level}
	switch f.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, wrongUsage("--log-format is %q: allowed are text and json", f.Format)
}
