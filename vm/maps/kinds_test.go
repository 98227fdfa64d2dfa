package maps

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/vm/memory"
)

func newTest(t testing.TB, spec *ebpf.MapSpec) Map { return newWith(t, spec, Options{CPUs: 4}) }

func newWith(t testing.TB, spec *ebpf.MapSpec, o Options) Map {
	t.Helper()
	m, err := New(spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func u32(i int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(i)) }
func u64(i int) []byte { return binary.NativeEndian.AppendUint64(nil, uint64(i)) }

// TestContents: object files bring contents, and constants are frozen.
func TestContents(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{
		Name: ".rodata", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: flagReadOnlyProgram,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: []byte{1, 2, 3, 4}}},
	})
	if got := memoryAt(m.Lookup(0, u32(0)), 4); !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("the contents are %x", got)
	}
	if err := (User{m}).Update(u32(0), u32(0), Any); err != EPERM {
		t.Errorf("a constant is changed: %v", err)
	}
	for _, r := range m.Regions() {
		if !r.ReadOnly {
			t.Errorf("programs may write to %+v", r)
		}
	}
	h := newTest(t, &ebpf.MapSpec{
		Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 2,
		Contents: []ebpf.MapKV{{Key: uint32(7), Value: struct{ A, B uint32 }{1, 2}}, {Key: []byte{8, 0, 0, 0}, Value: uint64(3)}},
	})
	if got := binary.NativeEndian.Uint64(memoryAt(h.Lookup(0, u32(8)), 8)); got != 3 {
		t.Errorf("the contents are %d", got)
	}
	_, err := New(&ebpf.MapSpec{Name: "small", Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1, Contents: []ebpf.MapKV{{Key: uint32(1), Value: uint32(1)}, {Key: uint32(2), Value: uint32(1)}}}, Options{})
	if !errors.Is(err, E2BIG) {
		t.Errorf("more contents than entries: %v", err)
	}
}

func TestErrno(t *testing.T) {
	for e, meaning := range map[Errno]error{EEXIST: fs.ErrExist, ENOENT: fs.ErrNotExist, EPERM: fs.ErrPermission} {
		if !errors.Is(e, meaning) || errors.Is(EINVAL, meaning) {
			t.Errorf("%v means not only %v", e, meaning)
		}
	}
}

// TestRegions: every address that a program gets lies in a region that the map has told of.
func TestRegions(t *testing.T) {
	for _, s := range []*ebpf.MapSpec{
		{Type: ebpf.Array, KeySize: 4, ValueSize: 12, MaxEntries: 3000},
		{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 12, MaxEntries: 3000},
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 12, MaxEntries: 3000},
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 5000, MaxEntries: 3000, Flags: flagNoPrealloc},
		{Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 5000, MaxEntries: 3000, Flags: flagNoPrealloc},
		{Type: ebpf.LRUCPUHash, KeySize: 4, ValueSize: 12, MaxEntries: 3000},
		{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 5000, MaxEntries: 3000, Flags: flagNoPrealloc},
	} {
		var space memory.Space
		o := Options{CPUs: 4, Grow: space.Add}
		m := newWith(t, s, o)
		for _, r := range m.Regions() {
			space.Add(r)
		}
		value := make([]byte, s.ValueSize)
		for i := range 3000 {
			key := u32(i)
			if s.Type == ebpf.LPMTrie {
				key = append(u32(32), key...)
			}
			if err := m.Update(i%4, key, value, Any); err != nil {
				t.Fatal(err)
			}
			at := m.Lookup(i%4, key)
			if _, ok := space.Find(at, uint64(s.ValueSize)); !ok {
				t.Errorf("%s: the value at %#x lies in no region", s.Type, at)
				break
			}
		}
		// All are told by Regions too.
		var again memory.Space
		for _, r := range m.Regions() {
			again.Add(r)
		}
		m.ForEach(3, func(_ []byte, at uint64) bool {
			_, ok := again.Find(at, uint64(s.ValueSize))
			if !ok {
				t.Errorf("%s: the value at %#x lies in no region afterwards", s.Type, at)
			}
			return ok
		})
	}
}

