package check

import (
	"slices"

	"github.com/cilium/ebpf/btf"

	"skep/internal/diag"
	"skep/probe"
	"skep/schema"
)

// typeTable finds structs, unions, enums and typedefs by name: those of the script first, then those of the kernel.
type typeTable struct {
	c *checker

	named  map[string]*schema.Type // "struct x", "union x", "enum x", or the name of a typedef
	align  map[*schema.StructDef]int
	consts map[string]*Const // enum constants

	types     *probe.Types // of the kernel, once they have been asked for
	typesErr  error
	asked     bool
	kernel    map[btf.Type]*schema.Type
	constants map[string]*Const // enum constants of the kernel that have been asked for; nil if there is none
}

// kernelTypes returns the kernel's types, or nil.
func (t *typeTable) kernelTypes() *probe.Types {
	if !t.asked {
		t.asked = true
		if t.c.Catalog != nil {
			t.types, t.typesErr = t.c.Catalog.Types()
		}
	}
	return t.types
}

// noBTF is the hint if a type could not be looked for in the kernel.
func (t *typeTable) noBTF() string {
	switch {
	case t.types != nil:
		return ""
	case t.typesErr != nil:
		return "the kernel's types are not known: " + t.typesErr.Error()
	}
	return "the kernel has no BTF; define it in the script"
}

// find returns the struct, union or enum of that name, or nil.
func (t *typeTable) find(tag, name string) *schema.Type {
	key := tag + " " + name
	if typ, ok := t.named[key]; ok {
		return typ
	}
	typ := t.findKernel(tag, name)
	if t.named == nil {
		t.named = map[string]*schema.Type{}
	}
	t.named[key] = typ
	return typ
}

func (t *typeTable) findKernel(tag, name string) *schema.Type {
	types := t.kernelTypes()
	if types == nil || name == "" {
		return nil
	}
	var typ btf.Type
	var err error
	switch tag {
	case "enum":
		typ, err = types.Enum(name)
	case "":
		typ, err = types.Typedef(name)
	default:
		typ, err = types.Struct(name)
	}
	if err != nil || tag != "" && probe.TypeTag(typ) != tag {
		return nil
	}
	return t.fromBTF(typ)
}

// typedef returns the type that a name without tag stands for, or nil.
func (t *typeTable) typedef(name string) *schema.Type {
	if typ, ok := t.named[name]; ok {
		return typ
	}
	return t.find("", name)
}

// complete finds the definition of a struct that is so far known by name only. It reports an error and returns nil if there is none.
func (t *typeTable) complete(typ *schema.Type, at diag.Span) *schema.Type {
	if typ.Kind != schema.Struct || typ.Def != nil {
		return typ
	}
	for _, tag := range []string{"struct", "union"} {
		if full := t.find(tag, typ.Name); full != nil {
			return full
		}
	}
	d := t.c.list.Errorf(at, "struct %s is not known", typ.Name)
	if d.Hint = t.noBTF(); d.Hint == "" {
		d.Hint = t.nearest("struct", typ.Name)
	}
	return nil
}

// incomplete is the type of a struct that is known by name only.
func incomplete(name string) *schema.Type { return &schema.Type{Kind: schema.Struct, Name: name} }

// nearest suggests a type of the script or kernel with a similar name.
func (t *typeTable) nearest(tag, name string) string {
	var names []string
	for key, typ := range t.named {
		if typ != nil && len(key) > len(tag) && key[:len(tag)] == tag {
			names = append(names, key[len(tag)+1:])
		}
	}
	if near := diag.Nearest(name, names); near != "" {
		return "did you mean " + tag + " " + near + "?"
	}
	if t.types == nil {
		return ""
	}
	best := ""
	t.types.Names(func(kind, n string) {
		if kind != tag || n == best || len(n) > len(name)+3 || len(n)+3 < len(name) {
			return
		}
		best = diag.Nearest(name, slices.DeleteFunc([]string{best, n}, func(s string) bool { return s == "" }))
	})
	if best != "" {
		return "did you mean " + tag + " " + best + "?"
	}
	return ""
}

// fromBTF makes a type of a kernel type. The fields of structs are made when they are asked for.
func (t *typeTable) fromBTF(b btf.Type) *schema.Type {
	b = btf.UnderlyingType(b)
	switch b := b.(type) {
	case *btf.Int:
		switch {
		case b.Encoding == btf.Bool:
			return typeBool
		case b.Name == "char":
			return charType
		case b.Size > 8:
			return &schema.Type{Kind: schema.Array, Size: int(b.Size), Elem: typeU64, Len: int(b.Size) / 8}
		}
		return intType(int(b.Size), b.Encoding == btf.Signed)
	case *btf.Pointer:
		return t.pointerBTF(b.Target)
	case *btf.Array:
		return arrayOf(t.fromBTF(b.Type), int(b.Nelems))
	case *btf.Struct:
		return t.structBTF(b, b.Name, int(b.Size), false, b.Members)
	case *btf.Union:
		return t.structBTF(b, b.Name, int(b.Size), true, b.Members)
	case *btf.Enum:
		return t.enumBTF(b)
	case *btf.Fwd:
		return incomplete(b.Name)
	case *btf.Float:
		return intType(int(b.Size), false)
	}
	return &schema.Type{Kind: schema.None} // void, functions
}

