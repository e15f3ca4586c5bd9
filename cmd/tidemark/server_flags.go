// SPDX-License-Identifier: Apache-2.0

// How commands reach a running server as the app's back end: its address and the admin key.

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
)

// serverFlags are embedded by commands that call a running server with the admin key.
type serverFlags struct {
	URL      string `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The running server (${default})."`
	Data     string `default:"./tidemark-data" placeholder:"DIR" help:"Its data directory, for the admin key in it (${default})."`
	AdminKey string `placeholder:"KEY" help:"The admin key. Default: the one in DIR/admin.key."`
}

// options checks the flags and answers the base URL and what every call carries.
func (f *serverFlags) options() (base string, options connect.ClientOption, err error) {
	if base, err = f.base("--url"); err != nil {
		return "", nil, err
	}
	key, err := f.key()
	if err != nil {
		return "", nil, err
	}
	return base, connect.WithInterceptors(bearer(key)), nil
}

// base is the URL without a slash at its end. name is what the user knows it by.
func (f *serverFlags) base(name string) (string, error) {
	base := strings.TrimRight(f.URL, "/")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", wrongUsage("%s is %q: it must be like http://127.0.0.1:8080", name, f.URL)
	}
	return base, nil
}

// key is the admin key.
func (f *serverFlags) key() (string, error) {
	if key := strings.TrimSpace(f.AdminKey); key != "" {
		return key, nil
	}
	path := filepath.Join(f.Data, "admin.key")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", wrongUsage("no admin key in %s: give --data with the server's data directory, or --admin-key", path)
	}
	return strings.TrimSpace(string(data)), err
}

// bearer adds the admin key to calls.
func bearer(key string) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("Authorization", "Bearer "+key)
			response, err := next(ctx, request)
			return response, readable(err, request.Peer().Addr)
		}
	}
}

// readable makes the error of a call one for people: without Connect's code, which the reason repeats.
func readable(err error, address string) error {
	var refusal *connect.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refusal):
		return err
	case len(refusal.Details()) == 0 && refusal.Code() == connect.CodeUnavailable:
		return fmt.Errorf("no server answers at %s (is it running, and is --url right?): %w", address, errors.Unwrap(refusal))
	}
	return &refusedCall{refusal}
}

// refusedCall prints only the message of a Connect error.
type refusedCall struct{ refusal *connect.Error }

// Error implements the error interface.
func (e *refusedCall) Error() string { return e.refusal.Message() }

// Unwrap lets errors.As find the Connect error.
func (e *refusedCall) Unwrap() error { return e.refusal }