// TestPerCPU: each CPU has its own value, and user space all of them.
func TestPerCPU(t *testing.T) {
	for _, kind := range []ebpf.MapType{ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash} {
		m := newTest(t, &ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 4, MaxEntries: 2})
		for cpu := range 4 {
			if err := m.Update(cpu, u32(1), u32(cpu+10), Any); err != nil {
				t.Fatal(err)
			}
		}
		for cpu := range 4 {
			at := memoryAt(m.Lookup(cpu, u32(1)), 4)
			binary.NativeEndian.PutUint32(at, binary.NativeEndian.Uint32(at)+1)
		}
		got := make([]byte, 32)
		if err := (User{m}).Lookup(u32(1), got, 0); err != nil {
			t.Fatal(err)
		}
		if want := bytes.Join([][]byte{u64(11), u64(12), u64(13), u64(14)}, nil); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, not %x", kind, got, want)
		}
	}
}

// TestForEach: the callback may delete what it is given, and end the walk.
func TestForEach(t *testing.T) {
	for _, s := range []*ebpf.MapSpec{
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 100},
		{Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 4, MaxEntries: 100},
		{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 100},
	} {
		m := newTest(t, s)
		for i := range 100 {
			m.Update(0, u32(i), u32(i), Any)
		}
		seen := map[string]bool{}
		n, err := m.ForEach(0, func(key []byte, value uint64) bool {
			if !bytes.Equal(memoryAt(value, 4), key) {
				t.Errorf("%s: key %x has value %x", s.Type, key, memoryAt(value, 4))
			}
			seen[string(key)] = true
			if err := m.Delete(bytes.Clone(key)); err != nil {
				t.Error(err)
			}
			return true
		})
		if n != 100 || err != nil || len(seen) != 100 {
			t.Errorf("%s: %d calls for %d keys, %v", s.Type, n, len(seen), err)
		}
		if n, _ := m.ForEach(0, func([]byte, uint64) bool { return true }); n != 0 {
			t.Errorf("%s: %d entries are left", s.Type, n)
		}
	}
	a := newTest(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 10})
	if n, _ := a.ForEach(0, func(key []byte, _ uint64) bool { return index(key) < 4 }); n != 5 {
		t.Errorf("the walk ended after %d entries, not 5", n)
	}
	q := newTest(t, &ebpf.MapSpec{Type: ebpf.Queue, ValueSize: 4, MaxEntries: 10})
	if _, err := q.ForEach(0, nil); err != EINVAL {
		t.Errorf("a queue's walk: %v", err)
	}
}

// TestRelease: the machine hears of each value with a timer that ends.
func TestRelease(t *testing.T) {
	value := &btf.Struct{Name: "v", Size: 16, Members: []btf.Member{{Name: "t", Type: &btf.Struct{Name: "bpf_timer", Size: 16}}}}
	for _, c := range []struct {
		kind ebpf.MapType
		want int // after an update, an update of the same key, and a delete where there are deletes; and after Close
		end  int
	}{{ebpf.Hash, 2, 3}, {ebpf.LRUHash, 2, 3}, {ebpf.Array, 3, 5}} {
		released := map[uint64]int{}
		n := 0
		m, err := New(&ebpf.MapSpec{Type: c.kind, KeySize: 4, ValueSize: 16, MaxEntries: 2, Value: value}, Options{Release: func(at uint64) { released[at]++; n++ }})
		if err != nil {
			t.Fatal(err)
		}
		at := uint64(0)
		for range 2 {
			if err := m.Update(0, u32(1), bytes.Repeat([]byte{0xff}, 16), Any); err != nil {
				t.Fatal(err)
			}
			at = m.Lookup(0, u32(1))
			if got := memoryAt(at, 16); !bytes.Equal(got, make([]byte, 16)) {
				t.Errorf("%s: a timer was copied: %x", c.kind, got)
			}
		}
		if c.kind == ebpf.Array {
			m.Update(0, u32(1), make([]byte, 16), Any)
		} else if err := m.Delete(u32(1)); err != nil {
			t.Fatal(err)
		}
		if released[at] == 0 || n != c.want {
			t.Errorf("%s: %d values were released, not %d", c.kind, n, c.want)
		}
		m.Update(0, u32(0), make([]byte, 16), Any)
		n = c.want
		m.Close()
		if n != c.end {
			t.Errorf("%s: %d values were released after closing, not %d", c.kind, n, c.end)
		}
	}
}

