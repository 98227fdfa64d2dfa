package check

import (
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// stmts checks statements; in a scope of their own if inner.
func (c *checker) stmts(list []syntax.Stmt, inner bool) []Stmt {
	if inner {
		c.scope = &scope{outer: c.scope}
		defer func() { c.scope = c.scope.outer }()
	}
	out := make([]Stmt, 0, len(list))
	for i, s := range list {
		if c.stopped {
			break
		}
		if i > 0 && leaves(out) && !leaves(out[:len(out)-1]) {
			c.list.Warnf(s.Pos().To(list[len(list)-1].Pos()), "this is never reached")
		}
		if st := c.stmt(s); st != nil {
			out = append(out, st)
		}
	}
	return out
}

// leaves reports whether nothing runs after these statements.
func leaves(list []Stmt) bool {
	if len(list) == 0 {
		return false
	}
	switch s := list[len(list)-1].(type) {
	case *Jump:
		return true
	case *Eval:
		x, ok := s.X.(*Call)
		return ok && x.Fn == "exit"
	case *If:
		return leaves(s.Then) && leaves(s.Else)
	case *Group:
		return leaves(s.Body)
	}
	return false
}

// body checks a block with a scope of its own. A value at its end is evaluated and dropped.
func (c *checker) body(b *syntax.Block) []Stmt {
	if b == nil {
		return nil
	}
	list := b.Stmts
	if b.Value != nil {
		list = append(list[:len(list):len(list)], &syntax.ExprStmt{Span: b.Value.Pos(), X: b.Value})
	}
	return c.stmts(list, true)
}

// stmt returns nil if there is nothing to do.
func (c *checker) stmt(s syntax.Stmt) Stmt {
	if c.nesting++; c.nesting > maxNesting {
		c.stop(s.Pos(), "statements are nested too deeply")
	}
	defer func() { c.nesting-- }()
	c.countStatement()
	if c.stopped {
		return nil
	}
	switch s := s.(type) {
	case *syntax.ExprStmt:
		return c.exprStmt(s)
	case *syntax.AssignStmt:
		return c.assign(s)
	case *syntax.LetStmt:
		return c.let(s)
	case *syntax.IfStmt:
		return c.ifStmt(s)
	case *syntax.WhileStmt:
		c.list.Warnf(s.Span, "while loops are deprecated and may be removed from the language").Hint =
			"for ($x : $start..$end) { … } does the same, and the verifier can see that it ends"
		w := &While{Span: s.Span, Cond: c.condition(s.Cond, "condition")}
		w.Body = c.loopBody(s.Body, loop{})
		return w
	case *syntax.UnrollStmt:
		return c.unroll(s)
	case *syntax.ForStmt:
		return c.forStmt(s)
	case *syntax.JumpStmt:
		return c.jump(s)
	case *syntax.Block:
		return &Group{Span: s.Span, Body: c.body(s)}
	}
	return nil
}

// stop gives up: a limit on the size of scripts has been reached.
func (c *checker) stop(at diag.Span, message string) {
	if !c.stopped {
		c.stopped = true
		c.list.Errorf(at, "%s", message)
	}
}

func (c *checker) loopBody(b *syntax.Block, l loop) []Stmt {
	c.loops = append(c.loops, l)
	defer func() { c.loops = c.loops[:len(c.loops)-1] }()
	return c.body(b)
}

func (c *checker) exprStmt(s *syntax.ExprStmt) Stmt {
	if call, ok := s.X.(*syntax.Call); ok {
		if f := c.function(call.Name); f != nil && f.aggregate != 0 && c.macros[call.Name] == nil {
			c.list.Errorf(s.Span, "%s() must be assigned directly to a map", call.Name).Hint = "such as @x = " + f.usage
			return nil
		}
	}
	if cond, ok := s.X.(*syntax.Cond); ok {
		// A choice between two calls is a statement; its sides may have no value.
		if x := c.voidCond(cond); x != nil {
			return x
		}
	}
	x := c.exprIn(s.X, true)
	if isBad(x) {
		return nil
	}
	switch x := x.(type) {
	case *IncDec:
	case *Call:
		if x.T.Kind != schema.None && !c.hasEffect(x) {
			c.list.Warnf(s.Span, "the value of %s is not used", x.Fn)
		}
	case *Seq:
	case *Const:
		if x.T.Kind != schema.None {
			c.list.Warnf(s.Span, "this value is not used")
		}
	default:
		c.list.Warnf(s.Span, "this value is not used")
	}
	return &Eval{Span: s.Span, X: x}
}

// voidCond checks c ? f() : g() where the functions have no value, and an if whose blocks have none.
func (c *checker) voidCond(x *syntax.Cond) Stmt {
	if !c.isVoid(x) {
		return nil
	}
	cond, value, known := c.branch(x.C)
	side := func(e syntax.Expr, runs bool) []Stmt {
		if known && !runs {
			c.drop(e)
			return nil
		}
		return c.stmts([]syntax.Stmt{&syntax.ExprStmt{Span: e.Pos(), X: e}}, true)
	}
	s := &If{Span: x.Span, Cond: cond, Then: side(x.T, value), Else: side(x.F, !value)}
	if known {
		return &Group{Span: x.Span, Body: append(s.Then, s.Else...)}
	}
	return s
}

// isVoid reports whether x has no value, as far as its words tell.
func (c *checker) isVoid(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.Call:
		f := c.function(x.Name)
		return f != nil && f.form&void != 0 && c.macros[x.Name] == nil
	case *syntax.BlockExpr:
		return x.B.Value == nil || c.isVoid(x.B.Value)
	case *syntax.Cond:
		if x.T == nil {
			return false
		}
		if _, isBlock := x.T.(*syntax.BlockExpr); isBlock {
			return c.isVoid(x.T) || c.isVoid(x.F)
		}
		return c.isVoid(x.T) && c.isVoid(x.F)
	}
	return false
}

