package maps

import (
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"
)

// Flags of bpf_get_stackid.
const (
	StackSkip    = 0xff    // BPF_F_SKIP_FIELD_MASK
	StackFastCmp = 1 << 9  // BPF_F_FAST_STACK_CMP
	StackReuse   = 1 << 10 // BPF_F_REUSE_STACKID
)

// A StackTrace is BPF_MAP_TYPE_STACK_TRACE: stacks, by the ID that their hash gives.
type StackTrace struct {
	base
	seed    uint64
	mu      sync.RWMutex
	buckets []*stack // a power of two, by ID
	count   int
}

type stack struct {
	hash   uint32
	frames []byte // u64s
}

// maxStackDepth is sysctl kernel.perf_event_max_stack.
const maxStackDepth = 127

func newStackTrace(a *attr, opts Options) (Map, error) {
	frame := uint32(8)
	if a.flags&flagStackBuildID != 0 {
		frame = 32 // struct bpf_stack_build_id
	}
	if !a.indexed() || !a.only(flagNUMANode|flagReadOnly|flagWriteOnly|flagStackBuildID) || a.valueSize < 8 || a.valueSize%frame != 0 ||
		a.valueSize/frame > maxStackDepth {
		return nil, EINVAL
	}
	buckets, ok := powerAbove(a.maxEntries)
	if !ok {
		return nil, E2BIG
	}
	if buckets > 1<<28 {
		return nil, ENOMEM
	}
	return &StackTrace{base: a.base(opts), seed: newSeed(0), buckets: make([]*stack, buckets)}, nil
}

// StackID gives the ID of a stack, which is kept if it is new; what does not fit in a value is cut off. It is what bpf_get_stackid
// returns: an ID, or an Errno negated. The flags are those of the helper, of which the frames to skip are skipped here.
func (m *StackTrace) StackID(frames []uint64, flags uint64) int64 {
	frames = frames[:min(len(frames), int(flags&StackSkip)+m.valueSize/8)]
	if skip := int(flags & StackSkip); skip < len(frames) {
		frames = frames[skip:]
	} else {
		return -int64(EFAULT)
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&frames[0])), len(frames)*8)
	h := hash(bytes, m.seed)
	id := h & uint32(len(m.buckets)-1)
	same := func(s *stack) bool {
		return s != nil && s.hash == h && (flags&StackFastCmp != 0 || string(s.frames) == string(bytes))
	}
	m.mu.RLock()
	known := same(m.buckets[id])
	m.mu.RUnlock()
	if known {
		return int64(id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.buckets[id]
	switch {
	case same(old):
		return int64(id)
	case old != nil && flags&StackReuse == 0:
		return -int64(EEXIST)
	case old == nil && m.count == m.maxEntries:
		return -int64(ENOMEM)
	case old == nil:
		m.count++
	}
	m.buckets[id] = &stack{h, slices.Clone(bytes)}
	return int64(id)
}

func (m *StackTrace) Delete(key []byte) error {
	id := index(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case uint(id) >= uint(len(m.buckets)):
		return E2BIG
	case m.buckets[id] == nil:
		return ENOENT
	}
	m.buckets[id] = nil
	m.count--
	return nil
}

func (m *StackTrace) userDelete(key []byte) error { return m.Delete(key) }

func (m *StackTrace) userLookup(key, value []byte, _ uint64) error {
	id := index(key)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.copyOut(id, value)
}

func (m *StackTrace) userTake(key, value []byte, _ uint64) error {
	id := index(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.copyOut(id, value); err != nil {
		return err
	}
	m.buckets[id] = nil
	m.count--
	return nil
}

func (m *StackTrace) copyOut(id uint32, value []byte) error {
	if uint(id) >= uint(len(m.buckets)) || m.buckets[id] == nil {
		return ENOENT
	}
	clear(value[copy(value, m.buckets[id].frames):])
	return nil
}

func (m *StackTrace) nextKey(key, next []byte) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	id := uint32(0)
	if key != nil && uint(index(key)) < uint(len(m.buckets)) {
		id = index(key) + 1
	}
	for ; uint(id) < uint(len(m.buckets)); id++ {
		if m.buckets[id] != nil {
			binary.NativeEndian.PutUint32(next, id)
			return nil
		}
	}
	return ENOENT
}

func (m *StackTrace) each(f func(key, value []byte) bool) error {
	key, value := make([]byte, 4), make([]byte, m.valueSize)
	for id := range m.buckets {
		binary.NativeEndian.PutUint32(key, uint32(id))
		if m.userLookup(key, value, Any) == nil && !f(key, value) {
			break
		}
	}
	return nil
}
