package maps

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestKernelCreate makes maps of random attributes in the kernel and here, and compares the errors.
func TestKernelCreate(t *testing.T) {
	known(t)
	r := seed(t)
	n, made := 0, 0
	sizes := []uint32{0, 0, 1, 3, 4, 4, 4, 4, 5, 8, 8, 8, 9, 16, 16, 32, 64, 100, 256, 260, 261, 512, 513, 1016, 1017, 1024, 4096, 4097, 8192, 32760, 32761, 32768, 32769,
		65000, 65400, 65470, 65471, 65472, 65473, 65535, 65536, 1 << 20, 4<<20 - 600, 4<<20 - 400, 4<<20 - 300, 4<<20 - 296, 4<<20 - 64, 4<<20 - 48, 4<<20 - 47, 4<<20 - 32, 4 << 20, 4<<20 + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	entries := []uint32{0, 0, 1, 1, 1, 2, 3, 7, 8, 9, 100, 4096, 4096, 8192, 4097, 1 << 16, 1<<31 + 1, 1<<32 - 1}
	flags := []uint32{0, flagNoPrealloc, flagNoCommonLRU, flagNUMANode, flagReadOnly, flagWriteOnly, flagStackBuildID, flagZeroSeed,
		flagReadOnlyProgram, flagWriteOnlyProgram, flagClone, flagMmapable, flagPreserveElems, flagInnerMap, 1 << 13, 1 << 14, 1 << 31}
	kindsToTry := []ebpf.MapType{}
	for kind := range kinds {
		kindsToTry = append(kindsToTry, kind)
	}
	outcomes := map[ebpf.MapType]map[Errno]int{}
	for end := time.Now().Add(4 * effort()); time.Now().Before(end); {
		a := &attr{kind: kindsToTry[r.IntN(len(kindsToTry))], fields: noFields}
		a.keySize, a.valueSize, a.maxEntries = sizes[r.IntN(len(sizes))], sizes[r.IntN(len(sizes))], entries[r.IntN(len(entries))]
		likely(r, a)
		for range r.IntN(3) {
			a.flags |= flags[r.IntN(len(flags))]
		}
		if r.IntN(10) == 0 {
			a.extra = []uint64{1, 15, 16, 1 << 40}[r.IntN(4)]
		}
		if r.IntN(20) == 0 {
			a.numaNode = []uint32{1, 1 << 31}[r.IntN(2)]
		}
		if hungry(a) {
			continue
		}
		inner := innerOf(t, r, a)
		types := func(*createArgs) {}
		if isStorage(a.kind) && a.valueSize < 70000 && r.IntN(4) > 0 {
			types, a.typed = typedAs(t, keyType(), plainType(max(a.valueSize, 1))), true
		}
		k, want := inKernel(t, a, func(args *createArgs) {
			args.innerFD = uint32(inner.fd)
			types(args)
		})
		inner.close()
		if k != nil {
			k.close()
		}
		m, got := create(a, options(&subject{attr: *a}))
		if m != nil {
			m.Close()
			made++
		}
		n++
		if outcomes[a.kind] == nil {
			outcomes[a.kind] = map[Errno]int{}
		}
		var errno Errno
		errors.As(want, &errno)
		outcomes[a.kind][errno]++
		if !errors.Is(got, want) && got != want {
			t.Errorf("%s key %d value %d entries %d flags %#x extra %#x NUMA %d: %v, not %v (%d)", a.kind, a.keySize, a.valueSize, a.maxEntries, a.flags,
				a.extra, a.numaNode, got, want, int(errno))
		}
	}
	t.Logf("%d creations compared, of which %d made a map", n, made)
	for kind, errnos := range outcomes {
		if errnos[0] == 0 {
			t.Logf("no %s was made", kind)
		}
	}
}

// innerOf makes the kernel's inner map for a map of maps, or gives one that is none.
func innerOf(t *testing.T, r *rand.Rand, a *attr) *kernelMap {
	none := &kernelMap{fd: -1}
	if a.kind != ebpf.ArrayOfMaps && a.kind != ebpf.HashOfMaps || r.IntN(5) == 0 {
		return none
	}
	inner := &attr{keySize: 4, valueSize: 4, maxEntries: 1, fields: noFields}
	all := []ebpf.MapType{ebpf.Array, ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.LPMTrie, ebpf.ProgramArray, ebpf.PerfEventArray,
		ebpf.StackTrace, ebpf.Queue, ebpf.Stack, ebpf.RingBuf, ebpf.BloomFilter, ebpf.DevMap, ebpf.DevMapHash, ebpf.CPUMap, ebpf.XSKMap, ebpf.SockMap, ebpf.SockHash}
	switch inner.kind = all[r.IntN(len(all))]; inner.kind {
	case ebpf.LPMTrie:
		inner.keySize, inner.flags = 8, flagNoPrealloc
	case ebpf.StackTrace:
		inner.valueSize = 8
	case ebpf.Queue, ebpf.Stack, ebpf.BloomFilter:
		inner.keySize = 0
	case ebpf.RingBuf:
		inner.keySize, inner.valueSize, inner.maxEntries = 0, 0, 4096
	}
	k, err := inKernel(t, inner, nil)
	if err != nil {
		t.Fatalf("inner map %s: %v", inner.kind, err)
	}
	a.inner = inner
	return k
}

func isStorage(kind ebpf.MapType) bool {
	switch kind {
	case ebpf.SkStorage, ebpf.InodeStorage, ebpf.TaskStorage, ebpf.CgroupStorage:
		return true
	}
	return false
}

// TestKernelFields makes maps whose values have the kernel's own fields.
func TestKernelFields(t *testing.T) {
	known(t)
	member := func(name string, typ btf.Type, at uint32) btf.Member {
		return btf.Member{Name: name, Type: typ, Offset: btf.Bits(at * 8)}
	}
	number := &btf.Int{Name: "unsigned int", Size: 4}
	values := []*btf.Struct{
		plainType(24), lockedType(),
		{Name: "timed", Size: 24, Members: []btf.Member{member("t", timer(), 0), member("n", number, 16)}},
		{Name: "working", Size: 24, Members: []btf.Member{member("w", workQueue(), 8)}},
		{Name: "all", Size: 40, Members: []btf.Member{member("n", number, 0), member("l", spinLock(), 4), member("t", timer(), 8), member("w", workQueue(), 24)}},
		{Name: "nested", Size: 32, Members: []btf.Member{member("n", number, 0), member("in", lockedType(), 8)}},
	}
	for _, kind := range []ebpf.MapType{ebpf.Array, ebpf.Hash, ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.SkStorage, ebpf.TaskStorage,
		ebpf.InodeStorage, ebpf.CgroupStorage} {
		for _, v := range values {
			for _, flags := range []uint32{0, flagNoPrealloc, flagReadOnlyProgram, flagReadOnly} {
				a := &attr{kind: kind, keySize: 4, valueSize: v.Size, maxEntries: 3, flags: flags, typed: true}
				if isStorage(kind) {
					a.maxEntries = 0
				}
				k, want := inKernel(t, a, typedAs(t, keyType(), v))
				if k != nil {
					k.close()
				}
				m, got := New(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: v.Size, MaxEntries: a.maxEntries, Flags: flags, Key: keyType(), Value: v}, options(&subject{}))
				if m != nil {
					m.Close()
				}
				if !errors.Is(got, want) && got != want {
					t.Errorf("%s with value %s, flags %#x: %v, not %v", kind, v.Name, flags, got, want)
				}
			}
		}
	}
}

