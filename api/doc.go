// SPDX-License-Identifier: Apache-2.0

// Package api serves Tidemark's request/response API: the services of tidemark.v1 as JSON, Connect and gRPC on one port,
// and the OpenAPI document that describes them.
//
//	handler := api.New(api.Config{Set: set, Registry: registry, Auth: auth, Log: log})
//	mux.Handle("/tidemark.v1.", handler)
//
// A call is identified (who asks), limited (how often, how large), checked for what needs more than one partition
// (whether users exist), and becomes one command or a few reads of package partition. Refusals are [tidemark.Error]
// inside and Connect errors outside, with the reason in the message and as a detail.
//
// The package decides nothing about conversations (package core does), keeps no state but rate limits, and does not
// listen: package server gives it a port.
package api
