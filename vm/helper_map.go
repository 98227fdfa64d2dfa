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

// A walk is a for_each_map_elem at work. Threads keep them, so that none is allocated in a run.
type walk struct {
	t            *Thread
	slot         int
	handle, data uint64
	key          *memory.Block
	failed       error
	visit        func(key []byte, value uint64) bool // the method
}

func (w *walk) call(key []byte, value uint64) bool {
	copy(w.key.Bytes(), key)
	var r0 uint64
	r0, w.failed = w.t.engine.Call(w.slot, [5]uint64{w.handle, w.key.Base(), value, w.data})
	return w.failed == nil && r0 == 0
}

// minKey is enough for most keys, so that the memory can be used again.
const minKey = 4096

// walk makes a walk over a map whose keys have the size. It must be given back.
func (t *Thread) walk(size int) (*walk, error) {
	var w *walk
	if n := len(t.walks); n > 0 && len(t.walks[n-1].key.Bytes()) >= size {
		w, t.walks = t.walks[n-1], t.walks[:n-1]
	} else {
		b, err := memory.New(max(size, minKey))
		if err != nil {
			return nil, err
		}
		w = &walk{t: t, key: b}
		w.visit = w.call
	}
	t.space.Add(memory.Region{Base: w.key.Base(), Size: uint64(size), ReadOnly: true, Name: "a key"})
	return w, nil
}

func (t *Thread) walked(w *walk) {
	t.space.Remove(w.key.Base())
	w.failed = nil
	t.walks = append(t.walks, w)
}

// forEachMapElem calls a function with the map, the key, the value and a pointer of the program's, until it returns 1.
func forEachMapElem(t *Thread, a *[5]uint64) uint64 {
	m, flags := t.machine.mapAt(a[0]), a[3]
	if flags != 0 {
		return errno(maps.EINVAL)
	}
	w, err := t.walk(m.KeySize())
	if err != nil {
		return t.fail("for_each_map_elem: %w", err)
	}
	defer t.walked(w)
	w.slot, _ = code.FuncSlot(a[1])
	w.handle, w.data = a[0], a[2]
	n, err := m.ForEach(t.engine.CPU, w.visit)
	switch {
	case w.failed != nil:
		return 0
	case err != nil:
		return result(err)
	}
	return uint64(n)
}
