package check

import (
	"testing"

	"skep/schema"
)

// verifyTree checks what the compiler relies on: everything has a type, and converted values have the type of their place.
func verifyTree(t *testing.T, name string, tree *Tree) {
	t.Helper()
	v := &verifier{t: t, name: name}
	for _, m := range tree.Maps {
		if m.Value == nil || m.Value == typeBad {
			t.Errorf("%s: map %s has no type", name, m.Name)
		}
	}
	for _, p := range tree.Probes {
		if p.Pred != nil {
			v.expr(p.Pred)
		}
		v.stmts(p.Body)
	}
}

type verifier struct {
	t    *testing.T
	name string
}

func (v *verifier) wrong(what string) { v.t.Helper(); v.t.Errorf("%s: %s", v.name, what) }

func (v *verifier) stmts(list []Stmt) {
	for _, s := range list {
		v.stmt(s)
	}
}

func (v *verifier) fits(what string, from, to *schema.Type) {
	v.t.Helper()
	if from == nil || to == nil || from.Kind != to.Kind || from.Kind == schema.Int && (from.Size != to.Size || from.Signed != to.Signed) ||
		from.Kind == schema.Tuple && from.Size != to.Size {
		v.wrong(what + " has type " + TypeName(from) + " where " + TypeName(to) + " is expected")
	}
}

func (v *verifier) key(m *Map, key Expr) {
	v.t.Helper()
	if (key == nil) != (m.Key == nil) {
		v.wrong("key of " + m.Name + " is missing or too much")
		return
	}
	if key != nil {
		v.expr(key)
		v.fits("key of "+m.Name, key.Type(), m.Key)
	}
}

func (v *verifier) stmt(s Stmt) {
	switch s := s.(type) {
	case nil:
		v.wrong("nil statement")
	case *Eval:
		v.expr(s.X)
	case *SetVar:
		v.expr(s.X)
		v.fits(s.Var.Name, s.X.Type(), s.Var.Type)
	case *DeclareVar:
		if s.Var.Type == nil {
			v.wrong(s.Var.Name + " has no type")
		}
	case *SetMap:
		v.key(s.Map, s.Key)
		v.expr(s.X)
		if t := s.Map.Value; s.Op != "" && t.Kind == schema.Pointer {
			v.fits("what is added to "+s.Map.Name, s.X.Type(), typeI64) // bytes
		} else {
			v.fits(s.Map.Name, s.X.Type(), t)
		}
	case *Aggregate:
		v.key(s.Map, s.Key)
		if s.X != nil {
			v.expr(s.X)
		}
	case *If:
		v.expr(s.Cond)
		v.stmts(s.Then)
		v.stmts(s.Else)
	case *While:
		v.expr(s.Cond)
		v.stmts(s.Body)
	case *Unroll:
		v.stmts(s.Body)
	case *ForMap:
		if s.Var.Type == nil {
			v.wrong(s.Var.Name + " has no type")
		}
		v.stmts(s.Body)
	case *ForRange:
		v.fits("start of "+s.Var.Name, s.From.Type(), s.Var.Type)
		v.fits("end of "+s.Var.Name, s.To.Type(), s.Var.Type)
		v.stmts(s.Body)
	case *Group:
		v.stmts(s.Body)
	}
}

func (v *verifier) expr(x Expr) {
	if x == nil || x.Type() == nil || x.Type() == typeBad {
		v.wrong("an expression has no type: " + exprText(x))
		return
	}
	switch x := x.(type) {
	case *VarRef:
		if x.Var.Type == nil {
			v.wrong(x.Var.Name + " has no type")
		}
	case *MapGet:
		v.key(x.Map, x.Key)
	case *IncDec:
		if x.Map != nil {
			v.key(x.Map, x.Key)
		}
	case *Unary:
		v.expr(x.X)
	case *Binary:
		v.expr(x.X)
		v.expr(x.Y)
		if a, b := x.X.Type(), x.Y.Type(); a.Kind == schema.Int && b.Kind == schema.Int && x.Op != "&&" && x.Op != "||" &&
			(a.Size != 8 || b.Size != 8 || a.Signed != b.Signed) {
			v.wrong("operands of " + exprText(x) + " differ")
		}
	case *Cond:
		v.expr(x.C)
		v.expr(x.Then)
		v.expr(x.Else)
	case *Convert:
		v.expr(x.X)
	case *Deref:
		v.expr(x.X)
	case *Member:
		v.expr(x.X)
	case *Index:
		v.expr(x.X)
		v.expr(x.I)
	case *AddrOf:
		v.expr(x.X)
	case *Tuple:
		for i, e := range x.Elems {
			v.expr(e)
			v.fits("element", e.Type(), x.T.Fields[i].Type)
		}
	case *Call:
		for _, a := range x.Args {
			v.expr(a)
		}
		if x.Event != nil {
			n := len(x.Args)
			for _, a := range x.Args {
				if _, ok := a.(*MapArg); ok {
					n--
				}
			}
			if x.Event.Kind != schema.Join && len(x.Event.Args) != n {
				v.wrong("event of " + x.Fn + " has not the arguments of the call")
			}
		}
	case *Seq:
		v.stmts(x.Stmts)
		if x.X != nil {
			v.expr(x.X)
		}
	}
}
