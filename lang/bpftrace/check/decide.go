package check

import (
	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// What is known before anything is asked of the kernel: literals, parameters, has(). What stands behind a condition that is false
// for these alone is not checked, so that it may name what this kernel does not have.

// maxDecisions bounds the work of one pass on conditions, which macros can make endless.
const maxDecisions = 1 << 15

// decide finds out whether a condition is true from constants alone. It looks at no more of it than it must: a && b is false if
// either is. known is false if it depends on anything else, or is wrong.
func (c *checker) decide(x syntax.Expr) (value, known bool) {
	if c.decisions++; c.decisions > maxDecisions {
		return false, false
	}
	switch x := x.(type) {
	case *syntax.Unary:
		if x.Op == "!" {
			value, known = c.decide(x.X)
			return !value, known
		}
	case *syntax.Binary:
		if x.Op == "&&" || x.Op == "||" {
			return c.decideLogical(x)
		}
	case *syntax.Cond:
		if first, ok := c.decide(x.C); ok {
			switch {
			case !first:
				return c.decide(x.F)
			case x.T == nil:
				return true, true
			}
			return c.decide(x.T)
		}
		return false, false
	case *syntax.Comptime:
		return c.decide(x.X)
	case *syntax.BlockExpr:
		if len(x.B.Stmts) == 0 && x.B.Value != nil {
			return c.decide(x.B.Value)
		}
		return false, false
	case *syntax.Ident, *syntax.Call:
		inside := c.inside(x, func(body syntax.Expr) { value, known = c.decide(body) })
		if inside {
			return value, known
		}
	}
	if !c.constant(x) {
		return false, false
	}
	c.quietly(func() {
		if k, ok := c.condition(x, "condition").(*Const); ok && !isBad(k) {
			value, known = k.Value != 0, true
		}
	})
	return value, known
}

func (c *checker) decideLogical(x *syntax.Binary) (value, known bool) {
	decisive := x.Op == "||" // the value that one side alone decides
	a, knownA := c.decide(x.X)
	if knownA && a == decisive {
		return decisive, true
	}
	b, knownB := c.decide(x.Y)
	switch {
	case knownA && knownB:
		return b, true
	case knownB && b == decisive && !c.acts(x.X):
		return decisive, true
	}
	return false, false
}

// inside goes to what a name stands for: a parameter of a macro, or a macro that is nothing but a value. It reports false for other
// names.
func (c *checker) inside(x syntax.Expr, do func(body syntax.Expr)) bool {
	var name string
	var args []syntax.Expr
	switch x := x.(type) {
	case *syntax.Ident:
		if arg := c.exprParam(x); arg != nil {
			c.inCaller(func() { do(arg) })
			return true
		}
		name = x.Name
	case *syntax.Call:
		name, args = x.Name, x.Args
	}
	if c.macros[name] == nil {
		return false
	}
	f := &frame{args: args, call: x.Pos(), caller: c.frame, scope: c.scope, loops: c.loops}
	if c.frame != nil {
		f.depth = c.frame.depth + 1
	}
	c.quietly(func() { f.macro = c.chooseMacro(name, x.Pos(), args) })
	if f.macro == nil || f.depth >= maxMacroDepth || len(f.macro.Body.Stmts) > 0 || f.macro.Body.Value == nil {
		return false
	}
	before, scopeBefore, loops := c.frame, c.scope, c.loops
	c.frame, c.scope, c.loops = f, &scope{}, nil
	do(f.macro.Body.Value)
	c.frame, c.scope, c.loops = before, scopeBefore, loops
	return true
}

// constant reports whether all parts of an expression are known when the script is compiled, without asking the kernel for its types.
func (c *checker) constant(x syntax.Expr) (all bool) {
	if c.decisions++; c.decisions > maxDecisions {
		return false
	}
	switch x := x.(type) {
	case *syntax.IntLit, *syntax.StrLit, *syntax.BoolLit, *syntax.PosParam:
		return true
	case *syntax.Ident:
		if c.inside(x, func(body syntax.Expr) { all = c.constant(body) }) {
			return all
		}
		return x.Name == "has_cpid" || c.macros[x.Name] == nil && c.isConstant(x)
	case *syntax.Call:
		if c.inside(x, func(body syntax.Expr) { all = c.constant(body) }) {
			return all
		}
		if c.macros[x.Name] != nil {
			return false
		}
		switch x.Name {
		case "getopt", "has", "strcontains", "strlen", "strncmp", "str", "str_concat", "has_cpid":
			for _, a := range x.Args {
				if !c.constant(a) {
					return false
				}
			}
			return true
		}
		return false
	case *syntax.Unary:
		return (x.Op == "!" || x.Op == "-" || x.Op == "~") && c.constant(x.X)
	case *syntax.Binary:
		return c.constant(x.X) && c.constant(x.Y)
	case *syntax.Cond:
		return c.constant(x.C) && (x.T == nil || c.constant(x.T)) && c.constant(x.F)
	case *syntax.Comptime:
		return c.constant(x.X)
	case *syntax.Cast:
		return x.Type.Tag == "" && x.Type.Typeof == nil && scriptType(x.Type.Name) != nil && c.constant(x.X)
	case *syntax.BlockExpr:
		return len(x.B.Stmts) == 0 && x.B.Value != nil && c.constant(x.B.Value)
	}
	return false
}

// quietly does something whose diagnostics do not count.
func (c *checker) quietly(do func()) {
	list, stopped := c.list, c.stopped
	c.list = &diag.List{Source: list.Source}
	do()
	if c.stopped && !stopped {
		// The limits of the script hold here, too.
		for _, d := range c.list.All {
			list.Add(d)
		}
	}
	c.list = list
}

// acts reports whether an expression does more than give a value, as far as its words tell.
func (c *checker) acts(x syntax.Expr) (found bool) {
	c.walkMacros(x, func(n any) {
		switch n := n.(type) {
		case *syntax.Unary:
			found = found || n.Op == "++" || n.Op == "--"
		case *syntax.BlockExpr:
			found = found || n.B != nil && len(n.B.Stmts) > 0
		case *syntax.Macro:
			found = found || len(n.Body.Stmts) > 0
		case *syntax.Call:
			if f := c.function(n.Name); f != nil && c.macros[n.Name] == nil {
				found = found || f.form&effect != 0
			}
		}
	})
	return found
}

// asks reports whether a condition depends on this machine or on the command line: on has(), getopt() or $1.
func (c *checker) asks(x syntax.Expr) (found bool) {
	c.walkMacros(x, func(n any) {
		name := ""
		switch n := n.(type) {
		case *syntax.PosParam:
			found = true
		case *syntax.Ident:
			name = n.Name
		case *syntax.Call:
			name = n.Name
		}
		found = found || (name == "has" || name == "getopt") && c.macros[name] == nil
	})
	return found
}

// drop leaves code out that can never run. It still counts as a use of the parameters, maps and variables in it.
func (c *checker) drop(n any) {
	c.walkMacros(n, func(n any) {
		switch n := n.(type) {
		case *syntax.MapRef:
			if c.idle == nil {
				c.idle = map[string]bool{}
			}
			c.idle[c.mapRef(n)] = true
		case *syntax.Var:
			if c.scope != nil {
				if v := c.lookup(n); v != nil {
					v.assigned = true
				}
			}
		case *syntax.Call:
			if n.Name == "getopt" && len(n.Args) > 0 && c.macros[n.Name] == nil {
				c.noteParameter(n)
			}
		}
	})
}

// noteParameter remembers the parameter of a getopt() that is not checked.
func (c *checker) noteParameter(n *syntax.Call) {
	name, ok := n.Args[0].(*syntax.StrLit)
	if !ok {
		return
	}
	what := ""
	if len(n.Args) == 3 {
		if s, ok := n.Args[2].(*syntax.StrLit); ok {
			what = s.Value
		}
	}
	c.wantParameter(name.Value, what)
}

// isIdle reports whether a map gets its values only in code that was left out: it is empty, whatever it would have held.
func (c *checker) isIdle(m *mapState) bool { return c.idle[m.Name] && !m.assigned }

// nothing is what is done with an idle map.
func nothing(at diag.Span) Expr { return &Seq{Node: Node{at, typeNone}} }

// truth is the value of a constant as a condition.
func truth(x Expr) (value, known bool) {
	switch x := x.(type) {
	case *Const:
		return x.Value != 0, !isBad(x)
	case *Str:
		return x.Value != "", true
	}
	return false, false
}

// isBoolean reports whether x is true or false as it is.
func isBoolean(x Expr) bool { return x.Type().Kind == schema.Bool }
