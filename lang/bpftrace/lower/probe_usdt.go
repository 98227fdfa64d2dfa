package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/symbol"
)

// usdtSource is the context of a USDT probe: registers, and where in them the arguments are.
type usdtSource struct {
	regsSource
	args []symbol.USDTArg
}

func (s usdtSource) arg(f *fn, n int, at check.Expr) *ir.Value {
	if n >= len(s.args) {
		f.fail(at.Pos(), "arg%d does not exist at each place of %s", n, f.points[0].Name)
	}
	a := s.args[n]
	if a.Unknown != "" {
		f.fail(at.Pos(), "arg%d of %s cannot be read: %s", n, f.points[0].Name, a.Unknown)
	}
	if a.Register == "" {
		return f.b.Const(a.Value)
	}
	v := s.register(f, a.Register, at)
	if !a.Memory {
		if a.Size == 8 {
			return v
		}
		op := ir.OpZExt
		if a.Signed {
			op = ir.OpSExt
		}
		return f.b.Ext(op, v, 8*a.Size)
	}
	if a.Index != "" {
		v = f.b.Binary(ir.OpAdd, v, f.b.Binary(ir.OpMul, s.register(f, a.Index, at), f.b.Const(a.Scale)))
	}
	return f.loadInt(place{space: user, base: v, off: a.Value}, a.Size, a.Signed)
}

func (s usdtSource) register(f *fn, name string, at check.Expr) *ir.Value {
	off, ok := regsOf(f.target.Arch).names(name)
	if !ok {
		f.fail(at.Pos(), "this is a probe of another machine: there is no register %s", name)
	}
	return f.b.Load(f.context(), int64(off), 8, false)
}
