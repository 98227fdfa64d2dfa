package lower

import (
	"github.com/cilium/ebpf/btf"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

// function compiles a call.
type function func(f *fn, x *check.Call) operand

// functionNamed is the table of the language's builtins and functions.
func functionNamed(name string) function {
	switch name {
	case "pid":
		return func(f *fn, x *check.Call) operand { return operand{v: f.pid(x)} }
	case "tid":
		return func(f *fn, x *check.Call) operand { return operand{v: f.tid(x)} }
	case "uid":
		return func(f *fn, x *check.Call) operand { return operand{v: f.low32(f.pure(fnGetUidGid))} }
	case "gid":
		return func(f *fn, x *check.Call) operand { return operand{v: f.high32(f.pure(fnGetUidGid))} }
	case "username":
		return func(f *fn, x *check.Call) operand { return operand{v: f.low32(f.pure(fnGetUidGid))} }
	case "cpu":
		return func(f *fn, x *check.Call) operand { return operand{v: f.pure(fnGetCPU)} }
	case "cgroup":
		return func(f *fn, x *check.Call) operand { return operand{v: f.pure(fnGetCgroupID)} }
	case "rand":
		return func(f *fn, x *check.Call) operand { return operand{v: f.b.Call(fnGetPrandom, ir.Scalar, ir.Droppable)} }
	case "numaid":
		return func(f *fn, x *check.Call) operand { return operand{v: f.pure(fnGetNuma)} }
	case "jiffies":
		return func(f *fn, x *check.Call) operand { return operand{v: f.b.Call(fnJiffies, ir.Scalar, ir.Droppable)} }
	case "ncpus":
		return func(f *fn, x *check.Call) operand { return operand{v: f.b.Const(int64(f.target.CPUs))} }
	case "cpid":
		return func(f *fn, x *check.Call) operand {
			return operand{v: f.b.Load(f.b.MapValue(MapState, 0), StateCpid, 4, false)}
		}
	case "nsecs":
		return nsecs
	case "elapsed":
		return func(f *fn, x *check.Call) operand {
			now := f.b.Call(fnKtimeBoot, ir.Scalar, ir.Droppable)
			return operand{v: f.b.Binary(ir.OpSub, now, f.b.Load(f.b.MapValue(MapState, 0), StateStart, 8, false))}
		}
	case "comm":
		return comm
	case "curtask":
		return func(f *fn, x *check.Call) operand { return operand{v: f.curtask()} }
	case "ppid":
		return func(f *fn, x *check.Call) operand {
			return operand{v: f.loadInt(f.taskMember(f.relative("real_parent", x), "tgid", x), 4, false)}
		}
	case "pcomm":
		return func(f *fn, x *check.Call) operand {
			return operand{place: f.taskMember(f.relative("real_parent", x), "comm", x)}
		}
	case "leader_tid":
		return func(f *fn, x *check.Call) operand {
			return operand{v: f.loadInt(f.taskMember(f.relative("group_leader", x), "pid", x), 4, false)}
		}
	case "leader_comm":
		return func(f *fn, x *check.Call) operand {
			return operand{place: f.taskMember(f.relative("group_leader", x), "comm", x)}
		}
	case "probe":
		return func(f *fn, x *check.Call) operand { return operand{v: f.src.probeIndex(f)} }
	case "func":
		return funcName
	case "arg", "sarg":
		return argN
	case "retval":
		return func(f *fn, x *check.Call) operand { return f.src.retval(f, x) }
	case "reg":
		return reg
	case "ctx":
		return func(f *fn, x *check.Call) operand { return operand{v: f.plain(f.context())} }
	case "usermode":
		return usermode
	}
	return callNamed(name)
}

// call compiles a call.
func (f *fn) call(x *check.Call) operand {
	build := functionNamed(x.Fn)
	if build == nil {
		f.fail(x.Span, "%s cannot be compiled yet", x.Fn)
	}
	return build(f, x)
}

// pure calls a helper whose result stays the same while the program runs.
func (f *fn) pure(helper int64) *ir.Value { return f.b.Call(helper, ir.Scalar, ir.Pure) }

func (f *fn) low32(v *ir.Value) *ir.Value  { return f.b.Ext(ir.OpZExt, v, 32) }
func (f *fn) high32(v *ir.Value) *ir.Value { return f.b.Binary(ir.OpShr, v, f.b.Const(32)) }

// tgid is the process id in the initial namespace.
func (f *fn) tgid() *ir.Value { return f.high32(f.pure(fnGetPidTgid)) }

func (f *fn) pid(x *check.Call) *ir.Value {
	if f.inOtherNS(x) {
		return f.nsPidTgid(idsTgid)
	}
	return f.tgid()
}

func (f *fn) tid(x *check.Call) *ir.Value {
	if f.inOtherNS(x) {
		return f.nsPidTgid(idsTid)
	}
	return f.low32(f.pure(fnGetPidTgid))
}

// inOtherNS reports whether an id is to be that of the tracer's own namespace: pid(init) asks for the initial one.
func (f *fn) inOtherNS(x *check.Call) bool {
	return f.opt.OtherPIDNS && x.Index != initNS
}

// initNS is the Index of pid(init) and tid(init).
const initNS = 1

// Clocks as nsecs names them in its Index.
const (
	clockBoot = iota
	clockMonotonic
	clockTAI
	clockSoftwareTAI
)

func nsecs(f *fn, x *check.Call) operand {
	switch x.Index {
	case clockMonotonic:
		return operand{v: f.b.Call(fnKtimeMono, ir.Scalar, ir.Droppable)}
	case clockTAI, clockSoftwareTAI:
		f.need(ir.KtimeTAI, x.Span, "the clock tai")
		return operand{v: f.b.Call(fnKtimeTAI, ir.Scalar, ir.Droppable)}
	}
	return operand{v: f.b.Call(fnKtimeBoot, ir.Scalar, ir.Droppable)}
}

func comm(f *fn, x *check.Call) operand {
	if len(x.Args) == 1 { // of another task
		return operand{place: f.taskMember(f.task(x), "comm", x)}
	}
	slot := f.slot("comm", 16, 8)
	f.commInto(slot)
	return operand{place: place{base: slot, padded: true}}
}

// curtask is the current task_struct, typed where the kernel can say so.
func (f *fn) curtask() *ir.Value {
	if f.target.Supports(ir.CurrentTaskBTF) {
		return f.b.Call(fnGetTaskBTF, ir.KernelPointer, ir.Pure)
	}
	return f.pure(fnGetTask)
}

// task is the task_struct that a call is about: its argument, or the current one.
func (f *fn) task(x *check.Call) place {
	p := place{space: kernel}
	if len(x.Args) == 1 {
		p.base = f.plain(f.value(x.Args[0]))
		return p
	}
	if p.base = f.curtask(); p.base.Type == ir.KernelPointer {
		p.space = typed
	}
	return p
}

// relative is the task_struct that a member of a task's own points to.
func (f *fn) relative(member string, x *check.Call) place {
	p := f.taskMember(f.task(x), member, x)
	if p.space == typed && !f.costlyWalk(p.base) {
		return place{space: typed, nullable: true, base: f.b.LoadPointer(p.base, p.off)}
	}
	p.space = kernel
	return place{space: kernel, base: f.loadInt(p, 8, false)}
}

// taskMember is a member of struct task_struct, at the offset that the running kernel has.
func (f *fn) taskMember(task place, name string, x *check.Call) place {
	off, ok := f.kernelOffset("task_struct", name)
	if !ok {
		f.fail(x.Span, "%s needs the kernel's BTF, in which there is no task_struct.%s", x.Fn, name)
	}
	return task.at(off)
}

// kernelOffset finds a member of one of the kernel's structs.
func (u *unit) kernelOffset(structName, member string) (int64, bool) {
	if u.opt.Types == nil {
		return 0, false
	}
	types, err := u.opt.Types()
	if err != nil {
		return 0, false
	}
	found, err := types.Struct(structName)
	if err != nil {
		return 0, false
	}
	s, ok := found.(*btf.Struct)
	if !ok {
		return 0, false
	}
	return memberOffset(s.Members, member)
}

func memberOffset(members []btf.Member, name string) (int64, bool) {
	for _, m := range members {
		if m.Name == name {
			return int64(m.Offset / 8), true
		}
		if m.Name != "" {
			continue
		}
		var inner []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if off, ok := memberOffset(inner, name); ok {
			return int64(m.Offset/8) + off, true
		}
	}
	return 0, false
}

func argN(f *fn, x *check.Call) operand {
	if x.Fn == "sarg" {
		r := regsOf(f.target.Arch)
		if s, ok := f.src.(regsSource); ok {
			return operand{v: s.stackArg(f, r.stackArg+8*x.Index)}
		}
	}
	return operand{v: f.src.arg(f, x.Index, x)}
}

func reg(f *fn, x *check.Call) operand {
	name := ""
	if len(x.Args) == 1 {
		if s, ok := x.Args[0].(*check.Str); ok {
			name = s.Value
		}
	}
	find := regsOf(f.target.Arch).names
	off, ok := find(name)
	if !ok {
		f.fail(x.Span, "there is no register %q on %s", name, f.target.Arch)
	}
	switch f.src.(type) {
	case regsSource, perfSource:
		return operand{v: f.b.Load(f.context(), int64(off), 8, false)}
	}
	f.fail(x.Span, "reg() can be used in kprobes, uprobes and perf events only")
	return operand{}
}

// funcName is the function that a probe is on: known when compiled, or the instruction's address in the kernel.
func funcName(f *fn, x *check.Call) operand {
	switch x.T.Kind {
	case schema.ProbeName:
		return operand{v: f.funcIndex()}
	case schema.KSym:
		f.NeedsKernelSymbols = true
		if s, ok := f.src.(regsSource); ok && !s.ret {
			return operand{v: f.b.Load(f.context(), int64(regsOf(f.target.Arch).ip), 8, false)}
		}
		if addr, ok := f.onlyFunction(); ok && !f.target.Supports(ir.FuncIPKprobe) {
			return operand{v: f.b.Const(int64(addr))}
		}
		f.need(ir.FuncIPKprobe, x.Span, "func")
		return operand{v: f.b.Call(fnGetFuncIP, ir.Scalar, ir.Pure, f.context())}
	case schema.USym:
		f.NeedsUserSymbols = true
		slot := f.slot("usym", 16, 8)
		var ip *ir.Value
		if s, ok := f.src.(regsSource); ok && s.ret {
			// The helper knows uprobes since the release that brought uprobe_multi; before, it gives 0.
			f.need(ir.UprobeMulti, x.Span, "func in a uretprobe")
			ip = f.b.Call(fnGetFuncIP, ir.Scalar, ir.Pure, f.context())
		} else {
			ip = f.b.Load(f.context(), int64(regsOf(f.target.Arch).ip), 8, false)
		}
		f.b.Store(slot, 0, 8, ip)
		f.b.Store(slot, 8, 8, f.processID())
		return operand{place: place{base: slot}}
	}
	f.fail(x.Span, "func cannot be used here")
	return operand{}
}

// onlyFunction is the address of the kernel's function that the program is on, if it is on one.
func (f *fn) onlyFunction() (uint64, bool) {
	if len(f.points) != 1 || f.opt.KernelAddress == nil {
		return 0, false
	}
	return f.opt.KernelAddress(f.points[0].Function)
}

// funcIndex gives the function's name among the names of probes.
func (f *fn) funcIndex() *ir.Value {
	if len(f.points) == 1 {
		return f.b.Const(int64(f.probeName(f.points[0].Function)))
	}
	return f.src.probeIndex(f)
}

// usermode is 1 where the program interrupted user mode: what the registers say in perf events (the lowest two bits of cs on amd64,
// the exception level on arm64), always in uprobes and in skep's own probes, and never where the kernel itself calls programs.
func usermode(f *fn, x *check.Call) operand {
	switch src := f.src.(type) {
	case perfSource:
	case regsSource:
		return operand{v: f.b.Const(boolWord(src.user))}
	default:
		return operand{v: f.b.Const(boolWord(f.attach.How == probe.TestRun || f.attach.How == probe.SignalSelf))}
	}
	if f.target.Arch == "arm64" {
		mode := f.b.Binary(ir.OpAnd, f.b.Load(f.context(), 264, 8, false), f.b.Const(0xf))
		return operand{v: f.b.Binary(ir.OpEq, mode, f.b.Const(0))}
	}
	cs := f.b.Binary(ir.OpAnd, f.b.Load(f.context(), 136, 8, false), f.b.Const(3))
	return operand{v: f.b.Binary(ir.OpEq, cs, f.b.Const(3))}
}

func boolWord(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
