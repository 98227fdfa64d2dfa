package memory

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// A Region is memory that programs may touch.
type Region struct {
	Base, Size uint64
	ReadOnly   bool
	Name       string // for messages: "stack", "packet", "map counts"
}

// A Space is the set of regions that a program may touch. Readers never wait; regions do not overlap.
type Space struct {
	// Parent has further regions, which several spaces share: those of maps. It is set before the space is used.
	Parent *Space
	// Private says that the space is read and changed by one goroutine only, so that changes are made in place. It is set before the
	// space is used.
	Private bool

	own     []Region // of a private space
	removed uint64   // from a private space
	mu      sync.Mutex
	regions atomic.Pointer[[]Region] // by base
}

// Add makes a region accessible. It panics if the region overlaps another one, which is a mistake of the machine's.
func (s *Space) Add(r Region) {
	if r.Size == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.all()
	at, found := search(old, r.Base)
	if found || at > 0 && old[at-1].Base+old[at-1].Size > r.Base || at < len(old) && r.Base+r.Size > old[at].Base {
		panic(fmt.Sprintf("memory: region %s at %#x overlaps another", r.Name, r.Base))
	}
	s.set(slices.Insert(s.changeable(old), at, r))
}

// changeable is the regions as a slice that may be changed, and set makes it the regions.
func (s *Space) changeable(old []Region) []Region {
	if s.Private {
		return old
	}
	return slices.Clone(old)
}

func (s *Space) set(regions []Region) {
	if s.Private {
		s.own = regions
		s.regions.Store(&s.own)
		return
	}
	shared := regions
	s.regions.Store(&shared)
}

// Remove takes away the region that begins at base.
func (s *Space) Remove(base uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.all()
	if at, found := search(old, base); found {
		s.set(slices.Delete(s.changeable(old), at, at+1))
		if s.Private {
			s.removed++
		} else {
			removed.Add(1)
		}
	}
}

// removed counts over all spaces but private ones, since one may show the regions of another.
var removed atomic.Uint64

// Removed counts the regions that were removed. Who remembers regions looks whether it has changed.
func (s *Space) Removed() uint64 { return removed.Load() + s.removed }

// Before returns the last region that begins at or before the address.
func (s *Space) Before(addr uint64) (Region, bool) {
	r, ok := Region{}, false
	all := s.all()
	at, found := search(all, addr)
	switch {
	case found:
		return all[at], true
	case at > 0:
		r, ok = all[at-1], true
	}
	if s.Parent != nil {
		if p, has := s.Parent.Before(addr); has && (!ok || p.Base > r.Base) {
			return p, true
		}
	}
	return r, ok
}

// Find returns the region that has all the bytes from addr on.
func (s *Space) Find(addr, size uint64) (Region, bool) {
	for ; s != nil; s = s.Parent {
		all := s.all()
		// The last region that does not begin after the address; written out, since unverified code waits for it.
		low, high := 0, len(all)
		for low < high {
			if middle := int(uint(low+high) / 2); all[middle].Base <= addr {
				low = middle + 1
			} else {
				high = middle
			}
		}
		if low == 0 {
			continue
		}
		r := &all[low-1]
		if past := addr - r.Base; past <= r.Size && size <= r.Size-past {
			return *r, true
		}
	}
	return Region{}, false
}

func (s *Space) all() []Region {
	if p := s.regions.Load(); p != nil {
		return *p
	}
	return nil
}

func search(regions []Region, base uint64) (int, bool) {
	return slices.BinarySearchFunc(regions, base, func(r Region, base uint64) int {
		switch {
		case r.Base < base:
			return -1
		case r.Base > base:
			return 1
		}
		return 0
	})
}
