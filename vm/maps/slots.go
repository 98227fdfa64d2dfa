package maps

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"skep/vm/memory"
)

// slots is the memory of a map's elements, numbered from 0. An element has three parts: what look-ups need (links, key), which is dense
// for the caches, and its state, both of which programs cannot touch; and its values, one for each CPU or one for all. It is all there
// from the start, as far as programs can tell (the system gives pages when they are touched first), or grows by chunks of a power of two.
type slots struct {
	meta, value, cpu uintptr // bytes from element to element, and from CPU to CPU
	states           uintptr // from the start of a chunk's metas
	shift            uint8   // an element's chunk is its number >> shift
	limit            uint32
	copies           int

	metas, values []unsafe.Pointer // by chunk; set once each
	meta0, value0 unsafe.Pointer   // those of the only chunk, or nil

	free  atomic.Uint64 // the last one given back: its number + 1 below, a count against mistaking above
	fresh atomic.Uint32 // all from here on have never been used

	mu     sync.Mutex // for growing
	blocks []*memory.Block
	grown  func(memory.Region) // nil until the map is opened
	region memory.Region       // what regions of values are like
}

// slotHeader is how the part of an element begins that look-ups need.
type slotHeader struct {
	next uint32 // in a chain, or a child in a tree
	hash uint32
}

const slotHeaderSize = 8

type slotState struct {
	link uint32 // of the list of free ones, while it is in there; else the LRU list that it counts in
	used uint32 // for LRU: when it was used last
}

const slotStateSize = 8

type slotSizes struct {
	meta, value int // bytes; meta includes the header
	copies      int // of value: one for each CPU, or 1
	limit       uint64
	grows       bool
}

func (t *slots) prepare(b *base, s slotSizes) error {
	t.meta, t.value, t.shift = uintptr(roundUp8(s.meta)), uintptr(roundUp8(s.value)), 31
	t.limit, t.copies = uint32(s.limit), s.copies
	t.region = memory.Region{ReadOnly: b.flags&flagReadOnlyProgram != 0, Name: b.regionName()}
	chunk := s.limit
	if s.grows {
		const chunkBytes = 1 << 20
		t.shift = 0
		for t.shift < 20 && (t.meta+t.value*uintptr(s.copies))<<(t.shift+1) <= chunkBytes {
			t.shift++
		}
		for s.limit>>t.shift > 1<<20 {
			t.shift++
		}
		chunk = 1 << t.shift
	}
	if s.limit > 1<<31 && !s.grows || tooBig(chunk, uint64(t.meta+slotStateSize)) || tooBig(chunk, uint64(t.value)*uint64(s.copies)) {
		return ENOMEM
	}
	if s.copies > 1 {
		t.cpu = (uintptr(chunk)*t.value + pageSize - 1) &^ (pageSize - 1) // no two CPUs in one cache line
	}
	t.states = uintptr(chunk) * t.meta
	chunks := (s.limit + chunk - 1) / chunk
	t.metas, t.values = make([]unsafe.Pointer, chunks), make([]unsafe.Pointer, chunks)
	if s.grows {
		return nil
	}
	err := t.add(0, chunk)
	t.meta0, t.value0 = t.metas[0], t.values[0]
	return err
}

func (t *slots) add(chunk int, elements uint64) error {
	metas, err := memory.New(int(elements) * int(t.meta+slotStateSize))
	if err != nil {
		return ENOMEM
	}
	hugePages(metas)
	size := int(elements) * int(t.value)
	if t.copies > 1 {
		size = int(t.cpu) * t.copies
	}
	values, err := memory.New(size)
	if err != nil {
		metas.Free()
		return ENOMEM
	}
	t.blocks = append(t.blocks, metas, values)
	r := t.region
	r.Base, r.Size = values.Base(), uint64(size)
	if t.grown != nil {
		t.grown(r)
	}
	atomic.StorePointer(&t.values[chunk], unsafe.Pointer(unsafe.SliceData(values.Bytes())))
	atomic.StorePointer(&t.metas[chunk], unsafe.Pointer(unsafe.SliceData(metas.Bytes())))
	return nil
}

