package ir

import (
	"testing"

	"github.com/cilium/ebpf/asm"
)

// TestLongFunctions counts how often the whole function is looked at: not more often the longer it is.
func TestLongFunctions(t *testing.T) {
	count := func(n int) int {
		m := NewModule("long")
		b := NewBuilder(m.NewFunc("main", Pointer))
		v := &Var{Name: "x", Type: Scalar}
		for range n {
			one, end := b.F.NewBlock(), b.F.NewBlock()
			c := b.Call(int64(asm.FnGetPrandomU32), Scalar, 0)
			b.Write(v, b.Const(7)) // goes in front of the branch
			b.If(c, one, end, 0)
			one.Seal()
			b.At(one)
			b.Write(v, b.Call(int64(asm.FnKtimeGetNs), Scalar, 0))
			b.Jump(end)
			end.Seal()
			b.At(end)
			b.Store(b.MapValue("out", 0), 0, 8, b.Read(v))
			b.Store(b.MapValue("out", 8), 0, 8, c)
		}
		b.Return(nil)
		b.F.finishVars()
		opt := &Options{Target: liveTarget()}
		p := &plan{m: m, opt: opt, origin: map[*Slot]*Slot{}}
		if err := p.run(); err != nil {
			t.Fatal(err)
		}
		return p.machine[0].lives
	}
	short, long := count(5), count(100)
	if long > short+2 {
		t.Errorf("liveness was computed %d times for 5 branches and %d times for 100", short, long)
	}
}