func (c *checker) hasEffect(x *Call) bool {
	f := c.function(x.Fn)
	return f != nil && f.form&effect != 0
}

// condition checks an expression that is asked for being true.
func (c *checker) condition(x syntax.Expr, what string) Expr {
	e := c.expr(x)
	if isBad(e) {
		return e
	}
	t := e.Type()
	if t.Kind == schema.String {
		if s, ok := e.(*Str); ok {
			return &Const{Node{s.Span, typeBool}, b2i(s.Value != "")}
		}
	}
	if !isCondition(t) {
		c.list.Errorf(x.Pos(), "invalid %s: a value of type %s is neither true nor false", what, TypeName(t))
		return bad(x.Pos())
	}
	return e
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (c *checker) ifStmt(s *syntax.IfStmt) Stmt {
	cond, value, known := c.branch(s.Cond)
	var then, other []Stmt
	if !known || value {
		then = c.body(s.Then)
	} else {
		c.drop(s.Then)
	}
	switch e := s.Else.(type) {
	case nil:
	case *syntax.Block:
		if !known || !value {
			other = c.body(e)
		} else {
			c.drop(e)
		}
	default:
		if known && value {
			c.drop(e)
		} else if st := c.stmt(e); st != nil {
			other = []Stmt{st}
		}
	}
	if known {
		if value {
			return &Group{Span: s.Span, Body: then}
		}
		return &Group{Span: s.Span, Body: other}
	}
	return &If{Span: s.Span, Cond: cond, Then: then, Else: other}
}

// branch checks the condition of what has two sides. If it is known, only one of them is ever needed; cond may then be nil.
func (c *checker) branch(x syntax.Expr) (cond Expr, value, known bool) {
	if value, known = c.decide(x); known && !c.constant(x) {
		c.drop(x)
		return nil, value, true
	}
	cond = c.condition(x, "condition")
	value, known = truth(cond)
	return cond, value, known
}

func (c *checker) unroll(s *syntax.UnrollStmt) Stmt {
	count := c.expr(s.Count)
	n, ok := int64(1), isBad(count)
	if k, isConst := count.(*Const); isConst && !ok && k.T.Kind == schema.Int {
		n, ok = k.Value, true
		switch {
		case n < 1:
			c.list.Errorf(s.Count.Pos(), "unroll needs a count of at least 1, not %d", n)
			n = 1
		case n > 100:
			c.list.Errorf(s.Count.Pos(), "unroll makes at most 100 copies, not %d", n).Hint = "for ($i : 0..n) { … } has no limit"
			n = 1
		}
	}
	if !ok {
		c.list.Errorf(s.Count.Pos(), "the count of unroll must be a constant").Hint = "for ($i : 0..$n) { … } takes any number"
	}
	before := c.size
	body := c.loopBody(s.Body, loop{unrolled: true})
	if !c.stopped {
		c.unrolled(s, before, int(n))
	}
	return &Unroll{Span: s.Span, N: int(n), Body: body}
}

func (c *checker) jump(s *syntax.JumpStmt) Stmt {
	switch s.Word {
	case "return":
		if c.frame != nil {
			c.list.Errorf(s.Span, "return does not work in a macro").Hint = "the last expression of a macro is its value"
			return nil
		}
		if s.Value != nil {
			if x := c.expr(s.Value); !isBad(x) && x.Type().Kind != schema.Int {
				c.list.Errorf(s.Value.Pos(), "return takes an integer, not %s", TypeName(x.Type()))
			} else if !isBad(x) && c.block.kind == probe.Test {
				// What a test returns is its result.
				k := &call{f: &function{name: "exit"}, at: s.Span}
				return &Eval{s.Span, k.event(&schema.Event{Kind: schema.Exit}, c.convert(x, typeI64))}
			}
		}
	default:
		if len(c.loops) == 0 {
			c.list.Errorf(s.Span, "%s stands outside of a loop", s.Word)
			return nil
		}
		if c.loops[len(c.loops)-1].unrolled {
			c.list.Errorf(s.Span, "%s does not work in unroll", s.Word).Hint = "for ($i : 0..n) { … } is a loop that can be left"
			return nil
		}
	}
	return &Jump{Span: s.Span, Word: s.Word}
}

func (c *checker) forStmt(s *syntax.ForStmt) Stmt {
	if r, ok := s.Over.(*syntax.Range); ok {
		return c.forRange(s, r)
	}
	ref, ok := s.Over.(*syntax.MapRef)
	if !ok {
		if x := c.expr(s.Over); !isBad(x) {
			c.list.Errorf(s.Over.Pos(), "a for loop goes over a map or a range, not over %s", TypeName(x.Type())).Hint =
				"for ($kv : @map) { … } or for ($i : 0..10) { … }"
		}
		return nil
	}
	if ref.Keys != nil {
		c.list.Errorf(s.Over.Pos(), "a for loop goes over a whole map").Hint = "for ($kv : " + ref.Name + ") { … }"
		return nil
	}
	m := c.findMap(ref)
	if m == nil {
		return nil
	}
	at := s.Over.Pos()
	m.inside = &at
	if m.scalar() {
		c.list.Errorf(s.Over.Pos(), "%s has no keys, so a loop cannot go over it", m.Name).
			Related = m.related()
		return nil
	}
	key, value := m.key.typ(), m.value.typ()
	if key == nil || value == nil {
		if c.final && c.isIdle(m) {
			return nil
		}
		if c.final {
			c.undefinedMap(s.Over.Pos(), m)
			return nil
		}
		c.pending = true
		key, value = typeBad, typeBad
	}
	if isAggregate(value.Kind) {
		if r := aggregateResult(value); r != nil {
			value = r
		} else {
			c.list.Errorf(s.Over.Pos(), "a loop cannot go over %s: a value of type %s has no single number", m.Name, TypeName(value)).Hint =
				"print(" + m.Name + ") shows all of it"
			return nil
		}
	}
	var holds *slot
	if key != typeBad && value != typeBad {
		holds = shapeOf(tupleOf([]*schema.Type{key, value}), s.Var.Span)
	}
	v, done := c.loopVar(s, holds)
	defer done()
	f := &ForMap{Span: s.Span, Map: m.Map, Body: c.loopBody(s.Body, loop{})}
	if v != nil {
		f.Var = v.Var
	}
	return f
}

// loopVar declares the variable of a loop in a scope of its own, which done ends. holds is nil if its type is not known yet.
func (c *checker) loopVar(s *syntax.ForStmt, holds *slot) (v *variable, done func()) {
	if v := c.lookup(s.Var); v != nil {
		c.list.Errorf(s.Var.Span, "variable %s exists already, and cannot be used as the loop's", s.Var.Name).Related =
			[]diag.Related{{Span: v.Span, Message: "the first one"}}
	}
	c.scope = &scope{outer: c.scope}
	v = c.newVar(s.Var, false)
	v.assigned = true
	if holds != nil {
		c.widen(&v.slot, holds)
		v.Var.Type = v.slot.typ()
	}
	return v, func() { c.scope = c.scope.outer }
}

func (c *checker) forRange(s *syntax.ForStmt, r *syntax.Range) Stmt {
	from, to := c.expr(r.From), c.expr(r.To)
	for i, x := range []Expr{from, to} {
		if t := x.Type(); t != typeBad && t.Kind != schema.Int {
			c.list.Errorf(x.Pos(), "the %s of a range must be an integer, not %s", [...]string{"start", "end"}[i], TypeName(t))
			return nil
		}
	}
	t := typeBad
	var holds *slot
	if !isBad(from) && !isBad(to) {
		holds = shape(from)
		holds.join(shape(to))
		t = holds.typ()
	}
	v, done := c.loopVar(s, holds)
	defer done()
	if vt := v.slot.typ(); vt != nil {
		t = vt
	}
	f := &ForRange{Span: s.Span, Var: v.Var, From: c.convert(from, t), To: c.convert(to, t)}
	f.Body = c.loopBody(s.Body, loop{})
	return f
}
