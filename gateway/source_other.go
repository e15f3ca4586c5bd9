// SPDX-License-Identifier: Apache-2.0

//go:build !unix

// Where a socket cannot be waited for without a buffer, every connection has a small one.

package gateway

import "net"

func newSource(socket net.Conn) source { return &buffered{socket: socket} }
