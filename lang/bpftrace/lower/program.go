package lower

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
)

// program is one eBPF program in the making: a probe's code for the points that it serves.
type program struct {
	*unit
	key    string // in the spec's Programs
	probe  *check.Probe
	points []probe.Point
	module *ir.Module
	spec   *ebpf.ProgramSpec
	attach probe.Attach
	src    source
	funcs  map[string]*ir.Func // subprograms shared by places of this program
	// nextFunc numbers callbacks.
	nextFunc int
	claim    *ir.Claim // of scratch memory, if the program can run more than once at a time on a CPU
}

// source knows what the context of a program looks like, and so where the arguments of its probe are.
type source interface {
	// enter builds what comes first: filters, values that are needed more than once. skip is where events go that are not meant.
	enter(f *fn, skip *ir.Block)
	// field gives args.x.
	field(f *fn, x *check.ArgsField) operand
	// arg gives argN, retval the returned value.
	arg(f *fn, n int, at check.Expr) *ir.Value
	retval(f *fn, at check.Expr) operand
	// probeIndex gives the value of the builtin probe for programs with several points.
	probeIndex(f *fn) *ir.Value
}

// operand is a value: a scalar or a place.
type operand struct {
	v *ir.Value
	place
}

// plan is a decision how some points of a probe are served.
type plan struct {
	points []probe.Point
	how    probe.How
	target string
	kind   ebpf.ProgramType
	attach ebpf.AttachType
	to     string
	src    source
	cookie bool // each point's index in ProbeNames is its cookie, if the probe asks for its name
	each   bool // each point is attached by itself
}

// lowerProbe makes the programs of one probe.
func (u *unit) lowerProbe(p *check.Probe) {
	for _, pl := range u.plan(p) {
		u.lowerPlan(p, pl)
	}
}

func (u *unit) lowerPlan(cp *check.Probe, pl plan) {
	name := programName(pl.points[0])
	p := &program{
		unit: u, key: fmt.Sprintf("p%d_%s", len(u.Spec.Programs), name), probe: cp, points: pl.points,
		module: ir.NewModule(name), src: pl.src, funcs: map[string]*ir.Func{},
		spec:   &ebpf.ProgramSpec{Name: name, Type: pl.kind, AttachType: pl.attach, AttachTo: pl.to, License: "GPL"},
		attach: probe.Attach{How: pl.how, Target: pl.target, Points: pl.points},
	}
	if l := u.tree.Config.License; l != "" {
		p.spec.License = l
	}
	if pl.cookie && (cp.UsesProbe || cp.UsesFunc) {
		for _, pt := range pl.points {
			p.attach.Cookies = append(p.attach.Cookies, uint64(u.probeName(pt.Name)))
		}
	}
	u.Recorded = append(u.Recorded, p.key)
	p.build()
	p.compile()
	if !pl.each {
		u.Attach = append(u.Attach, p.attach)
		return
	}
	for i, pt := range pl.points {
		a := p.attach
		a.Target, a.Points = pt.Event, pl.points[i:i+1]
		if a.Cookies != nil {
			a.Cookies = a.Cookies[i : i+1]
		}
		u.Attach = append(u.Attach, a)
	}
}

// programName makes a kernel object name of a point's last part.
func programName(p probe.Point) string {
	name := p.Name
	switch {
	case p.Event != "":
		name = p.Event
	case p.Function != "":
		name = p.Function
	}
	return objectName(name)
}

// objectName replaces what the kernel does not take in names and cuts to its 15 bytes.
func objectName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.':
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 15)]
}

// fn is one function in the making.
type fn struct {
	*program
	b    *ir.Builder
	ctx  *ir.Value // the program's context; nil in callbacks
	vars map[*check.Var]*variable
	// done is where return leads.
	done  *ir.Block
	loops []*loop
	// outer is the function that the callback is built for.
	outer *fn
	frame *frame
	// frameBase and words are the frame's address and that of the scalars in it, in this function.
	frameBase, words *ir.Value
	memo             memo

	run     *ir.Value // number of the run, if it is recorded
	skipped *ir.Block // where runs go that are not recorded; nil if all go to done
}

// claims is the number of runs of a program that can be under way on one CPU; further ones are lost, and counted.
const claims = 4

// preemptible reports whether the program's task may lose the CPU to another one that runs the same program: since Linux 6.0 the kernel
// runs those of uprobes with migration disabled, but not preemption.
func (p *program) preemptible() bool {
	return (p.attach.How == probe.UprobePerf || p.attach.How == probe.UprobeMulti) && p.target.Kernel >= 6<<16
}

// laterBegin reports whether the program is a begin block behind another one, which may have called exit().
func (p *program) laterBegin() bool {
	for _, q := range p.tree.Probes {
		if len(q.Points) > 0 && q.Points[0].Kind == probe.Begin {
			return p.points[0].Kind == probe.Begin && q != p.probe
		}
	}
	return false
}

