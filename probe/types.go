package probe

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// Types finds single types in the kernel's BTF. It decodes only what is asked for: a struct comes with its members, but a pointer
// to another named struct or union ends in a *btf.Fwd, which is to be looked up by its name when it is needed. So
// task_struct costs a fraction of a millisecond, and not the half of the kernel's types that it refers to.
//
// The kernel's own data is trusted as far as its lengths are consistent; what is not gives an error. Safe for concurrent use.
type Types struct {
	*blob
	mu sync.Mutex
	// functions is nil, or the ids of all functions: worth making for who asks for thousands.
	functions map[string]uint32
	asked     map[uint32]btf.Type // what was decoded, by id; nil if nobody wants to know
	found     map[search]uint32
}

// search is a name and the kinds of types that it may have, as bits.
type search struct {
	name  string
	kinds uint32
}

// Kinds of BTF types, as in include/uapi/linux/btf.h.
const (
	kindInt = iota + 1
	kindPtr
	kindArray
	kindStruct
	kindUnion
	kindEnum
	kindFwd
	kindTypedef
	kindVolatile
	kindConst
	kindRestrict
	kindFunc
	kindFuncProto
	kindVar
	kindDatasec
	kindFloat
	kindDeclTag
	kindTypeTag
	kindEnum64
)

// ErrNoType says that the kernel has no type of a name.
var ErrNoType = errors.New("no such type")

// LoadTypes gives the kernel's types, whose BTF this process reads once.
func LoadTypes() (*Types, error) {
	b, err := kernelBlob()
	if err != nil {
		return nil, err
	}
	return &Types{blob: b}, nil
}

// NewTypes reads BTF of this machine's byte order.
func NewTypes(raw []byte) (*Types, error) {
	b, err := newBlob(raw, nil, nil)
	if err != nil {
		return nil, err
	}
	return &Types{blob: b}, nil
}

