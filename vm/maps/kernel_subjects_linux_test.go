package maps

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
)

// below gives u32 keys, most of them below n.
func below(n uint32) func(*rand.Rand) []byte {
	return func(r *rand.Rand) []byte {
		i := r.Uint32N(n + 2)
		if r.IntN(20) == 0 {
			i = r.Uint32()
		}
		return binary.NativeEndian.AppendUint32(nil, i)
	}
}

// few gives keys of some size out of a small number.
func few(size, n int) func(*rand.Rand) []byte {
	return func(r *rand.Rand) []byte {
		key := make([]byte, size)
		i := r.IntN(n)
		key[0], key[size-1] = key[0]^byte(i), key[size-1]^byte(i*7)
		return key
	}
}

// prefixes gives keys of LPM tries, close enough to each other to share prefixes.
func prefixes(size int, longest uint32) func(*rand.Rand) []byte {
	return func(r *rand.Rand) []byte {
		length := r.Uint32N(longest + 2)
		if r.IntN(30) == 0 {
			length = r.Uint32()
		}
		key := binary.NativeEndian.AppendUint32(nil, length)
		for range size {
			key = append(key, []byte{0, 0x80, 0xc0, 0xff, 1, byte(r.Uint32())}[r.IntN(6)])
		}
		return key
	}
}

// noFiles gives file descriptors that are not open.
func noFiles(_ *rand.Rand, value []byte) { binary.NativeEndian.PutUint32(value, noFD) }

