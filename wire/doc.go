// SPDX-License-Identifier: Apache-2.0

// Package wire is what goes over the wire: the messages of tidemark.v1, generated from proto/, and the codec that turns
// frames into bytes and back in the two formats of the connection.
//
//	frame, err := wire.DecodeClientFrame(wire.Proto, data)
//	if errors.Is(err, wire.ErrUnknownKind) { /* answer an error frame; the connection goes on */ }
//
// The files *.pb.go and *_vtproto.pb.go are generated (buf.gen.yaml); everything else is written by hand. The package
// checks that a frame can be read, not that it makes sense: ids, ranges and rights are checked where a frame is used.
// It does no I/O and keeps no state.
package wire
