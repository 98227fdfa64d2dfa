package vm

import (
	"skep/vm/code"
	"skep/vm/maps"
	"skep/vm/memory"
)

func mapLookupElem(t *Thread, a *[5]uint64) uint64 {
	m := t.machine.mapAt(a[0])
	return m.Lookup(t.engine.CPU, memory.At(a[1], m.KeySize()))
}

func mapUpdateElem(t *Thread, a *[5]uint64) uint64 {
	m := t.machine.mapAt(a[0])
	return result(m.Update(t.engine.CPU, memory.At(a[1], m.KeySize()), memory.At(a[2], m.ValueSize()), a[3]))
}

func mapDeleteElem(t *Thread, a *[5]uint64) uint64 {
	m := t.machine.mapAt(a[0])
	return result(m.Delete(memory.At(a[1], m.KeySize())))
}

func mapPushElem(t *Thread, a *[5]uint64) uint64 {
	m := t.machine.mapAt(a[0])
	return result(m.Push(memory.At(a[1], m.ValueSize()), a[2]))
}

func mapPopElem(t *Thread, a *[5]uint64) uint64 {
	m := t.machine.mapAt(a[0])
	return result(m.Pop(memory.At(a[1], m.ValueSize())))
}

func mapPeekElem(t *Thread, a *[5]uint64) uint64 {
	m := t.machine.mapAt(a[0])
	return result(m.Peek(memory.At(a[1], m.ValueSize())))
}

func mapLookupPercpuElem(t *Thread, a *[5]uint64) uint64 {
	m := t.machine.mapAt(a[0])
	if a[2] >= uint64(t.machine.CPUs()) {
		return 0
	}
	return m.Lookup(int(a[2]), memory.At(a[1], m.KeySize()))
}

// forEachMapElem calls a function with the map, the key, the value and a pointer of the program's, until it returns 1.
func forEachMapElem(t *Thread, a *[5]uint64) uint64 {
	m, callback, data, flags := t.machine.mapAt(a[0]), a[1], a[2], a[3]
	if flags != 0 {
		return errno(maps.EINVAL)
	}
	slot, _ := code.FuncSlot(callback)
	handle := a[0]
	key, done, err := t.scratch(m.KeySize())
	if err != nil {
		return t.fail("for_each_map_elem: %w", err)
	}
	defer done()
	var failed error
	n, err := m.ForEach(t.engine.CPU, func(k []byte, value uint64) bool {
		copy(key.Bytes(), k)
		var r0 uint64
		r0, failed = t.engine.Call(slot, [5]uint64{handle, key.Base(), value, data})
		return failed == nil && r0 == 0
	})
	if failed != nil {
		return 0
	}
	if err != nil {
		return result(err)
	}
	return uint64(n)
}

// scratch is memory that the running program may read until done is called.
func (t *Thread) scratch(size int) (b *memory.Block, done func(), err error) {
	if n := len(t.spare); n > 0 && len(t.spare[n-1].Bytes()) >= size {
		b, t.spare = t.spare[n-1], t.spare[:n-1]
	} else if b, err = memory.New(max(size, minScratch)); err != nil {
		return nil, nil, err
	}
	t.space.Add(memory.Region{Base: b.Base(), Size: uint64(size), ReadOnly: true, Name: "a key"})
	return b, func() {
		t.space.Remove(b.Base())
		t.spare = append(t.spare, b)
	}, nil
}

// minScratch is enough for most keys, so that the memory can be used again.
const minScratch = 4096