func subjects(t *testing.T) []*subject {
	inner := &attr{kind: ebpf.Array, keySize: 4, valueSize: 8, maxEntries: 2, fields: noFields}
	hashInner := &attr{kind: ebpf.Hash, keySize: 4, valueSize: 8, maxEntries: 2, fields: noFields}
	arrays, hashes := mapTwins(t, inner), mapTwins(t, hashInner)
	filters, sockets := programTwins(t, ebpf.SocketFilter, ebpf.AttachNone), socketTwins(t)
	onDevice, onCPU := programTwins(t, ebpf.XDP, ebpf.AttachXDPDevMap), programTwins(t, ebpf.XDP, ebpf.AttachXDPCPUMap)
	withInner := func(w *twins) func(*createArgs) {
		return func(args *createArgs) { args.innerFD = uint32(w.inner.fd) }
	}
	all := []*subject{
		{label: "array", attr: attr{kind: ebpf.Array, keySize: 4, valueSize: 12, maxEntries: 5}, key: below(5), ordered: true},
		{label: "array of one", attr: attr{kind: ebpf.Array, keySize: 4, valueSize: 1, maxEntries: 1}, key: below(1), ordered: true},
		{label: "array read-only", attr: attr{kind: ebpf.Array, keySize: 4, valueSize: 8, maxEntries: 3, flags: flagReadOnly}, key: below(3), ordered: true},
		{label: "array write-only", attr: attr{kind: ebpf.Array, keySize: 4, valueSize: 8, maxEntries: 3, flags: flagWriteOnly}, key: below(3), ordered: true},
		{label: "array read-only for programs", attr: attr{kind: ebpf.Array, keySize: 4, valueSize: 8, maxEntries: 3, flags: flagReadOnlyProgram}, key: below(3), ordered: true},
		{label: "per-CPU array", attr: attr{kind: ebpf.PerCPUArray, keySize: 4, valueSize: 12, maxEntries: 5}, key: below(5), ordered: true},
		{label: "hash", attr: attr{kind: ebpf.Hash, keySize: 8, valueSize: 12, maxEntries: 8}, key: few(8, 12)},
		{label: "hash of small keys", attr: attr{kind: ebpf.Hash, keySize: 3, valueSize: 1, maxEntries: 5}, key: few(3, 9)},
		{label: "hash of big keys", attr: attr{kind: ebpf.Hash, keySize: 45, valueSize: 100, maxEntries: 300}, key: few(45, 250)},
		{label: "hash of one", attr: attr{kind: ebpf.Hash, keySize: 4, valueSize: 4, maxEntries: 1}, key: few(4, 3)},
		{label: "hash not pre-allocated", attr: attr{kind: ebpf.Hash, keySize: 4, valueSize: 20, maxEntries: 7, flags: flagNoPrealloc}, key: few(4, 12)},
		{label: "hash read-only", attr: attr{kind: ebpf.Hash, keySize: 4, valueSize: 8, maxEntries: 3, flags: flagReadOnly}, key: few(4, 4)},
		{label: "hash write-only", attr: attr{kind: ebpf.Hash, keySize: 4, valueSize: 8, maxEntries: 3, flags: flagWriteOnly}, key: few(4, 4)},
		{label: "hash with zero seed", attr: attr{kind: ebpf.Hash, keySize: 4, valueSize: 8, maxEntries: 3, flags: flagZeroSeed}, key: few(4, 4)},
		{label: "per-CPU hash", attr: attr{kind: ebpf.PerCPUHash, keySize: 8, valueSize: 12, maxEntries: 8}, key: few(8, 12)},
		{label: "per-CPU hash not pre-allocated", attr: attr{kind: ebpf.PerCPUHash, keySize: 8, valueSize: 8, maxEntries: 8, flags: flagNoPrealloc}, key: few(8, 12)},
		// With fewer keys than entries nothing is evicted, by the kernel neither: its CPUs keep up to 128 free elements each.
		{label: "LRU hash", attr: attr{kind: ebpf.LRUHash, keySize: 8, valueSize: 12, maxEntries: 2000}, key: few(8, 50)},
		{label: "LRU per-CPU hash", attr: attr{kind: ebpf.LRUCPUHash, keySize: 8, valueSize: 12, maxEntries: 2000}, key: few(8, 50)},
		{label: "LPM trie", attr: attr{kind: ebpf.LPMTrie, keySize: 8, valueSize: 9, maxEntries: 20, flags: flagNoPrealloc}, key: prefixes(4, 32), ordered: true},
		{label: "LPM trie of short keys", attr: attr{kind: ebpf.LPMTrie, keySize: 5, valueSize: 1, maxEntries: 60, flags: flagNoPrealloc}, key: prefixes(1, 6), ordered: true},
		{label: "LPM trie of long keys", attr: attr{kind: ebpf.LPMTrie, keySize: 20, valueSize: 8, maxEntries: 100, flags: flagNoPrealloc}, key: prefixes(16, 128), ordered: true},
		{label: "LPM trie of one", attr: attr{kind: ebpf.LPMTrie, keySize: 6, valueSize: 8, maxEntries: 1, flags: flagNoPrealloc}, key: prefixes(2, 16), ordered: true},
		{label: "queue", attr: attr{kind: ebpf.Queue, valueSize: 5, maxEntries: 7}},
		{label: "queue of one", attr: attr{kind: ebpf.Queue, valueSize: 8, maxEntries: 1}},
		{label: "stack", attr: attr{kind: ebpf.Stack, valueSize: 16, maxEntries: 7}},
		{label: "array of maps", attr: attr{kind: ebpf.ArrayOfMaps, keySize: 4, valueSize: 4, maxEntries: 5, inner: inner}, key: below(5), ordered: true,
			value: arrays.fd, options: arrays.options, create: withInner(arrays)},
		{label: "hash of maps", attr: attr{kind: ebpf.HashOfMaps, keySize: 4, valueSize: 4, maxEntries: 5, inner: inner}, key: few(4, 9),
			value: arrays.fd, options: arrays.options, create: withInner(arrays)},
		{label: "hash of hashes", attr: attr{kind: ebpf.HashOfMaps, keySize: 9, valueSize: 4, maxEntries: 5, flags: flagNoPrealloc, inner: hashInner}, key: few(9, 9),
			value: hashes.fd, options: hashes.options, create: withInner(hashes)},
		{label: "program array", attr: attr{kind: ebpf.ProgramArray, keySize: 4, valueSize: 4, maxEntries: 5}, key: below(5), ordered: true,
			value: filters.fd, options: filters.options},
		{label: "devmap", attr: attr{kind: ebpf.DevMap, keySize: 4, valueSize: 4, maxEntries: 5}, key: below(5), ordered: true,
			value: devices(onDevice), options: onDevice.options},
		{label: "devmap with programs", attr: attr{kind: ebpf.DevMap, keySize: 4, valueSize: 8, maxEntries: 5}, key: below(5), ordered: true,
			value: devices(onDevice), options: onDevice.options},
		{label: "devmap hash", attr: attr{kind: ebpf.DevMapHash, keySize: 4, valueSize: 4, maxEntries: 5}, key: below(9), ordered: true,
			value: devices(onDevice), options: onDevice.options},
		{label: "devmap hash with programs", attr: attr{kind: ebpf.DevMapHash, keySize: 4, valueSize: 8, maxEntries: 6}, key: below(20), ordered: true,
			value: devices(onDevice), options: onDevice.options},
		{label: "CPU map", attr: attr{kind: ebpf.CPUMap, keySize: 4, valueSize: 4, maxEntries: 10}, key: below(11), ordered: true,
			value: queues(onCPU), options: onCPU.options},
		{label: "CPU map with programs", attr: attr{kind: ebpf.CPUMap, keySize: 4, valueSize: 8, maxEntries: 10}, key: below(11), ordered: true,
			value: queues(onCPU), options: onCPU.options},
		{label: "sockmap", attr: attr{kind: ebpf.SockMap, keySize: 4, valueSize: 8, maxEntries: 5}, key: below(5), ordered: true,
			value: sockets.fd, options: sockets.options},
		{label: "sockmap of small values", attr: attr{kind: ebpf.SockMap, keySize: 4, valueSize: 4, maxEntries: 5}, key: below(5), ordered: true,
			value: sockets.fd, options: sockets.options},
		{label: "sockhash", attr: attr{kind: ebpf.SockHash, keySize: 6, valueSize: 8, maxEntries: 5}, key: few(6, 9),
			value: sockets.fd, options: sockets.options},
		{label: "xskmap", attr: attr{kind: ebpf.XSKMap, keySize: 4, valueSize: 4, maxEntries: 5}, key: below(5), ordered: true,
			value: sockets.fd, options: sockets.options},
		{label: "ring buffer", attr: attr{kind: ebpf.RingBuf, maxEntries: 4096}},
		{label: "perf event array", attr: attr{kind: ebpf.PerfEventArray, keySize: 4, valueSize: 4, maxEntries: 5}, key: below(6), ordered: true,
			value: noFiles},
		{label: "cgroup array", attr: attr{kind: ebpf.CGroupArray, keySize: 4, valueSize: 4, maxEntries: 3}, key: below(4), ordered: true,
			value: noFiles},
		{label: "stack traces", attr: attr{kind: ebpf.StackTrace, keySize: 4, valueSize: 80, maxEntries: 5}, key: below(5), ordered: true},
		locked(t, "array with locks", attr{kind: ebpf.Array, maxEntries: 4}, below(4), true),
		locked(t, "hash with locks", attr{kind: ebpf.Hash, maxEntries: 4}, few(4, 7), false),
		locked(t, "hash with locks not pre-allocated", attr{kind: ebpf.Hash, maxEntries: 4, flags: flagNoPrealloc}, few(4, 7), false),
		{label: "hash with timers", attr: attr{kind: ebpf.Hash, keySize: 4, valueSize: 40, maxEntries: 4, typed: true, fields: Fields{-1, 8, 24}}, key: few(4, 7),
			create: typedAs(t, keyType(), timedType())},
		{label: "LRU hash with timers", attr: attr{kind: ebpf.LRUHash, keySize: 4, valueSize: 40, maxEntries: 1000, typed: true, fields: Fields{-1, 8, 24}}, key: few(4, 7),
			create: typedAs(t, keyType(), timedType())},
		{label: "array with timers", attr: attr{kind: ebpf.Array, keySize: 4, valueSize: 40, maxEntries: 4, typed: true, fields: Fields{-1, 8, 24}}, key: below(4), ordered: true,
			create: typedAs(t, keyType(), timedType())},
		storageOf(t, "storage of sockets", ebpf.SkStorage, sockets),
		storageOf(t, "storage of tasks", ebpf.TaskStorage, taskTwins(t)),
		{label: "LRU hash without common list", attr: attr{kind: ebpf.LRUHash, keySize: 8, valueSize: 12, maxEntries: 2000, flags: flagNoCommonLRU}, key: few(8, 50)},
	}
	for _, s := range all {
		if !s.typed {
			s.fields = noFields
		}
	}
	return all
}

// locked is a kind whose values have a spin lock.
func locked(t *testing.T, label string, a attr, key func(*rand.Rand) []byte, ordered bool) *subject {
	a.keySize, a.valueSize, a.typed, a.fields = 4, 16, true, Fields{8, -1, -1}
	return &subject{label: label, attr: a, key: key, ordered: ordered, create: typedAs(t, keyType(), lockedType())}
}

// storageOf is a storage whose keys are file descriptors.
func storageOf(t *testing.T, label string, kind ebpf.MapType, w *twins) *subject {
	return &subject{
		label: label, attr: attr{kind: kind, keySize: 4, valueSize: 16, flags: flagNoPrealloc, typed: true, fields: Fields{8, -1, -1}},
		create: typedAs(t, keyType(), lockedType()), options: w.options, listless: true,
		key: func(r *rand.Rand) []byte {
			return binary.NativeEndian.AppendUint32(nil, w.fds[r.IntN(len(w.fds))])
		},
	}
}
