package kernel

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/internal/ktest"
	"skep/ir"
)

func u64(n uint64) []byte { return binary.NativeEndian.AppendUint64(nil, n) }

func mapSession(t testing.TB, spec *ebpf.MapSpec) (host.Session, host.Map) {
	t.Helper()
	spec.Name = "m"
	s, err := New().Load(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": spec}}, nil, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.Map("m")
}

func contents(t testing.TB, m host.Map) map[uint64]uint64 {
	t.Helper()
	got := map[uint64]uint64{}
	if err := m.Each(func(key []byte, values [][]byte) bool {
		var padded [8]byte
		copy(padded[:], key)
		k := binary.NativeEndian.Uint64(padded[:])
		if _, again := got[k]; again {
			t.Errorf("key %d given again", k)
		}
		got[k] = binary.NativeEndian.Uint64(values[0])
		for cpu, v := range values {
			if n := binary.NativeEndian.Uint64(v); n != got[k] {
				t.Errorf("key %d has %d on CPU %d", k, n, cpu)
			}
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestMaps writes, reads, lists and clears maps of each kind, in batches and key by key.
func TestMaps(t *testing.T) {
	ktest.Need(t, ktest.Root)
	cpus, err := New().possible()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		kind   ebpf.MapType
		values int
	}{{ebpf.Hash, 1}, {ebpf.LRUHash, 1}, {ebpf.PerCPUHash, cpus}, {ebpf.LRUCPUHash, cpus}, {ebpf.Array, 1}, {ebpf.PerCPUArray, cpus}} {
		for _, noBatch := range []bool{false, true} {
			t.Run(test.kind.String(), func(t *testing.T) {
				const n = 1000
				array := test.kind == ebpf.Array || test.kind == ebpf.PerCPUArray
				keySize, room := 8, 4*n
				if array {
					keySize, room = 4, n
				}
				_, m := mapSession(t, &ebpf.MapSpec{Type: test.kind, KeySize: uint32(keySize), ValueSize: 8, MaxEntries: uint32(room)})
				m.(*hostMap).noBatch = noBatch
				want, zero := map[uint64]uint64{}, map[uint64]uint64{}
				for i := range uint64(n) {
					if err := m.Update(u64(i)[:keySize], u64(i*i)); err != nil {
						t.Fatal(err)
					}
					want[i] = i * i
					if array {
						zero[i] = 0
					}
				}
				values, ok, err := m.Lookup(u64(7)[:keySize])
				if err != nil || !ok || len(values) != test.values || binary.NativeEndian.Uint64(values[test.values-1]) != 49 {
					t.Errorf("Lookup: %v, %v, %v", values, ok, err)
				}
				if _, ok, err := m.Lookup(u64(n)[:keySize]); ok || err != nil {
					t.Errorf("Lookup of what is not there: %v, %v", ok, err)
				}
				if diff := cmp.Diff(want, contents(t, m)); diff != "" {
					t.Error(diff)
				}
				if !array {
					if err := m.Delete(u64(7)); err != nil {
						t.Error(err)
					}
					if err := m.Delete(u64(7)); err != nil {
						t.Error(err)
					}
					delete(want, 7)
					if diff := cmp.Diff(want, contents(t, m)); diff != "" {
						t.Error(diff)
					}
				}
				if err := m.Clear(); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(zero, contents(t, m)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestEachWhileChanging: keys that stay are given exactly once while others come and go.
func TestEachWhileChanging(t *testing.T) {
	ktest.Need(t, ktest.Root)
	const stay, n = 500, 1000
	_, m := mapSession(t, &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 2 * n})
	for i := range uint64(stay) {
		if err := m.Update(u64(i), u64(i)); err != nil {
			t.Fatal(err)
		}
	}
	other := *m.(*hostMap) // the same map, with buffers of its own
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := uint64(stay); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			other.Update(u64(stay+i%n), u64(0))
			other.Delete(u64(stay + (i+n/2)%n))
		}
	})
	for range 50 {
		got := contents(t, m)
		for i := range uint64(stay) {
			if _, ok := got[i]; !ok {
				t.Fatalf("key %d is missing", i)
			}
		}
	}
	close(stop)
	group.Wait()
}

// TestMapContents: initial contents, and a map that programs may only read.
func TestMapContents(t *testing.T) {
	ktest.Need(t, ktest.Root)
	_, m := mapSession(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: unix.BPF_F_RDONLY_PROG,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: u64(42)}}})
	if diff := cmp.Diff(map[uint64]uint64{0: 42}, contents(t, m)); diff != "" {
		t.Error(diff)
	}
	if err := m.Update(u64(0)[:4], u64(1)); err == nil {
		t.Error("a frozen map was written")
	}
}

func TestStackMap(t *testing.T) {
	ktest.Need(t, ktest.Root)
	_, m := mapSession(t, &ebpf.MapSpec{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 8 * 20, MaxEntries: 64})
	if got := len(contents(t, m)); got != 0 {
		t.Errorf("%d stacks in a new map", got)
	}
	if _, ok, err := m.Lookup(u64(3)[:4]); ok || err != nil {
		t.Errorf("Lookup: %v, %v", ok, err)
	}
}

func TestRingSize(t *testing.T) {
	page := uint32(os.Getpagesize())
	for _, test := range []struct {
		cpus   int
		memory uint64
		want   uint32
	}{{2, 8 << 30, 4 << 20}, {2, 256 << 20, 1 << 20}, {2, 1 << 20, minRing}, {16, 64 << 30, 8 << 20}, {256, 1 << 40, 32 << 20}} {
		if got := dataRing(test.cpus, test.memory); got != test.want {
			t.Errorf("%d CPUs, %d MB: %d", test.cpus, test.memory>>20, got)
		}
	}
	s := &session{host: New(), opt: host.Options{RingMap: "data", ControlMap: "control", RingPages: 3}}
	for _, test := range []struct {
		name        string
		asked, want uint32
	}{{"data", 0, 4 * page}, {"control", 0, controlRing}, {"control", 3 * page, 4 * page}, {"other", 100 << 10, 128 << 10}} {
		if got := s.ringSize(test.name, test.asked); got != test.want {
			t.Errorf("ring %s of %d: %d", test.name, test.asked, got)
		}
	}
}

// TestNoRingBuffer: every kernel that tests run on has ring buffers, so the answer of one that has none is made up here.
func TestNoRingBuffer(t *testing.T) {
	s := &session{host: New()}
	s.host.features.known = map[ir.Feature]bool{ir.RingBuf: false}
	err := s.explainMap("events", &ebpf.MapSpec{Name: "events", Type: ebpf.RingBuf, MaxEntries: 4096}, unix.EINVAL)
	var missing *host.Missing
	if !errors.As(err, &missing) || missing.Error() != "the ring buffer is not available on this kernel (needs Linux 5.8)" {
		t.Errorf("%#v", err)
	}
}
