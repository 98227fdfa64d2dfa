package vm

import (
	"slices"

	"skep/vm/maps"
	"skep/vm/memory"
)

// A record is one of a ring buffer that a program has reserved.
type record struct {
	addr uint64
	ring *maps.RingBuf
}

// ring is the map of a helper for ring buffers.
func (t *Thread) ring(helper string, handle uint64) *maps.RingBuf {
	m, ok := t.machine.mapAt(handle).(*maps.RingBuf)
	if !ok {
		t.fail("%s: r1 is not a ring buffer", helper)
		return nil
	}
	return m
}

func ringbufOutput(t *Thread, a *[5]uint64) uint64 {
	m := t.ring("ringbuf_output", a[0])
	if m == nil {
		return 0
	}
	return result(m.Output(memoryAt(a[1], a[2]), a[3]))
}

func ringbufReserve(t *Thread, a *[5]uint64) uint64 {
	m := t.ring("ringbuf_reserve", a[0])
	if m == nil {
		return 0
	}
	addr := m.Reserve(a[1], a[2])
	if addr != 0 {
		t.records = append(t.records, record{addr, m})
	}
	return addr
}

// take ends a reservation.
func (t *Thread) take(addr uint64) (record, bool) {
	i := slices.IndexFunc(t.records, func(r record) bool { return r.addr == addr })
	if i < 0 {
		return record{}, false
	}
	r := t.records[i]
	t.records = slices.Delete(t.records, i, i+1)
	return r, true
}

// reserved reports whether the program has reserved the record and not submitted it yet.
func (t *Thread) reserved(addr uint64) bool {
	return slices.ContainsFunc(t.records, func(r record) bool { return r.addr == addr })
}

func ringbufSubmit(t *Thread, a *[5]uint64) uint64 {
	if r, ok := t.take(a[0]); ok {
		r.ring.Submit(r.addr, a[1])
	}
	return 0
}

func ringbufDiscard(t *Thread, a *[5]uint64) uint64 {
	if r, ok := t.take(a[0]); ok {
		r.ring.Discard(r.addr, a[1])
	}
	return 0
}

func ringbufQuery(t *Thread, a *[5]uint64) uint64 {
	m := t.ring("ringbuf_query", a[0])
	if m == nil {
		return 0
	}
	return m.Query(a[1])
}

// ringbufReserveDynptr leaves an empty dynptr if there is no room, which the program must submit or discard all the same.
func ringbufReserveDynptr(t *Thread, a *[5]uint64) uint64 {
	m := t.ring("ringbuf_reserve_dynptr", a[0])
	if m == nil {
		return 0
	}
	size := uint64(uint32(a[1]))
	d, e := dynptr{}, maps.Errno(0)
	switch {
	case a[2] != 0:
		e = maps.EINVAL
	case size > dynptrMaxSize:
		e = maps.E2BIG
	default:
		if addr := m.Reserve(size, 0); addr != 0 {
			t.records = append(t.records, record{addr, m})
			d = dynptr{data: addr, size: uint32(size), kind: dynptrRecord}
		} else {
			e = maps.EINVAL
		}
	}
	d.store(a[3])
	return errno(e)
}

func ringbufSubmitDynptr(t *Thread, a *[5]uint64) uint64 {
	if r, ok := t.take(dynptrAt(a[0]).data); ok {
		r.ring.Submit(r.addr, a[1])
	}
	dynptr{}.store(a[0])
	return 0
}

func ringbufDiscardDynptr(t *Thread, a *[5]uint64) uint64 {
	if r, ok := t.take(dynptrAt(a[0]).data); ok {
		r.ring.Discard(r.addr, a[1])
	}
	dynptr{}.store(a[0])
	return 0
}

// perfEventOutput sends data, and as many bytes of the packet as its flags say.
func perfEventOutput(t *Thread, a *[5]uint64) uint64 {
	m, ok := t.machine.mapAt(a[1]).(*maps.PerfEventArray)
	if !ok {
		return t.fail("perf_event_output: r2 is not a perf event array")
	}
	flags := a[2]
	var packet []byte
	if n := flags >> 32 & 0xfffff; n > 0 {
		if p := t.packet(); p != nil {
			if packet = p.room(0, n); packet == nil {
				return errno(maps.EFAULT)
			}
		}
	}
	return result(m.Output(t.engine.CPU, flags, memory.At(a[3], int(uint32(a[4]))), packet))
}

// perfEventRead finds no counter in a map: there are no perf events here.
func perfEventRead(*Thread, *[5]uint64) uint64 { return errno(maps.ENOENT) }

func perfEventReadValue(_ *Thread, a *[5]uint64) uint64 {
	clear(memoryAt(a[2], a[3]))
	return errno(maps.ENOENT)
}
