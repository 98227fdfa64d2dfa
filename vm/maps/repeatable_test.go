package maps

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
)

// TestRepeatable fills two maps alike: they give their entries in the same order, and an LRU map keeps the same.
func TestRepeatable(t *testing.T) {
	for _, kind := range []ebpf.MapType{ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash} {
		keys := func() (all []uint32) {
			m, err := New(&ebpf.MapSpec{Name: "m", Type: kind, KeySize: 4, ValueSize: 8, MaxEntries: 500}, Options{CPUs: 2, Repeatable: true})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			n := uint32(400)
			if kind == ebpf.LRUHash {
				n = 3000
			}
			for i := range n {
				if err := m.Update(int(i%2), binary.NativeEndian.AppendUint32(nil, i*7919), make([]byte, 8), Any); err != nil {
					t.Fatal(err)
				}
			}
			u := User{Map: m}
			if err := u.Each(func(key, _ []byte) bool {
				all = append(all, binary.NativeEndian.Uint32(key))
				return true
			}); err != nil {
				t.Fatal(err)
			}
			return all
		}
		if one, two := keys(), keys(); len(one) == 0 || !slices.Equal(one, two) {
			t.Errorf("%s: %d and %d keys, in another order", kind, len(one), len(two))
		}
	}
}
