package symbol

import (
	"bytes"
	"cmp"
	"debug/elf"
	"io"
	"math"
	"slices"
	"strings"
)

// maxTable bounds how many symbols of one table are kept: 96 MB.
const maxTable = 8 << 20

// maxName bounds the length of one name.
const maxName = 16 << 10

// table is the functions of one ELF symbol table, sorted by address: 12 bytes each, names stay in the file.
type table struct {
	base    uint64 // what the entries' values are relative to
	entries []tableEntry
	names   nameReader
}

type tableEntry struct {
	value uint32 // from base
	size  uint32 // with localSymbol in its top bit; 0 if unknown
	name  uint32 // offset in the string table
}

const (
	localSymbol = 1 << 31
	sizeMask    = localSymbol - 1
)

func (e tableEntry) bytes() uint64 { return uint64(e.size & sizeMask) }

// rawSymbol is an entry of a symbol table as it is in the file.
type rawSymbol struct {
	name        uint32
	kind        elf.SymType
	bind        elf.SymBind
	section     elf.SectionIndex
	value, size uint64
}

// isCode tells the functions that the file itself has.
func (s *rawSymbol) isCode() bool {
	switch s.kind {
	case elf.STT_FUNC, elf.STT_GNU_IFUNC:
		return s.section != elf.SHN_UNDEF
	}
	return false
}

// scanSymbols calls yield for each entry of a symbol table, until it returns false.
func (im *image) scanSymbols(tab *section, yield func(*rawSymbol) bool) error {
	size := 16
	if im.wide {
		size = 24
	}
	buf := make([]byte, 1024*size)
	left := tab.size - tab.size%uint64(size)
	var s rawSymbol
	for off := tab.off; left > 0; {
		n := min(left, uint64(len(buf)))
		b := buf[:n]
		if _, err := im.r.ReadAt(b, int64(off)); err != nil && err != io.EOF {
			return err
		}
		off, left = off+n, left-n
		for ; len(b) >= size; b = b[size:] {
			var info byte
			if im.wide {
				s.name, info = im.order.Uint32(b), b[4]
				s.section = elf.SectionIndex(im.order.Uint16(b[6:]))
				s.value, s.size = im.order.Uint64(b[8:]), im.order.Uint64(b[16:])
			} else {
				s.name, info = im.order.Uint32(b), b[12]
				s.value, s.size = uint64(im.order.Uint32(b[4:])), uint64(im.order.Uint32(b[8:]))
				s.section = elf.SectionIndex(im.order.Uint16(b[14:]))
			}
			s.kind, s.bind = elf.ST_TYPE(info), elf.ST_BIND(info)
			if im.machine == elf.EM_ARM && s.kind == elf.STT_FUNC {
				s.value &^= 1 // Thumb code
			}
			if !yield(&s) {
				return nil
			}
		}
	}
	return nil
}

// strings returns the string table that a symbol table names with.
func (im *image) strings(tab *section) *section {
	if uint64(tab.link) >= uint64(len(im.sections)) {
		return nil
	}
	s := &im.sections[tab.link]
	if s.kind != elf.SHT_STRTAB || !im.stored(s) {
		return nil
	}
	return s
}

// readTable reads the functions of a symbol table.
func (im *image) readTable(tab *section) (*table, error) {
	str := im.strings(tab)
	lo, hi := im.code()
	if str == nil || hi <= lo {
		return nil, io.ErrUnexpectedEOF
	}
	inside := func(s *rawSymbol) bool {
		return s.isCode() && s.value >= lo && s.value < hi && s.value-lo <= math.MaxUint32 && uint64(s.name) < str.size
	}
	// Counting first costs a second look at pages that are cached by then, and halves the peak of memory.
	n := 0
	if err := im.scanSymbols(tab, func(s *rawSymbol) bool {
		if inside(s) {
			n++
		}
		return n < maxTable
	}); err != nil {
		return nil, err
	}
	t := &table{base: lo, entries: make([]tableEntry, 0, n), names: nameReader{r: im.r, off: str.off, size: str.size}}
	if err := im.scanSymbols(tab, func(s *rawSymbol) bool {
		if inside(s) {
			e := tableEntry{value: uint32(s.value - lo), size: uint32(min(s.size, sizeMask)), name: s.name}
			if s.bind == elf.STB_LOCAL {
				e.size |= localSymbol
			}
			t.entries = append(t.entries, e)
		}
		return len(t.entries) < n
	}); err != nil {
		return nil, err
	}
	slices.SortFunc(t.entries, func(a, b tableEntry) int { return cmp.Compare(a.value, b.value) })
	return t, nil
}

