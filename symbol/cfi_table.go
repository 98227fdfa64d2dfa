package symbol

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"debug/elf"
	"io"
	"math"
	"slices"
	"sort"
)

// Bounds on tables.
const (
	maxCFIEntry    = 64 << 10 // of one description
	maxCFICommon   = 4 << 10
	maxCFICommons  = 1 << 16
	maxCFIScanned  = 64 << 20 // of a table without an index
	maxCFIUnpacked = 16 << 20
	maxCFIEntries  = 1 << 20
	cfiWindowSize  = 512
)

// cfiTable is .eh_frame or .debug_frame: descriptions of functions (FDE), each of which refers to a common part (CIE).
// They stay in the file. A description is found by the linker's index (.eh_frame_hdr), or by one made from a scan.
type cfiTable struct {
	r     io.ReaderAt
	off   uint64 // in r
	addr  uint64 // that the file gives to the first byte
	size  uint64
	debug bool  // .debug_frame, which has other numbers for the same
	held  int64 // bytes that are in memory, not in a file

	index   cfiIndex
	scanned bool
	entries []cfiPlace // by address, if scanned
}

// cfiIndex is the table in .eh_frame_hdr: pairs of a function's address and that of its description, sorted.
type cfiIndex struct {
	off, addr uint64
	count     uint64
	encoding  uint8
	width     uint64 // of each of the two
	data      uint64 // what addresses can be relative to
}

type cfiPlace struct {
	start uint64 // of the function
	pos   uint32 // in the table
}

// cfiWindow is the part of a table that was read last.
type cfiWindow struct {
	r   io.ReaderAt
	off uint64
	b   []byte
	buf []byte
}

// at returns n bytes of the file, or fewer where it ends, and reads ahead.
func (w *cfiWindow) at(r io.ReaderAt, off, n, ahead uint64) []byte {
	if w.r == r && off >= w.off && off-w.off <= uint64(len(w.b)) && n <= uint64(len(w.b))-(off-w.off) {
		return w.b[off-w.off:][:n]
	}
	if want := max(n, ahead); uint64(len(w.buf)) < want {
		w.buf = make([]byte, want)
	}
	got, _ := r.ReadAt(w.buf[:max(n, ahead)], int64(off))
	w.r, w.off, w.b = r, off, w.buf[:got]
	return w.b[:min(n, uint64(got))]
}

// ehFrame finds the table that exceptions are made with: it is loaded, and stripping does not remove it.
func (im *image) ehFrame() *cfiTable {
	t := &cfiTable{r: im.r}
	for _, s := range im.segments {
		if s.kind == elf.PT_GNU_EH_FRAME && im.readCFIIndex(t, s) {
			return t
		}
	}
	if s := im.named(".eh_frame"); s != nil {
		t.off, t.addr, t.size = s.off, s.addr, s.size
		return t
	}
	return nil
}

// readCFIIndex reads the header of the index: version, three encodings, where .eh_frame is, number of pairs.
func (im *image) readCFIIndex(t *cfiTable, s segment) bool {
	b, err := im.bytes(s.off, min(s.fileSize, 64))
	if err != nil || len(b) < 4 || b[0] != 1 {
		return false
	}
	c := cfiBytes{b: b[4:], addr: s.vaddr + 4}
	frame, ok := c.pointer(b[1], s.vaddr)
	if !ok {
		return false
	}
	count, counted := c.pointer(b[2], s.vaddr)
	for _, load := range im.segments {
		if load.kind == elf.PT_LOAD && frame >= load.vaddr && frame-load.vaddr < load.fileSize {
			t.addr, t.off, t.size = frame, load.off+frame-load.vaddr, load.fileSize-(frame-load.vaddr)
		}
	}
	if t.size == 0 {
		return false
	}
	x := cfiIndex{addr: c.addr, off: s.off + c.addr - s.vaddr, encoding: b[3], width: pointerSize(b[3]), data: s.vaddr}
	if counted && !c.bad && x.width != 0 && b[3] != pointerOmitted && x.addr-s.vaddr <= s.fileSize {
		x.count = min(count, (s.fileSize-(x.addr-s.vaddr))/(2*x.width))
		t.index = x
	}
	return true
}

