package maps

import (
	"sync/atomic"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// A ProgArray is BPF_MAP_TYPE_PROG_ARRAY. A program is the number that [Options.Target] gave for its file descriptor, or that Put was
// given; user space reads it as the program's ID. [ProgArray.Target] is what a tail call looks up.
type ProgArray struct{ *words }

func newProgArray(a *attr, opts Options) (Map, error) {
	if err := a.checkFDArray(); err != nil {
		return nil, err
	}
	w, err := newWords(a, opts)
	return &ProgArray{w}, err
}

// Regions is empty: programs cannot look up in here.
func (m *ProgArray) Regions() []memory.Region { return nil }

// Put sets the program at an index.
func (m *ProgArray) Put(i, program uint32) error {
	if err := m.mayPut(i, Any); err != nil {
		return err
	}
	atomic.StoreUint64(m.at(i), uint64(program))
	return nil
}

func (m *ProgArray) Lookup(int, []byte) uint64 { return 0 }

func (m *ProgArray) Delete(key []byte) error {
	i := index(key)
	switch {
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	case atomic.SwapUint64(m.at(i), 0) == 0:
		return ENOENT
	}
	return nil
}

func (m *ProgArray) userUpdate(key, value []byte, flags uint64) error {
	i := index(key)
	if err := m.mayPut(i, flags); err != nil {
		return err
	}
	program, err := m.opts.target(m.kind, index(value))
	if err != nil {
		return err
	}
	return m.Put(i, uint32(program))
}

func (m *ProgArray) userDelete(key []byte) error { return m.Delete(key) }

// target is what a file descriptor means.
func (o *Options) target(t ebpf.MapType, fd uint32) (uint64, error) {
	if o.Target == nil {
		return 0, EBADF
	}
	return o.Target(t, fd)
}
