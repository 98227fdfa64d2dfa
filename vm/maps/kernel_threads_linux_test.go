package maps

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// TestThreads has several threads work on one map at once, each on keys of its own: what one of them does must come out as if it were
// alone. What holds for the kernel's map must hold for ours.
func TestThreads(t *testing.T) {
	for _, c := range []struct {
		label string
		attr  attr
	}{
		{"hash", attr{kind: ebpf.Hash, keySize: 8, valueSize: 24, maxEntries: 4096}},
		{"hash not pre-allocated", attr{kind: ebpf.Hash, keySize: 8, valueSize: 24, maxEntries: 4096, flags: flagNoPrealloc}},
		{"per-CPU hash", attr{kind: ebpf.PerCPUHash, keySize: 8, valueSize: 24, maxEntries: 4096}},
		{"LRU hash", attr{kind: ebpf.LRUHash, keySize: 8, valueSize: 24, maxEntries: 4096}},
		{"LPM trie", attr{kind: ebpf.LPMTrie, keySize: 12, valueSize: 24, maxEntries: 4096, flags: flagNoPrealloc}},
	} {
		c.attr.fields = noFields
		t.Run(c.label+"/ours", func(t *testing.T) {
			m, err := create(&c.attr, Options{CPUs: 4})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			n := threads(t, &c.attr, User{m}, m.userValueSize(), func() { listed(t, m) })
			t.Logf("%d operations checked", n)
			refill(t, m)
		})
		t.Run(c.label+"/kernel", func(t *testing.T) {
			known(t)
			k, err := inKernel(t, &c.attr, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer k.close()
			threads(t, &c.attr, k, k.valueSize, nil)
		})
	}
}

// threadKey is key i of a thread; thread 0's are not touched.
func threadKey(a *attr, thread, i int) []byte {
	key := make([]byte, a.keySize)
	at := key
	if a.kind == ebpf.LPMTrie {
		binary.NativeEndian.PutUint32(key, (a.keySize-4)*8)
		at = key[4:]
	}
	binary.BigEndian.PutUint32(at, uint32(i))
	at[4] = byte(thread)
	return key
}

const stableKeys = 50

func threads(t *testing.T, a *attr, f face, valueSize int, meanwhile func()) int {
	for i := range stableKeys {
		if err := f.Update(threadKey(a, 0, i), make([]byte, valueSize), Any); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	end := time.Now().Add(effort())
	for thread := 1; thread <= 4; thread++ {
		r := rand.New(rand.NewPCG(rand.Uint64(), uint64(thread)))
		wg.Go(func() {
			n := oneThread(t, a, f, valueSize, thread, r, end)
			mu.Lock()
			total += n
			mu.Unlock()
		})
	}
	if meanwhile != nil {
		wg.Go(func() {
			for time.Now().Before(end) {
				meanwhile()
			}
		})
	}
	wg.Wait()
	return total
}

func oneThread(t *testing.T, a *attr, f face, valueSize, thread int, r *rand.Rand, end time.Time) int {
	model := map[int]byte{}
	value := make([]byte, valueSize)
	n := 0
	for ; time.Now().Before(end) && !t.Failed(); n++ {
		i := r.IntN(100)
		key := threadKey(a, thread, i)
		old, there := model[i]
		flags := []uint64{Any, Any, NoExist, Exist}[r.IntN(4)]
		var got, want error
		what := ""
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			what = "update"
			fill := byte(r.Uint32())
			for j := range value {
				value[j] = fill
			}
			got = f.Update(key, value, flags)
			switch {
			case there && flags == NoExist:
				want = EEXIST
			case !there && flags == Exist:
				want = ENOENT
			default:
				model[i] = fill
			}
		case 4:
			what, got = "delete", f.Delete(key)
			if !there {
				want = ENOENT
			}
			delete(model, i)
		case 5:
			if a.kind == ebpf.LPMTrie {
				continue
			}
			what, got = "take", f.LookupAndDelete(key, value, 0)
			if !there {
				want = ENOENT
			}
			delete(model, i)
		default:
			what, got = "look-up", f.Lookup(key, value, 0)
			if !there {
				want = ENOENT
			}
		}
		if got != want {
			t.Errorf("thread %d, %s of key %d with flags %d: %v, not %v", thread, what, i, flags, got, want)
		}
		if want == nil && (what == "take" || what == "look-up") {
			for _, b := range value {
				if b != old {
					t.Errorf("thread %d, %s of key %d: %x, not all %x", thread, what, i, value, old)
					break
				}
			}
		}
	}
	return n
}

// listed says that a walk over a map that others change gives each entry once that is there all the time.
func listed(t *testing.T, m Map) {
	seen := map[string]int{}
	if err := (User{m}).Each(func(key, _ []byte) bool { seen[string(key)]++; return true }); err != nil {
		t.Error(err)
	}
	for i := range stableKeys {
		if n := seen[string(threadKey(&attr{keySize: uint32(m.KeySize()), kind: m.Type()}, 0, i))]; n != 1 {
			t.Errorf("key %d was listed %d times", i, n)
		}
	}
	inProgram := map[string]int{}
	m.ForEach(0, func(key []byte, _ uint64) bool { inProgram[string(key)]++; return true })
}

// refill says that no element got lost: an empty map takes as many entries as ever.
func refill(t *testing.T, m Map) {
	u := User{m}
	var keys [][]byte
	u.Each(func(key, _ []byte) bool { keys = append(keys, append([]byte(nil), key...)); return true })
	for _, key := range keys {
		if err := u.Delete(key); err != nil {
			t.Errorf("deleting %x: %v", key, err)
		}
	}
	value := make([]byte, u.ValueSize())
	a := &attr{kind: m.Type(), keySize: uint32(m.KeySize())}
	for i := range m.MaxEntries() {
		if err := u.Update(threadKey(a, 9, i), value, NoExist); err != nil {
			t.Fatalf("entry %d of %d: %v", i, m.MaxEntries(), err)
		}
	}
	err := u.Update(threadKey(a, 10, 0), value, Any)
	full := map[ebpf.MapType]error{ebpf.LRUHash: nil, ebpf.LRUCPUHash: nil, ebpf.LPMTrie: ENOSPC}
	want, special := full[m.Type()]
	if !special {
		want = E2BIG
	}
	if err != want {
		t.Errorf("one more: %v, not %v", err, want)
	}
	n := 0
	u.Each(func(_, _ []byte) bool { n++; return true })
	if n != m.MaxEntries() {
		t.Errorf("%d entries, not %d", n, m.MaxEntries())
	}
}
