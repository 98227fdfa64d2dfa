package symbol

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// pclntab is the table by which a Go program names its own functions; stripping does not remove it. It is searched
// where it lies in the file: its own order is by address.
//
// All versions begin alike, numbers being in the machine's order:
//
//	0 magic (4 bytes) · 4 zero · 5 zero · 6 instruction size · 7 pointer size p · 8 number of functions (p bytes)
//
// and have a list of (address, position of the function's record), with one more address at its end. A record
// is the address again and the position of the name (4 bytes). What differs:
//
//	1.2    the list follows the header; addresses and positions are p bytes; positions are from the table's start
//	1.16   the header goes on with positions of names (at 8+2p) and of list and records (8+6p), which theirs are from
//	1.18   the same, one word later (8+3p, 8+7p); addresses and positions are 4 bytes, the former from the start of text
//	1.20   other magic only; since 1.26 the header's word for the start of text (8+2p) is 0
type pclntab struct {
	r       io.ReaderAt
	off     uint64 // of the table in the file
	size    uint64
	order   binary.ByteOrder
	ptr     uint64 // bytes in a pointer
	field   uint64 // bytes in a number of the list
	count   uint64 // of functions
	list    uint64 // positions in the table
	records uint64
	names   nameReader
	text    uint64 // added to the list's addresses
}

const (
	goMagic12  = 0xfffffffb
	goMagic116 = 0xfffffffa
	goMagic118 = 0xfffffff0
	goMagic120 = 0xfffffff1
)

// findPclntab finds the table of a Go program: by its section, or by its header where there are no section names.
func (im *image) findPclntab() *pclntab {
	for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
		if s := im.named(name); s != nil {
			if p := im.readPclntab(s.off, s.size, s.addr); p != nil {
				return p
			}
		}
	}
	if !im.bare {
		return nil
	}
	for _, s := range im.segments {
		if s.kind != elf.PT_LOAD || s.flags&elf.PF_X != 0 && s.flags&elf.PF_W != 0 {
			continue
		}
		if p := im.searchPclntab(s); p != nil {
			return p
		}
	}
	return nil
}

// searchPclntab looks for the header in a segment.
func (im *image) searchPclntab(s segment) *pclntab {
	const align = 4
	buf := make([]byte, 64<<10)
	skip := -s.vaddr & (align - 1)
	if skip > s.fileSize {
		return nil
	}
	end := min(s.off+s.fileSize, uint64(im.size))
	for off := s.off + skip; off < end; off += uint64(len(buf)) {
		n, err := im.r.ReadAt(buf[:min(uint64(len(buf)), end-off)], int64(off))
		if err != nil && err != io.EOF {
			return nil
		}
		for i := 0; i+8 <= n; i += align {
			if buf[i+4] != 0 || buf[i+5] != 0 || buf[i+7] != 4 && buf[i+7] != 8 {
				continue
			}
			switch im.order.Uint32(buf[i:]) {
			case goMagic12, goMagic116, goMagic118, goMagic120:
				at := off + uint64(i)
				if p := im.readPclntab(at, end-at, s.vaddr+(at-s.off)); p != nil {
					return p
				}
			}
		}
	}
	return nil
}

