package maps

import (
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"

	"skep/vm/memory"
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
	block   *memory.Block
	buckets []uint32 // in the block, a power of two: for each ID the stack's place in stacks + 1, or 0

	mu     sync.RWMutex
	stacks []stack
	free   []uint32 // places
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
	if tooBig(uint64(buckets), 4) {
		return nil, ENOMEM
	}
	m := &StackTrace{base: a.base(opts), seed: newSeed(0, opts)}
	var err error
	if m.block, err = memory.New(int(buckets) * 4); err != nil {
		return nil, ENOMEM
	}
	m.buckets = unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(m.block.Bytes()))), buckets)
	return m, nil
}

func (m *StackTrace) Close() error { return m.block.Free() }

// of gives the stack of an ID, or nil.
func (m *StackTrace) of(id uint32) *stack {
	if uint(id) >= uint(len(m.buckets)) || m.buckets[id] == 0 {
		return nil
	}
	return &m.stacks[m.buckets[id]-1]
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
	known := same(m.of(id))
	m.mu.RUnlock()
	if known {
		return int64(id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.of(id)
	switch {
	case same(old):
		return int64(id)
	case old != nil && flags&StackReuse == 0:
		return -int64(EEXIST)
	case old != nil:
		*old = stack{h, slices.Clone(bytes)}
		return int64(id)
	case len(m.stacks)-len(m.free) == m.maxEntries:
		return -int64(ENOMEM)
	}
	if n := len(m.free); n > 0 {
		m.buckets[id] = m.free[n-1] + 1
		m.free = m.free[:n-1]
	} else {
		m.stacks = append(m.stacks, stack{})
		m.buckets[id] = uint32(len(m.stacks))
	}
	*m.of(id) = stack{h, slices.Clone(bytes)}
	return int64(id)
}

func (m *StackTrace) Delete(key []byte) error {
	id := index(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case uint(id) >= uint(len(m.buckets)):
		return E2BIG
	case m.of(id) == nil:
		return ENOENT
	}
	m.remove(id)
	return nil
}

func (m *StackTrace) remove(id uint32) {
	place := m.buckets[id] - 1
	m.stacks[place] = stack{}
	m.free = append(m.free, place)
	m.buckets[id] = 0
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
	m.remove(id)
	return nil
}

func (m *StackTrace) copyOut(id uint32, value []byte) error {
	s := m.of(id)
	if s == nil {
		return ENOENT
	}
	clear(value[copy(value, s.frames):])
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
		if m.buckets[id] != 0 {
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