// likely sets most of what a kind asks for, most of the time.
func likely(r *rand.Rand, a *attr) {
	if r.IntN(4) == 0 {
		return
	}
	switch a.kind {
	case ebpf.Queue, ebpf.Stack, ebpf.BloomFilter:
		a.keySize = 0
	case ebpf.RingBuf:
		a.keySize, a.valueSize = 0, 0
	case ebpf.LPMTrie:
		a.flags |= flagNoPrealloc
	case ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash:
	case ebpf.SkStorage, ebpf.InodeStorage, ebpf.TaskStorage, ebpf.CgroupStorage:
		a.keySize, a.maxEntries = 4, 0
		a.flags |= flagNoPrealloc
	case ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage:
		a.keySize, a.maxEntries = []uint32{8, 16}[r.IntN(2)], 0
	default:
		a.keySize = 4
	}
	switch a.kind {
	case ebpf.ProgramArray, ebpf.PerfEventArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.XSKMap:
		a.valueSize = 4
	case ebpf.DevMap, ebpf.DevMapHash, ebpf.CPUMap, ebpf.SockMap, ebpf.SockHash:
		a.valueSize = []uint32{4, 8}[r.IntN(2)]
	}
}

// hungry says that the kernel would take too much memory for a test, or too much of ours.
func hungry(a *attr) bool {
	if a.kind == ebpf.CPUMap && a.maxEntries > 2 {
		return true // the limit is the kernel's own number of CPUs
	}
	switch a.kind {
	case ebpf.LPMTrie:
		return false
	case ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.HashOfMaps, ebpf.DevMapHash, ebpf.SockHash, ebpf.StackTrace:
		// What is refused for its size is refused before anything is allocated.
		if a.valueSize >= 1<<31 || a.keySize > 4<<20 || a.valueSize > 4<<20 || a.maxEntries > 1<<31 {
			return false
		}
	}
	size := uint64(a.keySize) + uint64(a.valueSize)
	return a.maxEntries > 1<<16 || size*uint64(a.maxEntries) > 64<<20
}
