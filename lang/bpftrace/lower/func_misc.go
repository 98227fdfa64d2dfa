package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

func ksymCall(f *fn, x *check.Call) operand {
	f.NeedsKernelSymbols = true
	return operand{v: f.plain(f.value(x.Args[0]))}
}

// usymCall keeps the process with the address, since only that gives it a name.
func usymCall(f *fn, x *check.Call) operand {
	f.NeedsUserSymbols = true
	slot := f.slot("usym", 16, 8)
	f.b.Store(slot, 0, 8, f.value(x.Args[0]))
	f.b.Store(slot, 8, 8, f.processID())
	return operand{place: place{base: slot}}
}

// percpuAddress is the address of one CPU's copy of a kernel variable: the kernel has a table of what to add for each CPU.
func percpuAddress(f *fn, x *check.Call) operand {
	name, _ := constOf(x.Args[0])
	find := func(name string) int64 {
		if f.opt.KernelAddress != nil {
			if addr, ok := f.opt.KernelAddress(name); ok {
				return int64(addr)
			}
		}
		f.fail(x.Args[0].Pos(), "the kernel has no symbol %q", name)
		return 0
	}
	var cpu *ir.Value
	if len(x.Args) > 1 {
		cpu = f.value(x.Args[1])
	} else {
		cpu = f.pure(fnGetCPU)
	}
	table := f.b.Binary(ir.OpAdd, f.b.Const(find("__per_cpu_offset")), f.b.Binary(ir.OpShl, cpu, f.b.Const(3)))
	off := f.loadInt(place{space: kernel, base: table}, 8, false)
	return operand{v: f.b.Binary(ir.OpAdd, f.b.Const(find(name)), off)}
}

func signalCall(f *fn, x *check.Call) operand {
	helper := fnSendSignal
	if x.Fn == "signal_thread" {
		helper = fnSendSignalThread
	}
	r := f.b.Call(helper, ir.Scalar, 0, f.value(x.Args[0]))
	f.helperError(r, helperName(helper))
	return operand{v: r}
}

func overrideCall(f *fn, x *check.Call) operand {
	if _, ok := f.src.(regsSource); !ok || f.attach.How == probe.KprobeMulti {
		f.fail(x.Span, "override can be used in a kprobe on one function only")
	}
	r := f.b.Call(fnOverrideReturn, ir.Scalar, 0, f.context(), f.value(x.Args[0]))
	return operand{v: r}
}

// setVarFrom sets a variable to what lies at a place.
func (f *fn) setVarFrom(v *check.Var, p place, t *schema.Type) {
	if isScalar(v.Type) {
		f.writeVar(v, f.fit(f.load(p, t), t, v.Type))
		return
	}
	f.placeInto(p, t, v.Type, f.readVar(v).base, 0)
}
