// SPDX-License-Identifier: Apache-2.0

// The logger that the flags --log-level and --log-format describe.

package main

import (
	"io"
	"log/slog"
)

// logFlags are embedded by commands that log.
type logFlags struct {
	Level  string `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
	Format string `default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json (${default})."`
}

// logger writes to w.
func (f *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.Level)); err != nil {
		return nil, wrongUsage("--log-level is %q: allowed are debug, info, warn and error", f.Level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, wrongUsage("--log-format is %q: allowed are text and json", f.Format)
}
