package check

import (
	"math"
	"strconv"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// bad stands for what has been reported already, or is not known yet.
func bad(at diag.Span) Expr { return &Const{Node{at, typeBad}, 0} }

func isBad(x Expr) bool { return x.Type() == typeBad }

// expr checks an expression whose value is needed.
func (c *checker) expr(x syntax.Expr) Expr {
	e := c.exprIn(x, false)
	if e.Type() == typeNone {
		if call, ok := e.(*Call); ok {
			c.list.Errorf(x.Pos(), "%s() has no value", call.Fn)
		} else {
			c.list.Errorf(x.Pos(), "this has no value")
		}
		return bad(x.Pos())
	}
	return e
}

// exprIn checks an expression. Only in a statement may it have no value.
func (c *checker) exprIn(x syntax.Expr, stmt bool) Expr {
	c.size.nodes++
	if c.nodes++; c.nodes > maxNodes {
		c.stop(x.Pos(), "the script is too large")
	}
	if c.nesting++; c.nesting > maxNesting {
		c.stop(x.Pos(), "expressions are nested too deeply")
	}
	defer func() { c.nesting-- }()
	if c.stopped {
		return bad(x.Pos())
	}
	switch x := x.(type) {
	case *syntax.IntLit:
		return intLit(x)
	case *syntax.StrLit:
		return c.str(x.Span, x.Value)
	case *syntax.BoolLit:
		return &Const{Node{x.Span, typeBool}, b2i(x.Value)}
	case *syntax.PosParam:
		return c.posParam(x)
	case *syntax.Ident:
		return c.ident(x)
	case *syntax.Var:
		return c.varRef(x)
	case *syntax.MapRef:
		return c.mapGet(x)
	case *syntax.Unary:
		return c.unary(x)
	case *syntax.Binary:
		return c.binaryExpr(x)
	case *syntax.Cond:
		return c.cond(x)
	case *syntax.Field:
		return c.field(x)
	case *syntax.TupleField:
		return c.tupleField(x)
	case *syntax.Index:
		return c.index(x)
	case *syntax.Call:
		return c.call(x)
	case *syntax.Cast:
		return c.cast(x)
	case *syntax.Tuple:
		return c.tupleExpr(x)
	case *syntax.BlockExpr:
		return c.blockExpr(x)
	case *syntax.Record:
		c.list.Errorf(x.Span, "records are not supported yet").Hint = "a tuple holds several values: (a, b)"
	case *syntax.Comptime:
		return c.expr(x.X)
	case *syntax.Range:
		c.list.Errorf(x.Span, "a range stands only in a for loop").Hint = "for ($i : 0..10) { … }"
	case *syntax.TypeArg:
		c.list.Errorf(x.Span, "a type has no value").Hint = "a cast is written (type)value"
	}
	return bad(x.Pos())
}

func intLit(x *syntax.IntLit) Expr {
	if x.Value > math.MaxInt64 {
		return &Const{Node{x.Span, literalU64}, int64(x.Value)}
	}
	if x.Unsigned {
		return &Const{Node{x.Span, typeU64}, int64(x.Value)}
	}
	return number(x.Span, int64(x.Value))
}

// number makes an integer literal.
func number(at diag.Span, v int64) *Const { return &Const{Node{at, literal(v)}, v} }

func (c *checker) str(at diag.Span, s string) Expr {
	if len(s) >= maxSize {
		c.list.Errorf(at, "a string of %d bytes is too long", len(s))
		return bad(at)
	}
	return &Str{Node{at, stringType(len(s) + 1)}, s}
}

func (c *checker) tupleExpr(x *syntax.Tuple) Expr {
	elems := make([]Expr, len(x.Elems))
	good := true
	for i, e := range x.Elems {
		elems[i] = c.expr(e)
		if isBad(elems[i]) || !c.storable(elems[i], "a tuple's element") {
			good = false
		}
	}
	if !good {
		return bad(x.Span)
	}
	return c.tuple(x.Span, elems)
}

func (c *checker) tuple(at diag.Span, elems []Expr) Expr {
	types := make([]*schema.Type, len(elems))
	size, depth := 0, 0
	for i, e := range elems {
		types[i] = e.Type()
		size += types[i].Size
		depth = max(depth, tupleDepth(types[i]))
	}
	if size > maxSize || depth > 8 || len(elems) > 256 {
		c.list.Errorf(at, "the tuple is too large")
		return bad(at)
	}
	return &Tuple{Node{at, tupleOf(types)}, elems}
}

func tupleDepth(t *schema.Type) int {
	if t.Kind != schema.Tuple {
		return 0
	}
	depth := 0
	for _, f := range t.Fields {
		depth = max(depth, tupleDepth(f.Type))
	}
	return depth + 1
}

func (c *checker) blockExpr(x *syntax.BlockExpr) Expr {
	return c.seq(x.Span, x.B)
}

// seq checks a block that may have a value.
func (c *checker) seq(at diag.Span, b *syntax.Block) Expr {
	if b == nil {
		return &Seq{Node: Node{at, typeNone}}
	}
	c.scope = &scope{outer: c.scope}
	defer func() { c.scope = c.scope.outer }()
	stmts := c.stmts(b.Stmts, false)
	if b.Value == nil {
		return &Seq{Node{at, typeNone}, stmts, nil}
	}
	if cond, ok := b.Value.(*syntax.Cond); ok {
		if s := c.voidCond(cond); s != nil {
			return &Seq{Node{at, typeNone}, append(stmts, s), nil}
		}
	}
	x := c.exprIn(b.Value, true)
	if len(b.Stmts) == 0 || isBad(x) {
		return x
	}
	return &Seq{Node{at, x.Type()}, stmts, x}
}

func (c *checker) cond(x *syntax.Cond) Expr {
	k, first, known := c.branch(x.C)
	if known && (x.T != nil || !first) {
		// Only one side is ever evaluated, so the other need not fit.
		if first {
			c.drop(x.F)
			return c.expr(x.T)
		}
		c.drop(x.T)
		return c.expr(x.F)
	}
	if k == nil {
		k = c.condition(x.C, "condition")
	}
	var a, b Expr
	if x.T == nil {
		a = c.expr(x.C)
	} else {
		a = c.expr(x.T)
	}
	b = c.expr(x.F)
	if isBad(k) || isBad(a) || isBad(b) {
		// What is known of one side is known of the whole, so that loops through variables come to an end.
		if isBad(a) && !isBad(b) && !c.final && !isBad(k) {
			return b
		}
		if isBad(b) && !isBad(a) && !c.final && !isBad(k) {
			return a
		}
		return bad(x.Span)
	}
	s := shape(a)
	joined := s.join(shape(b))
	if c, ok := k.(*Const); ok {
		// Only one side is ever evaluated, so the other need not fit.
		if c.Value != 0 {
			return a
		}
		return b
	}
	if !joined {
		if t := c.numbers(a, b); t != nil {
			s = shapeOf(t, x.Span)
		} else {
			c.list.Errorf(x.Span, "the two sides of ?: must have the same type, not %s and %s", TypeName(a.Type()), TypeName(b.Type()))
			return bad(x.Span)
		}
	}
	t := s.typ()
	return &Cond{Node{x.Span, t}, k, c.convert(a, t), c.convert(b, t)}
}

// numbers is the integer type for two operands of which one is a bool or enum, or nil.
func (c *checker) numbers(a, b Expr) *schema.Type {
	if !isNumber(a.Type()) || !isNumber(b.Type()) {
		return nil
	}
	s := shapeOf(asInt(a.Type()), a.Pos())
	if isLiteral(a) {
		s = shape(a)
	}
	o := shapeOf(asInt(b.Type()), b.Pos())
	if isLiteral(b) {
		o = shape(b)
	}
	s.join(o)
	return s.typ()
}

// asInt is the integer type that has the values of t.
func asInt(t *schema.Type) *schema.Type {
	switch t.Kind {
	case schema.Int:
		return t
	case schema.Bool:
		return typeU8
	}
	return intType(t.Size, t.Signed)
}

// posParam is $1, or the number of parameters.
func (c *checker) posParam(x *syntax.PosParam) Expr {
	if x.Index == 0 {
		return number(x.Span, int64(len(c.Args)))
	}
	if x.Index > len(c.Args) {
		c.list.Warnf(x.Span, "positional parameter $%d is not given", x.Index)
		return number(x.Span, 0)
	}
	text := c.Args[x.Index-1]
	if text == "" {
		return number(x.Span, 0)
	}
	if v, ok := parseNumber(text); ok {
		if text[0] == '-' {
			return number(x.Span, v)
		}
		return intLit(&syntax.IntLit{Span: x.Span, Value: uint64(v)})
	}
	return c.str(x.Span, text)
}

// parseNumber reads a decimal, octal or hexadecimal number with all of its 64 bits.
func parseNumber(s string) (int64, bool) {
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return v, true
	}
	v, err := strconv.ParseUint(s, 0, 64)
	return int64(v), err == nil
}
