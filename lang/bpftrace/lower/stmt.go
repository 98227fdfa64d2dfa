package lower

import (
	"fmt"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/schema"
)

// variable is a scratch variable: scalars are SSA variables, others have memory. A scalar that callbacks share has memory
// too, in the frame.
type variable struct {
	ssa *ir.Var
	mem *ir.Slot
	// pair is the key and value of a loop over a map, where the kernel has them.
	pair *pair
	// inFrame is the offset in the frame of a shared variable, or -1.
	inFrame int
}

// body builds statements.
func (f *fn) body(list []check.Stmt) {
	for _, s := range list {
		if f.b.Terminated() {
			return // nothing after break, continue, return or exit() is ever run
		}
		f.b.Span = s.Pos()
		f.stmt(s)
	}
}

func (f *fn) stmt(s check.Stmt) {
	switch s := s.(type) {
	case *check.Eval:
		f.discard(s.X)
	case *check.SetVar:
		f.setVar(s.Var, s.X)
	case *check.DeclareVar:
		f.zeroVar(s.Var)
	case *check.SetMap:
		f.setMap(s)
	case *check.Aggregate:
		f.aggregate(s)
	case *check.If:
		f.ifStmt(s)
	case *check.While:
		f.whileStmt(s)
	case *check.Unroll:
		for range s.N {
			f.body(s.Body)
		}
	case *check.ForMap:
		f.forMap(s)
	case *check.ForRange:
		f.forRange(s)
	case *check.Jump:
		f.jump(s)
	case *check.Group:
		f.body(s.Body)
	default:
		panic(fmt.Sprintf("lower: statement %T", s))
	}
}

func (f *fn) ifStmt(s *check.If) {
	yes, end := f.newBlock(), f.newBlock()
	no := end
	if len(s.Else) > 0 {
		no = f.newBlock()
	}
	f.cond(s.Cond, yes, no)
	f.arm(yes, end, func() { f.body(s.Then) })
	if no != end {
		f.arm(no, end, func() { f.body(s.Else) })
	}
	end.Seal()
	f.b.At(end)
}

// discard evaluates an expression for its effect only.
func (f *fn) discard(x check.Expr) {
	switch x := x.(type) {
	case *check.IncDec:
		f.incDec(x, false)
	case *check.Seq:
		f.body(x.Stmts)
		if x.X != nil && !f.b.Terminated() {
			f.discard(x.X)
		}
	case *check.Call:
		f.call(x)
	case *check.Cond:
		f.condEffect(x)
	default:
		if x.Type() == nil || x.Type().Kind == schema.None {
			f.operand(x)
			return
		}
		f.operand(x)
	}
}

func (f *fn) condEffect(x *check.Cond) {
	yes, no, end := f.newBlock(), f.newBlock(), f.newBlock()
	f.cond(x.C, yes, no)
	f.arm(yes, end, func() { f.discard(x.Then) })
	f.arm(no, end, func() { f.discard(x.Else) })
	end.Seal()
	f.b.At(end)
}

// variable finds or makes the storage of a variable.
func (f *fn) variable(v *check.Var) *variable {
	if x := f.vars[v]; x != nil {
		return x
	}
	x := &variable{inFrame: -1}
	if isScalar(v.Type) {
		x.ssa = &ir.Var{Name: v.Name, Type: ir.Scalar}
	} else {
		x.mem = f.b.F.NewSlot(v.Name, (size(v.Type)+7)&^7, 8, ir.Auto)
	}
	f.vars[v] = x
	return x
}

func (f *fn) setVar(v *check.Var, x check.Expr) {
	s := f.variable(v)
	switch {
	case s.inFrame >= 0 && isScalar(v.Type):
		val := f.plain(f.fit(f.value(x), x.Type(), v.Type))
		f.storeWord(s.inFrame, val)
	case s.inFrame >= 0:
		f.assignInto(f.loadAddress(s.inFrame), v.Type, x)
	case s.ssa != nil:
		val := f.plain(f.fit(f.value(x), x.Type(), v.Type))
		f.b.Write(s.ssa, val)
	default:
		f.assignInto(f.b.SlotAddr(s.mem), v.Type, x)
	}
}

// assignInto stores x in a variable's memory. An expression that reads the same variable is finished elsewhere first.
func (f *fn) assignInto(dst *ir.Value, t *schema.Type, x check.Expr) {
	if readsVar(x) && !isPlainRead(x) {
		tmp := f.slot("tmp", (size(t)+7)&^7, 8)
		f.into(x, t, tmp, 0)
		f.copyTo(dst, 0, place{space: memory, base: tmp}, size(t))
		return
	}
	f.into(x, t, dst, 0)
}

// readsVar reports whether an expression reads a variable that is not a scalar.
func readsVar(x check.Expr) bool {
	found := false
	walk(x, func(n any) bool {
		if v, ok := n.(*check.VarRef); ok && !isScalar(v.Var.Type) {
			found = true
		}
		return !found
	})
	return found
}

func isPlainRead(x check.Expr) bool {
	switch x := x.(type) {
	case *check.VarRef:
		return true
	case *check.Convert:
		return isPlainRead(x.X)
	}
	return false
}

func (f *fn) zeroVar(v *check.Var) {
	s := f.variable(v)
	switch {
	case s.inFrame >= 0 && isScalar(v.Type):
		f.storeWord(s.inFrame, f.b.Const(0))
	case s.inFrame >= 0:
		f.zero(f.loadAddress(s.inFrame), 0, size(v.Type))
	case s.ssa != nil:
		f.b.Write(s.ssa, f.b.Const(0))
	default:
		f.zero(f.b.SlotAddr(s.mem), 0, size(v.Type))
	}
}

// readVar gives a variable's value.
func (f *fn) readVar(v *check.Var) operand {
	s := f.variable(v)
	switch {
	case s.pair != nil:
		return operand{place: s.pair.tuple(f, v.Type)}
	case s.inFrame >= 0 && isScalar(v.Type):
		return operand{v: f.loadWord(s.inFrame)}
	case s.inFrame >= 0:
		return operand{place: place{base: f.loadAddress(s.inFrame), padded: true}}
	case s.ssa != nil:
		return operand{v: f.b.Read(s.ssa)}
	}
	return operand{place: place{base: f.b.SlotAddr(s.mem), padded: true}}
}

// writeVar sets a scalar variable.
func (f *fn) writeVar(v *check.Var, x *ir.Value) {
	s := f.variable(v)
	if s.inFrame >= 0 {
		f.storeWord(s.inFrame, x)
		return
	}
	f.b.Write(s.ssa, x)
}

// zero clears n bytes of own memory.
func (f *fn) zero(dst *ir.Value, off int64, n int) {
	if n > 0 {
		f.b.Zero(dst, off, int64(n))
	}
}