func (t *slots) regions() []memory.Region {
	t.mu.Lock()
	defer t.mu.Unlock()
	var regions []memory.Region
	for i := 1; i < len(t.blocks); i += 2 {
		r := t.region
		r.Base, r.Size = t.blocks[i].Base(), uint64(len(t.blocks[i].Bytes()))
		regions = append(regions, r)
	}
	return regions
}

func (t *slots) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var first error
	for _, b := range t.blocks {
		if err := b.Free(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// header is the map's own part of an element that has been taken at some time.
func (t *slots) header(i uint32) *slotHeader {
	if t.meta0 != nil {
		return (*slotHeader)(unsafe.Add(t.meta0, uintptr(i)*t.meta))
	}
	return (*slotHeader)(unsafe.Add(atomic.LoadPointer(&t.metas[i>>(t.shift&31)]), uintptr(i&(1<<(t.shift&31)-1))*t.meta))
}

func (t *slots) state(i uint32) *slotState {
	if t.meta0 != nil {
		return (*slotState)(unsafe.Add(t.meta0, t.states+uintptr(i)*slotStateSize))
	}
	return (*slotState)(unsafe.Add(atomic.LoadPointer(&t.metas[i>>(t.shift&31)]), t.states+uintptr(i&(1<<(t.shift&31)-1))*slotStateSize))
}

// key is what follows the header.
func key(h *slotHeader) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(h), slotHeaderSize) }

// at is the value of an element for a CPU.
func (t *slots) at(i uint32, cpu int) unsafe.Pointer {
	if t.value0 != nil {
		return unsafe.Add(t.value0, uintptr(i)*t.value+uintptr(cpu)*t.cpu)
	}
	return unsafe.Add(atomic.LoadPointer(&t.values[i>>(t.shift&31)]), uintptr(i&(1<<(t.shift&31)-1))*t.value+uintptr(cpu)*t.cpu)
}

// number is the element whose first value is at an address.
func (t *slots) number(value uint64) (uint32, bool) {
	for chunk := range t.values {
		base := atomic.LoadPointer(&t.values[chunk])
		if base == nil {
			continue
		}
		i := (value - address(base)) / uint64(t.value)
		if i < 1<<t.shift && uint64(chunk)<<t.shift+i < uint64(t.fresh.Load()) {
			return uint32(chunk)<<t.shift + uint32(i), true
		}
	}
	return 0, false
}

// take gives an element that nobody uses; its memory is as it was left.
func (t *slots) take() (uint32, error) {
	for {
		old := t.free.Load()
		if uint32(old) == 0 {
			break
		}
		i := uint32(old) - 1
		// If somebody else has taken it, link may be anything, and the count has changed.
		next := atomic.LoadUint32(&t.state(i).link)
		if t.free.CompareAndSwap(old, (old>>32+1)<<32|uint64(next)) {
			return i, nil
		}
	}
	for {
		i := t.fresh.Load()
		if i >= t.limit {
			return 0, E2BIG
		}
		if chunk := i >> t.shift; atomic.LoadPointer(&t.metas[chunk]) == nil {
			if err := t.grow(int(chunk)); err != nil {
				return 0, err
			}
		}
		if t.fresh.CompareAndSwap(i, i+1) {
			return i, nil
		}
	}
}

func (t *slots) grow(chunk int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.metas[chunk] != nil {
		return nil
	}
	return t.add(chunk, 1<<t.shift)
}

// give takes an element back.
func (t *slots) give(i uint32) {
	s := t.state(i)
	for {
		old := t.free.Load()
		atomic.StoreUint32(&s.link, uint32(old))
		if t.free.CompareAndSwap(old, (old>>32+1)<<32|uint64(i+1)) {
			return
		}
	}
}