// build makes the entry function of the program.
func (p *program) build() {
	entry := p.module.NewFunc(p.spec.Name, ir.Pointer)
	f := &fn{program: p, b: ir.NewBuilder(entry), vars: map[*check.Var]*variable{}}
	f.b.Span = p.probe.Span
	f.ctx = f.b.Param(0)
	f.done = entry.NewBlock()
	if p.preemptible() {
		p.claim = &ir.Claim{Elements: claims, Lost: func(b *ir.Builder) {
			b.Atomic(ir.OpAtomicAdd, b.MapValue(MapDrops, 0), 0, 8, b.Const(1))
		}}
	}
	if p.facts.hasExit && (p.attach.How != probe.TestRun || p.laterBegin()) {
		stop := f.b.Load(f.b.MapValue(MapState, StateStop), 0, 8, false)
		f.branch(stop, f.done, nil, ir.LikelyElse)
	}
	p.src.enter(f, f.done)
	f.onlyProcess()
	whole := p.probe.Body
	f.recordedTasks()
	f.recordBegin()
	if p.probe.Pred != nil {
		// What most events end at should not have to set up what only callbacks need, unless it has some itself.
		pred := []check.Stmt{&check.Eval{X: p.probe.Pred}}
		if _, called := f.sharedVars(pred); called {
			f.newFrame(append(pred, whole...))
		}
		body := f.newBlock()
		f.cond(p.probe.Pred, body, f.done)
		body.Seal()
		f.b.At(body)
	}
	if f.frame == nil {
		f.newFrame(whole)
	}
	f.body(whole)
	if !f.b.Terminated() {
		f.b.Jump(f.done)
	}
	f.done.Seal()
	f.b.At(f.done)
	f.recordEnd()
	if f.skipped != nil {
		f.b.Jump(f.skipped)
		f.skipped.Seal()
		f.b.At(f.skipped)
	}
	f.b.Return(nil)
}

// onlyProcess ends the program for other processes than the one that is traced. Uprobes and perf events are attached to it alone.
func (f *fn) onlyProcess() {
	if f.opt.PID == 0 {
		return
	}
	switch f.attach.How {
	case probe.RawTP, probe.BTFTP, probe.Trampoline, probe.KprobeMulti, probe.KprobePerf, probe.TracepointPerf:
		mine := f.b.Binary(ir.OpEq, f.pid(&check.Call{}), f.b.Const(int64(f.opt.PID)))
		f.branch(mine, nil, f.done, ir.LikelyElse)
	}
}

func (f *fn) newBlock() *ir.Block { return f.b.F.NewBlock() }

// branch ends the block: to then if cond is not 0, else to otherwise; the one that is nil is where building goes on.
func (f *fn) branch(cond *ir.Value, then, otherwise *ir.Block, likely int64) {
	next := f.newBlock()
	if then == nil {
		then = next
	} else {
		otherwise = next
	}
	f.b.If(cond, then, otherwise, likely)
	next.Seal()
	f.b.At(next)
}

// ifElse builds both sides of a condition and goes on where they meet.
func (f *fn) ifElse(cond *ir.Value, likely int64, then, otherwise func()) {
	yes, no, end := f.newBlock(), f.newBlock(), f.newBlock()
	f.b.If(cond, yes, no, likely)
	f.arm(yes, end, then)
	f.arm(no, end, otherwise)
	end.Seal()
	f.b.At(end)
}

// arm builds one side that leads to end.
func (f *fn) arm(at, end *ir.Block, build func()) {
	at.Seal()
	f.b.At(at)
	made := f.memo
	if build != nil {
		build()
	}
	f.memo = made
	if !f.b.Terminated() {
		f.b.Jump(end)
	}
}

// unreachable starts a block that nothing leads to, for code after a jump.
func (f *fn) unreachable() {
	b := f.newBlock()
	b.Seal()
	f.b.At(b)
}

// pick is the value of then or otherwise.
func (f *fn) pick(cond *ir.Value, t ir.Type, likely int64, then, otherwise func() *ir.Value) *ir.Value {
	v := &ir.Var{Name: "pick", Type: t}
	f.ifElse(cond, likely, func() { f.b.Write(v, then()) }, func() { f.b.Write(v, otherwise()) })
	return f.b.Read(v)
}

// maxMaps is how many maps one program may use: the kernel's limit is 64, and one of them is left to the host, which ends programs by it.
const maxMaps = 63

// limitMaps reports a program that uses too many maps.
func (p *program) limitMaps(code asm.Instructions) {
	used := map[string]bool{}
	for i := range code {
		if code[i].IsLoadFromMap() {
			used[code[i].Reference()] = true
		}
	}
	if len(used) <= maxMaps {
		return
	}
	own := len(used)
	for _, m := range p.Script.Maps {
		if used[m.Object] {
			own--
		}
	}
	p.list.Errorf(p.probe.Span, "too many maps in one probe: %d, at most %d", len(used)-own, maxMaps-own).Hint =
		"one map with keys holds several values: @count[\"reads\"], @count[\"writes\"]"
	panic(bailout{})
}
