package vm

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"skep/vm/maps"
	"skep/vm/memory"
)

// Flags of snprintf_btf.
const (
	showCompact = 1 << iota // on one line
	showNoNames             // without names and types
	showRaw                 // pointers as they are, and not hashed; ours never are
	showZero                // what is zero, too
)

// btfPtrSize is the size of struct btf_ptr: a pointer, a type's number and flags.
const btfPtrSize = 16

// snprintfBTF shows a value of one of the kernel's types as bpf_snprintf_btf does.
func snprintfBTF(t *Thread, a *[5]uint64) uint64 {
	text, e := t.showBTF(a[2], a[3], a[4])
	if e != 0 {
		return errno(e)
	}
	if to := memoryAt(a[0], a[1]); len(to) > 0 {
		to[copy(to[:len(to)-1], text)] = 0
	}
	return uint64(len(text))
}

func seqPrintfBTF(t *Thread, a *[5]uint64) uint64 {
	text, e := t.showBTF(a[1], a[2], a[3])
	if e != 0 {
		return errno(e)
	}
	return t.sequence(a[0], text)
}

// showBTF is the text of what a struct btf_ptr is about.
func (t *Thread) showBTF(ptr, size, flags uint64) ([]byte, maps.Errno) {
	if flags&^(showCompact|showNoNames|showRaw|showZero) != 0 || uint32(size) != btfPtrSize {
		return nil, maps.EINVAL
	}
	b := memory.At(ptr, btfPtrSize)
	addr, id := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint32(b[8:])
	types := t.machine.options.KernelTypes
	if types == nil || id == 0 {
		return nil, maps.EINVAL
	}
	kind, err := types.TypeByID(btf.TypeID(id))
	if err != nil {
		return nil, maps.EINVAL
	}
	length, err := btf.Sizeof(kind)
	if err != nil || length > maxShown {
		return nil, maps.EINVAL
	}
	value := make([]byte, length)
	if t.readKernel(addr, value) != nil {
		return nil, maps.EFAULT
	}
	s := btfShow{flags: flags}
	s.value(kind, kind, value)
	return s.out, 0
}

// maxShown is more than any type of the kernel's has.
const maxShown = 1 << 20

// A btfShow shows a value on lines, or on one, and leaves out what is zero.
type btfShow struct {
	out     []byte
	flags   uint64
	depth   int
	member  string // that the value is of, with its type
	element bool   // the value is of an array
	chars   bool   // of bytes, which are shown as characters up to the first zero
}

func (s *btfShow) has(flag uint64) bool { return s.flags&flag != 0 }

func (s *btfShow) indent() string {
	if s.has(showCompact) {
		return ""
	}
	return strings.Repeat(" ", min(s.depth, 32))
}

// end is what follows a value.
func (s *btfShow) end() string {
	delim := ","
	if s.depth == 0 {
		delim = ""
	}
	if s.has(showCompact) {
		return delim
	}
	return delim + "\n"
}

// name is the member, the type as it was declared, and the bracket that it opens.
func (s *btfShow) name(declared btf.Type) string {
	if s.element {
		return ""
	}
	var name, prefix, bracket, stars, arrays string
	typedef, pointer, array := false, false, false
	t := declared // of which the kernel does not see through a const
walk:
	for range 10 {
		switch x := t.(type) {
		case *btf.Typedef:
			if name == "" {
				name = x.Name
			}
			typedef, t = true, x.Type
		case *btf.Array:
			array, bracket, arrays, t = true, "[", arrays+"[]", x.Type
		case *btf.Pointer:
			pointer, stars, t = true, stars+"*", x.Target
		default:
			break walk
		}
		t = skipQualifiers(t)
	}
	if name == "" && t != nil {
		name = t.TypeName()
	}
	switch t.(type) {
	case *btf.Struct:
		prefix = "struct"
	case *btf.Union:
		prefix = "union"
	case *btf.Enum:
		prefix = "enum"
	}
	if (prefix == "struct" || prefix == "union") && !array {
		bracket = "{"
	}
	if pointer {
		bracket = ""
	}
	if typedef {
		prefix = ""
	}
	if s.has(showNoNames) {
		return bracket
	}
	if prefix != "" && name != "" {
		prefix += " "
	}
	if stars != "" {
		stars = " " + stars
	}
	member := s.member
	if member != "" {
		member = "." + member + " = "
	}
	return member + "(" + prefix + name + stars + arrays + ")" + bracket
}

func skipQualifiers(t btf.Type) btf.Type {
	for {
		switch x := t.(type) {
		case *btf.Const:
			t = x.Type
		case *btf.Volatile:
			t = x.Type
		case *btf.Restrict:
			t = x.Type
		case *btf.TypeTag:
			t = x.Type
		default:
			return t
		}
	}
}

