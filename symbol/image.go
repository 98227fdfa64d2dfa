package symbol

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Bounds on what an ELF file may declare.
const (
	maxSegments     = 1 << 10
	maxSections     = 1 << 14
	maxSectionNames = 1 << 20
	maxNotes        = 1 << 16
)

// image is an ELF file laid open: its segments and sections. Everything else is read where it lies, when it is needed.
// Files are read, never mapped: a file that its owner truncates meanwhile would kill a reader of its mapping.
type image struct {
	r        io.ReaderAt
	size     int64
	order    binary.ByteOrder
	wide     bool // 64 bit
	kind     elf.Type
	machine  elf.Machine
	entry    uint64
	segments []segment
	sections []section
	bare     bool // the file has no section headers; sections has what the dynamic linker knows
}

type segment struct {
	kind              elf.ProgType
	flags             elf.ProgFlag
	off, vaddr        uint64
	fileSize, memSize uint64
}

type section struct {
	name            string
	kind            elf.SectionType
	flags           elf.SectionFlag
	addr, off, size uint64
	link            uint32
	entrySize       uint64
}

var errNotELF = errors.New("not an ELF file")

// readImage reads the headers. Missing or broken section headers are no error.
func readImage(r io.ReaderAt, size int64) (*image, error) {
	im := &image{r: r, size: size}
	var head [64]byte
	if n, _ := r.ReadAt(head[:], 0); n < 52 || string(head[:4]) != elf.ELFMAG {
		return nil, errNotELF
	}
	switch elf.Class(head[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		im.wide = true
	case elf.ELFCLASS32:
	default:
		return nil, errNotELF
	}
	switch elf.Data(head[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		im.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		im.order = binary.BigEndian
	default:
		return nil, errNotELF
	}
	im.kind = elf.Type(im.order.Uint16(head[16:]))
	im.machine = elf.Machine(im.order.Uint16(head[18:]))
	f := fields{b: head[24:], im: im}
	im.entry = f.word()
	phoff, shoff := f.word(), f.word()
	f.u32() // flags
	f.u16() // size of this header
	phentsize, phnum := f.u16(), f.u16()
	shentsize, shnum, shstrndx := f.u16(), uint64(f.u16()), uint32(f.u16())

	wantPh, wantSh := uint16(32), uint16(40)
	if im.wide {
		wantPh, wantSh = 56, 64
	}
	if phnum > 0 && phentsize == wantPh {
		im.readSegments(phoff, min(int(phnum), maxSegments))
	}
	if shoff > 0 && shentsize == wantSh {
		im.readSections(shoff, shnum, shstrndx)
	}
	if len(im.sections) == 0 {
		im.bare = true
		im.synthesize()
	}
	return im, nil
}

// fields reads the fields of a header one after the other; past the end they are 0.
type fields struct {
	b  []byte
	im *image
}

func (f *fields) take(n int) []byte {
	if len(f.b) < n {
		f.b = nil
		return make([]byte, n)
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) u16() uint16 { return f.im.order.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return f.im.order.Uint32(f.take(4)) }

// word is as wide as an address.
func (f *fields) word() uint64 {
	if f.im.wide {
		return f.im.order.Uint64(f.take(8))
	}
	return uint64(f.u32())
}

func (im *image) readSegments(off uint64, n int) {
	size := 32
	if im.wide {
		size = 56
	}
	b, err := im.bytes(off, uint64(n*size))
	if err != nil {
		return
	}
	for ; len(b) >= size; b = b[size:] {
		f := fields{b: b[:size], im: im}
		var s segment
		s.kind = elf.ProgType(f.u32())
		if im.wide {
			s.flags = elf.ProgFlag(f.u32())
		}
		s.off, s.vaddr = f.word(), f.word()
		f.word() // physical address
		s.fileSize, s.memSize = f.word(), f.word()
		if !im.wide {
			s.flags = elf.ProgFlag(f.u32())
		}
		if s.off > math.MaxInt64 || s.fileSize > math.MaxInt64-s.off || s.vaddr+s.memSize < s.vaddr {
			continue
		}
		im.segments = append(im.segments, s)
	}
}

func (im *image) readSections(off, n uint64, names uint32) {
	size := 40
	if im.wide {
		size = 64
	}
	if n == 0 || names == uint32(elf.SHN_XINDEX) {
		// Too many for the header's fields: the first section has the numbers.
		b, err := im.bytes(off, uint64(size))
		if err != nil {
			return
		}
		s, _ := im.section(b)
		if n == 0 {
			n = s.size
		}
		if names == uint32(elf.SHN_XINDEX) {
			names = s.link
		}
	}
	if n > maxSections {
		return
	}
	b, err := im.bytes(off, n*uint64(size))
	if err != nil {
		return
	}
	sections := make([]section, n)
	nameOff := make([]uint32, n)
	for i := range sections {
		sections[i], nameOff[i] = im.section(b[i*size:])
	}
	if uint64(names) >= n || sections[names].size > maxSectionNames {
		return
	}
	text, err := im.bytes(sections[names].off, sections[names].size)
	if err != nil {
		return
	}
	for i := range sections {
		if o := nameOff[i]; uint64(o) < uint64(len(text)) {
			rest := text[o:]
			rest = rest[:min(len(rest), 64)] // none that matters is longer
			if end := bytes.IndexByte(rest, 0); end >= 0 {
				sections[i].name = string(rest[:end])
			}
		}
	}
	im.sections = sections
}

func (im *image) section(b []byte) (s section, name uint32) {
	f := fields{b: b, im: im}
	name = f.u32()
	s.kind = elf.SectionType(f.u32())
	s.flags = elf.SectionFlag(f.word())
	s.addr, s.off, s.size = f.word(), f.word(), f.word()
	s.link = f.u32()
	f.u32() // info
	f.word()
	s.entrySize = f.word()
	return s, name
}

// bytes reads a part of the file. The caller bounds n.
func (im *image) bytes(off, n uint64) ([]byte, error) {
	if !im.holds(off, n) {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, n)
	if _, err := im.r.ReadAt(b, int64(off)); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

func (im *image) holds(off, n uint64) bool {
	return off <= uint64(im.size) && n <= uint64(im.size)-off
}

// named returns the section of that name if its bytes are in the file and not compressed.
func (im *image) named(name string) *section {
	for i := range im.sections {
		if s := &im.sections[i]; s.name == name && im.stored(s) {
			return s
		}
	}
	return nil
}

func (im *image) stored(s *section) bool {
	return s.kind != elf.SHT_NOBITS && s.flags&elf.SHF_COMPRESSED == 0 && im.holds(s.off, s.size)
}

// ofKind returns the first section of that kind.
func (im *image) ofKind(kind elf.SectionType) *section {
	for i := range im.sections {
		if s := &im.sections[i]; s.kind == kind && im.stored(s) {
			return s
		}
	}
	return nil
}

// code returns the range of addresses that executable segments span; in an object file, the sections do.
func (im *image) code() (lo, hi uint64) {
	lo = math.MaxUint64
	for _, s := range im.segments {
		if s.kind == elf.PT_LOAD && s.flags&elf.PF_X != 0 && s.memSize > 0 {
			lo, hi = min(lo, s.vaddr), max(hi, s.vaddr+s.memSize)
		}
	}
	if hi == 0 {
		for _, s := range im.sections {
			if s.flags&elf.SHF_EXECINSTR != 0 && s.size > 0 && s.addr+s.size > s.addr {
				lo, hi = min(lo, s.addr), max(hi, s.addr+s.size)
			}
		}
	}
	return lo, hi
}

// pageMask is that of the smallest page that files are mapped by.
const pageMask = 4096 - 1

// vaddr turns an offset in the file into the address that the file gives to it.
func (im *image) vaddr(off uint64) (uint64, bool) {
	// A page at a border belongs to two segments; code is what is asked for.
	for _, exact := range []bool{true, false} {
		for _, code := range []bool{true, false} {
			for _, s := range im.segments {
				if s.kind != elf.PT_LOAD || (s.flags&elf.PF_X != 0) != code {
					continue
				}
				start, end := s.off, s.off+s.fileSize
				if !exact {
					start, end = start&^pageMask, (end+pageMask)&^pageMask
				}
				if off >= start && off < end {
					return s.vaddr + (off - s.off), true
				}
			}
		}
	}
	return 0, false
}

// offset turns an address into the offset in the file where its bytes lie.
func (im *image) offset(vaddr uint64) (uint64, bool) {
	for _, s := range im.segments {
		if s.kind == elf.PT_LOAD && vaddr >= s.vaddr && vaddr-s.vaddr < s.fileSize {
			return vaddr - s.vaddr + s.off, true
		}
	}
	return 0, false
}

// executable reports whether vaddr is code with bytes in the file.
func (im *image) executable(vaddr uint64) bool {
	for _, s := range im.segments {
		if s.kind == elf.PT_LOAD && s.flags&elf.PF_X != 0 && vaddr >= s.vaddr && vaddr-s.vaddr < s.fileSize {
			return true
		}
	}
	return false
}

// note returns the content of the first note of that owner and type.
func (im *image) note(owner string, kind uint32) []byte {
	find := func(off, size uint64) []byte {
		b, err := im.bytes(off, min(size, maxNotes))
		if err != nil {
			return nil
		}
		for len(b) >= 12 {
			nameSize, descSize := uint64(im.order.Uint32(b)), uint64(im.order.Uint32(b[4:]))
			desc := 12 + (nameSize+3)&^3
			end := desc + (descSize+3)&^3
			if end > uint64(len(b)) {
				end = desc + descSize // the last one need not be padded
			}
			if end > uint64(len(b)) {
				return nil
			}
			if im.order.Uint32(b[8:]) == kind && string(bytes.TrimRight(b[12:12+nameSize], "\x00")) == owner {
				return b[desc : desc+descSize]
			}
			b = b[end:]
		}
		return nil
	}
	for i := range im.sections {
		if s := &im.sections[i]; s.kind == elf.SHT_NOTE && im.stored(s) {
			if d := find(s.off, s.size); d != nil {
				return d
			}
		}
	}
	for _, s := range im.segments {
		if s.kind == elf.PT_NOTE {
			if d := find(s.off, s.fileSize); d != nil {
				return d
			}
		}
	}
	return nil
}

// buildID returns the linker's identification of the content in hex, or "".
func (im *image) buildID() string {
	const typeBuildID = 3
	id := im.note("GNU", typeBuildID)
	if len(id) < 2 || len(id) > 64 {
		return ""
	}
	return fmt.Sprintf("%x", id)
}
