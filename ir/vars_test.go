package ir

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// buildLoops is a function of two nested loops with a variable that changes in the inner one only, one that never changes,
// and one that is read and written in a branch.
func buildLoops() *Module {
	m := NewModule("loops")
	f := m.NewFunc("main", Pointer)
	b := NewBuilder(f)
	i, j, sum, same := &Var{"i", Scalar}, &Var{"j", Scalar}, &Var{"sum", Scalar}, &Var{"same", Scalar}
	b.Write(same, b.Load(b.Param(0), 8, 8, false))
	b.Write(i, b.Const(0))
	outer, inner, body, odd, next, step, done := f.NewBlock(), f.NewBlock(), f.NewBlock(), f.NewBlock(), f.NewBlock(), f.NewBlock(), f.NewBlock()
	b.Jump(outer)
	b.At(outer)
	held := b.Read(same) // a phi that turns out to be the value from before the loop
	b.Write(j, b.Const(0))
	b.If(b.Binary(OpULt, b.Read(i), b.Const(3)), inner, done, 0)
	b.At(inner)
	b.If(b.Binary(OpULt, b.Read(j), b.Const(4)), body, step, 0)
	body.Seal()
	b.At(body)
	b.If(b.Binary(OpAnd, b.Read(j), b.Const(1)), odd, next, 0)
	odd.Seal()
	b.At(odd)
	b.Write(sum, b.Binary(OpAdd, b.Read(sum), b.Read(same)))
	b.Jump(next)
	next.Seal()
	b.At(next)
	b.Write(j, b.AddConst(b.Read(j), 1))
	b.Jump(inner)
	inner.Seal()
	step.Seal()
	b.At(step)
	b.Write(i, b.AddConst(b.Read(i), 1))
	b.Jump(outer)
	outer.Seal()
	done.Seal()
	b.At(done)
	b.Store(b.MapValue("out", 0), 0, 8, b.Read(sum))
	b.Store(b.MapValue("out", 0), 8, 8, held)
	b.Return(b.Read(j))
	return m
}

func TestVariables(t *testing.T) {
	m := buildLoops()
	for _, f := range m.Funcs {
		f.finishVars()
		f.hoistParams()
		for simplifyPhis(f) {
		}
		hoistLeaves(f)
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	want := `func main ptr
b0:
  v1 = load8 [%0 + 8]
  jump b1
b1: <- b0 b6
  v25 = phi 0 v17 ; sum
  v6 = phi 0 v31 ; i
  v8 = ult v6 3
  if v8 b2 b7
b2: <- b1 b5
  v17 = phi v25 v26 ; sum
  v10 = phi 0 v23 ; j
  v12 = ult v10 4
  if v12 b3 b6
b3: <- b2
  v15 = and v10 1
  if v15 b4 b5
b4: <- b3
  v19 = add v17 v1
  jump b5
b5: <- b3 b4
  v26 = phi v17 v19 ; sum
  v23 = add v10 1
  jump b2
b6: <- b2
  v31 = add v6 1
  jump b1
b7: <- b1
  store8 [val:out+0] v25
  store8 [val:out+0 + 8] v1
  return 0
`
	if diff := cmp.Diff(want, m.String()); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, m)
	}
}

// TestNeverWritten reads a variable that has no value yet, before and behind a branch.
func TestNeverWritten(t *testing.T) {
	m := NewModule("unset")
	f := m.NewFunc("main", Pointer)
	b := NewBuilder(f)
	v := &Var{"v", Scalar}
	then, after := f.NewBlock(), f.NewBlock()
	b.If(b.Load(b.Param(0), 0, 4, false), then, after, LikelyElse)
	then.Seal()
	b.At(then)
	b.Write(v, b.AddConst(b.Read(v), 5))
	b.Jump(after)
	after.Seal()
	b.At(after)
	b.Return(b.Read(v))
	var got string
	if _, err := Compile(m, Options{Target: liveTarget(), Check: true, Dump: func(stage, text string) {
		if stage == "ir-opt" {
			got = text
		}
	}}); err != nil {
		t.Fatal(err)
	}
	want := `func main ptr
b0:
  v1 = load4 [%0]
  if v1 b1 b2 unlikely
b1: <- b0
  jump b2
b2: <- b0 b1
  v7 = phi 0 5 ; v
  return v7
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
