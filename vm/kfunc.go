package vm

import (
	"encoding/binary"

	"skep/vm/maps"
	"skep/vm/memory"
)

// kfuncs are the kernel functions that the machine has, of those that programs of every type may call.
var kfuncs = map[string]function{
	"bpf_rcu_read_lock":      nothing,
	"bpf_rcu_read_unlock":    nothing,
	"bpf_preempt_disable":    nothing,
	"bpf_preempt_enable":     nothing,
	"bpf_iter_num_new":       iterNumNew,
	"bpf_iter_num_next":      iterNumNext,
	"bpf_iter_num_destroy":   iterNumDestroy,
	"bpf_dynptr_from_xdp":    dynptrFromPacket,
	"bpf_dynptr_from_skb":    dynptrFromPacket,
	"bpf_dynptr_size":        dynptrLength,
	"bpf_dynptr_is_null":     dynptrIsNull,
	"bpf_dynptr_is_rdonly":   dynptrIsReadOnly,
	"bpf_dynptr_adjust":      dynptrAdjust,
	"bpf_dynptr_clone":       dynptrClone,
	"bpf_dynptr_slice":       dynptrSlice,
	"bpf_dynptr_slice_rdwr":  dynptrSlice,
	"bpf_cast_to_kern_ctx":   first,
	"bpf_rdonly_cast":        first,
	"bpf_local_irq_save":     nothing,
	"bpf_local_irq_restore":  nothing,
	"bpf_copy_from_user_str": copyFromUserStr,
}

// first is for functions that only change a pointer's type.
func first(_ *Thread, a *[5]uint64) uint64 { return a[0] }

// mayAccess ends the program if it gives a kernel function memory that is not its own. Those have no prototypes in a table.
func (t *Thread) mayAccess(name string, addr, size uint64, write bool) bool {
	if t.engine.Space == nil {
		return true
	}
	if err := t.access(addr, size, write); err != nil {
		t.fail("%s: %w", name, err)
		return false
	}
	return true
}

// An iterator over numbers is struct bpf_iter_num of 8 bytes: the current number and the end.
const iterNumMax = 8 << 20

func iterNumNew(t *Thread, a *[5]uint64) uint64 {
	if !t.mayAccess("bpf_iter_num_new", a[0], 8, true) {
		return 0
	}
	it := memory.At(a[0], 8)
	from, to := int32(a[1]), int32(a[2])
	clear(it)
	switch {
	case from > to:
		return errno(maps.EINVAL)
	case int64(to)-int64(from) > iterNumMax:
		return errno(maps.E2BIG)
	}
	binary.NativeEndian.PutUint32(it, uint32(from-1))
	binary.NativeEndian.PutUint32(it[4:], uint32(to))
	return 0
}

// iterNumNext returns the address of the next number, which is that of the iterator.
func iterNumNext(t *Thread, a *[5]uint64) uint64 {
	if !t.mayAccess("bpf_iter_num_next", a[0], 8, true) {
		return 0
	}
	it := memory.At(a[0], 8)
	now, end := int32(binary.NativeEndian.Uint32(it)), int32(binary.NativeEndian.Uint32(it[4:]))
	if int64(now)+1 >= int64(end) {
		clear(it)
		return 0
	}
	binary.NativeEndian.PutUint32(it, uint32(now+1))
	return a[0]
}

func iterNumDestroy(t *Thread, a *[5]uint64) uint64 {
	if t.mayAccess("bpf_iter_num_destroy", a[0], 8, true) {
		clear(memory.At(a[0], 8))
	}
	return 0
}

// dynptrFromPacket makes a dynptr of the packet of the context.
func dynptrFromPacket(t *Thread, a *[5]uint64) uint64 {
	if !t.mayAccess("bpf_dynptr_from", a[2], dynptrSize, true) {
		return 0
	}
	p := t.packet()
	if p == nil || a[1] != 0 {
		dynptr{}.store(a[2])
		return errno(maps.EINVAL)
	}
	dynptr{size: uint32(p.end - p.start), kind: dynptrPacket}.store(a[2])
	return 0
}

// known checks a dynptr of a kernel function's argument.
func (t *Thread) known(name string, addr uint64) (dynptr, bool) {
	if t.engine.Space != nil {
		if err := t.checkDynptr(0, addr); err != nil {
			t.fail("%s: %w", name, err)
			return dynptr{}, false
		}
	}
	return dynptrAt(addr), true
}

func dynptrLength(t *Thread, a *[5]uint64) uint64 {
	d, ok := t.known("bpf_dynptr_size", a[0])
	if ok && d.kind == dynptrNone {
		return errno(maps.EINVAL)
	}
	return uint64(d.size)
}

func dynptrIsNull(t *Thread, a *[5]uint64) uint64 {
	if d, ok := t.known("bpf_dynptr_is_null", a[0]); ok && d.kind == dynptrNone {
		return 1
	}
	return 0
}

func dynptrIsReadOnly(t *Thread, a *[5]uint64) uint64 {
	if d, ok := t.known("bpf_dynptr_is_rdonly", a[0]); ok && d.readOnly {
		return 1
	}
	return 0
}

func dynptrAdjust(t *Thread, a *[5]uint64) uint64 {
	d, ok := t.known("bpf_dynptr_adjust", a[0])
	start, end := uint32(a[1]), uint32(a[2])
	switch {
	case !ok:
		return 0
	case d.kind == dynptrNone || start > end:
		return errno(maps.EINVAL)
	case start > d.size || end > d.size:
		return errno(erange)
	}
	d.offset, d.size = d.offset+start, end-start
	d.store(a[0])
	return 0
}

func dynptrClone(t *Thread, a *[5]uint64) uint64 {
	d, ok := t.known("bpf_dynptr_clone", a[0])
	if !ok || !t.mayAccess("bpf_dynptr_clone", a[1], dynptrSize, true) {
		return 0
	}
	d.store(a[1])
	if d.kind == dynptrNone {
		return errno(maps.EINVAL)
	}
	return 0
}

// dynptrSlice gives the address of a part. Packets are in one piece, so that the buffer is never needed.
func dynptrSlice(t *Thread, a *[5]uint64) uint64 {
	d, ok := t.known("bpf_dynptr_slice", a[0])
	if !ok {
		return 0
	}
	if _, e := t.part(d, a[1], a[3]); e != 0 {
		return 0
	}
	at := d.data + uint64(d.offset) + uint64(uint32(a[1]))
	if d.kind == dynptrPacket {
		p := t.packet()
		at += p.buffer.Base() + uint64(p.start)
	}
	return at
}

func copyFromUserStr(t *Thread, a *[5]uint64) uint64 {
	if !t.mayAccess("bpf_copy_from_user_str", a[0], uint64(uint32(a[1])), true) {
		return 0
	}
	return t.probeString(a, t.readUser)
}
