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
	regions := slices.Insert(slices.Clone(old), at, r)
	s.regions.Store(&regions)
}

// Remove takes away the region that begins at base.
func (s *Space) Remove(base uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.all()
	if at, found := search(old, base); found {
		regions := slices.Delete(slices.Clone(old), at, at+1)
		s.regions.Store(&regions)
		removed.Add(1)
	}
}

// removed counts over all spaces, since one may show the regions of another.
var removed atomic.Uint64

// Removed counts the regions that were removed. Who remembers regions looks whether it has changed.
func (s *Space) Removed() uint64 { return removed.Load() }

// Before returns the last region that begins at or before the address.
func (s *Space) Before(addr uint64) (Region, bool) {
	all := s.all()
	at, found := search(all, addr)
	if found {
		return all[at], true
	}
	if at == 0 {
		return Region{}, false
	}
	return all[at-1], true
}

// Find returns the region that has all the bytes from addr on.
func (s *Space) Find(addr, size uint64) (Region, bool) {
	all := s.all()
	at, found := search(all, addr)
	if !found {
		at--
	}
	if at < 0 {
		return Region{}, false
	}
	r := all[at]
	past := addr - r.Base
	if past > r.Size || size > r.Size-past {
		return Region{}, false
	}
	return r, true
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