// readPclntab reads the header at an offset of the file, which is mapped at vaddr; nil if there is none.
func (im *image) readPclntab(off, size, vaddr uint64) *pclntab {
	head, err := im.bytes(off, min(size, 8+8*8))
	if err != nil || len(head) < 8+8*4 || head[4] != 0 || head[5] != 0 {
		return nil
	}
	if head[6] != 1 && head[6] != 2 && head[6] != 4 {
		return nil
	}
	p := &pclntab{r: im.r, off: off, size: size, order: im.order, ptr: uint64(head[7])}
	if p.ptr != 4 && p.ptr != 8 || uint64(len(head)) < 8+8*p.ptr {
		return nil
	}
	word := func(i uint64) uint64 { return p.number(head[8+i*p.ptr:], p.ptr) }
	p.count = word(0)
	p.field = p.ptr
	names := uint64(0)
	switch im.order.Uint32(head) {
	case goMagic12:
		p.list, p.records = 8+p.ptr, 0
	case goMagic116:
		names, p.list, p.records = word(2), word(6), word(6)
	case goMagic118, goMagic120:
		p.field = 4
		p.text = word(2)
		names, p.list, p.records = word(3), word(7), word(7)
	default:
		return nil
	}
	if p.count == 0 || p.count > math.MaxInt32 || p.list > size || (2*p.count+1)*p.field > size-p.list || names >= size {
		return nil
	}
	p.names = nameReader{r: im.r, off: off + names, size: size - names}
	first, ok := p.at(0)
	if !ok {
		return nil
	}
	if p.field == 4 {
		if start, ok := im.goText(vaddr, first); ok {
			p.text = start
		} else if s := im.named(".text"); s != nil && (p.text < s.addr || p.text >= s.addr+s.size) {
			p.text = s.addr
		}
		// Where neither is to be had, the header's own word is all there is.
	}
	if lo, hi := im.code(); p.text+first < lo || p.text+first >= hi {
		return nil
	}
	return p
}

// goText finds the start of the program's text. The runtime's moduledata begins with the table's address and has, 20
// words on, the address of the first function, in all versions with text-relative addresses. In a
// position-independent file, both are in the relocations.
func (im *image) goText(table, firstFunc uint64) (uint64, bool) {
	const minpc = 20
	word := uint64(4)
	if im.wide {
		word = 8
	}
	plausible := func(v uint64) bool { return v >= firstFunc && im.executable(v) }
	// The file's own bytes first: they hold where nothing is relocated, and relocations of kind REL.
	var want [8]byte
	if im.wide {
		im.order.PutUint64(want[:], table)
	} else {
		im.order.PutUint32(want[:], uint32(table))
	}
	buf := make([]byte, 64<<10)
	for _, s := range im.segments {
		if s.kind != elf.PT_LOAD || s.flags&elf.PF_W == 0 {
			continue
		}
		end := min(s.off+s.fileSize, uint64(im.size))
		for off := s.off; off < end; {
			n, err := im.r.ReadAt(buf[:min(uint64(len(buf)), end-off)], int64(off))
			if err != nil && err != io.EOF || n == 0 {
				break
			}
			b := buf[:n]
			for base := 0; ; {
				i := bytes.Index(b[base:], want[:word])
				if i < 0 {
					break
				}
				at := base + i
				base = at + 1
				if (s.vaddr+(off-s.off)+uint64(at))%word != 0 {
					continue
				}
				v, err := im.bytes(off+uint64(at)+minpc*word, word)
				if err != nil {
					continue
				}
				f := fields{b: v, im: im}
				if pc := f.word(); plausible(pc) {
					return pc - firstFunc, true
				}
			}
			if off+uint64(n) >= end {
				break
			}
			off += uint64(n) - min(uint64(n)-1, word-1)
		}
	}
	return im.goTextRelocated(table, firstFunc, minpc*word, plausible)
}

// goTextRelocated is goText by the relocations with addends.
func (im *image) goTextRelocated(table, firstFunc, minpc uint64, plausible func(uint64) bool) (uint64, bool) {
	if !im.wide {
		return 0, false
	}
	const entry = 24     // offset, info, addend
	var modules []uint64 // where the table's address is stored
	for pass := range 2 {
		for i := range im.sections {
			s := &im.sections[i]
			if s.kind != elf.SHT_RELA || s.flags&elf.SHF_ALLOC == 0 || !im.stored(s) {
				continue
			}
			buf := make([]byte, 1024*entry)
			for off, left := s.off, s.size-s.size%entry; left > 0; {
				b := buf[:min(left, uint64(len(buf)))]
				if _, err := im.r.ReadAt(b, int64(off)); err != nil && err != io.EOF {
					return 0, false
				}
				off, left = off+uint64(len(b)), left-uint64(len(b))
				for ; len(b) > 0; b = b[entry:] {
					place, addend := im.order.Uint64(b), im.order.Uint64(b[16:])
					switch {
					case pass == 0 && addend == table && len(modules) < 8:
						modules = append(modules, place)
					case pass == 1 && slices.Contains(modules, place-minpc) && plausible(addend):
						return addend - firstFunc, true
					}
				}
			}
		}
		if len(modules) == 0 {
			return 0, false
		}
	}
	return 0, false
}

