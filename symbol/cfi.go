package symbol

import (
	"debug/elf"
	"encoding/binary"
)

// cfi is the call frame information of an ELF file: for each place of its code, how to find the caller's registers. Rows
// are computed when a place is asked for, and kept, as stacks have the same places again and again.
type cfi struct {
	im      *image
	columns uint8
	// eh is nil if there is none; debug is not looked for before eh has been found lacking.
	eh, debug *cfiTable
	debugRead bool

	known       map[uint64]int32 // row of a place, -1 if there is none; bounded by maxKnownRows
	rows        []cfiRow
	same        map[cfiRow]int32
	expressions cfiExpressions
}

const (
	maxKnownRows    = 1 << 14
	maxDistinctRows = 1 << 11
	maxExpressions  = 256 << 10 // bytes
)

// cfiScratch is what computing a row needs of memory; it can be used for any file.
type cfiScratch struct {
	program             cfiProgram
	description, common cfiWindow
}

// callFrames returns the file's call frame information, of which nothing has been read but the header. They are empty if nothing is there that is understood.
func (im *image) callFrames() *cfi {
	f := &cfi{im: im}
	arch := architectureOf(im.machine)
	if arch == nil || !im.wide || im.order != binary.LittleEndian {
		return f
	}
	f.columns = arch.columns
	f.eh = im.ehFrame()
	return f
}

// row returns the row for a place; fresh says that it was not known, so that the cost has changed.
func (f *cfi) row(pc uint64, s *cfiScratch) (row *cfiRow, fresh bool) {
	if i, ok := f.known[pc]; ok {
		if i < 0 {
			return nil, false
		}
		return &f.rows[i], false
	}
	if f.columns == 0 {
		return nil, false
	}
	if f.known == nil || len(f.known) >= maxKnownRows || len(f.rows) >= maxDistinctRows || f.expressions.size >= maxExpressions {
		f.known, f.same, f.rows = make(map[uint64]int32), make(map[cfiRow]int32), nil
		f.expressions = cfiExpressions{}
	}
	s.program.columns, s.program.expressions = f.columns, &f.expressions
	computed := f.compute(pc, s)
	if computed == nil {
		f.known[pc] = -1
		return nil, true
	}
	i, ok := f.same[*computed]
	if !ok {
		i = int32(len(f.rows))
		f.rows = append(f.rows, *computed)
		f.same[*computed] = i
	}
	f.known[pc] = i
	return &f.rows[i], true
}

// compute returns the row for a place by the first table that has one; it belongs to s. nil if there is none.
func (f *cfi) compute(pc uint64, s *cfiScratch) *cfiRow {
	if row, ok := f.eh.row(&s.program, &s.description, &s.common, pc); ok {
		return row
	}
	if !f.debugRead {
		f.debugRead, f.debug = true, f.im.debugFrame()
	}
	if row, ok := f.debug.row(&s.program, &s.description, &s.common, pc); ok {
		return row
	}
	if f.im.machine == elf.EM_X86_64 && f.im.isStub(pc) {
		s.program.row = x86Entry
		return &s.program.row
	}
	return nil
}

// cost is about what is kept of memory.
func (f *cfi) cost() int64 {
	n := int64(len(f.known))*24 + int64(len(f.rows))*650 + int64(f.expressions.size)*2
	for _, t := range []*cfiTable{f.eh, f.debug} {
		if t != nil {
			n += int64(cap(t.entries))*16 + t.held
		}
	}
	return n
}