// value shows bytes as a type, which was declared in some other way: by a typedef, or with const.
func (s *btfShow) value(declared, kind btf.Type, b []byte) {
	switch t := btf.UnderlyingType(skipQualifiers(kind)).(type) {
	case *btf.Int:
		s.integer(declared, t, b)
	case *btf.Pointer:
		n := binary.NativeEndian.Uint64(b)
		s.plain(declared, fmt.Sprintf("0x%016x", n), n != 0)
	case *btf.Enum:
		s.enum(declared, t, b)
	case *btf.Struct:
		s.aggregate(declared, "}", func() { s.members(t.Members, b) })
	case *btf.Union:
		s.aggregate(declared, "}", func() { s.members(t.Members, b) })
	case *btf.Array:
		s.array(declared, t, b)
	}
}

// plain shows a value that has no parts.
func (s *btfShow) plain(declared btf.Type, text string, nonzero bool) {
	if nonzero || s.has(showZero) || s.depth == 0 {
		s.out = append(s.out, s.indent()+s.name(declared)+text+s.end()...)
	}
}

func (s *btfShow) integer(declared btf.Type, t *btf.Int, b []byte) {
	n := uint64(0)
	for i := len(b) - 1; i >= 0 && len(b) <= 8; i-- {
		n = n<<8 | uint64(b[i])
	}
	text := fmt.Sprint(n)
	if t.Encoding == btf.Signed && len(b) <= 8 {
		unused := 64 - 8*len(b)
		text = fmt.Sprint(int64(n<<unused) >> unused)
	}
	if len(b) == 16 {
		low, high := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:])
		if n, text = low|high, fmt.Sprintf("0x%x", low); high != 0 {
			text = fmt.Sprintf("0x%x%016x", high, low)
		}
	}
	if s.chars && len(b) == 1 && (b[0] >= ' ' && b[0] <= '~' || b[0] >= 0xa0) { // as the kernel's isprint, in Latin-1
		text = "'" + string(b) + "'"
	}
	s.plain(declared, text, n != 0)
}

func (s *btfShow) enum(declared btf.Type, t *btf.Enum, b []byte) {
	if len(b) < 4 && cap(b) >= 4 {
		b = b[:4] // the kernel reads an int, however small the enum
	}
	n, unused := uint64(0), 64-8*len(b)
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	for _, v := range t.Values {
		if v.Value<<unused == n<<unused {
			s.plain(declared, v.Name, true)
			return
		}
	}
	text := fmt.Sprint(n)
	if t.Signed {
		text = fmt.Sprint(int64(n<<unused) >> unused)
	}
	s.plain(declared, text, n != 0)
}

// aggregate shows what has parts, unless all of it is zero and it is a part itself.
func (s *btfShow) aggregate(declared btf.Type, bracket string, parts func()) {
	begin := len(s.out)
	s.out = append(s.out, s.indent()+s.name(declared)...)
	if !s.has(showCompact) {
		s.out = append(s.out, '\n')
	}
	empty := len(s.out)
	element, chars := s.element, s.chars
	s.depth++
	s.chars = false
	parts()
	s.depth--
	s.element, s.chars = element, chars
	if len(s.out) == empty && s.depth > 0 && !s.has(showZero) {
		s.out = s.out[:begin]
		return
	}
	s.out = append(s.out, s.indent()+bracket+s.end()...)
}

func (s *btfShow) members(members []btf.Member, b []byte) {
	for _, m := range members {
		s.member = m.Name
		at := int(m.Offset.Bytes())
		if m.BitfieldSize > 0 {
			if uint64(m.Offset)+uint64(m.BitfieldSize) > uint64(len(b))*8 {
				continue
			}
			n := uint64(0)
			for i := int(m.BitfieldSize) - 1; i >= 0; i-- {
				bit := int(m.Offset) + i
				n = n<<1 | uint64(b[bit/8]>>(bit%8)&1)
			}
			s.plain(m.Type, fmt.Sprintf("0x%x", n), n != 0)
		} else if size, err := btf.Sizeof(m.Type); err == nil && at+size <= len(b) {
			s.value(m.Type, m.Type, b[at:at+size])
		}
		s.member = ""
	}
}

func (s *btfShow) array(declared btf.Type, t *btf.Array, b []byte) {
	size, err := btf.Sizeof(t.Type)
	if err != nil || size == 0 {
		return
	}
	_, number := btf.UnderlyingType(skipQualifiers(t.Type)).(*btf.Int)
	s.aggregate(declared, "]", func() {
		s.element, s.chars = true, number && size == 1
		s.member = ""
		for at := 0; at+size <= len(b); at += size {
			if s.chars && b[at] == 0 {
				break
			}
			s.value(t.Type, t.Type, b[at:at+size])
		}
	})
}