// find gives the id of the first type of that name and one of the kinds, or 0. A question is often asked again.
func (t *Types) find(name string, kinds ...uint32) uint32 {
	if name == "" {
		return 0
	}
	s := search{name: name}
	for _, k := range kinds {
		s.kinds |= 1 << k
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.found[s]
	if !ok {
		id = t.scan(s)
		if t.found == nil {
			t.found = map[search]uint32{}
		}
		t.found[s] = id
	}
	return id
}

// scan compares names where they stand: to find the one first among all strings takes longer than to look at the types of these kinds.
func (t *Types) scan(s search) uint32 {
	length, first, strings := uint32(len(s.name)), s.name[0], t.strings
	for id, place := range t.types {
		if s.kinds>>place.kind()&1 == 0 {
			continue
		}
		at := t.word(place.offset())
		if end := uint64(at) + uint64(length); end < uint64(len(strings)) && strings[end] == 0 && strings[at] == first && string(strings[at:end]) == s.name {
			return uint32(id)
		}
	}
	return 0
}

// stringOffset finds a name in the string section, where each stands once.
func (t *Types) stringOffset(name string) (uint32, bool) {
	if name == "" {
		return 0, false
	}
	i := bytes.Index(t.strings, append(append([]byte{0}, name...), 0))
	return uint32(i + 1), i >= 0
}

// Struct gives a struct or union (*btf.Struct or *btf.Union) by its tag.
func (t *Types) Struct(name string) (btf.Type, error) {
	return t.named(name, "struct", kindStruct, kindUnion)
}

// Enum gives an enum by its tag.
func (t *Types) Enum(name string) (*btf.Enum, error) {
	e, err := t.named(name, "enum", kindEnum, kindEnum64)
	if err != nil {
		return nil, err
	}
	return e.(*btf.Enum), nil
}

// Typedef gives a typedef or basic type ("u32", "unsigned long", "size_t").
func (t *Types) Typedef(name string) (btf.Type, error) {
	return t.named(name, "type", kindTypedef, kindInt, kindFloat)
}

// Func gives the prototype of a function.
func (t *Types) Func(name string) (*btf.FuncProto, error) {
	id, ok := t.functions[name]
	if t.functions == nil {
		id = t.find(name, kindFunc)
		ok = id != 0
	}
	if !ok {
		return nil, fmt.Errorf("%w: function %s", ErrNoType, name)
	}
	f, err := t.decode(id)
	if err != nil {
		return nil, err
	}
	proto, ok := f.(*btf.Func).Type.(*btf.FuncProto)
	if !ok {
		return nil, fmt.Errorf("function %s: unexpected type in BTF", name)
	}
	return proto, nil
}

// indexFunctions makes Func quick. No other goroutine may use t meanwhile.
func (t *Types) indexFunctions() {
	t.functions = map[string]uint32{}
	for id := len(t.types) - 1; id > 0; id-- {
		if place := t.types[id]; place.kind() == kindFunc {
			t.functions[t.name(t.word(place.offset()))] = uint32(id)
		}
	}
}

func (t *Types) named(name, what string, kinds ...uint32) (btf.Type, error) {
	id := t.find(name, kinds...)
	if id == 0 {
		return nil, fmt.Errorf("%w: %s %s", ErrNoType, what, name)
	}
	return t.decode(id)
}

// EnumConstant gives the enum that has a constant of that name.
func (t *Types) EnumConstant(name string) (*btf.Enum, bool) {
	want, ok := t.stringOffset(name)
	if !ok {
		return nil, false
	}
	for id, place := range t.types {
		step := 8
		switch place.kind() {
		case kindEnum:
		case kindEnum64:
			step = 12
		default:
			continue
		}
		off := place.offset()
		for i := range int(t.word(off+4) & 0xffff) {
			if t.word(off+12+i*step) != want {
				continue
			}
			if e, err := t.decode(uint32(id)); err == nil {
				return e.(*btf.Enum), true
			}
		}
	}
	return nil, false
}

// Names calls f with the tag and name of each struct, union and enum.
func (t *Types) Names(f func(tag, name string)) {
	for _, place := range t.types {
		tag := ""
		switch place.kind() {
		case kindStruct:
			tag = "struct"
		case kindUnion:
			tag = "union"
		case kindEnum, kindEnum64:
			tag = "enum"
		default:
			continue
		}
		if name := t.name(t.word(place.offset())); name != "" {
			f(tag, name)
		}
	}
}

// decode gives the type of that id without what lies behind pointers to named structs and unions.
func (t *Types) decode(id uint32) (btf.Type, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := decoder{Types: t, done: map[uint32]btf.Type{}}
	typ := d.typ(id, 0)
	if t.asked != nil && d.err == nil {
		t.asked[id] = typ
	}
	return typ, d.err
}

// decoder is one walk from a type. Types are entered in done before their parts, so that cycles end.
type decoder struct {
	*Types
	done map[uint32]btf.Type
	err  error
}

const maxTypeDepth = 64

func (d *decoder) fail(format string, args ...any) btf.Type {
	if d.err == nil {
		d.err = fmt.Errorf("BTF: "+format, args...)
	}
	return (*btf.Void)(nil)
}

func (d *decoder) typ(id uint32, depth int) btf.Type {
	if id == 0 {
		return (*btf.Void)(nil)
	}
	if known, ok := d.done[id]; ok {
		return known
	}
	if int(id) >= len(d.types) || depth > maxTypeDepth {
		return d.fail("type %d is out of range or too deep", id)
	}
	off := d.types[id].offset()
	name, info, ref := d.name(d.word(off)), d.word(off+4), d.word(off+8)
	switch info >> 24 & 0x1f {
	case kindInt:
		bits := d.word(off + 12)
		return d.enter(id, &btf.Int{Name: name, Size: ref, Encoding: btf.IntEncoding(bits >> 24 & 0xf)})
	case kindFloat:
		return d.enter(id, &btf.Float{Name: name, Size: ref})
	case kindPtr:
		p := &btf.Pointer{}
		d.done[id] = p
		p.Target = d.target(ref, depth+1)
		return p
	case kindArray:
		a := &btf.Array{Nelems: d.word(off + 20)}
		d.done[id] = a
		a.Index, a.Type = d.typ(d.word(off+16), depth+1), d.typ(d.word(off+12), depth+1)
		return a
	case kindStruct:
		s := &btf.Struct{Name: name, Size: ref}
		d.done[id] = s
		s.Members = d.members(off, info, depth+1)
		return s
	case kindUnion:
		u := &btf.Union{Name: name, Size: ref}
		d.done[id] = u
		u.Members = d.members(off, info, depth+1)
		return u
	case kindEnum, kindEnum64:
		return d.enter(id, d.enum(name, off, info))
	case kindFwd:
		kind := btf.FwdStruct
		if info>>31 != 0 {
			kind = btf.FwdUnion
		}
		return d.enter(id, &btf.Fwd{Name: name, Kind: kind})
	case kindTypedef:
		td := &btf.Typedef{Name: name}
		d.done[id] = td
		td.Type = d.typ(ref, depth+1)
		return td
	case kindVolatile:
		q := &btf.Volatile{}
		d.done[id] = q
		q.Type = d.typ(ref, depth+1)
		return q
	case kindConst:
		q := &btf.Const{}
		d.done[id] = q
		q.Type = d.typ(ref, depth+1)
		return q
	case kindRestrict:
		q := &btf.Restrict{}
		d.done[id] = q
		q.Type = d.typ(ref, depth+1)
		return q
	case kindTypeTag:
		q := &btf.TypeTag{Value: name}
		d.done[id] = q
		q.Type = d.typ(ref, depth+1)
		return q
	case kindFunc:
		f := &btf.Func{Name: name, Linkage: btf.FuncLinkage(info & 0xffff)}
		d.done[id] = f
		f.Type = d.typ(ref, depth+1)
		return f
	case kindFuncProto:
		f := &btf.FuncProto{}
		d.done[id] = f
		f.Return = d.typ(ref, depth+1)
		for i := range int(info & 0xffff) {
			at := off + 12 + 8*i
			f.Params = append(f.Params, btf.FuncParam{Name: d.name(d.word(at)), Type: d.typ(d.word(at+4), depth+1)})
		}
		return f
	}
	return d.fail("type %d has a kind that is no part of another type", id)
}

func (d *decoder) enter(id uint32, t btf.Type) btf.Type {
	d.done[id] = t
	return t
}

// target is typ for what a pointer points to: a named struct or union is left out.
func (d *decoder) target(id uint32, depth int) btf.Type {
	if id == 0 || int(id) >= len(d.types) || d.done[id] != nil {
		return d.typ(id, depth)
	}
	off := d.types[id].offset()
	name, info, ref := d.name(d.word(off)), d.word(off+4), d.word(off+8)
	switch info >> 24 & 0x1f {
	case kindStruct:
		if name != "" {
			return &btf.Fwd{Name: name, Kind: btf.FwdStruct}
		}
	case kindUnion:
		if name != "" {
			return &btf.Fwd{Name: name, Kind: btf.FwdUnion}
		}
	case kindConst:
		return &btf.Const{Type: d.target(ref, depth+1)}
	case kindVolatile:
		return &btf.Volatile{Type: d.target(ref, depth+1)}
	case kindTypeTag:
		return &btf.TypeTag{Value: name, Type: d.target(ref, depth+1)}
	case kindFuncProto:
		// What function pointers take is of no use to a program, and leads far.
		return &btf.FuncProto{Return: (*btf.Void)(nil)}
	}
	return d.typ(id, depth)
}

func (d *decoder) members(off int, info uint32, depth int) []btf.Member {
	members := make([]btf.Member, info&0xffff)
	for i := range members {
		at := off + 12 + 12*i
		m := &members[i]
		m.Name, m.Type, m.Offset = d.name(d.word(at)), d.typ(d.word(at+4), depth), btf.Bits(d.word(at+8))
		if info>>31 != 0 { // offsets are 24 bits, with the size of a bit field above
			m.BitfieldSize, m.Offset = m.Offset>>24, m.Offset&0xffffff
		}
	}
	return members
}

func (d *decoder) enum(name string, off int, info uint32) *btf.Enum {
	e := &btf.Enum{Name: name, Size: d.word(off + 8), Signed: info>>31 != 0}
	wide := info>>24&0x1f == kindEnum64
	for i := range int(info & 0xffff) {
		at := off + 12 + 8*i
		if wide {
			at = off + 12 + 12*i
		}
		v := uint64(d.word(at + 4))
		if wide {
			v |= uint64(d.word(at+8)) << 32
		} else if e.Signed {
			v = uint64(int64(int32(v)))
		}
		e.Values = append(e.Values, btf.EnumValue{Name: d.name(d.word(at)), Value: v})
	}
	return e
}
