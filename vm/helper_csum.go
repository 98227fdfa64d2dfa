package vm

import (
	"encoding/binary"

	"skep/vm/maps"
)

// Checksums are 16-bit sums in which a carry comes back at the other end. Those of 32 bits are the same, folded later. The numbers are
// as this computer reads them from memory, so that stored sums fit whatever the order of its bytes.

func add32(a, b uint32) uint32 {
	s := a + b
	if s < a {
		s++
	}
	return s
}

func fold(s uint32) uint16 {
	s = s&0xffff + s>>16
	return uint16(s + s>>16)
}

// sum adds up memory.
func sum(b []byte, s uint32) uint32 {
	for ; len(b) >= 4; b = b[4:] {
		s = add32(s, binary.NativeEndian.Uint32(b))
	}
	return s
}

// replace16 changes a stored checksum for a word that changes.
func replace16(sum, from, to uint16) uint16 {
	return ^fold(add32(add32(uint32(^sum), uint32(^from)), uint32(to)))
}

func replace32(sum uint16, from, to uint32) uint16 {
	return ^fold(add32(add32(uint32(^sum), ^from), to))
}

// replaceDiff changes it by a difference of sums.
func replaceDiff(sum uint16, diff uint32) uint16 { return ^fold(add32(diff, uint32(^sum))) }

// csumDiff is the difference of the sums of two memories, or the sum of one, with a seed.
func csumDiff(_ *Thread, a *[5]uint64) uint64 {
	from, to, seed := memoryAt(a[0], a[1]), memoryAt(a[2], a[3]), uint32(a[4])
	if len(from)%4 != 0 || len(to)%4 != 0 {
		return errno(maps.EINVAL)
	}
	s := seed
	switch {
	case len(from) > 0 && len(to) > 0:
		s = add32(sum(to, seed), ^sum(from, 0))
	case len(to) > 0:
		s = sum(to, seed)
	case len(from) > 0:
		s = ^sum(from, ^seed)
	}
	return uint64(fold(s))
}

// Flags of the helpers that replace checksums: how many bytes the change has, and what is special.
const (
	csumSize       = 0xf
	csumPseudo     = 1 << 4
	csumZeroIsNone = 1 << 5
	csumEnforce    = 1 << 6
	csumIPv6       = 1 << 7
)

func l3CsumReplace(t *Thread, a *[5]uint64) uint64 { return t.replaceChecksum(a, csumSize) }

func l4CsumReplace(t *Thread, a *[5]uint64) uint64 {
	return t.replaceChecksum(a, csumSize|csumPseudo|csumZeroIsNone|csumEnforce|csumIPv6)
}

// replaceChecksum changes the checksum at an offset of the packet for a change of 2 or 4 bytes, or by a difference.
func (t *Thread) replaceChecksum(a *[5]uint64, allowed uint64) uint64 {
	p, offset, from, to, flags := t.skb("csum_replace"), uint64(uint32(a[1])), a[2], a[3], a[4]
	if p == nil {
		return 0
	}
	if flags&^allowed != 0 {
		return errno(maps.EINVAL)
	}
	if offset > 0xffff || offset%2 != 0 {
		return errno(maps.EFAULT)
	}
	at := p.room(offset, 2)
	if at == nil {
		return errno(maps.EFAULT)
	}
	old := binary.NativeEndian.Uint16(at)
	if flags&csumZeroIsNone != 0 && flags&csumEnforce == 0 && old == 0 {
		return 0
	}
	var s uint16
	switch flags & csumSize {
	case 0:
		if from != 0 {
			return errno(maps.EINVAL)
		}
		s = replaceDiff(old, uint32(to))
	case 2:
		s = replace16(old, uint16(from), uint16(to))
	case 4:
		s = replace32(old, uint32(from), uint32(to))
	default:
		return errno(maps.EINVAL)
	}
	if flags&csumZeroIsNone != 0 && s == 0 {
		s = 0xffff
	}
	binary.NativeEndian.PutUint16(at, s)
	return 0
}

// csumUpdate is for sums that a network interface has made, which packets here have not.
func csumUpdate(*Thread, *[5]uint64) uint64 { return errno(maps.ENOTSUPP) }

// csumLevel counts the headers whose checksum an interface has verified, which is none.
func csumLevel(_ *Thread, a *[5]uint64) uint64 {
	switch a[1] {
	case 0:
		return errno(maps.EACCES)
	case 1, 2, 3:
		return 0
	}
	return errno(maps.EINVAL)
}