// charType is char of C; arrays of it are strings.
var charType = &schema.Type{Kind: schema.Int, Size: 1, Signed: true, Name: "char"}

func (t *typeTable) pointerBTF(target btf.Type) *schema.Type {
	user := false
	for b := target; b != nil; {
		switch m := b.(type) {
		case *btf.TypeTag:
			user = user || m.Value == "user"
			b = m.Type
			continue
		case *btf.Const:
			b = m.Type
			continue
		case *btf.Volatile:
			b = m.Type
			continue
		}
		break
	}
	elem := t.fromBTF(target)
	if elem.Kind == schema.None {
		elem = nil
	}
	return pointerTo(elem, spaceIf(user))
}

func (t *typeTable) structBTF(b btf.Type, name string, size int, union bool, members []btf.Member) *schema.Type {
	if typ := t.kernel[b]; typ != nil {
		return typ
	}
	def := &schema.StructDef{Name: name, Union: union, Size: size, Kernel: true}
	def.Load = func() []schema.Field { return t.members(members, 0) }
	return t.remember(b, &schema.Type{Kind: schema.Struct, Size: size, Name: name, Def: def})
}

func (t *typeTable) remember(b btf.Type, typ *schema.Type) *schema.Type {
	if t.kernel == nil {
		t.kernel = map[btf.Type]*schema.Type{}
	}
	t.kernel[b] = typ
	return typ
}

// members makes the fields of a struct at a bit offset; those of anonymous members are among them.
func (t *typeTable) members(members []btf.Member, base int) []schema.Field {
	fields := make([]schema.Field, 0, len(members))
	for _, m := range members {
		offset := base + int(m.Offset)
		if m.Name == "" {
			switch inner := btf.UnderlyingType(m.Type).(type) {
			case *btf.Struct:
				fields = append(fields, t.members(inner.Members, offset)...)
				continue
			case *btf.Union:
				fields = append(fields, t.members(inner.Members, offset)...)
				continue
			}
		}
		typ := t.fromBTF(m.Type)
		if m.BitfieldSize > 0 {
			fields = append(fields, bitField(m.Name, typ, offset, int(m.BitfieldSize)))
			continue
		}
		fields = append(fields, schema.Field{Name: m.Name, Type: typ, Offset: offset / 8})
	}
	return fields
}

// bitField makes a field of bits that begins at a bit offset.
func bitField(name string, typ *schema.Type, offset, bits int) schema.Field {
	unit := max(typ.Size, 1) * 8
	start := offset / unit * unit
	if offset-start+bits > unit { // only in packed structs
		start = offset / 8 * 8
		for _, n := range []int{1, 2, 4, 8} {
			if offset-start+bits <= n*8 {
				if typ.Kind == schema.Int {
					typ = intType(max(n, typ.Size), typ.Signed)
				}
				break
			}
		}
	}
	return schema.Field{Name: name, Type: typ, Offset: start / 8, BitOffset: offset - start, BitSize: bits}
}

func (t *typeTable) enumBTF(b *btf.Enum) *schema.Type {
	if typ := t.kernel[b]; typ != nil {
		return typ
	}
	def := &schema.EnumDef{Name: b.Name, Values: make([]schema.EnumValue, len(b.Values))}
	for i, v := range b.Values {
		n := int64(v.Value)
		if b.Size == 4 && !b.Signed {
			n = int64(uint32(v.Value))
		}
		def.Values[i] = schema.EnumValue{Name: v.Name, Value: n}
	}
	return t.remember(b, &schema.Type{Kind: schema.Enum, Size: int(b.Size), Signed: b.Signed, Name: b.Name, Enum: def})
}

// constant finds an enum constant.
func (t *typeTable) constant(name string) *Const {
	if k := t.consts[name]; k != nil {
		return k
	}
	if k, asked := t.constants[name]; asked {
		return k
	}
	if t.constants == nil {
		t.constants = map[string]*Const{}
	}
	t.constants[name] = nil
	types := t.kernelTypes()
	if types == nil {
		return nil
	}
	if e, ok := types.EnumConstant(name); ok {
		typ := t.enumBTF(e)
		for _, v := range typ.Enum.Values {
			t.constants[v.Name] = &Const{Node{T: typ}, v.Value}
		}
	}
	return t.constants[name]
}