// debugFrame finds the table for debuggers; Go's linker makes it in place of .eh_frame.
func (im *image) debugFrame() *cfiTable {
	for i := range im.sections {
		s := &im.sections[i]
		if s.name != ".debug_frame" || s.kind == elf.SHT_NOBITS || !im.holds(s.off, s.size) {
			continue
		}
		if s.flags&elf.SHF_COMPRESSED == 0 {
			return &cfiTable{r: im.r, off: s.off, size: s.size, debug: true}
		}
		if b := im.unpack(s, maxCFIUnpacked); b != nil {
			return &cfiTable{r: bytes.NewReader(b), size: uint64(len(b)), debug: true, held: int64(len(b))}
		}
	}
	return nil
}

// unpack returns the content of a section that is packed with zlib, as a whole; nil if there is none or too much of it.
func (im *image) unpack(s *section, bound uint64) []byte {
	const header = 24
	b, err := im.bytes(s.off, min(s.size, header))
	if err != nil || len(b) < header || !im.wide || elf.CompressionType(im.order.Uint32(b)) != elf.COMPRESS_ZLIB {
		return nil
	}
	size := im.order.Uint64(b[8:])
	// Deflate packs a thousandfold at best.
	if size > bound || size/1100 > s.size {
		return nil
	}
	z, err := zlib.NewReader(io.NewSectionReader(im.r, int64(s.off+header), int64(s.size-header)))
	if err != nil {
		return nil
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(z, out); err != nil {
		return nil
	}
	return out
}

// find returns the position of the description that covers pc, if any does: that of the last function before pc.
func (t *cfiTable) find(w *cfiWindow, pc uint64) (pos uint64, ok bool) {
	if t.index.count > 0 {
		addr, ok := t.index.find(w, t.r, pc)
		return addr - t.addr, ok && addr-t.addr < t.size
	}
	if !t.scanned {
		t.scanned = true
		t.scan()
	}
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].start > pc })
	if i == 0 {
		return 0, false
	}
	return uint64(t.entries[i-1].pos), true
}

