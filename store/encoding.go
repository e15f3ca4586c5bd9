// SPDX-License-Identifier: Apache-2.0

// The alphabet of the record encodings: unsigned varints, length-prefixed bytes, 32-byte digests; and a decoder that
// remembers its first error, so that a record's decode function reads as a list of its fields.

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
)

// ErrDamaged is wrapped by every error about a row that cannot be what Tidemark wrote.
var ErrDamaged = errors.New("damaged")

var (
	errShort    = errors.New("ends too early")
	errTrailing = errors.New("has bytes too many")
	errNumber   = errors.New("has a number that is too large")
	errFlag     = errors.New("has an unknown flag")
)

// decoder takes fields off the front of b. After the first error every field is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

// end is the first error, or that bytes are left.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.err = errTrailing
	}
	return d.err
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// upTo is a uvarint that must not be greater than limit.
func (d *decoder) upTo(limit uint64) uint64 {
	v := d.uvarint()
	if v > limit {
		d.fail(errNumber)
		return 0
	}
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// fixed is a big-endian integer of n bytes.
func (d *decoder) fixed(n int) (v uint64) {
	for _, b := range d.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (d *decoder) byte() byte { return byte(d.fixed(1)) }

// take is the next n bytes, shared with the input; nil after an error.
func (d *decoder) take(n int) []byte {
	if n < 0 || len(d.b) < n {
		d.fail(errShort)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) rest() []byte { return d.take(len(d.b)) }

// bytes is a length and that many bytes, shared with the input.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) digest() (v tidemark.Digest) {
	copy(v[:], d.take(len(v)))
	return v
}

func (d *decoder) seq() tidemark.Seq { return tidemark.Seq(d.uvarint()) }

func (d *decoder) position() tidemark.Position { return tidemark.Position(d.uvarint()) }

func (d *decoder) idInKey() string {
	if len(d.b) > idInKeyBytesMax {
		d.fail(errTrailing)
		return ""
	}
	return string(d.rest())
}

// count is the number of items to follow, each of at least one byte.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return 0
	}
	return int(n)
}

// version takes the leading byte of a record whose encoding may grow.
func (d *decoder) version(want byte) {
	if v := d.byte(); d.err == nil && v != want {
		d.fail(fmt.Errorf("has encoding %d, this program reads %d", v, want))
	}
}

// flags takes a byte of flags of which only those in known may be set.
func (d *decoder) flags(known byte) byte {
	v := d.byte()
	if v&^known != 0 {
		d.fail(errFlag)
		return 0
	}
	return v
}

func (d *decoder) stringMap() map[string]string {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := d.string()
		m[k] = d.string()
	}
	return m
}

func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendMap writes a map in the order of its keys, so that equal maps have equal encodings.
func appendMap(dst []byte, m map[string]string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		dst = appendString(appendString(dst, k), m[k])
	}
	return dst
}

// appendNumbers writes a list of numbers as they are, in any order.
func appendNumbers[T ~uint32 | ~uint64](dst []byte, list []T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, v := range list {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	return dst
}

// decodeNumbers reads a list of numbers, none greater than limit; nil if it is empty.
func decodeNumbers[T ~uint32 | ~uint64](d *decoder, limit uint64) []T {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = T(d.upTo(limit))
	}
	return list
}

// appendAscending writes a list of ascending numbers, each as its distance from the one before.
func appendAscending[T ~uint32 | ~uint64](dst []byte, list []T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	last := T(0)
	for _, v := range list {
		dst = binary.AppendUvarint(dst, uint64(v-last))
		last = v
	}
	return dst
}

// decodeAscending reads a list of ascending numbers, no distance greater than limit; nil if it is empty.
func decodeAscending[T ~uint32 | ~uint64](d *decoder, limit uint64) []T {
	list := decodeNumbers[T](d, limit)
	for i := 1; i < len(list); i++ {
		list[i] += list[i-1]
	}
	return list
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}
