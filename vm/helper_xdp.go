package vm

import (
	"skep/vm/maps"
	"skep/vm/memory"
)

// xdpAdjustHead moves the start of the packet, and its metadata with it.
func xdpAdjustHead(t *Thread, a *[5]uint64) uint64 {
	p, by := t.packet(), int(int32(a[1]))
	if p == nil {
		return t.fail("xdp_adjust_head: the context is not a packet")
	}
	metaLength := p.start - p.meta
	start := p.start + by
	if start < frameHeader+metaLength || start > p.end-ethHeader {
		return errno(maps.EINVAL)
	}
	if metaLength > 0 {
		b := p.buffer.Bytes()
		copy(b[start-metaLength:start], b[p.meta:p.start])
	}
	p.start, p.meta = start, start-metaLength
	p.moved(t)
	return 0
}

// maxMeta is how long metadata may be.
const maxMeta = 252

func xdpAdjustMeta(t *Thread, a *[5]uint64) uint64 {
	p, by := t.packet(), int(int32(a[1]))
	if p == nil {
		return t.fail("xdp_adjust_meta: the context is not a packet")
	}
	meta := p.meta + by
	if meta < frameHeader || meta > p.start {
		return errno(maps.EINVAL)
	}
	if length := p.start - meta; length%4 != 0 || length > maxMeta {
		return errno(maps.EACCES)
	}
	p.meta = meta
	p.moved(t)
	return 0
}

func xdpAdjustTail(t *Thread, a *[5]uint64) uint64 {
	p, by := t.packet(), int(int32(a[1]))
	if p == nil {
		return t.fail("xdp_adjust_tail: the context is not a packet")
	}
	end := p.end + by
	if end > len(p.buffer.Bytes())-tailroom || end < p.start+ethHeader {
		return errno(maps.EINVAL)
	}
	if by > 0 {
		clear(p.buffer.Bytes()[p.end:end])
	}
	p.end = end
	p.moved(t)
	return 0
}

func xdpBuffLen(t *Thread, _ *[5]uint64) uint64 {
	if p := t.packet(); p != nil {
		return uint64(p.end - p.start)
	}
	return 0
}

func xdpLoadBytes(t *Thread, a *[5]uint64) uint64 {
	return t.copyPacket(a[1], a[2], a[3], false)
}

func xdpStoreBytes(t *Thread, a *[5]uint64) uint64 {
	return t.copyPacket(a[1], a[2], a[3], true)
}

// copyPacket copies between the packet and the program's memory.
func (t *Thread) copyPacket(offset, addr, size uint64, store bool) uint64 {
	p := t.packet()
	if p == nil {
		return t.fail("the context is not a packet")
	}
	offset, size = uint64(uint32(offset)), uint64(uint32(size))
	mine := memory.At(addr, int(size))
	part := p.room(offset, size)
	switch {
	case part == nil:
		if !store && p.skb {
			clear(mine)
		}
		return errno(maps.EFAULT)
	case store:
		copy(part, mine)
	default:
		copy(mine, part)
	}
	return 0
}
