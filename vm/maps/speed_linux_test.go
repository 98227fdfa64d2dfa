package maps

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestAllocations: what programs do takes nothing from the garbage collector.
func TestAllocations(t *testing.T) {
	for _, kind := range []ebpf.MapType{ebpf.Array, ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash} {
		m := newTest(t, &ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 16, MaxEntries: 100})
		key, value := make([]byte, 4), make([]byte, 16)
		i := uint32(0)
		if n := testing.AllocsPerRun(1000, func() {
			i++
			binary.NativeEndian.PutUint32(key, i%200)
			m.Update(1, key, value, Any)
			m.Lookup(1, key)
			if i%3 == 0 {
				m.Delete(key)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations in an update, a look-up and a delete", kind, n)
		}
	}
}

// cpuTime reports the processor's time, which says more than the clock where others work too.
func cpuTime(b *testing.B) func() {
	runtime.LockOSThread()
	var before, after unix.Rusage
	b.ResetTimer()
	unix.Getrusage(unix.RUSAGE_THREAD, &before)
	return func() {
		unix.Getrusage(unix.RUSAGE_THREAD, &after)
		b.ReportMetric(float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano())/float64(b.N), "cpu-ns/op")
		runtime.UnlockOSThread()
	}
}

func benchmarkGo[K comparable](b *testing.B, n int, key func(int) K) {
	m := make(map[K]uint64, n)
	for i := range n {
		m[key(i)] = 1
	}
	keys := make([]K, 1<<16)
	for i := range keys {
		keys[i] = key(rand.IntN(n))
	}
	defer cpuTime(b)()
	var sum uint64
	for i := range b.N {
		sum += m[keys[i&(1<<16-1)]]
	}
	if sum != uint64(b.N) {
		b.Fatal("a key was not found")
	}
}

func benchmarkHash(b *testing.B, kind ebpf.MapType, n, keySize int) {
	m := newTest(b, &ebpf.MapSpec{Type: kind, KeySize: uint32(keySize), ValueSize: 8, MaxEntries: uint32(n)})
	key := func(i int) []byte {
		k := make([]byte, keySize)
		binary.NativeEndian.PutUint32(k, uint32(i))
		return k
	}
	value := binary.NativeEndian.AppendUint64(nil, 1)
	for i := range n {
		if err := m.Update(0, key(i), value, Any); err != nil {
			b.Fatal(err)
		}
	}
	keys := make([]byte, keySize<<16)
	for i := range 1 << 16 {
		copy(keys[i*keySize:], key(rand.IntN(n)))
	}
	defer cpuTime(b)()
	missing := 0
	for i := range b.N {
		k := keys[(i&(1<<16-1))*keySize:][:keySize]
		if m.Lookup(0, k) == 0 {
			missing++
		}
	}
	if missing != 0 {
		b.Fatal("a key was not found")
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{100, 10_000, 1_000_000} {
		name := strconv.Itoa(n)
		b.Run("go/4/"+name, func(b *testing.B) { benchmarkGo(b, n, func(i int) uint32 { return uint32(i) }) })
		b.Run("hash/4/"+name, func(b *testing.B) { benchmarkHash(b, ebpf.Hash, n, 4) })
		b.Run("go/8/"+name, func(b *testing.B) { benchmarkGo(b, n, func(i int) uint64 { return uint64(i) }) })
		b.Run("hash/8/"+name, func(b *testing.B) { benchmarkHash(b, ebpf.Hash, n, 8) })
		b.Run("go/40/"+name, func(b *testing.B) {
			benchmarkGo(b, n, func(i int) (k [40]byte) { binary.NativeEndian.PutUint32(k[:], uint32(i)); return k })
		})
		b.Run("hash/40/"+name, func(b *testing.B) { benchmarkHash(b, ebpf.Hash, n, 40) })
	}
	b.Run("array/4/10000", func(b *testing.B) { benchmarkHash(b, ebpf.Array, 10000, 4) })
	b.Run("lru/8/10000", func(b *testing.B) { benchmarkHash(b, ebpf.LRUHash, 10000, 8) })
	b.Run("percpu/8/10000", func(b *testing.B) { benchmarkHash(b, ebpf.PerCPUHash, 10000, 8) })
}

// BenchmarkThreads: the processor's time for a look-up must not grow with the threads that look up at once.
func BenchmarkThreads(b *testing.B) {
	for _, kind := range []ebpf.MapType{ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash} {
		m := newTest(b, &ebpf.MapSpec{Type: kind, KeySize: 8, ValueSize: 8, MaxEntries: 1000})
		for i := range 1000 {
			if err := m.Update(0, u64(i), u64(i), Any); err != nil {
				b.Fatal(err)
			}
		}
		for threads := 1; threads <= 2; threads++ {
			b.Run(kind.String()+"/"+strconv.Itoa(threads), func(b *testing.B) {
				var wg sync.WaitGroup
				for thread := range threads {
					wg.Go(func() {
						if thread == 0 {
							defer cpuTime(b)()
						}
						key := make([]byte, 8)
						for i := range b.N {
							binary.NativeEndian.PutUint64(key, uint64(i%1000))
							m.Lookup(thread, key)
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, kind := range []ebpf.MapType{ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash} {
		for _, keys := range []int{1000, 4000} {
			if kind != ebpf.LRUHash && keys > 1000 {
				continue
			}
			b.Run(kind.String()+"/"+strconv.Itoa(keys), func(b *testing.B) {
				m := newTest(b, &ebpf.MapSpec{Type: kind, KeySize: 8, ValueSize: 8, MaxEntries: 1000})
				defer cpuTime(b)()
				key := make([]byte, 8)
				for i := range b.N {
					binary.NativeEndian.PutUint64(key, uint64(i%keys))
					m.Update(0, key, key, Any)
				}
			})
		}
	}
}

func BenchmarkRing(b *testing.B) {
	m := newTest(b, &ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 1 << 16}).(*RingBuf)
	defer cpuTime(b)()
	for range b.N {
		at := m.Reserve(32, 0)
		m.Submit(at, RingNoWakeup)
		*m.consumer = *m.producer
	}
}
