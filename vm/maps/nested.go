package maps

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// A Nest is a map of maps. The caller keeps the maps inside alive, as long as programs may find them.
type Nest interface {
	Map
	// Put sets the map of a key, which must be like the map that this one was made with.
	Put(key []byte, inner Map, flags uint64) error
}

// An ArrayOfMaps is BPF_MAP_TYPE_ARRAY_OF_MAPS: handles, and for user space IDs.
type ArrayOfMaps struct {
	*words
	ids  *words
	like *attr
}

func newArrayOfMaps(a *attr, opts Options) (Map, error) {
	if err := a.checkFDArray(); err != nil {
		return nil, err
	}
	if err := a.checkInner(); err != nil {
		return nil, err
	}
	handles, err := newWords(a, opts)
	if err != nil {
		return nil, err
	}
	ids, err := newWords(a, opts)
	if err != nil {
		handles.Close()
		return nil, err
	}
	return &ArrayOfMaps{handles, ids, a.inner}, nil
}

func (m *ArrayOfMaps) Close() error {
	if err := m.words.Close(); err != nil {
		return err
	}
	return m.ids.Close()
}

// Regions is empty: what programs find are handles.
func (m *ArrayOfMaps) Regions() []memory.Region { return nil }

// checkFDArray is for arrays whose values user space gives as file descriptors.
func (a *attr) checkFDArray() error {
	if a.valueSize != 4 || !a.indexed() || a.flags&^(flagNUMANode|flagReadOnly|flagWriteOnly) != 0 {
		return EINVAL
	}
	return nil
}

func (a *attr) checkInner() error {
	if a.inner == nil {
		return EBADF
	}
	switch a.inner.kind {
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		return EINVAL
	case ebpf.ProgramArray, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage:
		return ENOTSUPP
	}
	return nil
}

// fits says whether a map is like the one that a map of maps was made with: the verifier relies on that.
func (a *attr) fits(m Map) error {
	b := m.core()
	switch {
	case b.kind != a.kind, b.keySize != int(a.keySize), b.valueSize != int(a.valueSize), b.flags != a.flags, b.fields != a.fields:
		return EINVAL
	case a.kind == ebpf.Array && a.flags&flagInnerMap == 0 && b.maxEntries != int(a.maxEntries):
		return EINVAL
	}
	return nil
}

func (m *ArrayOfMaps) Lookup(_ int, key []byte) uint64 { return m.get(index(key)) }

func (m *ArrayOfMaps) Put(key []byte, inner Map, flags uint64) error {
	i := index(key)
	if err := m.mayPut(i, flags); err != nil {
		return err
	}
	if err := m.like.fits(inner); err != nil {
		return err
	}
	atomic.StoreUint64(m.ids.at(i), uint64(inner.ID()))
	atomic.StoreUint64(m.at(i), inner.Handle())
	return nil
}

// mayPut checks a place in an array of what user space knows by file descriptors.
func (b *base) mayPut(i uint32, flags uint64) error {
	switch {
	case flags != Any:
		return EINVAL
	case uint(i) >= uint(b.maxEntries):
		return E2BIG
	}
	return nil
}

func (m *ArrayOfMaps) Delete(key []byte) error {
	i := index(key)
	switch {
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	case atomic.SwapUint64(m.at(i), 0) == 0:
		return ENOENT
	}
	return nil
}

func (m *ArrayOfMaps) userUpdate(key, value []byte, flags uint64) error {
	if err := m.mayPut(index(key), flags); err != nil {
		return err
	}
	inner, err := m.opts.mapOf(value)
	if err != nil {
		return err
	}
	return m.Put(key, inner, flags)
}

// mapOf is the map that a file descriptor means.
func (o *Options) mapOf(fd []byte) (Map, error) {
	if o.Map == nil {
		return nil, EBADF
	}
	return o.Map(binary.NativeEndian.Uint32(fd))
}

func (m *ArrayOfMaps) userLookup(key, value []byte, flags uint64) error {
	if m.get(index(key)) == 0 {
		return ENOENT
	}
	return m.ids.userLookup(key, value, flags)
}

func (m *ArrayOfMaps) userDelete(key []byte) error { return m.Delete(key) }

func (m *ArrayOfMaps) each(f func(key, value []byte) bool) error { return m.eachIndex(m.userLookup, f) }

// eachIndex gives the entries that an array has, which may not have one at each index.
func (b *base) eachIndex(lookup func(key, value []byte, flags uint64) error, f func(key, value []byte) bool) error {
	key, value := make([]byte, 4), make([]byte, b.valueSize)
	for i := range b.maxEntries {
		binary.NativeEndian.PutUint32(key, uint32(i))
		if lookup(key, value, Any) == nil && !f(key, value) {
			break
		}
	}
	return nil
}

// A HashOfMaps is BPF_MAP_TYPE_HASH_OF_MAPS: a table whose values are the ID that user space sees, and at 8 the handle.
type HashOfMaps struct {
	*Hash
	like *attr
}

func newHashOfMaps(a *attr, opts Options) (Map, error) {
	if a.valueSize != 4 {
		return nil, EINVAL
	}
	if err := a.checkTable(); err != nil {
		return nil, err
	}
	if err := a.checkInner(); err != nil {
		return nil, err
	}
	table, err := newTable(a, opts, tableShape{value: 16})
	if err != nil {
		return nil, err
	}
	return &HashOfMaps{table, a.inner}, nil
}

func (m *HashOfMaps) Lookup(cpu int, key []byte) uint64 {
	if at := m.Hash.Lookup(cpu, key); at != 0 {
		return binary.NativeEndian.Uint64(memoryAt(at+8, 8))
	}
	return 0
}

func (m *HashOfMaps) ForEach(int, func([]byte, uint64) bool) (int, error) { return 0, EINVAL }
func (m *HashOfMaps) Update(int, []byte, []byte, uint64) error            { return EINVAL }
func (m *HashOfMaps) Regions() []memory.Region                            { return nil }
func (m *HashOfMaps) userTake(_, _ []byte, _ uint64) error                { return ENOTSUPP }

func (m *HashOfMaps) Put(key []byte, inner Map, flags uint64) error {
	if err := m.like.fits(inner); err != nil {
		return err
	}
	var value [16]byte
	binary.NativeEndian.PutUint32(value[:], inner.ID())
	binary.NativeEndian.PutUint64(value[8:], inner.Handle())
	return m.Hash.Update(0, key, value[:], flags)
}

func (m *HashOfMaps) userUpdate(key, value []byte, flags uint64) error {
	inner, err := m.opts.mapOf(value)
	if err != nil {
		return err
	}
	return m.Put(key, inner, flags)
}
