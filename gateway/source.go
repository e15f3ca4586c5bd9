// SPDX-License-Identifier: Apache-2.0

// Reading what is not a plain socket: TLS, and other systems.

package gateway

import "net"

// smallBytes is the buffer that such a connection keeps.
const smallBytes = 2 << 10

// buffered is a source with a small buffer of its own.
type buffered struct {
	socket net.Conn
	buffer [smallBytes]byte
}

func (b *buffered) next(c *conn, bytesMax int) error {
	n, err := b.socket.Read(b.buffer[:min(bytesMax, smallBytes)])
	if n > 0 {
		if err := c.take(b.buffer[:n]); err != nil {
			return err
		}
	}
	return err
}
