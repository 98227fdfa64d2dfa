package vm

import (
	"encoding/binary"
	"errors"

	"skep/vm/helper"
	"skep/vm/maps"
	"skep/vm/memory"
)

// A dynptr is what a program's struct bpf_dynptr holds:
//
//	 0  u64  the address of memory
//	 8  u32  how much of it, from the offset on
//	12  u8   the kind, and whether it is read-only
//	13  u24  the offset
type dynptr struct {
	data     uint64
	offset   uint32
	size     uint32
	kind     uint8
	readOnly bool
}

const (
	dynptrSize = 16
	// Kinds of dynptrs: what their memory is.
	dynptrNone   = 0
	dynptrLocal  = 1
	dynptrRecord = 2
	dynptrPacket = 3 // the offset is one in the packet, which may move

	dynptrReadOnly = 1 << 7
	dynptrMaxSize  = 1<<24 - 1
)

func dynptrAt(addr uint64) dynptr {
	b := memory.At(addr, dynptrSize)
	flags := b[12]
	return dynptr{
		data: binary.NativeEndian.Uint64(b), offset: uint32(b[13]) | uint32(b[14])<<8 | uint32(b[15])<<16, size: binary.NativeEndian.Uint32(b[8:]),
		kind: flags &^ dynptrReadOnly, readOnly: flags&dynptrReadOnly != 0,
	}
}

func (d dynptr) store(addr uint64) {
	b := memory.At(addr, dynptrSize)
	clear(b)
	binary.NativeEndian.PutUint64(b, d.data)
	binary.NativeEndian.PutUint32(b[8:], d.size)
	b[12], b[13], b[14], b[15] = d.kind, byte(d.offset), byte(d.offset>>8), byte(d.offset>>16)
	if d.readOnly {
		b[12] |= dynptrReadOnly
	}
}

// checkDynptr sees that a dynptr of a program that nobody has verified leads only to memory of the program.
func (t *Thread) checkDynptr(arg helper.Arg, addr uint64) error {
	if err := t.access(addr, dynptrSize, true); err != nil {
		return err
	}
	if arg.Has(helper.Uninit) {
		return nil
	}
	d := dynptrAt(addr)
	switch {
	case arg.Has(helper.RingbufDynptr) && d.kind != dynptrRecord && d.kind != dynptrNone:
		return errors.New("the dynptr is not of a ring buffer")
	case d.kind == dynptrNone || d.kind == dynptrPacket:
		return nil
	case d.kind == dynptrRecord && !t.reserved(d.data):
		return errors.New("the dynptr's record is not reserved")
	}
	return t.access(d.data+uint64(d.offset), uint64(d.size), !d.readOnly)
}

// part is the memory of a dynptr from an offset on.
func (t *Thread) part(d dynptr, offset, size uint64) ([]byte, maps.Errno) {
	offset, size = uint64(uint32(offset)), uint64(uint32(size))
	if d.kind == dynptrNone {
		return nil, maps.EINVAL
	}
	if size > uint64(d.size) || offset > uint64(d.size)-size {
		return nil, maps.E2BIG
	}
	if d.kind == dynptrPacket {
		p := t.packet()
		if p == nil {
			return nil, maps.EINVAL
		}
		b := p.room(uint64(d.offset)+offset, size)
		if b == nil {
			return nil, maps.EFAULT
		}
		return b, 0
	}
	return memory.At(d.data+uint64(d.offset)+offset, int(size)), 0
}

func dynptrFromMem(_ *Thread, a *[5]uint64) uint64 {
	d, e := dynptr{}, maps.Errno(0)
	switch {
	case a[1] > dynptrMaxSize:
		e = maps.E2BIG
	case a[2] != 0:
		e = maps.EINVAL
	default:
		d = dynptr{data: a[0], size: uint32(a[1]), kind: dynptrLocal}
	}
	d.store(a[3])
	return errno(e)
}

func dynptrRead(t *Thread, a *[5]uint64) uint64 {
	if a[4] != 0 {
		return errno(maps.EINVAL)
	}
	from, e := t.part(dynptrAt(a[2]), a[3], a[1])
	if e == 0 {
		copy(memoryAt(a[0], a[1]), from)
	}
	return errno(e)
}

func dynptrWrite(t *Thread, a *[5]uint64) uint64 {
	d := dynptrAt(a[0])
	if d.readOnly || a[4] != 0 && d.kind != dynptrPacket {
		return errno(maps.EINVAL)
	}
	to, e := t.part(d, a[1], a[3])
	if e == 0 {
		copy(to, memoryAt(a[2], a[3]))
	}
	return errno(e)
}

// dynptrData gives direct access to a part, which packets do not have.
func dynptrData(t *Thread, a *[5]uint64) uint64 {
	d := dynptrAt(a[0])
	if d.kind == dynptrPacket || d.readOnly {
		return 0
	}
	if _, e := t.part(d, a[1], a[2]); e != 0 {
		return 0
	}
	return d.data + uint64(d.offset) + uint64(uint32(a[1]))
}