// find returns the function that vaddr lies in.
func (t *table) find(vaddr uint64) (tableEntry, bool) {
	if vaddr < t.base || vaddr-t.base > math.MaxUint32 {
		return tableEntry{}, false
	}
	v := uint32(vaddr - t.base)
	// The first entry behind v; what holds v is before it.
	end, _ := slices.BinarySearchFunc(t.entries, v, func(e tableEntry, v uint32) int {
		if e.value > v {
			return 1
		}
		return -1
	})
	// Functions can lie inside others (assembly, outlined parts), so the nearest start need not be the one.
	const maxNested = 32
	for i := end - 1; i >= 0 && i >= end-maxNested; i-- {
		e := t.entries[i]
		if size := e.bytes(); size == 0 {
			// Without a size it reaches to the next symbol.
			if i == end-1 || e.value == t.entries[end-1].value {
				return t.best(i, v), true
			}
		} else if uint64(v-e.value) < size {
			return t.best(i, v), true
		}
	}
	return tableEntry{}, false
}

// best chooses among the names of one address, entries[i] being the last that holds v: one with a size before one
// without, global before local, fewer leading underscores (read before __read), the shorter, the first in the alphabet.
func (t *table) best(i int, v uint32) tableEntry {
	best, bestName := t.entries[i], ""
	const maxAliases = 16
	for j := i - 1; j >= 0 && j > i-maxAliases && t.entries[j].value == best.value; j-- {
		e := t.entries[j]
		if size := e.bytes(); size != 0 && uint64(v-e.value) >= size {
			continue
		}
		if (e.size == 0) != (best.size == 0) {
			if best.size == 0 {
				best, bestName = e, ""
			}
			continue
		}
		if e.size&localSymbol != best.size&localSymbol {
			if best.size&localSymbol != 0 {
				best, bestName = e, ""
			}
			continue
		}
		if bestName == "" {
			bestName = t.names.at(best.name)
		}
		if name := t.names.at(e.name); plainer(name, bestName) {
			best, bestName = e, name
		}
	}
	return best
}

func plainer(a, b string) bool {
	underscores := func(s string) int { return len(s) - len(strings.TrimLeft(s, "_")) }
	return cmp.Or(
		cmp.Compare(b2i(a == ""), b2i(b == "")),
		cmp.Compare(underscores(a), underscores(b)),
		cmp.Compare(len(a), len(b)),
		cmp.Compare(a, b)) < 0
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// name returns the entry's name as it is in the file, without the version that linkers append.
func (t *table) name(e tableEntry) string { return t.names.at(e.name) }

func (t *table) cost() int64 { return int64(cap(t.entries)) * 12 }

// nameReader reads names from a string table in the file.
type nameReader struct {
	r         io.ReaderAt
	off, size uint64
	ahead     uint64 // how much to read at once; 0 for what suits single names

	// The block read last, and where it begins: neighbours in a symbol table are neighbours here.
	block []byte
	start uint64
}

// at returns the name at an offset, without "@VERSION"; "" if there is none.
func (n *nameReader) at(off uint32) string {
	b := n.bytes(off)
	if i := bytes.IndexByte(b, '@'); i > 0 {
		b = b[:i]
	}
	return string(b)
}

// bytes returns the name at an offset; it is valid until the next call.
func (n *nameReader) bytes(off uint32) []byte {
	o := uint64(off)
	if o >= n.size {
		return nil
	}
	if o >= n.start && o < n.start+uint64(len(n.block)) {
		if end := bytes.IndexByte(n.block[o-n.start:], 0); end >= 0 {
			return n.block[o-n.start:][:end]
		}
	}
	// A name is short most often, its neighbours will be asked for sometimes.
	for _, want := range []uint64{max(n.ahead, 512), maxName} {
		want = min(want, n.size-o)
		if uint64(cap(n.block)) < want {
			n.block = make([]byte, want)
		}
		n.block, n.start = n.block[:want], o
		k, err := n.r.ReadAt(n.block, int64(n.off+o))
		n.block = n.block[:k]
		if err != nil && err != io.EOF {
			n.block = nil
			return nil
		}
		if end := bytes.IndexByte(n.block, 0); end >= 0 {
			return n.block[:end]
		}
	}
	return n.block
}
