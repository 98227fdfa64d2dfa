package check

import (
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// convert makes a value of type t of x, whose type is known to allow it. Strings in places of their own are left as they are:
// a smaller one may stand where a larger one is wanted.
func (c *checker) convert(x Expr, t *schema.Type) Expr {
	from := x.Type()
	if t == nil || from == t || from == typeBad || t == typeBad {
		return x
	}
	if k, ok := x.(*Const); ok && (t.Kind == schema.Int || t.Kind == schema.Bool) && isNumber(from) {
		v := truncate(k.Value, t)
		if t.Kind == schema.Bool {
			v = b2i(k.Value != 0)
		}
		return &Const{Node{k.Span, t}, v}
	}
	if tup, ok := x.(*Tuple); ok && t.Kind == schema.Tuple && len(t.Fields) == len(tup.Elems) {
		elems := make([]Expr, len(tup.Elems))
		for i, e := range tup.Elems {
			elems[i] = c.convert(e, t.Fields[i].Type)
			if from := elems[i].Type(); from.Kind == schema.String && from.Size != t.Fields[i].Type.Size {
				elems[i] = &Convert{Node{e.Pos(), t.Fields[i].Type}, elems[i]}
			}
		}
		return &Tuple{Node{tup.Span, t}, elems}
	}
	switch {
	case from.Kind == schema.Int && t.Kind == schema.Int && from.Size == t.Size && from.Signed == t.Signed,
		from.Kind == schema.String && t.Kind == schema.String,
		from.Kind == schema.Struct, from.Kind != schema.Tuple && same(from, t):
		return x
	case from.Kind == schema.Tuple && same(from, t):
		return x
	case from.Kind == schema.Pointer && t.Kind == schema.Pointer && (from.Elem == nil) == (t.Elem == nil) && same(from, t):
		return x
	}
	return &Convert{Node{x.Pos(), t}, x}
}

// textSize is the size of a string that holds each text of values of a type: numbers that are shown as texts which programs know, too.
// It is 0 for other types.
func textSize(t *schema.Type) int {
	switch t.Kind {
	case schema.Errno, schema.SignalName, schema.SyscallName:
		return 64
	case schema.ProbeName:
		if t.Format == "" {
			return t.Len
		}
	}
	return 0
}

// asText makes a string of a value that is shown as one.
func (c *checker) asText(x Expr) Expr {
	n := textSize(x.Type())
	if n == 0 {
		return x
	}
	if call, ok := x.(*Call); ok && call.Fn == "probe" && len(c.block.points) == 1 {
		return c.str(x.Pos(), c.block.points[0].Name)
	}
	return &Convert{Node{x.Pos(), stringType(n)}, x}
}

// truncate cuts v to the width of t.
func truncate(v int64, t *schema.Type) int64 {
	switch {
	case t.Size == 1 && t.Signed:
		return int64(int8(v))
	case t.Size == 2 && t.Signed:
		return int64(int16(v))
	case t.Size == 4 && t.Signed:
		return int64(int32(v))
	case t.Size == 1:
		return int64(uint8(v))
	case t.Size == 2:
		return int64(uint16(v))
	case t.Size == 4:
		return int64(uint32(v))
	}
	return v
}

// cast checks (type)x.
func (c *checker) cast(s *syntax.Cast) Expr {
	x := c.expr(s.X)
	t := c.typeExprFor(s.Type, x)
	if t == nil || isBad(x) {
		return bad(s.Span)
	}
	if e := c.castTo(s.Span, x, t); e != nil {
		return e
	}
	if k, ok := x.(*Const); ok && t.Kind == schema.Enum && isNumber(x.Type()) {
		c.list.Errorf(s.Span, "%s has no constant of the value %d", TypeName(t), k.Value)
		return bad(s.Span)
	}
	d := c.list.Errorf(s.Span, "a value of type %s cannot be cast to %s", TypeName(x.Type()), TypeName(t))
	if x.Type().Kind == schema.Struct && t.Kind == schema.Struct || t.Kind == schema.Struct {
		d.Hint = "cast to a pointer: (" + TypeName(t) + " *)"
	}
	return bad(s.Span)
}

// castTo returns nil if there is no such cast.
func (c *checker) castTo(at diag.Span, x Expr, t *schema.Type) Expr {
	from := x.Type()
	switch t.Kind {
	case schema.Int, schema.Bool, schema.Enum:
		return castNumber(at, x, t)
	case schema.Pointer:
		switch {
		case from.Kind == schema.Int || from.Kind == schema.Pointer || from.Kind == schema.KSym:
		case from.Kind == schema.Array && from.Size <= 8:
		case isArrayPlace(x):
			return &AddrOf{Node{at, pointerTo(t.Elem, spaceAt(x))}, x}
		default:
			return nil
		}
		if from.Kind == schema.Pointer && from.Elem != nil && t.Elem != nil && same(from.Elem, t.Elem) {
			return x
		}
		if in := c.addressSpace(x); !t.User && in != kernelSpace {
			t = pointerTo(t.Elem, in)
		}
		if k, ok := x.(*Const); ok {
			return &Const{Node{at, t}, k.Value}
		}
		return &Convert{Node{at, t}, x}
	case schema.Array:
		if isNumber(from) && t.Elem.Kind == schema.Int && t.Size >= from.Size {
			return &Convert{Node{at, t}, c.convert(x, intType(from.Size, false))} // what the integer does not fill is zero
		}
		if from.Kind == schema.Array && from.Size == t.Size || from.Kind == schema.String && t.Elem.Size == 1 && from.Size >= t.Size {
			return &Convert{Node{at, t}, x}
		}
		return nil
	case schema.String:
		switch {
		case from.Kind == schema.String && t.Size == 0:
			return x
		case from.Kind == schema.String:
			return &Convert{Node{at, t}, x}
		case from.Kind == schema.Array && from.Elem.Size == 1 && (t.Size == 0 || t.Size >= from.Size):
			if t.Size == 0 {
				t = stringType(from.Size)
			}
			return &Convert{Node{at, t}, x}
		}
		return nil
	case schema.Tuple:
		if s := shapeOf(t, at); s.join(shape(x)) && same(s.typ(), t) {
			return c.convert(x, t)
		}
		return nil
	case schema.KSym, schema.Username, schema.Errno, schema.SignalName, schema.SyscallName, schema.CgroupPath:
		if from.Kind == schema.Int {
			return &Convert{Node{at, t}, x}
		}
	}
	if same(from, t) {
		return x
	}
	return nil
}

func castNumber(at diag.Span, x Expr, t *schema.Type) Expr {
	from := x.Type()
	if k, ok := x.(*Const); ok && (isNumber(from) || from.Kind == schema.Pointer) {
		v := truncate(k.Value, t)
		if t.Kind == schema.Enum && t.Enum != nil {
			if _, ok := t.Enum.NameOf(v); !ok {
				return nil
			}
		}
		if t.Kind == schema.Bool {
			v = b2i(k.Value != 0)
		}
		return &Const{Node{at, t}, v}
	}
	switch {
	case isNumber(from):
		if from.User && t.Size == 8 && t.Kind == schema.Int && !t.User {
			t = withSpace(t, spaceOf(from))
		}
	case from.Kind == schema.Pointer && t.Kind != schema.Enum:
		if from.User && t.Size == 8 {
			t = withSpace(t, spaceOf(from))
		}
	case from.Kind == schema.Array && from.Size <= 8 && from.Elem.Kind == schema.Int && t.Kind == schema.Int:
		return &Convert{Node{at, t}, &Convert{Node{at, intType(roundUp(from.Size), false)}, x}}
	case isCondition(from):
	default:
		return nil
	}
	return &Convert{Node{at, t}, x}
}

// roundUp is the size of the integer that holds n bytes.
func roundUp(n int) int {
	for _, s := range []int{1, 2, 4} {
		if n <= s {
			return s
		}
	}
	return 8
}

// isArrayPlace reports whether x is an array or a string in memory, which stands for its address when cast to a pointer.
func isArrayPlace(x Expr) bool {
	k := x.Type().Kind
	return (k == schema.Array || k == schema.String || k == schema.Struct) && inMemory(x)
}
