// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Waiting for bytes without holding a buffer: the read is tried when the socket is readable, into a buffer that is taken
// from the pool for that moment.

package gateway

import (
	"io"
	"net"
	"sync"
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

// chunk is what one read gave.
type chunk struct {
	buffer [readBytes]byte
	n      int
	err    error
}

var readChunks = sync.Pool{New: func() any { return new(chunk) }}

// readable is a source over a file descriptor that does not block.
type readable struct {
	raw      syscall.RawConn
	try      func(fd uintptr) bool // read, made once
	bytesMax int
	got      *chunk // between read and give
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
	got := r.got
	r.got = nil
	defer readChunks.Put(got)
	if got.err != nil {
		return got.err
	}
	return c.take(got.buffer[:got.n])
}

// read reads once; false: nothing is there, wait.
func (r *readable) read(fd uintptr) bool {
	got := readChunks.Get().(*chunk)
	for {
		got.n, got.err = syscall.Read(int(fd), got.buffer[:r.bytesMax])
		if got.err != syscall.EINTR {
			break
		}
	}
	if got.err == syscall.EAGAIN {
		readChunks.Put(got)
		return false
	}
	if got.err == nil && got.n == 0 {
		got.err = io.EOF
	}
	r.got = got
	return true
}