// find searches the index where it lies: first by halves, then in the piece that is left.
func (x *cfiIndex) find(w *cfiWindow, r io.ReaderAt, pc uint64) (description uint64, ok bool) {
	const piece = cfiWindowSize / 16
	pair := 2 * x.width
	lo, hi := uint64(0), x.count // the first function behind pc is in [lo, hi]
	for lo < hi {
		mid := (lo + hi) / 2
		at, n := mid, uint64(1)
		if hi-lo <= piece {
			at, n = lo, hi-lo
		}
		b := w.at(r, x.off+at*pair, n*pair, 0)
		if uint64(len(b)) < n*pair {
			return 0, false
		}
		start, ok := x.pointer(b[(mid-at)*pair:], mid*pair)
		if !ok {
			return 0, false
		}
		if start <= pc {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return 0, false
	}
	b := w.at(r, x.off+(lo-1)*pair, pair, 0)
	if uint64(len(b)) < pair {
		return 0, false
	}
	return x.pointer(b[x.width:], (lo-1)*pair+x.width)
}

func (x *cfiIndex) pointer(b []byte, at uint64) (uint64, bool) {
	c := cfiBytes{b: b, addr: x.addr + at}
	return c.pointer(x.encoding, x.data)
}

// scan makes the index by looking at each description.
func (t *cfiTable) scan() {
	if t.size > maxCFIScanned {
		return
	}
	var w, common cfiWindow
	encodings := make(map[uint64]uint8)
	for pos := uint64(0); len(t.entries) < maxCFIEntries; {
		e, next, ok := t.entry(&w, pos, 40)
		if !ok || next <= pos {
			break
		}
		if pos = next; e.isCommon {
			continue
		}
		encoding, known := encodings[e.common]
		if !known {
			if len(encodings) == maxCFICommons {
				break
			}
			encoding = pointerOmitted
			if c, ok := t.common(&common, e.common); ok {
				encoding = c.encoding
			}
			encodings[e.common] = encoding
		}
		if start, ok := e.body.pointer(encoding, 0); ok {
			t.entries = append(t.entries, cfiPlace{start, uint32(e.start)})
		}
	}
	slices.SortStableFunc(t.entries, func(a, b cfiPlace) int { return cmp.Compare(a.start, b.start) })
}

// cfiEntry is a description, or a common part.
type cfiEntry struct {
	start    uint64 // position
	isCommon bool
	common   uint64 // position of the common part
	body     cfiBytes
}

// entry reads the entry at pos: all of it up to bound bytes. next is the position of the one behind it.
func (t *cfiTable) entry(w *cfiWindow, pos, bound uint64) (e cfiEntry, next uint64, ok bool) {
	const head = 4 + 8 + 8
	if pos >= t.size {
		return e, 0, false
	}
	ahead := uint64(cfiWindowSize)
	if bound < ahead {
		ahead = 64 << 10 // one after the other
	}
	c := cfiBytes{b: w.at(t.r, t.off+pos, min(head, t.size-pos), ahead), addr: t.addr + pos}
	size, idSize := uint64(c.u32()), uint64(4)
	if size == math.MaxUint32 {
		size, idSize = c.number(8), 8
	}
	begin := c.addr - t.addr
	if size < idSize || c.bad || size > t.size-begin {
		return e, 0, false // 0 is the end of .eh_frame
	}
	if !t.debug {
		idSize = 4
	}
	c = cfiBytes{b: w.at(t.r, t.off+begin, min(size, bound), ahead), addr: t.addr + begin}
	switch id := c.number(idSize); {
	case t.debug && idSize == 4 && id == math.MaxUint32, id == math.MaxUint64, !t.debug && id == 0:
		e.isCommon = true
	case t.debug:
		e.common = id
	default:
		e.common = begin - id
	}
	e.start, e.body = pos, c
	return e, begin + size, !c.bad
}

// cfiCommon is a CIE: what descriptions have in common.
type cfiCommon struct {
	codeUnit  uint64
	dataUnit  int64
	column    uint64 // of the return address
	encoding  uint8  // of addresses
	augmented bool   // descriptions have a part to be read over
	signal    bool   // the frame was made by the kernel for a signal: what it returns to was not a call
	program   cfiBytes
}

// common reads the CIE at pos.
func (t *cfiTable) common(w *cfiWindow, pos uint64) (c cfiCommon, ok bool) {
	e, next, ok := t.entry(w, pos, maxCFICommon)
	if !ok || !e.isCommon || next-pos > maxCFICommon {
		return c, false
	}
	b := e.body
	version := b.u8()
	augmentation := b.text()
	if augmentation == "eh" {
		b.take(8)
	}
	if version >= 4 {
		if addressSize, selectorSize := b.u8(), b.u8(); addressSize != 8 || selectorSize != 0 {
			return c, false
		}
	}
	c.codeUnit, c.dataUnit = b.uleb(), b.sleb()
	if version == 1 {
		c.column = uint64(b.u8())
	} else {
		c.column = b.uleb()
	}
	switch {
	case augmentation == "" || augmentation == "eh":
	case augmentation[0] != 'z':
		return c, false
	default:
		n := b.uleb()
		part := cfiBytes{addr: b.addr}
		part.b = b.take(n)
		c.augment(augmentation[1:], part)
		c.augmented = true
	}
	c.program = b
	return c, !b.bad && version >= 1 && version <= 4 && c.column < maxColumns
}

// augment reads what letters stand for, up to one that is not known.
func (c *cfiCommon) augment(letters string, b cfiBytes) {
	for _, letter := range letters {
		switch letter {
		case 'R':
			c.encoding = b.u8()
		case 'P':
			b.pointer(b.u8(), 0)
		case 'L':
			b.u8()
		case 'S':
			c.signal = true
		case 'B', 'G': // arm64: how return addresses are signed, memory tags
		default:
			return
		}
	}
}

// description reads the FDE at pos: the code that it is for, and its program.
func (t *cfiTable) description(w, common *cfiWindow, pos uint64) (c cfiCommon, start, size uint64, program cfiBytes, ok bool) {
	e, next, ok := t.entry(w, pos, maxCFIEntry)
	if !ok || e.isCommon || next-pos > maxCFIEntry {
		return c, 0, 0, program, false
	}
	if c, ok = t.common(common, e.common); !ok {
		return c, 0, 0, program, false
	}
	b := e.body
	start, ok = b.pointer(c.encoding, 0)
	size, sized := b.pointer(c.encoding&pointerForm, 0)
	if c.augmented {
		b.take(b.uleb())
	}
	return c, start, size, b, ok && sized && !b.bad
}
