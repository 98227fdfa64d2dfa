package symbol

import (
	"cmp"
	"slices"
	"sort"
)

// space is what an address space held at some time, as far as code goes. It is never changed once it is shared.
type space struct {
	regions []region // sorted, not overlapping
}

type region struct {
	start, end uint64
	off        uint64 // of start in the file
	file       *file
}

// newSpace sorts regions that do not overlap.
func newSpace(regions []region) *space {
	byStart := func(a, b region) int { return cmp.Compare(a.start, b.start) }
	if !slices.IsSortedFunc(regions, byStart) {
		slices.SortFunc(regions, byStart)
	}
	return &space{regions: slices.Clip(regions)}
}

func (s *space) find(addr uint64) *region {
	if s == nil {
		return nil
	}
	i := sort.Search(len(s.regions), func(i int) bool { return s.regions[i].end > addr })
	if i < len(s.regions) && s.regions[i].start <= addr {
		return &s.regions[i]
	}
	return nil
}

// with returns the space after r was mapped: over whatever was there.
func (s *space) with(r region) *space {
	var out []region
	if s != nil {
		if len(s.regions) >= maxMappings {
			return s
		}
		out = make([]region, 0, len(s.regions)+2)
		for _, old := range s.regions {
			if old.end <= r.start || old.start >= r.end {
				out = append(out, old)
				continue
			}
			if old.start < r.start {
				left := old
				left.end = r.start
				out = append(out, left)
			}
			if old.end > r.end {
				right := old
				right.off += r.end - old.start
				right.start = r.end
				out = append(out, right)
			}
		}
	}
	i, _ := slices.BinarySearchFunc(out, r.start, func(o region, start uint64) int { return cmp.Compare(o.start, start) })
	return &space{regions: slices.Insert(out, i, r)}
}

// contains reports whether all file code of old is in s at the same place: then old can be forgotten.
func (s *space) contains(old *space) bool {
	if old == nil {
		return true
	}
	for _, r := range old.regions {
		n := s.find(r.start)
		if r.file != nil && (n == nil || n.file != r.file || n.end < r.end || r.off-n.off != r.start-n.start) {
			return false
		}
	}
	return true
}

func (s *space) equal(t *space) bool { return slices.Equal(s.regions, t.regions) }
