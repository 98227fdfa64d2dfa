package check

import (
	"math"
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

func (c *checker) unary(u *syntax.Unary) Expr {
	switch u.Op {
	case "++", "--":
		return c.incDec(u)
	case "&":
		return c.addrOf(u)
	case "*":
		return c.deref(u.Span, c.expr(u.X))
	}
	if lit, ok := u.X.(*syntax.IntLit); ok && u.Op == "-" && lit.Value == 1<<63 {
		return number(u.Span, math.MinInt64)
	}
	x := c.expr(u.X)
	if isBad(x) {
		return x
	}
	t := x.Type()
	if u.Op == "!" {
		if !isCondition(t) {
			c.list.Errorf(u.Span, "! does not work on a value of type %s", TypeName(t))
			return bad(u.Span)
		}
		if k, ok := x.(*Const); ok {
			return &Const{Node{u.Span, typeBool}, b2i(k.Value == 0)}
		}
		return &Unary{Node{u.Span, typeBool}, "!", x}
	}
	if !isNumber(t) {
		c.list.Errorf(u.Span, "%s does not work on a value of type %s", u.Op, TypeName(t))
		return bad(u.Span)
	}
	if isLiteral(x) && t != literalU64 {
		v := x.(*Const).Value
		if u.Op == "-" && v != math.MinInt64 {
			return number(u.Span, -v)
		}
		if u.Op == "~" && v >= 0 {
			return &Const{Node{u.Span, literalU64}, ^v}
		}
		if u.Op == "~" {
			return number(u.Span, ^v)
		}
	}
	if !t.Signed {
		// The bits of an unsigned value are those of its own width: ~(uint8)5 is 250.
		own := intType(asInt(t).Size, false)
		return c.convert(&Unary{Node{u.Span, own}, u.Op, c.convert(x, own)}, typeU64)
	}
	return &Unary{Node{u.Span, typeI64}, u.Op, c.convert(x, typeI64)}
}

func (c *checker) addrOf(u *syntax.Unary) Expr {
	switch x := u.X.(type) {
	case *syntax.MapRef:
		m, key, ok := c.place(x)
		m.read = true
		t := m.value.typ()
		if t == nil {
			c.pending = true
		}
		if !ok || t == nil {
			return bad(u.Span)
		}
		if isAggregate(t.Kind) {
			c.list.Errorf(u.Span, "a value of type %s has no address: it is kept for each CPU", TypeName(t))
			return bad(u.Span)
		}
		get := &MapGet{Node{x.Span, t}, m.Map, key}
		return &AddrOf{Node{u.Span, pointerTo(t, kernelSpace)}, get}
	case *syntax.Bad:
		return bad(u.Span)
	}
	x := c.expr(u.X)
	if isBad(x) {
		return x
	}
	switch p := x.(type) {
	case *VarRef:
		return &AddrOf{Node{u.Span, pointerTo(x.Type(), kernelSpace)}, x}
	case *Deref:
		return &Convert{Node{u.Span, p.X.Type()}, p.X}
	case *Member:
		if p.Field.BitSize > 0 {
			c.list.Errorf(u.Span, "a bit field has no address")
			return bad(u.Span)
		}
		if inMemory(x) {
			return &AddrOf{Node{u.Span, pointerTo(x.Type(), spaceAt(x))}, x}
		}
	case *Index:
		if inMemory(x) {
			return &AddrOf{Node{u.Span, pointerTo(x.Type(), spaceAt(x))}, x}
		}
	}
	c.list.Errorf(u.Span, "this has no address").Hint = "& takes a variable, a map's value or a field of a struct in memory"
	return bad(u.Span)
}

// inMemory reports whether x lies behind a pointer.
func inMemory(x Expr) bool {
	switch x := x.(type) {
	case *Deref:
		return true
	case *Member:
		return inMemory(x.X)
	case *Index:
		return x.X.Type().Kind == schema.Pointer || inMemory(x.X)
	}
	return false
}

func (c *checker) deref(at diag.Span, x Expr) Expr {
	if isBad(x) {
		return x
	}
	t := x.Type()
	switch {
	case t.Kind == schema.Int:
		// An integer is taken for the address of 64 bits.
		return &Deref{Node{at, typeU64}, &Convert{Node{x.Pos(), pointerTo(typeU64, c.addressSpace(x))}, x}}
	case t.Kind != schema.Pointer:
		c.list.Errorf(at, "* needs a pointer, not %s", TypeName(t))
		return bad(at)
	case t.Elem == nil:
		c.list.Errorf(at, "a void pointer does not say what it points to").Hint = "cast it first: (struct name *)p"
		return bad(at)
	}
	elem := c.types.complete(t.Elem, at)
	if elem == nil {
		return bad(at)
	}
	return &Deref{Node{at, spaced(elem, spaceOf(t))}, x}
}

func (c *checker) binaryExpr(b *syntax.Binary) Expr {
	if b.Op == "&&" || b.Op == "||" {
		return c.logical(b)
	}
	x, y := c.expr(b.X), c.expr(b.Y)
	if isBad(x) || isBad(y) {
		return c.halfKnown(b, x, y)
	}
	return c.binary(b.Span, b.Op, x, y)
}

// halfKnown gives the type of an operation whose operands are not both known yet, where it does not depend on them.
func (c *checker) halfKnown(b *syntax.Binary, x, y Expr) Expr {
	if !c.final {
		switch b.Op {
		case "==", "!=", "<", "<=", ">", ">=":
			return &Unary{Node{b.Span, typeBool}, "!", x}
		case "-":
			if t := x.Type(); t == typeBad || t.Kind == schema.Int {
				return &Unary{Node{b.Span, typeI64}, "-", x}
			}
		}
	}
	return bad(b.Span)
}

func (c *checker) logical(b *syntax.Binary) Expr {
	if value, known := c.decide(b); known && !c.constant(b) {
		c.drop(b)
		return &Const{Node{b.Span, typeBool}, b2i(value)}
	}
	x, y := c.condition(b.X, "operand of "+b.Op), c.condition(b.Y, "operand of "+b.Op)
	if isBad(x) || isBad(y) {
		return bad(b.Span)
	}
	if k, ok := x.(*Const); ok {
		if (k.Value != 0) == (b.Op == "||") {
			return &Const{Node{b.Span, typeBool}, b2i(b.Op == "||")}
		}
		if k, ok := y.(*Const); ok {
			return &Const{Node{b.Span, typeBool}, b2i(k.Value != 0)}
		}
		if isBoolean(y) {
			return y
		}
	}
	if k, ok := y.(*Const); ok && isBoolean(x) && (k.Value != 0) == (b.Op == "&&") {
		return x
	}
	return &Binary{Node{b.Span, typeBool}, b.Op, x, y}
}

func isComparison(op string) bool {
	switch op {
	case "==", "!=", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// binary checks x op y for all operators but && and ||.
func (c *checker) binary(at diag.Span, op string, x, y Expr) Expr {
	a, b := x.Type(), y.Type()
	switch {
	case isLiteral(x) && isLiteral(y):
		return c.fold(at, op, x.(*Const), y.(*Const))
	case a.Kind == schema.Pointer || b.Kind == schema.Pointer:
		return c.pointerOp(at, op, x, y)
	case isNumber(a) && isNumber(b):
		return c.arithmetic(at, op, x, y)
	case isComparison(op):
		return c.compare(at, op, x, y)
	case op == "+" && isStr(x) && isLiteral(y):
		s, n := x.(*Str).Value, y.(*Const).Value
		if n < 0 || n > int64(len(s)) {
			c.list.Errorf(at, "the string has only %d bytes", len(s))
			return bad(at)
		}
		return c.str(at, s[n:])
	case isCondition(a) && isNumber(b) || isCondition(b) && isNumber(a):
		return c.arithmetic(at, op, c.asNumber(x), c.asNumber(y))
	}
	c.list.Errorf(at, "%s does not work on values of types %s and %s", op, TypeName(a), TypeName(b))
	return bad(at)
}

func isStr(x Expr) bool { _, ok := x.(*Str); return ok }

// asNumber makes an integer of a value that is one under another name, such as an address.
func (c *checker) asNumber(x Expr) Expr {
	if isNumber(x.Type()) {
		return x
	}
	return &Convert{Node{x.Pos(), intType(x.Type().Size, x.Type().Signed)}, x}
}

func (c *checker) arithmetic(at diag.Span, op string, x, y Expr) Expr {
	a, b := asInt(x.Type()), asInt(y.Type())
	if op == "<<" || op == ">>" {
		t := intType(8, a.Signed && !(isLiteral(x) && x.(*Const).Value >= 0 && !b.Signed))
		if k, ok := y.(*Const); ok && (k.Value < 0 || k.Value > 63) {
			c.list.Warnf(y.Pos(), "a shift by %d leaves nothing of 64 bits", k.Value)
		}
		return &Binary{Node{at, t}, op, c.convert(x, t), c.convert(y, t)}
	}
	signs := [2]sign{c.signOf(x), c.signOf(y)}
	signed := op == "-" || signs[0] == signedValue || signs[1] == signedValue || signs == [2]sign{eitherSign, eitherSign}
	if (op == "/" || op == "%") && isConstValue(y, 0) {
		c.list.Errorf(at, "division by zero")
		return bad(at)
	}
	if signed && !isComparison(op) || signed && isComparison(op) && op != "==" && op != "!=" {
		c.warnSign(op, x, a)
		c.warnSign(op, y, b)
	}
	t := intType(8, signed)
	if isComparison(op) {
		if k, ok := constResult(op, signed, x, y); ok {
			return &Const{Node{at, typeBool}, k}
		}
		return &Binary{Node{at, typeBool}, op, c.convert(x, t), c.convert(y, t)}
	}
	x, y = c.convert(x, t), c.convert(y, t)
	if v, ok := foldTyped(op, signed, x, y); ok {
		return &Const{Node{at, t}, v}
	}
	return &Binary{Node{at, t}, op, x, y}
}

// sign says how the bits of an operand are read.
type sign uint8

const (
	unsignedValue sign = iota
	signedValue
	eitherSign // what was written as a number that is not negative is like the other operand
)

func (c *checker) signOf(x Expr) sign {
	switch t := asInt(x.Type()); {
	case isLiteral(x) && x.Type() != literalU64 && x.(*Const).Value >= 0, c.holdsNumerals(x):
		return eitherSign
	case t.Signed:
		return signedValue
	}
	return unsignedValue
}

// holdsNumerals reports whether x is a variable or map that nothing but literals are put into, none of them negative.
func (c *checker) holdsNumerals(x Expr) bool {
	var s *slot
	switch x := x.(type) {
	case *VarRef:
		for _, v := range c.block.order {
			if v.Var == x.Var {
				s = &v.slot
			}
		}
	case *MapGet:
		s = &c.maps[x.Map.Name].value
	}
	return s != nil && s.lit && s.t == nil && s.lo >= 0
}

// warnSign warns of an unsigned operand that is read as a signed one.
func (c *checker) warnSign(op string, x Expr, t *schema.Type) {
	if t.Signed || t.Size < 8 || isLiteral(x) || op == "-" {
		return // differences of unsigned values are what everyone computes latencies with
	}
	if k, ok := x.(*Const); ok && k.Value >= 0 {
		return
	}
	c.list.Warnf(x.Pos(), "an unsigned value of type %s is taken for a signed one by %s", TypeName(t), op).Hint = "a cast says what is meant: (int64)"
}

func isConstValue(x Expr, v int64) bool {
	k, ok := x.(*Const)
	return ok && k.Value == v && k.T != typeBad
}

// pointerOp checks arithmetic with and comparisons of pointers.
func (c *checker) pointerOp(at diag.Span, op string, x, y Expr) Expr {
	a, b := x.Type(), y.Type()
	if isComparison(op) && isCondition(a) && isCondition(b) {
		if _, ok := x.(*Const); ok && b.Kind == schema.Pointer {
			x = c.asPointer(x, b)
		}
		if _, ok := y.(*Const); ok && a.Kind == schema.Pointer {
			y = c.asPointer(y, a)
		}
		return &Binary{Node{at, typeBool}, op, c.address(x), c.address(y)}
	}
	if op == "+" && b.Kind == schema.Pointer && a.Kind != schema.Pointer {
		x, y, a, b = y, x, b, a
	}
	if a.Kind != schema.Pointer || !isNumber(b) || op != "+" && op != "-" {
		c.list.Errorf(at, "%s does not work on values of types %s and %s", op, TypeName(a), TypeName(b))
		return bad(at)
	}
	y, ok := c.scaled(at, a, y)
	if !ok {
		return bad(at)
	}
	return &Binary{Node{at, a}, op, x, y}
}

// step is by how many bytes a pointer of type t moves if it is increased by one. ok is false if that is an error.
func (c *checker) step(at diag.Span, t *schema.Type) (size int64, ok bool) {
	if t.Elem == nil {
		return 1, true
	}
	elem := c.types.complete(t.Elem, at)
	if elem == nil {
		return 0, false
	}
	return int64(elem.Size), true
}

// scaled makes bytes of a number of what a pointer of type t points to.
func (c *checker) scaled(at diag.Span, t *schema.Type, y Expr) (Expr, bool) {
	size, ok := c.step(at, t)
	if !ok {
		return nil, false
	}
	if k, ok := y.(*Const); ok {
		return &Const{Node{y.Pos(), typeI64}, k.Value * size}, true
	}
	y = c.convert(y, typeI64)
	if size != 1 {
		y = &Binary{Node{y.Pos(), typeI64}, "*", y, &Const{Node{y.Pos(), typeI64}, size}}
	}
	return y, true
}

func (c *checker) asPointer(x Expr, t *schema.Type) Expr {
	if k, ok := x.(*Const); ok {
		return &Const{Node{k.Span, t}, k.Value}
	}
	return x
}

// address makes an unsigned integer of a pointer, to compare it.
func (c *checker) address(x Expr) Expr {
	if k, ok := x.(*Const); ok {
		return &Const{Node{k.Span, typeU64}, k.Value}
	}
	if x.Type().Kind == schema.Int {
		return c.convert(x, typeU64)
	}
	return &Convert{Node{x.Pos(), typeU64}, x}
}

// compare checks comparisons of what is neither number nor pointer.
func (c *checker) compare(at diag.Span, op string, x, y Expr) Expr {
	a, b := x.Type(), y.Type()
	if op != "==" && op != "!=" {
		if c.scalarKind(a) && c.scalarKind(b) {
			return c.arithmetic(at, op, c.asNumber(x), c.asNumber(y))
		}
		if isStr(x) && isStr(y) {
			return &Const{Node{at, typeBool}, b2i(holds(op, strings.Compare(x.(*Str).Value, y.(*Str).Value)))}
		}
		c.list.Errorf(at, "%s does not work on values of types %s and %s", op, TypeName(a), TypeName(b))
		return bad(at)
	}
	switch {
	case b.Kind == schema.String && !(isStr(y) && comparesConst(a)):
		x = c.asText(x)
	case a.Kind == schema.String && !(isStr(x) && comparesConst(b)):
		y = c.asText(y)
	}
	a, b = x.Type(), y.Type()
	ok := false
	switch {
	case a.Kind == schema.String && b.Kind == schema.String:
		if s, isConst := x.(*Str); isConst {
			if t, isConst := y.(*Str); isConst {
				return &Const{Node{at, typeBool}, b2i((s.Value == t.Value) == (op == "=="))}
			}
		}
		ok = true
	case a.Kind == schema.ProbeName && b.Kind == schema.String:
		return c.compareProbe(at, op, x, y)
	case b.Kind == schema.ProbeName && a.Kind == schema.String:
		return c.compareProbe(at, op, y, x)
	case c.scalarKind(a) && c.scalarKind(b):
		return c.arithmetic(at, op, c.asNumber(x), c.asNumber(y))
	case a.Kind == schema.Array && b.Kind == schema.Array:
		ok = a.Len == b.Len && a.Elem.Size == b.Elem.Size
	case a.Kind == schema.Tuple && b.Kind == schema.Tuple:
		s := shape(x)
		if ok = s.join(shape(y)); ok {
			x, y = c.convert(x, s.typ()), c.convert(y, s.typ())
		}
	case a.Kind == schema.KStack && b.Kind == schema.KStack, a.Kind == schema.UStack && b.Kind == schema.UStack:
		// Stacks of different depths are kept apart, and those that are unwound later are known only then.
		ok = a.StackDepth == b.StackDepth && !a.Unwound && !b.Unwound
	case a.Kind == schema.SyscallName && isStr(y):
		return c.compareSyscall(at, op, x, y.(*Str))
	case b.Kind == schema.SyscallName && isStr(x):
		return c.compareSyscall(at, op, y, x.(*Str))
	default:
		ok = a.Kind == b.Kind && (a.Kind == schema.Inet || a.Kind == schema.MAC || a.Kind == schema.Buffer || a.Kind == schema.Timestamp)
	}
	if !ok {
		d := c.list.Errorf(at, "type mismatch for %s: values of types %s and %s cannot be compared", op, TypeName(a), TypeName(b))
		d.Related = []diag.Related{{Span: x.Pos(), Message: TypeName(a)}, {Span: y.Pos(), Message: TypeName(b)}}
		if isNumber(a) && isStr(y) || isNumber(b) && isStr(x) {
			d.Hint = "numbers are written without quotes"
		}
		return bad(at)
	}
	return &Binary{Node{at, typeBool}, op, x, y}
}

// holds reports whether order op 0.
func holds(op string, order int) bool {
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// compareSyscall makes syscall_name(n) == "name" a comparison of numbers.
func (c *checker) compareSyscall(at diag.Span, op string, x Expr, name *Str) Expr {
	if name.Value == schema.UnknownSyscall {
		return c.compareUnknown(at, op, c.asNumber(x))
	}
	var names []string
	for n := range schema.MaxSyscall {
		have, ok := probe.SyscallName(n)
		if ok && have == name.Value {
			return c.arithmetic(at, op, c.asNumber(x), &Const{Node{name.Span, typeU64}, int64(n)})
		}
		names = append(names, have)
	}
	d := c.list.Errorf(name.Span, "there is no system call %q", name.Value)
	if near := diag.Nearest(name.Value, names); near != "" {
		d.Hint = "did you mean " + near + "?"
	}
	return bad(at)
}

// compareUnknown compares a number with all those that are of no system call.
func (c *checker) compareUnknown(at diag.Span, op string, x Expr) Expr {
	unknown := c.binary(at, ">=", x, number(at, schema.MaxSyscall))
	first := 0
	for n := range schema.MaxSyscall + 1 {
		if _, ok := probe.SyscallName(n); !ok && n < schema.MaxSyscall {
			continue
		}
		if n > first {
			gap := c.both(at, "&&", c.binary(at, ">=", x, number(at, int64(first))), c.binary(at, "<", x, number(at, int64(n))))
			unknown = c.both(at, "||", unknown, gap)
		}
		first = n + 1
	}
	if op == "!=" {
		return c.binary(at, "==", unknown, number(at, 0))
	}
	return unknown
}

// scalarKind reports whether values of t are a number under some name.
func (c *checker) scalarKind(t *schema.Type) bool {
	return isCondition(t) || t.Kind == schema.Username
}

// comparesConst reports whether values of t are compared with constant strings as numbers.
func comparesConst(t *schema.Type) bool {
	return t.Kind == schema.SyscallName || t.Kind == schema.ProbeName
}

// compareProbe is name == "text", of a name of a probe or function; that of the probe itself is known if it has one point.
func (c *checker) compareProbe(at diag.Span, op string, name, text Expr) Expr {
	if name.Type().Format == schema.TargetFormat {
		c.list.Errorf(name.Pos(), "target() is for keys and for printing").Hint = "probe can be compared"
		return bad(at)
	}
	s := text.(*Str) // a string that is not constant is compared with the name's text
	if call, ok := name.(*Call); ok && call.Fn == "probe" && len(c.block.points) == 1 {
		return &Const{Node{at, typeBool}, b2i((c.block.points[0].Name == s.Value) == (op == "=="))}
	}
	return &Binary{Node{at, typeBool}, op, name, s}
}