// TestLocks: who copies under a value's lock sees all of it changed or nothing.
func TestLocks(t *testing.T) {
	value := &btf.Struct{Name: "v", Size: 24, Members: []btf.Member{{Name: "l", Type: &btf.Struct{Name: "bpf_spin_lock", Size: 4}}}}
	for _, kind := range []ebpf.MapType{ebpf.Array, ebpf.Hash} {
		m := newTest(t, &ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 24, MaxEntries: 2, Value: value})
		if err := m.Update(0, u32(1), make([]byte, 24), Any); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for thread := range 4 {
			wg.Go(func() {
				v := make([]byte, 24)
				for i := range 2000 {
					binary.NativeEndian.PutUint64(v[8:], uint64(i*4+thread))
					copy(v[16:], v[8:16])
					if err := m.Update(0, u32(1), v, Lock|Exist); err != nil {
						t.Error(err)
					}
					if err := (User{m}).Lookup(u32(1), v, Lock); err != nil || !bytes.Equal(v[8:16], v[16:]) {
						t.Errorf("%s: %x, %v", kind, v, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestBloom: nothing that was pushed is missed, and little else is found.
func TestBloom(t *testing.T) {
	for _, extra := range []uint64{0, 1, 3, 15} {
		m := newTest(t, &ebpf.MapSpec{Type: ebpf.BloomFilter, ValueSize: 8, MaxEntries: 10_000, MapExtra: extra})
		for i := range 10_000 {
			if err := m.Push(u64(i), Any); err != nil {
				t.Fatal(err)
			}
		}
		wrong := 0
		for i := range 10_000 {
			if err := m.Peek(u64(i)); err != nil {
				t.Fatalf("value %d is missed: %v", i, err)
			}
			if m.Peek(u64(i+1_000_000)) == nil {
				wrong++
			}
		}
		most := 1000 // 5 hash functions and the best size make 3 in 100
		if extra == 1 {
			most = 7000
		}
		if wrong > most {
			t.Errorf("with %d hash functions, %d of 10000 values are found that were not pushed", extra, wrong)
		}
	}
}

// TestTrieThreads: readers see the prefixes that stay, whatever comes and goes below and above them.
func TestTrieThreads(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 4, MaxEntries: 1000, Flags: flagNoPrealloc})
	prefix := func(length int, address ...byte) []byte { return append(u32(length), address...) }
	if err := m.Update(0, prefix(16, 10, 1, 0, 0), u32(16), Any); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				at := m.Lookup(0, prefix(32, 10, 1, 200, byte(i)))
				if at == 0 {
					t.Error("the prefix of 16 bits is not found")
					return
				}
			}
		})
	}
	for i := range 20_000 {
		// /8 and /12 above, /20s and /24s below, which do not contain what is looked for.
		for _, k := range [][]byte{prefix(8, 10, 0, 0, 0), prefix(12, 10, 0, 0, 0), prefix(20, 10, 1, byte(i%8*16), 0), prefix(24, 10, 1, byte(i%100), 0)} {
			if i&1 == 0 {
				m.Update(0, k, u32(i), Any)
			} else {
				m.Delete(k)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// TestQueueThreads: what is pushed is popped once.
func TestQueueThreads(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.Queue, ValueSize: 8, MaxEntries: 16})
	var wg sync.WaitGroup
	var mu sync.Mutex
	sum := 0
	const each = 5000
	for thread := range 4 {
		wg.Go(func() {
			own := 0
			v := make([]byte, 8)
			for i := 0; i < each; {
				if thread%2 == 0 {
					if m.Push(u64(i), Any) == nil {
						i++
						continue
					}
				} else if m.Pop(v) == nil {
					own += int(binary.NativeEndian.Uint64(v))
					i++
					continue
				}
				runtime.Gosched()
			}
			mu.Lock()
			sum += own
			mu.Unlock()
		})
	}
	wg.Wait()
	if want := each * (each - 1); sum != want {
		t.Errorf("the sum is %d, not %d", sum, want)
	}
}

func TestKeyOf(t *testing.T) {
	for _, s := range []*ebpf.MapSpec{
		{Type: ebpf.Array, KeySize: 4, ValueSize: 12, MaxEntries: 3000},
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 12, MaxEntries: 3000},
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 5000, MaxEntries: 3000, Flags: flagNoPrealloc},
		{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 12, MaxEntries: 3000},
	} {
		m := newTest(t, s)
		value := make([]byte, s.ValueSize)
		for i := range 3000 {
			m.Update(0, u32(i), value, Any)
		}
		for i := range 3000 {
			if got := m.KeyOf(m.Lookup(0, u32(i))); !bytes.Equal(got, u32(i)) {
				t.Fatalf("%s: the key is %x, not %x", s.Type, got, u32(i))
			}
		}
		for _, r := range m.Regions() {
			if m.KeyOf(r.Base-1) != nil || len(m.Regions()) == 1 && m.KeyOf(r.Base+r.Size+1<<20) != nil {
				t.Errorf("%s: there is a key for memory of others", s.Type)
			}
		}
	}
}
