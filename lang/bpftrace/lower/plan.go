package lower

import (
	"strings"

	"github.com/cilium/ebpf"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
)

// uses is what the code of a probe asks of its context.
type uses struct {
	args, argN, retval, stack, ctx bool
	fields                         map[string]bool
}

func usesOf(p *check.Probe) uses {
	u := uses{fields: map[string]bool{}}
	walkProbe(p, func(n any) bool {
		switch n := n.(type) {
		case *check.ArgsField:
			u.args = true
			u.fields[n.Field.Name] = true
		case *check.Call:
			switch n.Fn {
			case "arg", "reg", "sarg":
				u.argN = true
			case "retval":
				u.retval = true
			case "kstack", "ustack", "dw_ustack":
				u.stack = true
			case "ctx", "args":
				u.ctx = true
			}
		}
		return true
	})
	return u
}

// plan decides how the points of a probe are served: how they are attached, by programs of which type, and which of them share a
// program.
func (u *unit) plan(p *check.Probe) []plan {
	var plans []plan
	use := usesOf(p)
	groups := map[string][]probe.Point{}
	var order []string
	for _, pt := range p.Points {
		k := u.groupOf(p, pt, use)
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], pt)
	}
	for _, k := range order {
		plans = append(plans, u.planGroup(p, groups[k], use)...)
	}
	return plans
}

// groupOf names the points that may be served together.
func (u *unit) groupOf(p *check.Probe, pt probe.Point, use uses) string {
	switch pt.Kind {
	case probe.Tracepoint:
		switch {
		case pt.Category == "syscalls":
			return "syscalls:" + pt.Event[:min(len(pt.Event), 8)]
		case u.plainRaw(pt, use) && (!p.UsesProbe || u.target.Supports(ir.RawTPCookie)):
			return "raw"
		}
	case probe.RawTracepoint:
		if !use.args && (!p.UsesProbe || u.target.Supports(ir.RawTPCookie)) {
			return "raw"
		}
	case probe.Kprobe, probe.Kretprobe:
		if pt.Offset == 0 && pt.Address == 0 && u.target.Supports(ir.KprobeMulti) {
			return []string{probe.Kprobe: "kprobe", probe.Kretprobe: "kretprobe"}[pt.Kind]
		}
	case probe.USDT:
		// Each place has its arguments somewhere else.
		if u.target.Supports(ir.UprobeMulti) {
			return "usdt:" + pt.Binary + ":" + pt.USDT.Text
		}
	case probe.Uprobe, probe.Uretprobe:
		if u.target.Supports(ir.UprobeMulti) {
			return []string{probe.Uprobe: "uprobe:", probe.Uretprobe: "uretprobe:"}[pt.Kind] + pt.Binary
		}
	}
	return pt.Name
}

func (u *unit) planGroup(p *check.Probe, points []probe.Point, use uses) []plan {
	pt := points[0]
	pl := plan{points: points}
	switch pt.Kind {
	case probe.Begin, probe.End, probe.Test, probe.Bench:
		// A raw tracepoint program can be run by hand since Linux 5.10, and may use every tracing helper.
		pl.how, pl.kind, pl.src = probe.TestRun, ebpf.RawTracepoint, noArgs{}
	case probe.SelfSignal:
		pl.how, pl.kind, pl.src = probe.SignalSelf, ebpf.RawTracepoint, noArgs{}
	case probe.Tracepoint:
		return []plan{u.planTracepoint(p, points, use)}
	case probe.RawTracepoint:
		if len(points) > 1 && !use.args {
			return []plan{rawPlan(points, wordsSource{kind: pt.Kind})}
		}
		return u.each(points, func(pt probe.Point) plan { return u.planRaw(p, pt, use) })
	case probe.Kprobe, probe.Kretprobe:
		return u.planKprobe(p, points, use)
	case probe.Fentry, probe.Fexit:
		return u.each(points, func(pt probe.Point) plan { return u.planTrampoline(p, pt) })
	case probe.Uprobe, probe.Uretprobe, probe.USDT:
		return u.planUprobe(points)
	case probe.Profile:
		pl.how, pl.kind, pl.src = probe.PerfClock, ebpf.PerfEvent, perfSource{}
	case probe.Interval:
		pl.how, pl.kind, pl.src = probe.PerfInterval, ebpf.PerfEvent, perfSource{}
	case probe.Software:
		pl.how, pl.kind, pl.src = probe.PerfSoftware, ebpf.PerfEvent, perfSource{}
	default:
		u.fail(p.Span, "probes of this kind cannot be compiled yet")
	}
	return []plan{pl}
}

func (u *unit) each(points []probe.Point, f func(probe.Point) plan) []plan {
	var plans []plan
	for _, pt := range points {
		pl := f(pt)
		pl.points = []probe.Point{pt}
		plans = append(plans, pl)
	}
	return plans
}

func (u *unit) planTracepoint(p *check.Probe, points []probe.Point, use uses) plan {
	pt := points[0]
	pl := plan{points: points}
	if pt.Category == "syscalls" && strings.HasPrefix(pt.Event, "sys_") {
		src := newSyscallSource(u, p, points)
		pl.target, pl.src = src.tracepoint, src
		u.raw(&pl, true)
		src.typed = pl.how == probe.BTFTP
		return pl
	}
	if src := u.knownTracepoint(pt, use); src != nil && u.hasRaw(pt) {
		pl.target = pt.Event
		pl.src = src
		u.raw(&pl, src.needsMemory(use))
		src.setTyped(pl.how == probe.BTFTP)
		return pl
	}
	if u.plainRaw(pt, use) {
		return rawPlan(points, noArgs{})
	}
	pl.how, pl.kind, pl.src = probe.TracepointPerf, ebpf.TracePoint, recordSource{}
	return pl
}

