package check

import "skep/lang/bpftrace/syntax"

// walk visits a statement, block or expression of a syntax tree, and all that is in it.
func walk(n any, visit func(any)) {
	switch n := n.(type) {
	case *syntax.Block:
		if n == nil {
			return
		}
		for _, s := range n.Stmts {
			walk(s, visit)
		}
		walkExpr(n.Value, visit)
	case *syntax.ExprStmt:
		walkExpr(n.X, visit)
	case *syntax.AssignStmt:
		walkExpr(n.Left, visit)
		walkExpr(n.Right, visit)
	case *syntax.LetStmt:
		walkExpr(n.Init, visit)
		walkType(n.Type, visit)
	case *syntax.IfStmt:
		walkExpr(n.Cond, visit)
		walk(n.Then, visit)
		if n.Else != nil {
			walk(n.Else, visit)
		}
	case *syntax.WhileStmt:
		walkExpr(n.Cond, visit)
		walk(n.Body, visit)
	case *syntax.UnrollStmt:
		walkExpr(n.Count, visit)
		walk(n.Body, visit)
	case *syntax.ForStmt:
		walkExpr(n.Over, visit)
		walk(n.Body, visit)
	case *syntax.JumpStmt:
		walkExpr(n.Value, visit)
	case syntax.Expr:
		walkExpr(n, visit)
	}
}

// walkMacros is walk, and goes on through the macros that are used, each once.
func (c *checker) walkMacros(n any, visit func(any)) {
	seen := map[string]bool{}
	var through func(n any)
	through = func(n any) {
		visit(n)
		name := ""
		switch n := n.(type) {
		case *syntax.Ident:
			name = n.Name
		case *syntax.Call:
			name = n.Name
		}
		if seen[name] {
			return
		}
		for _, m := range c.macros[name] {
			seen[name] = true
			visit(m)
			walk(m.Body, through)
		}
	}
	walk(n, through)
}

func walkExpr(x syntax.Expr, visit func(any)) {
	if x == nil {
		return
	}
	visit(x)
	switch x := x.(type) {
	case *syntax.MapRef:
		for _, k := range x.Keys {
			walkExpr(k, visit)
		}
	case *syntax.Unary:
		walkExpr(x.X, visit)
	case *syntax.Binary:
		walkExpr(x.X, visit)
		walkExpr(x.Y, visit)
	case *syntax.Cond:
		walkExpr(x.C, visit)
		walkExpr(x.T, visit)
		walkExpr(x.F, visit)
	case *syntax.Field:
		walkExpr(x.X, visit)
	case *syntax.TupleField:
		walkExpr(x.X, visit)
	case *syntax.Index:
		walkExpr(x.X, visit)
		walkExpr(x.I, visit)
	case *syntax.Call:
		for _, a := range x.Args {
			walkExpr(a, visit)
		}
	case *syntax.Cast:
		walkType(x.Type, visit)
		walkExpr(x.X, visit)
	case *syntax.Tuple:
		for _, e := range x.Elems {
			walkExpr(e, visit)
		}
	case *syntax.Record:
		for _, f := range x.Fields {
			walkExpr(f.X, visit)
		}
	case *syntax.Comptime:
		walkExpr(x.X, visit)
	case *syntax.Range:
		walkExpr(x.From, visit)
		walkExpr(x.To, visit)
	case *syntax.BlockExpr:
		walk(x.B, visit)
	case *syntax.TypeArg:
		walkType(x.Type, visit)
	}
}

func walkType(t *syntax.TypeExpr, visit func(any)) {
	if t != nil {
		walkExpr(t.Typeof, visit)
	}
}
