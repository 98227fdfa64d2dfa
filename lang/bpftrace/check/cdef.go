package check

import (
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// maxObject is the size of the largest type that a script may define, in bytes.
const maxObject = 1 << 30

// define lays out the structs, unions, enums and typedefs of the script as a C compiler for the target would.
func (t *typeTable) define(decls []syntax.CDecl) {
	if len(decls) == 0 {
		return
	}
	t.named = map[string]*schema.Type{}
	t.align = map[*schema.StructDef]int{}
	t.consts = map[string]*Const{}
	for i := range decls {
		t.declare(&decls[i])
	}
}

// declare defines one type and returns it.
func (t *typeTable) declare(d *syntax.CDecl) *schema.Type {
	switch d.Tag {
	case "typedef":
		typ, _ := t.cField(d.Type, d.Span)
		if typ != nil {
			t.named[d.Name] = typ
		}
		return typ
	case "enum":
		return t.enum(d)
	}
	if len(d.Fields) == 0 && d.Members == nil && d.Name != "" && !d.Packed && d.Align == 0 {
		if old := t.named[d.Tag+" "+d.Name]; old != nil {
			return old
		}
	}
	def := &schema.StructDef{Name: d.Name, Union: d.Tag == "union"}
	typ := &schema.Type{Kind: schema.Struct, Name: d.Name, Def: def}
	if d.Name != "" {
		key := d.Tag + " " + d.Name
		if old := t.named[key]; old != nil && old.Def != nil && !old.Def.Kernel {
			t.c.list.Errorf(d.Span, "%s is defined twice", key)
		}
		defer func() { t.named[key] = typ }()
	}
	l := layout{t: t, decl: d, align: 1}
	for i := range d.Fields {
		l.add(&d.Fields[i])
	}
	if d.Align > l.align {
		l.align = d.Align
	}
	size := (l.bits + 7) / 8
	size = (size + l.align - 1) / l.align * l.align
	if size > maxObject {
		t.c.list.Errorf(d.Span, "%s %s is too large: it has %d bytes, at most %d", d.Tag, d.Name, size, maxObject)
		size = 8
	}
	typ.Size, def.Size = size, size
	fields := l.fields
	def.Load = func() []schema.Field { return fields }
	t.align[def] = l.align
	return typ
}

// layout places the members of a struct or union.
type layout struct {
	t      *typeTable
	decl   *syntax.CDecl
	bits   int // end of what has been placed
	align  int // bytes
	fields []schema.Field
}

func (l *layout) add(f *syntax.CField) {
	typ, align := l.t.cField(f.Type, f.Span)
	if typ == nil {
		return
	}
	if l.decl.Packed {
		align = 1
	}
	start := l.bits
	if l.decl.Tag == "union" {
		start = 0
	}
	unit := typ.Size * 8
	switch {
	case f.Bits == 0: // ends the unit
		if unit > 0 {
			l.bits = (l.bits + unit - 1) / unit * unit
		}
		return
	case f.Bits > 0:
		if f.Bits > unit {
			l.t.c.list.Errorf(f.Span, "a bit field of %d bits does not fit into its type", f.Bits)
			return
		}
		if !l.decl.Packed && start/unit != (start+f.Bits-1)/unit {
			start = (start + unit - 1) / unit * unit
		}
		l.align = max(l.align, align)
		l.end(start + f.Bits)
		if f.Name != "" {
			l.fields = append(l.fields, bitField(f.Name, typ, start, f.Bits))
		}
		return
	}
	start = (start + align*8 - 1) / (align * 8) * (align * 8)
	l.align = max(l.align, align)
	l.end(start + unit)
	if f.Name == "" {
		if typ.Kind == schema.Struct && typ.Def != nil {
			for _, in := range typ.Def.Fields() {
				in.Offset += start / 8
				l.fields = append(l.fields, in)
			}
		}
		return
	}
	l.fields = append(l.fields, schema.Field{Name: f.Name, Type: typ, Offset: start / 8})
}

func (l *layout) end(bits int) { l.bits = max(l.bits, bits) }

// cField finds the type of a member and its alignment. It reports an error and returns nil if there is none.
func (t *typeTable) cField(ct *syntax.CType, at diag.Span) (typ *schema.Type, align int) {
	if ct == nil {
		return nil, 1
	}
	if ct.Func {
		return t.dims(typeVoidPtr, 8, ct.Dims, at)
	}
	typ, align = t.cBase(ct, at)
	if typ == nil {
		return nil, 1
	}
	for range min(ct.Stars, 16) {
		if typ.Kind == schema.None {
			typ = nil
		}
		typ, align = pointerTo(typ, kernelSpace), 8
	}
	if typ.Kind == schema.None {
		t.c.list.Errorf(at, "a member cannot have the type void")
		return nil, 1
	}
	if typ.Kind == schema.Struct && typ.Def == nil {
		if typ = t.complete(typ, at); typ == nil {
			return nil, 1
		}
	}
	return t.dims(typ, align, ct.Dims, at)
}

func (t *typeTable) dims(typ *schema.Type, align int, dims []int, at diag.Span) (*schema.Type, int) {
	for i := len(dims) - 1; i >= 0; i-- {
		n := max(dims[i], 0)
		if n > maxObject/max(typ.Size, 1) {
			t.c.list.Errorf(at, "an array of %d times %d bytes is too large: a type has at most %d", n, typ.Size, maxObject)
			return nil, 1
		}
		typ = arrayOf(typ, n)
	}
	return typ, align
}

func (t *typeTable) cBase(ct *syntax.CType, at diag.Span) (*schema.Type, int) {
	if ct.Inline != nil {
		typ := t.declare(ct.Inline)
		return typ, t.alignment(typ)
	}
	switch ct.Tag {
	case "struct", "union":
		if typ := t.named[ct.Tag+" "+ct.Name]; typ != nil {
			return typ, t.alignment(typ)
		}
		if ct.Stars > 0 {
			return incomplete(ct.Name), 1 // what it is need not be known to have its address
		}
		typ := t.find(ct.Tag, ct.Name)
		if typ == nil {
			t.unknown(at, ct.Tag, ct.Name)
			return nil, 1
		}
		return typ, t.alignment(typ)
	case "enum":
		if typ := t.find("enum", ct.Name); typ != nil {
			return typ, typ.Size
		}
		return &schema.Type{Kind: schema.Enum, Size: 4, Name: ct.Name, Enum: &schema.EnumDef{Name: ct.Name}}, 4
	}
	if typ := t.named[ct.Name]; typ != nil {
		return typ, t.alignment(typ)
	}
	typ := cType(ct.Name)
	switch ct.Name { // as in the kernel's types: so many bits, of which the language can make nothing
	case "float":
		typ = typeU32
	case "double":
		typ = typeU64
	case "long double":
		return &schema.Type{Kind: schema.Array, Size: 16, Elem: typeU64, Len: 2}, 16
	}
	if typ == nil {
		typ = scriptType(ct.Name)
	}
	if typ == nil {
		typ = t.typedef(ct.Name)
	}
	if typ == nil {
		t.unknown(at, "", ct.Name)
		return nil, 1
	}
	return typ, t.alignment(typ)
}

func (t *typeTable) unknown(at diag.Span, tag, name string) {
	if tag != "" {
		name = tag + " " + name
	}
	d := t.c.list.Errorf(at, "type %s is not known", name)
	d.Hint = t.noBTF()
}

// alignment of a type in memory, in bytes.
func (t *typeTable) alignment(typ *schema.Type) int {
	if typ == nil {
		return 1
	}
	switch typ.Kind {
	case schema.Struct:
		if a := t.align[typ.Def]; a > 0 {
			return a
		}
	case schema.Array:
		return t.alignment(typ.Elem)
	case schema.None:
		return 1
	}
	return alignOf(typ)
}

func (t *typeTable) enum(d *syntax.CDecl) *schema.Type {
	def := &schema.EnumDef{Name: d.Name}
	typ := &schema.Type{Kind: schema.Enum, Size: 4, Name: d.Name, Enum: def}
	for _, m := range d.Members {
		def.Values = append(def.Values, schema.EnumValue{Name: m.Name, Value: m.Value})
		if m.Value < 0 {
			typ.Signed = true
		}
		if m.Value != int64(int32(m.Value)) && m.Value != int64(uint32(m.Value)) {
			typ.Size = 8
		}
		t.consts[m.Name] = &Const{Node{T: typ}, m.Value}
	}
	if d.Name != "" {
		t.named["enum "+d.Name] = typ
	}
	return typ
}
