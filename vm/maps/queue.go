package maps

import (
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// A Queue is BPF_MAP_TYPE_QUEUE or STACK. It has no keys, and programs never see addresses of its values.
type Queue struct {
	base
	mu    sync.Mutex
	block *memory.Block
	first int // the oldest
	count int
}

func newQueue(a *attr, opts Options) (Map, error) {
	switch {
	case a.maxEntries == 0 || a.keySize != 0 || a.valueSize == 0 || !a.only(flagNUMANode|flagsAccess):
		return nil, EINVAL
	case a.valueSize > maxAllocation:
		return nil, E2BIG
	case tooBig(uint64(a.maxEntries), uint64(a.valueSize)):
		return nil, ENOMEM
	}
	m := &Queue{base: a.base(opts)}
	var err error
	if m.block, err = memory.New(m.maxEntries * m.valueSize); err != nil {
		return nil, ENOMEM
	}
	return m, nil
}

func (m *Queue) Close() error { return m.block.Free() }

func (m *Queue) slot(i int) []byte {
	return m.block.Bytes()[i%m.maxEntries*m.valueSize:][:m.valueSize]
}

// Push adds a value. With Exist it takes the place of the oldest one, if the map is full.
func (m *Queue) Push(value []byte, flags uint64) error {
	if flags != Any && flags != Exist {
		return EINVAL
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == m.maxEntries {
		if flags != Exist {
			return E2BIG
		}
		m.first = (m.first + 1) % m.maxEntries
		m.count--
	}
	copy(m.slot(m.first+m.count), value)
	m.count++
	return nil
}

func (m *Queue) Peek(value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peek(value)
}

func (m *Queue) peek(value []byte) error {
	switch {
	case m.count == 0:
		clear(value)
		return ENOENT
	case m.kind == ebpf.Queue:
		copy(value, m.slot(m.first))
	default:
		copy(value, m.slot(m.first+m.count-1))
	}
	return nil
}

func (m *Queue) Pop(value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.peek(value); err != nil {
		return err
	}
	if m.kind == ebpf.Queue {
		m.first = (m.first + 1) % m.maxEntries
	}
	m.count--
	return nil
}

func (m *Queue) userLookup(_, value []byte, _ uint64) error     { return m.Peek(value) }
func (m *Queue) userUpdate(_, value []byte, flags uint64) error { return m.Push(value, flags) }
func (m *Queue) userTake(_, value []byte, _ uint64) error       { return m.Pop(value) }

// memoryAt is memory at an address that this package gave.
func memoryAt(addr uint64, size int) []byte {
	return bytesAt(*(*unsafe.Pointer)(unsafe.Pointer(&addr)), size)
}