// number reads a number of n bytes.
func (p *pclntab) number(b []byte, n uint64) uint64 {
	if n == 4 {
		return uint64(p.order.Uint32(b))
	}
	return p.order.Uint64(b)
}

func (p *pclntab) read(pos, n uint64, buf []byte) bool {
	if pos > p.size || n > p.size-pos {
		return false
	}
	k, _ := p.r.ReadAt(buf[:n], int64(p.off+pos))
	return uint64(k) == n
}

// at returns the i-th address of the list; the last is the end of the last function.
func (p *pclntab) at(i uint64) (uint64, bool) {
	var b [8]byte
	if !p.read(p.list+2*i*p.field, p.field, b[:]) {
		return 0, false
	}
	return p.number(b[:], p.field), true
}

// name returns the name of the i-th function.
func (p *pclntab) name(i uint64) string {
	var b [8]byte
	if !p.read(p.list+(2*i+1)*p.field, p.field, b[:]) {
		return ""
	}
	record := p.records + p.number(b[:], p.field)
	// The record begins with its address, as wide as in the list.
	if record < p.records || !p.read(record+p.field, 4, b[:]) {
		return ""
	}
	return string(p.names.bytes(p.order.Uint32(b[:])))
}

// find returns the function that vaddr lies in: its number, start and end.
func (p *pclntab) find(vaddr uint64) (i, start, end uint64, ok bool) {
	if vaddr < p.text {
		return 0, 0, 0, false
	}
	v := vaddr - p.text
	lo, hi := uint64(0), p.count+1
	for lo < hi {
		mid := (lo + hi) / 2
		a, ok := p.at(mid)
		if !ok {
			return 0, 0, 0, false
		}
		if a > v {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 || lo > p.count {
		return 0, 0, 0, false
	}
	start, ok1 := p.at(lo - 1)
	end, ok2 := p.at(lo)
	return lo - 1, p.text + start, p.text + end, ok1 && ok2 && start <= v && v < end
}

// scan calls yield for each function in order of address, until it returns false.
func (p *pclntab) scan(yield func(name string, start, end uint64) bool) {
	names := p.names
	names.ahead = 64 << 10
	records := window{p: p}
	list := make([]byte, 2*1024*p.field)
	for i := uint64(0); i < p.count; {
		n := min(p.count-i, 1023)
		b := list[:(2*n+1)*p.field]
		if !p.read(p.list+2*i*p.field, uint64(len(b)), b) {
			return
		}
		for j := range n {
			start := p.number(b[2*j*p.field:], p.field)
			record := p.number(b[(2*j+1)*p.field:], p.field)
			end := p.number(b[(2*j+2)*p.field:], p.field)
			at := records.at(p.records+record+p.field, 4)
			if at == nil || end < start {
				continue
			}
			name := string(names.bytes(p.order.Uint32(at)))
			if name != "" && !yield(name, p.text+start, p.text+end) {
				return
			}
		}
		i += n
	}
}

// window reads places of the table that are near each other.
type window struct {
	p     *pclntab
	start uint64
	b     []byte
}

func (w *window) at(pos, n uint64) []byte {
	if pos >= w.p.size {
		return nil
	}
	if pos < w.start || pos+n > w.start+uint64(len(w.b)) {
		want := min(64<<10, w.p.size-pos)
		if w.b == nil {
			w.b = make([]byte, 64<<10)
		}
		w.b, w.start = w.b[:want], pos
		if !w.p.read(pos, want, w.b) {
			w.b = w.b[:0]
		}
	}
	if w.start+uint64(len(w.b)) < pos+n || len(w.b) == 0 {
		return nil
	}
	return w.b[pos-w.start:][:n]
}