// plainRaw reports whether a probe on a tracepoint asks nothing of its record, so that the raw tracepoint does as well.
func (u *unit) plainRaw(pt probe.Point, use uses) bool {
	return !use.args && !use.ctx && !use.stack && u.hasRaw(pt)
}

// rawPlan serves raw tracepoints with one program, whose name they have as their cookie.
func rawPlan(points []probe.Point, src source) plan {
	return plan{
		points: points, how: probe.RawTP, target: points[0].Event, kind: ebpf.RawTracepoint, src: src,
		each: len(points) > 1, cookie: len(points) > 1,
	}
}

// raw makes a plan for a raw tracepoint: typed by BTF if memory behind its arguments is read, since loads are then direct, but
// costs the loading of BTF.
func (u *unit) raw(pl *plan, readsMemory bool) {
	if readsMemory && u.target.Supports(ir.BTFTracepoint) {
		pl.how, pl.kind, pl.attach, pl.to = probe.BTFTP, ebpf.Tracing, ebpf.AttachTraceRawTp, pl.target
		return
	}
	pl.how, pl.kind = probe.RawTP, ebpf.RawTracepoint
}

// hasRaw reports whether a tracepoint can be attached as a raw one: those of dynamic events and of ftrace cannot.
func (u *unit) hasRaw(pt probe.Point) bool {
	switch pt.Category {
	case "syscalls", "ftrace", "kprobes", "uprobes", "fprobes", "eprobes", "synthetic":
		return false
	}
	return u.opt.HasRawTracepoint == nil || u.opt.HasRawTracepoint(pt)
}

func (u *unit) planRaw(p *check.Probe, pt probe.Point, use uses) plan {
	pl := plan{target: pt.Event}
	u.raw(&pl, use.args)
	if pl.how == probe.RawTP && use.args && u.opt.Record == 0 && !u.opt.Played { // for those, what arguments lead to is read by helpers
		u.need(ir.BTFTracepoint, p.Span, "args of a raw tracepoint")
	}
	pl.src = wordsSource{typed: pl.how == probe.BTFTP, kind: pt.Kind}
	return pl
}

func (u *unit) planTrampoline(p *check.Probe, pt probe.Point) plan {
	u.need(ir.FentryProg, p.Span, strings.SplitN(pt.Name, ":", 2)[0])
	pl := plan{how: probe.Trampoline, kind: ebpf.Tracing, attach: ebpf.AttachTraceFEntry, to: pt.Function, target: pt.Function}
	if pt.Kind == probe.Fexit {
		pl.attach = ebpf.AttachTraceFExit
	}
	pl.src = wordsSource{typed: true, kind: pt.Kind}
	return pl
}

func (u *unit) planKprobe(p *check.Probe, points []probe.Point, use uses) []plan {
	src := func() source { return regsSource{ret: points[0].Kind == probe.Kretprobe} }
	named := p.UsesProbe || p.UsesFunc
	if len(points) > 1 && (!named || u.target.Supports(ir.AttachCookie)) {
		return []plan{{points: points, how: probe.KprobeMulti, kind: ebpf.Kprobe, attach: ebpf.AttachTraceKprobeMulti, src: src(), cookie: true}}
	}
	return u.each(points, func(pt probe.Point) plan {
		return plan{how: probe.KprobePerf, kind: ebpf.Kprobe, src: src()}
	})
}

func (u *unit) planUprobe(points []probe.Point) []plan {
	src := func() source {
		regs := regsSource{ret: points[0].Kind == probe.Uretprobe, user: true}
		if usdt := points[0].USDT; usdt != nil {
			return usdtSource{regs, usdt.Args}
		}
		return regs
	}
	if len(points) > 1 {
		return []plan{{points: points, how: probe.UprobeMulti, kind: ebpf.Kprobe, attach: ebpf.AttachTraceUprobeMulti, src: src(), cookie: true}}
	}
	return u.each(points, func(pt probe.Point) plan {
		return plan{how: probe.UprobePerf, kind: ebpf.Kprobe, src: src()}
	})
}

// numbers is the memory that a number of unknown origin is taken for an address of.
func (p *program) numbers() space {
	pt := p.points[0]
	switch pt.Kind {
	case probe.Uprobe, probe.Uretprobe, probe.USDT:
		return user
	case probe.Tracepoint:
		if pt.Category == "syscalls" {
			return either
		}
	}
	return kernel
}

// constProbe gives the index of the only point's name.
func (p *program) constProbe(f *fn) *ir.Value { return f.b.Const(int64(p.probeName(p.points[0].Name))) }

// noArgs is the context of programs that have no arguments.
type noArgs struct{}

func (noArgs) enter(*fn, *ir.Block) {}
func (noArgs) field(f *fn, x *check.ArgsField) operand {
	f.fail(x.Span, "this probe has no args")
	return operand{}
}
func (noArgs) arg(f *fn, n int, at check.Expr) *ir.Value {
	f.fail(at.Pos(), "this probe has no arguments")
	return nil
}
func (noArgs) retval(f *fn, at check.Expr) operand {
	f.fail(at.Pos(), "this probe has no return value")
	return operand{}
}
func (noArgs) probeIndex(f *fn) *ir.Value {
	if len(f.points) == 1 {
		return f.constProbe(f)
	}
	return f.cookie()
}

// cookie is the number that the point which was hit was attached with: its name's index.
func (f *fn) cookie() *ir.Value {
	return f.b.Ext(ir.OpZExt, f.b.Call(fnGetAttachCookie, ir.Scalar, ir.Pure, f.context()), 32)
}

// perfSource is the context of programs on perf events.
type perfSource struct{ noArgs }
