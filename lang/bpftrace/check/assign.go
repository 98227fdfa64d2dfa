package check

import (
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// lookup finds the variable that is meant, following the parameters of macros; nil if there is none.
func (c *checker) lookup(v *syntax.Var) *variable {
	if arg := c.varParam(v); arg != nil {
		var found *variable
		c.inCaller(func() { found = c.lookup(arg) })
		return found
	}
	return c.scope.find(v.Name)
}

// varParam returns what the caller of the macro gave for v, or nil if v is no parameter.
func (c *checker) varParam(v *syntax.Var) *syntax.Var {
	if c.frame != nil {
		if i := c.frame.param(v.Name); i >= 0 {
			arg, _ := c.frame.args[i].(*syntax.Var)
			return arg
		}
	}
	return nil
}

// newVar makes the variable v in the current scope.
func (c *checker) newVar(v *syntax.Var, declared bool) *variable {
	if arg := c.varParam(v); arg != nil {
		var made *variable
		c.inCaller(func() { made = c.newVar(arg, declared) })
		return made
	}
	key := varKey{c.frame, v}
	n := c.block.vars[key]
	if n == nil {
		n = &variable{Var: &Var{Name: v.Name, Span: v.Span}, declared: declared}
		c.block.vars[key] = n
		c.block.order = append(c.block.order, n)
		c.changed = true
	}
	if c.scope.vars == nil {
		c.scope.vars = map[string]*variable{}
	}
	c.scope.vars[v.Name] = n
	return n
}

func (c *checker) varRef(v *syntax.Var) Expr {
	n := c.lookup(v)
	if n == nil {
		d := c.list.Errorf(v.Span, "undefined variable: %s", v.Name)
		if near := diag.Nearest(v.Name, c.variables()); near != "" {
			d.Hint = "did you mean " + near + "?"
		} else if old := c.elsewhere(v.Name); old != nil && old.Span.Start > v.Span.Start {
			d.Hint = "let " + v.Name + " before it makes a variable that is zero at first"
			d.Related = []diag.Related{{Span: old.Span, Message: "assigned only later"}}
		} else if old != nil {
			d.Hint = "a variable lives only in the block where it is assigned first: declare it before that block with let " + v.Name
			d.Related = []diag.Related{{Span: old.Span, Message: "assigned in a block that has ended"}}
		} else if c.maps["@"+v.Name[1:]] != nil {
			d.Hint = "did you mean @" + v.Name[1:] + "?"
		}
		return bad(v.Span)
	}
	n.read = true
	if n.declared && !n.assigned && n.fixed == nil && len(c.loops) == 0 {
		c.list.Warnf(v.Span, "variable %s is used before it is assigned", v.Name)
	}
	t := n.slot.typ()
	if t == nil {
		c.pending = true
		return bad(v.Span)
	}
	return &VarRef{Node{v.Span, t}, n.Var}
}

// variables lists the names that are in scope.
func (c *checker) variables() []string {
	var names []string
	for s := c.scope; s != nil; s = s.outer {
		for name := range s.vars {
			names = append(names, name)
		}
	}
	return names
}

// elsewhere finds a variable of the same probe that is not in scope.
func (c *checker) elsewhere(name string) *variable {
	for _, v := range c.block.order {
		if v.Name == name {
			return v
		}
	}
	return nil
}

func (c *checker) let(s *syntax.LetStmt) Stmt {
	var fixed *schema.Type
	if s.Type != nil {
		if fixed = c.typeExpr(s.Type); fixed == nil {
			fixed = typeBad
		}
	}
	var init Expr
	if s.Init != nil {
		init = c.expr(s.Init)
	}
	if old := c.lookup(s.Var); old != nil {
		c.list.Errorf(s.Span, "variable %s was declared already; there is no shadowing", s.Var.Name).
			Related = []diag.Related{{Span: old.Span, Message: "the first one"}}
		return nil
	}
	v := c.newVar(s.Var, true)
	if fixed == typeBad {
		v.slot.setType(typeBad)
	} else if fixed != nil && fixed.Kind == schema.String && fixed.Size == 0 {
		c.widen(&v.slot, shapeOf(stringType(1), s.Type.Span)) // as long as what is assigned to it
	} else if fixed != nil {
		v.fixed = fixed
		c.widen(&v.slot, shapeOf(fixed, s.Type.Span))
	}
	if s.Init == nil {
		if v.slot.typ() == nil {
			return nil
		}
		v.Var.Type = v.slot.typ()
		return &DeclareVar{Span: s.Span, Var: v.Var}
	}
	v.assigned = true
	return c.setVar(s.Span, v, init)
}

// setVar puts x into v.
func (c *checker) setVar(at diag.Span, v *variable, x Expr) Stmt {
	if isBad(x) {
		return nil
	}
	if !c.storable(x, "assigned") {
		return nil
	}
	had := v.slot.typ()
	if v.fixed != nil {
		if t := x.Type(); t.Kind == schema.Int && v.fixed.Kind == schema.Int && !isLiteral(x) {
			if r := unify(t, v.fixed); r.Size > v.fixed.Size || r.Signed != v.fixed.Signed {
				c.list.Warnf(x.Pos(), "a value of type %s is cut to %s", TypeName(t), TypeName(v.fixed)).Hint = "a cast says that this is meant"
			}
		} else if !c.fits(x, v.fixed) {
			c.list.Errorf(x.Pos(), "type mismatch for %s: a value of type %s does not fit into %s", v.Name, TypeName(x.Type()), TypeName(v.fixed)).
				Related = []diag.Related{{Span: v.Span, Message: "declared here"}}
			return nil
		}
	} else if !c.widen(&v.slot, shape(x)) {
		c.list.Errorf(x.Pos(), "type mismatch for %s: a value of type %s is assigned here", v.Name, TypeName(x.Type())).
			Related = []diag.Related{{Span: v.slot.at, Message: "but it has type " + TypeName(had) + " since here"}}
		return nil
	}
	v.Var.Type = v.slot.typ()
	return &SetVar{Span: at, Var: v.Var, X: c.convert(x, v.Var.Type)}
}

// fits reports whether a variable of the declared type t can hold x.
func (c *checker) fits(x Expr, t *schema.Type) bool {
	if isLiteral(x) && t.Kind == schema.Int {
		v := x.(*Const).Value
		return t.Size == 8 || v == truncate(v, t)
	}
	s := shapeOf(t, diag.Span{})
	if !s.join(shape(x)) {
		return false
	}
	r := s.typ()
	return same(r, t) || r.Size == t.Size && r.Kind == t.Kind
}

func (c *checker) assign(s *syntax.AssignStmt) Stmt {
	switch left := s.Left.(type) {
	case *syntax.Ident:
		if left.Name != "_" {
			c.assignedBuiltin(left.Span, left.Name)
			return nil
		}
		x := c.exprIn(s.Right, true)
		if isBad(x) {
			return nil
		}
		return &Eval{Span: s.Span, X: x}
	case *syntax.Var:
		return c.assignVar(s, left)
	case *syntax.MapRef:
		return c.assignMap(s, left)
	case *syntax.Bad:
		return nil
	}
	c.list.Errorf(s.Left.Pos(), "only variables and maps can be assigned to").Hint = "write == to compare"
	return nil
}

func (c *checker) assignedBuiltin(at diag.Span, name string) {
	d := c.list.Errorf(at, "%s cannot be assigned to", name)
	if c.function(name) != nil {
		d.Message = "the builtin " + name + " cannot be assigned to"
	}
	d.Hint = "variables are written $" + name + ", maps @" + name + "; == compares"
}

func (c *checker) assignVar(s *syntax.AssignStmt, left *syntax.Var) Stmt {
	if s.Op != "=" {
		old := c.varRef(left)
		x := c.expr(s.Right)
		if v := c.lookup(left); v != nil {
			v.assigned = true
			if isBad(old) || isBad(x) {
				return nil
			}
			x = c.binary(s.Span, s.Op[:len(s.Op)-1], old, x)
			if v.fixed != nil && v.fixed.Kind == schema.Int && x.Type().Kind == schema.Int {
				x = c.convert(x, v.fixed)
			}
			return c.setVar(s.Span, v, x)
		}
		return nil
	}
	x := c.expr(s.Right)
	v := c.lookup(left)
	if v == nil {
		v = c.newVar(left, false)
	}
	v.assigned = true
	return c.setVar(s.Span, v, x)
}

func (c *checker) assignMap(s *syntax.AssignStmt, left *syntax.MapRef) Stmt {
	if call, ok := s.Right.(*syntax.Call); ok && c.macros[call.Name] == nil {
		if f := c.function(call.Name); f != nil && f.aggregate != 0 {
			if s.Op != "=" {
				c.list.Errorf(s.Span, "%s() is assigned with =, not %s", call.Name, s.Op)
				return nil
			}
			return c.aggregate(s, left, call, f)
		}
	}
	if id, ok := s.Right.(*syntax.Ident); ok && id.Name == "count" && s.Op == "=" && c.macros["count"] == nil {
		return c.aggregate(s, left, &syntax.Call{Span: id.Span, Name: "count", NameSpan: id.Span}, c.function("count"))
	}
	if other, ok := s.Right.(*syntax.MapRef); ok && s.Op == "=" {
		if m := c.maps[c.mapRef(other)]; m != nil && m.value.typ() != nil && isAggregate(m.value.typ().Kind) && aggregateResult(m.value.typ()) != nil {
			c.list.Errorf(s.Span, "a map value of type %s cannot be assigned from one map to another", TypeName(m.value.typ())).Hint =
				"a cast takes its value: " + left.Name + " = (int64)" + other.Name
			c.findMap(other)
			return nil
		}
	}
	x := c.expr(s.Right)
	m, key, ok := c.place(left)
	m.assigned = true
	if s.Op != "=" {
		return c.updateMap(s, m, key, x, ok)
	}
	if isBad(x) || !c.storable(x, "assigned") {
		return nil
	}
	if !c.putMap(s.Span, m, shape(x), TypeName(x.Type())) || !ok {
		return nil
	}
	return &SetMap{Span: s.Span, Map: m.Map, Key: key, X: c.convert(x, m.value.typ())}
}

// putMap joins the type of a value into a map's.
func (c *checker) putMap(at diag.Span, m *mapState, s *slot, name string) bool {
	m.assigned = true
	had := m.value.typ()
	s.at = at
	if c.widen(&m.value, s) {
		return true
	}
	c.list.Errorf(at, "type mismatch for %s: a value of type %s is assigned here", m.Name, name).
		Related = []diag.Related{{Span: m.value.at, Message: "but " + m.Name + " has values of type " + TypeName(had) + " since here"}}
	return false
}

// updateMap checks @m[key] op= x.
func (c *checker) updateMap(s *syntax.AssignStmt, m *mapState, key, x Expr, ok bool) Stmt {
	op := s.Op[:len(s.Op)-1]
	if isBad(x) || !ok {
		return nil
	}
	if !isNumber(x.Type()) {
		c.list.Errorf(x.Pos(), "%s needs a number on its right, not %s", s.Op, TypeName(x.Type()))
		return nil
	}
	t := m.value.typ()
	if t != nil && t.Kind == schema.Pointer && (op == "+" || op == "-") {
		if x, ok = c.scaled(s.Span, t, x); !ok {
			return nil
		}
		return &SetMap{Span: s.Span, Map: m.Map, Key: key, Op: op, X: x}
	}
	if t != nil && !isNumber(t) {
		d := c.list.Errorf(s.Span, "%s cannot change a value of type %s", s.Op, TypeName(t))
		d.Related = []diag.Related{{Span: m.value.at, Message: m.Name + " has values of type " + TypeName(t) + " since here"}}
		return nil
	}
	signed := op == "-" || x.Type().Signed || t != nil && t.Signed
	if t != nil && op != "-" && c.signOf(x) == eitherSign {
		signed = t.Signed
	}
	result := intType(8, signed)
	if !c.putMap(s.Span, m, shapeOf(result, s.Span), TypeName(result)) {
		return nil
	}
	return &SetMap{Span: s.Span, Map: m.Map, Key: key, Op: op, X: c.convert(x, m.value.typ())}
}

// incDec checks ++ and --.
func (c *checker) incDec(u *syntax.Unary) Expr {
	switch x := u.X.(type) {
	case *syntax.Var:
		old := c.varRef(x)
		if isBad(old) {
			return bad(u.Span)
		}
		v := c.lookup(x)
		v.assigned = true
		t := old.Type()
		if t.Kind == schema.Pointer {
			return c.stepPointer(u, v, old)
		}
		if !isNumber(t) {
			c.list.Errorf(u.Span, "%s needs a number, and %s is of type %s", u.Op, v.Name, TypeName(t))
			return bad(u.Span)
		}
		if v.fixed == nil {
			c.widen(&v.slot, shapeOf(intType(8, t.Signed || u.Op == "--"), u.Span))
		}
		v.Var.Type = v.slot.typ()
		return &IncDec{Node: Node{u.Span, v.Var.Type}, Op: u.Op, Postfix: u.Postfix, Var: v.Var, Step: 1}
	case *syntax.MapRef:
		m, key, ok := c.place(x)
		if !ok {
			return bad(u.Span)
		}
		t := m.value.typ()
		if t != nil && t.Kind == schema.Pointer {
			size, ok := c.step(u.Span, t)
			if !ok {
				return bad(u.Span)
			}
			m.assigned = true
			return &IncDec{Node: Node{u.Span, t}, Op: u.Op, Postfix: u.Postfix, Map: m.Map, Key: key, Step: size}
		}
		if t != nil && t.Kind != schema.Int {
			d := c.list.Errorf(u.Span, "%s needs a number, and %s has values of type %s", u.Op, m.Name, TypeName(t))
			d.Related = []diag.Related{{Span: m.value.at, Message: "since here"}}
			if t.Kind == schema.Count {
				d.Hint = m.Name + " = count() counts one more"
			}
			return bad(u.Span)
		}
		signed := t == nil || t.Signed || u.Op == "--" // as a - 1 is
		c.putMap(u.Span, m, shapeOf(intType(8, signed), u.Span), "int64")
		return &IncDec{Node: Node{u.Span, m.value.typ()}, Op: u.Op, Postfix: u.Postfix, Map: m.Map, Key: key, Step: 1}
	case *syntax.Bad:
		return bad(u.Span)
	}
	c.list.Errorf(u.Span, "%s changes a variable or a map's value, nothing else", u.Op)
	return bad(u.Span)
}

// stepPointer makes $p++ an assignment, since only that knows the size of what $p points to.
func (c *checker) stepPointer(u *syntax.Unary, v *variable, old Expr) Expr {
	one := func() Expr { return &Const{Node{u.Span, literal(1)}, 1} }
	next := c.binary(u.Span, u.Op[:1], old, one())
	if isBad(next) {
		return next
	}
	var x Expr = &VarRef{Node{u.Span, old.Type()}, v.Var}
	if u.Postfix {
		x = c.binary(u.Span, map[string]string{"++": "-", "--": "+"}[u.Op], x, one())
	}
	return &Seq{Node{u.Span, old.Type()}, []Stmt{&SetVar{Span: u.Span, Var: v.Var, X: next}}, x}
}
