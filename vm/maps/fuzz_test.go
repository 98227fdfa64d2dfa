package maps

import (
	"testing"

	"github.com/cilium/ebpf"
)

// FuzzNew: whatever an object file asks for is made or refused, and what is made can be used.
func FuzzNew(f *testing.F) {
	f.Add(uint32(ebpf.Hash), uint32(4), uint32(8), uint32(10), uint32(0), uint64(0), []byte{1, 2, 3, 4})
	f.Add(uint32(ebpf.LRUHash), uint32(4), uint32(8), uint32(1), uint32(flagNoCommonLRU), uint64(0), []byte{2})
	f.Add(uint32(ebpf.LPMTrie), uint32(8), uint32(8), uint32(1<<31), uint32(flagNoPrealloc), uint64(0), []byte{32, 0, 0, 0, 10})
	f.Add(uint32(ebpf.BloomFilter), uint32(0), uint32(8), uint32(1<<32-1), uint32(0), uint64(15), []byte{})
	f.Add(uint32(ebpf.StackTrace), uint32(4), uint32(8), uint32(1<<31), uint32(0), uint64(0), []byte{})
	f.Add(uint32(ebpf.ArrayOfMaps), uint32(4), uint32(4), uint32(1<<32-1), uint32(0), uint64(0), []byte{})
	f.Add(uint32(ebpf.RingBuf), uint32(0), uint32(0), uint32(1<<31), uint32(0), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, kind, keySize, valueSize, maxEntries, flags uint32, extra uint64, data []byte) {
		spec := &ebpf.MapSpec{
			Type: ebpf.MapType(kind % 40), KeySize: keySize, ValueSize: valueSize, MaxEntries: maxEntries, Flags: flags, MapExtra: extra,
			InnerMap: &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		}
		m, err := New(spec, Options{CPUs: 3})
		if err != nil {
			return
		}
		defer m.Close()
		if m.KeySize() > 1<<16 || m.ValueSize() > 1<<16 {
			return
		}
		key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
		copy(key, data)
		u := User{m}
		all := make([]byte, u.ValueSize())
		if m.KeySize() == 0 {
			m.Push(value, Any)
			m.Peek(value)
			m.Pop(value)
			u.Update(nil, all, Any)
			u.LookupAndDelete(nil, all, 0)
			return
		}
		m.Update(2, key, value, Any)
		m.Lookup(2, key)
		u.Update(key, all, Any)
		u.Lookup(key, all, 0)
		if m.MaxEntries() < 1<<12 {
			u.NextKey(key, make([]byte, len(key)))
			u.Each(func(_, _ []byte) bool { return true })
			m.ForEach(2, func([]byte, uint64) bool { return true })
		}
		u.Delete(key)
		m.Delete(key)
	})
}
