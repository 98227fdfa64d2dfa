package check

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// argsOf finds the arguments of a point.
func (c *checker) argsOf(p probe.Point) (Args, error) {
	switch p.Kind {
	case probe.Tracepoint:
		f, err := c.Catalog.Format(p.Category, p.Event)
		if err != nil {
			return Args{}, err
		}
		return c.recordArgs(p, f), nil
	case probe.RawTracepoint, probe.Fentry, probe.Fexit:
		proto, err := c.Catalog.Signature(p)
		if err != nil {
			return Args{}, err
		}
		return c.protoArgs(p, proto), nil
	case probe.Kretprobe:
		return Args{Retval: typeU64}, nil
	case probe.Uretprobe:
		return Args{Retval: typeUser64}, nil
	}
	return Args{}, nil
}

// protoArgs makes fields of a function's parameters.
func (c *checker) protoArgs(p probe.Point, proto *btf.FuncProto) Args {
	var a Args
	for i, param := range proto.Params {
		name := param.Name
		if name == "" {
			name = fmt.Sprintf("arg%d", i)
		}
		t := c.types.fromBTF(param.Type)
		if t.Kind == schema.Struct && t.Size > 8 {
			continue // passed in memory, which the program's context does not show
		}
		a.Fields = append(a.Fields, schema.Field{Name: name, Type: t, Offset: 8 * i})
	}
	a.NParams = len(proto.Params)
	if p.Kind == probe.Fexit {
		if t := c.types.fromBTF(proto.Return); t.Kind != schema.None {
			a.Retval = t
		}
	}
	return a
}

// recordArgs makes fields of a tracepoint's record.
func (c *checker) recordArgs(p probe.Point, f *probe.Format) Args {
	var a Args
	user := p.Category == "syscalls" || p.Category == "raw_syscalls"
	for _, ff := range f.Fields {
		a.Fields = append(a.Fields, c.recordField(ff, user))
	}
	return a
}

// recordField finds the type of a field that is described by the text of its C type. Sizes are those of the record: an int
// argument of a system call takes eight bytes.
func (c *checker) recordField(f probe.FormatField, user bool) schema.Field {
	field := schema.Field{Name: f.Name, Offset: f.Offset}
	text := strings.TrimSpace(f.Type)
	for _, loc := range []string{"__data_loc", "__rel_loc"} {
		if rest, ok := strings.CutPrefix(text, loc+" "); ok {
			field.DataLoc, field.DataRel = loc == "__data_loc", loc == "__rel_loc"
			elem, _, _ := strings.Cut(strings.TrimSpace(rest), "[")
			if t := c.recordType(elem, user); t != nil && t.Size == 1 && t.Name == "char" {
				field.Type = stringType(c.config.MaxStrlen)
			} else {
				field.Type = pointerTo(t, kernelSpace)
			}
			return field
		}
	}
	t := c.recordType(text, user)
	if f.Array != 0 {
		n := f.Array
		if n < 0 { // counted in a way that only the kernel knows
			if n = f.Size; t != nil && t.Size > 1 {
				n /= t.Size
			}
			n = max(n, 1)
		}
		if t == nil || t.Size == 0 || t.Size*n != f.Size {
			t = intType(max(1, f.Size/n), f.Signed)
		}
		field.Type = arrayOf(t, n)
		return field
	}
	switch {
	case t == nil, t.Kind == schema.Int, t.Kind == schema.Enum && t.Size != f.Size, t.Kind == schema.Bool && f.Size != 1:
		switch f.Size {
		case 1, 2, 4, 8:
			t = intType(f.Size, f.Signed)
			if user && f.Size == 8 && !f.Signed {
				t = typeUser64
			}
		default:
			t = &schema.Type{Kind: schema.Array, Size: f.Size, Elem: typeU8, Len: f.Size}
		}
	}
	field.Type = t
	return field
}

// recordType reads a C type without array length; nil if it is not known.
func (c *checker) recordType(text string, user bool) *schema.Type {
	stars := strings.Count(text, "*")
	tag, name := "", ""
	for word := range strings.FieldsSeq(strings.ReplaceAll(text, "*", " ")) {
		switch word {
		case "const", "volatile", "__user":
		case "struct", "union", "enum":
			tag = word
		default:
			if name != "" {
				name += " "
			}
			name += word
		}
	}
	var t *schema.Type
	switch {
	case stars > 0 && (tag == "struct" || tag == "union"):
		t = incomplete(name)
	case tag == "enum":
		if t = c.types.find(tag, name); t == nil {
			t = typeU32
		}
	case tag != "":
		t = c.types.find(tag, name)
	case name == "bool":
		t = typeBool
	case name == "void" || name == "":
		t = nil
	default:
		if t = cType(name); t == nil && stars == 0 && c.types.types != nil {
			t = c.types.typedef(name)
		}
	}
	for i := range min(stars, 4) {
		if t != nil && t.Kind == schema.None || t == nil && i > 0 {
			t = nil
		}
		t = pointerTo(t, spaceIf(user))
	}
	return t
}

// isArgs reports whether x is the word args.
func (c *checker) isArgs(x syntax.Expr) bool {
	if u, ok := x.(*syntax.Unary); ok && u.Op == "*" {
		x = u.X
	}
	id, ok := c.resolveParam(x).(*syntax.Ident)
	return ok && id.Name == "args"
}

// argsField checks args.name.
func (c *checker) argsField(f *syntax.Field) Expr {
	b := c.block
	switch b.kind {
	case probe.Tracepoint, probe.RawTracepoint, probe.Fentry, probe.Fexit:
	default:
		d := c.list.Errorf(f.X.Pos(), "args cannot be used in %s probe", withArticle(kindName(b.kind)))
		d.Hint = "it is there in tracepoint, rawtracepoint, fentry and fexit probes"
		if b.kind == probe.Kprobe || b.kind == probe.Uprobe || b.kind == probe.USDT {
			d.Hint += "; here the arguments are arg0, arg1, …"
		}
		return bad(f.Span)
	}
	if b.missing {
		return bad(f.Span)
	}
	if b.argsErr != nil {
		var pe *probe.Error
		d := c.list.Errorf(f.X.Pos(), "the arguments of %s are not known: %v", b.points[0].Name, b.argsErr)
		if errors.As(b.argsErr, &pe) {
			d.Message = fmt.Sprintf("the arguments of %s are not known: %s", b.points[0].Name, pe.Message)
			d.Hint = pe.Hint
		}
		return bad(f.Span)
	}
	for _, a := range b.args.Fields {
		if a.Name == f.Name {
			t := a.Type
			if t.Kind == schema.Struct && t.Def == nil {
				if t = c.types.complete(t, f.NameSpan); t == nil {
					return bad(f.Span)
				}
				a.Type = t
			}
			return &ArgsField{Node{f.Span, t}, a}
		}
	}
	if f.Name == "" {
		return bad(f.Span)
	}
	c.noField(f, b.points[0].Name, b.args.Fields)
	return bad(f.Span)
}
