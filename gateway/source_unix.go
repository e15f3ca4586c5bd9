// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Waiting for bytes without holding a buffer: the read is tried when the socket is readable, into a buffer that is taken
// from the pool for that moment.

package gateway

import (
	"io"
	"net"
	"syscall"
)

// newSource reads a socket of the kernel without a buffer while it waits, anything else (TLS) with a small one.
func newSource(socket net.Conn) source {
	if s, ok := socket.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			r := &readable{raw: raw}
			r.try = r.read
			return r
		}
	}
	return &buffered{socket: socket}
}

// readable is a source over a file descriptor that does not block.
type readable struct {
	raw      syscall.RawConn
	try      func(fd uintptr) bool // read, made once
	bytesMax int
	buffer   *[readBytes]byte // between read and next
	n        int
	err      error
}

func (r *readable) next(c *conn, bytesMax int) error {
	r.bytesMax = bytesMax
	if err := r.raw.Read(r.try); err != nil {
		return err
	}
	return r.give(c)
}

// give hands on what was read. It is apart from next, whose frame is on the stack of an idle connection.
func (r *readable) give(c *conn) error {
	buffer := r.buffer
	r.buffer = nil
	if buffer != nil {
		defer readBuffers.Put(buffer)
	}
	if r.err != nil {
		return r.err
	}
	return c.take(buffer[:r.n])
}

// read reads once; false: nothing is there, wait.
func (r *readable) read(fd uintptr) bool {
	r.buffer = readBuffers.Get().(*[readBytes]byte)
	for {
		r.n, r.err = syscall.Read(int(fd), r.buffer[:r.bytesMax])
		if r.err != syscall.EINTR {
			break
		}
	}
	if r.err == syscall.EAGAIN {
		readBuffers.Put(r.buffer)
		r.buffer = nil
		return false
	}
	if r.err == nil && r.n == 0 {
		r.err = io.EOF
	}
	return true
}
