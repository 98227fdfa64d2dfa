package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
)

// regsSource is the context of kprobes and uprobes: pt_regs.
type regsSource struct {
	ret, user bool
}

func (s regsSource) enter(*fn, *ir.Block) {}

// field gives the arguments that debug information names; their offset counts arguments as for fentry.
func (s regsSource) field(f *fn, x *check.ArgsField) operand {
	return operand{v: f.wrap(s.arg(f, x.Field.Offset/8, x), x.Field.Type)}
}

func (s regsSource) arg(f *fn, n int, at check.Expr) *ir.Value {
	r := regsOf(f.target.Arch)
	if n < len(r.args) {
		return f.b.Load(f.context(), int64(r.args[n]), 8, false)
	}
	return s.stackArg(f, r.stackArg+8*(n-len(r.args)))
}

// stackArg reads a word of the stack of what is probed.
func (s regsSource) stackArg(f *fn, off int) *ir.Value {
	r := regsOf(f.target.Arch)
	p := place{space: kernel, base: f.b.Load(f.context(), int64(r.sp), 8, false), off: int64(off)}
	if s.user {
		p.space = user
	}
	return f.loadInt(p, 8, false)
}

func (s regsSource) retval(f *fn, at check.Expr) operand {
	v := f.b.Load(f.context(), int64(regsOf(f.target.Arch).result), 8, false)
	return operand{v: f.wrap(v, at.Type())}
}

func (s regsSource) probeIndex(f *fn) *ir.Value { return noArgs{}.probeIndex(f) }
