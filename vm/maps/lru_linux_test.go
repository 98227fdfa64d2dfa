package maps

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
)

// TestLRU checks what an LRU table guarantees, of the kernel's and of ours: nothing new is refused, there are never more entries than
// there may be, the newest is there, and what is there is right. Which entries are given up is the kernel's own affair, and differs.
func TestLRU(t *testing.T) {
	for _, a := range []*attr{
		{kind: ebpf.LRUHash, keySize: 4, valueSize: 8, maxEntries: 700, fields: noFields},
		{kind: ebpf.LRUCPUHash, keySize: 4, valueSize: 8, maxEntries: 700, fields: noFields},
		{kind: ebpf.LRUHash, keySize: 4, valueSize: 8, maxEntries: 700, flags: flagNoCommonLRU, fields: noFields},
		{kind: ebpf.LRUHash, keySize: 4, valueSize: 8, maxEntries: 1, fields: noFields},
	} {
		name := a.kind.String()
		if a.flags != 0 {
			name += " without common list"
		}
		if a.maxEntries == 1 {
			name += " of one"
		}
		t.Run(name+"/ours", func(t *testing.T) {
			m, err := create(a, Options{CPUs: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			checkLRU(t, a, User{m}, m.userValueSize())
			n := 0
			User{m}.Each(func(_, _ []byte) bool { n++; return true })
			want := m.MaxEntries()
			if a.flags&flagNoCommonLRU != 0 {
				want /= 2 // user space has one CPU's share
			}
			if n != want {
				t.Errorf("%d entries are left, not %d", n, want)
			}
		})
		t.Run(name+"/kernel", func(t *testing.T) {
			known(t)
			k, err := inKernel(t, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer k.close()
			checkLRU(t, a, k, k.valueSize)
		})
	}
}

func checkLRU(t *testing.T, a *attr, f face, valueSize int) {
	key, value, got := make([]byte, 4), make([]byte, valueSize), make([]byte, valueSize)
	number := func(i int) {
		binary.NativeEndian.PutUint32(key, uint32(i))
		clear(value)
		binary.NativeEndian.PutUint32(value, uint32(i)*3)
	}
	const keys = 3000
	for i := range keys {
		number(i)
		if err := f.Update(key, value, NoExist); err != nil {
			t.Fatalf("key %d is refused: %v", i, err)
		}
		if err := f.Lookup(key, got, 0); err != nil {
			t.Fatalf("key %d is lost at once: %v", i, err)
		}
	}
	n := 0
	for i := range keys {
		number(i)
		if f.Lookup(key, got, 0) == nil {
			n++
			if string(got) != string(value) {
				t.Errorf("key %d has value %x, not %x", i, got, value)
			}
		}
	}
	if n == 0 || n > int(a.maxEntries) {
		t.Errorf("%d entries are left of at most %d", n, a.maxEntries)
	}
}

// TestLRUKeeps: what programs look up stays.
func TestLRUKeeps(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 100})
	key := func(i int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(i)) }
	for i := range 10_000 {
		if err := m.Update(0, key(i), key(i), Any); err != nil {
			t.Fatal(err)
		}
		if m.Lookup(0, key(0)) == 0 {
			t.Fatalf("the key that is looked up all the time is lost after %d others", i)
		}
		if i < 100 {
			continue
		}
		// The newest are there too.
		if m.Lookup(0, key(i-8)) == 0 {
			t.Fatalf("key %d is lost after 8 others", i-8)
		}
	}
}

// TestLRUThreads: several threads press into a small table.
func TestLRUThreads(t *testing.T) {
	for _, flags := range []uint32{0, flagNoCommonLRU} {
		m := newTest(t, &ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 64, Flags: flags})
		var wg sync.WaitGroup
		for cpu := range 4 {
			wg.Go(func() {
				key := make([]byte, 4)
				for i := range 30_000 {
					binary.NativeEndian.PutUint32(key, uint32(i%500*4+cpu))
					if err := m.Update(cpu, key, key, Any); err != nil {
						t.Errorf("an entry is refused: %v", err)
						return
					}
					if i%7 == 0 {
						m.Delete(key)
					}
				}
			})
		}
		wg.Wait()
		n := 0
		User{m}.Each(func(key, value []byte) bool {
			if string(key) != string(value) {
				t.Errorf("key %x has value %x", key, value)
			}
			n++
			return true
		})
		if n > 64 {
			t.Errorf("%d entries of at most 64", n)
		}
	}
}
