package lower

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"skep/internal/diag"
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

// Options are the circumstances of a compilation.
type Options struct {
	Target *ir.Target
	// Dump, if not nil, is given the text of each stage of each program.
	Dump func(stage, text string)
	// Types gives the kernel's types, for builtins that read kernel structs (ppid, …); asked only when needed.
	Types func() (*probe.Types, error)
	// KernelAddress finds a symbol of the kernel, for percpu_kaddr.
	KernelAddress func(name string) (uint64, bool)
	// HasRawTracepoint tells whether a tracepoint can be attached as a raw one. nil means: all but those of the
	// categories that have none.
	HasRawTracepoint func(p probe.Point) bool
	// OtherPIDNS is set if the tracer is not in the initial pid namespace: pid and tid are then those of its namespace.
	OtherPIDNS bool
	// PID is the only process, as the tracer names it, whose events programs see, where that is not the attachment's business;
	// 0 for all.
	PID int
	// Record, if not 0, makes the programs send what they are given to the ring MapRecording. It is the number of the tracer, whose own events
	// are left out.
	Record int
	// Played says that the programs run on recorded events: what they lack no recording has.
	Played bool
	// HelperErrors reports failed helpers at run time.
	HelperErrors bool
}

// unit is a Unit in the making.
type unit struct {
	*Unit
	tree   *check.Tree
	opt    Options
	target *ir.Target
	facts  facts
	list   *diag.List

	maps       map[*check.Map]*mapInfo
	events     map[*schema.Event]int
	probeNames map[string]int
	errors     map[runtimeError]int
	data       constData
	stacks     map[string]*ebpf.MapSpec
	scratch    uint32 // elements of the scratch map in use
	scratchMax int    // largest scratch memory of a program
	zeroSize   int
	mapDrops   int // counters of full maps in MapDrops
}

// Lower compiles a checked tree. A script that cannot be compiled for the target gives a *diag.List as its error.
func Lower(t *check.Tree, opt Options) (result *Unit, err error) {
	u := newUnit(t, opt)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case bailout:
			result, err = nil, u.list
		default:
			panic(r)
		}
	}()
	for _, p := range u.tree.Probes {
		u.lowerProbe(p)
	}
	if u.list.HasErrors() {
		return nil, u.list
	}
	u.finishMaps()
	return u.Unit, nil
}

func newUnit(t *check.Tree, opt Options) *unit {
	if opt.Record != 0 {
		t = naming(t)
	}
	u := &unit{
		Unit: &Unit{
			Spec:     &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{}},
			Script:   &schema.Script{Source: t.Source, ProbeNames: []string{""}},
			Programs: map[string]*Program{},
			Warnings: &diag.List{Source: t.Source},
		},
		tree: t, opt: opt, target: opt.Target,
		list:       &diag.List{Source: t.Source},
		maps:       map[*check.Map]*mapInfo{},
		events:     map[*schema.Event]int{},
		probeNames: map[string]int{},
		errors:     map[runtimeError]int{},
		stacks:     map[string]*ebpf.MapSpec{},
	}
	if u.target == nil {
		panic("lower: no target")
	}
	c := t.Config
	u.Script.Config = schema.Config{
		PrintMapsOnExit: c.PrintMapsOnExit, TruncTrailer: c.StrTruncTrailer, StrSize: c.StrSize(), MaxCatBytes: c.MaxCatBytes, StackMode: c.StackMode,
		CppDemangle: c.CppDemangle, CacheUserSymbols: c.CacheUserSymbols, RingPages: c.PerfRBPages, StackCopy: c.StackCopy,
		MissingProbes: c.MissingProbes, MaxMapKeys: c.MaxMapKeys,
	}
	if u.facts = gather(t); !u.facts.rush && c.PerfRBPages == 0 {
		u.Script.Config.RingPages = quietRing
	}
	u.declareMaps()
	u.data.zeros(u.zeroSize)
	return u
}

// quietRing is how many pages the data ring has if few records are sent at a time: the kernel takes 0.3 ms to make each MB.
const quietRing = 64

// naming is the tree with probes that all know by which of their points they were hit.
func naming(t *check.Tree) *check.Tree {
	named := *t
	named.Probes = make([]*check.Probe, len(t.Probes))
	for i, p := range t.Probes {
		probe := *p
		probe.UsesProbe = true
		named.Probes[i] = &probe
	}
	return &named
}

// bailout unwinds to Lower after an error that makes going on pointless.
type bailout struct{}

func (u *unit) fail(at diag.Span, format string, args ...any) {
	u.list.Errorf(at, format, args...)
	panic(bailout{})
}

// need reports an error if the target lacks a feature.
func (u *unit) need(feature ir.Feature, at diag.Span, what string) {
	if u.target.Supports(feature) {
		return
	}
	if u.opt.Played {
		u.list.Errorf(at, "%s cannot be recorded", what).Hint = "what can be: kprobe, kretprobe, and the fields of tracepoints"
		panic(bailout{})
	}
	v := feature.Since()
	d := u.list.Errorf(at, "%s is not available on this kernel", what)
	switch {
	case v != 0 && u.target.Kernel >= v:
		d.Hint = fmt.Sprintf("this kernel could have it, as all since Linux %d.%d, but is built without, or forbids it", v>>16, v>>8&0xff)
	case v != 0:
		d.Hint = fmt.Sprintf("it needs Linux %d.%d or newer", v>>16, v>>8&0xff)
	}
	panic(bailout{})
}

// probeName returns the index of a probe's name in Script.ProbeNames; 0 is never used, so that tables can say "none".
func (u *unit) probeName(name string) int {
	if i, ok := u.probeNames[name]; ok {
		return i
	}
	u.Script.ProbeNames = append(u.Script.ProbeNames, name)
	u.probeNames[name] = len(u.Script.ProbeNames) - 1
	return u.probeNames[name]
}

// compile turns a finished module into a program of the spec.
func (p *program) compile() {
	opt := ir.Options{
		Target: p.target, ScratchMap: MapScratch, ScratchIndex: p.scratch,
		ZeroMap: MapStrings, ZeroSize: p.zeroSize, Claim: p.claim,
	}
	if p.opt.Dump != nil {
		opt.Dump = func(stage, text string) { p.opt.Dump(stage, "; program "+p.key+"\n"+text) }
	}
	object, err := ir.Compile(p.module, opt)
	if err != nil {
		at, hint := p.probe.Span, ""
		var e *ir.Error
		if errors.As(err, &e) {
			hint = e.Hint
			if e.Span != (diag.Span{}) {
				at = e.Span
			}
		}
		p.list.Errorf(at, "%v", err).Hint = hint
		panic(bailout{})
	}
	p.limitMaps(object.Instructions)
	if object.ScratchSize > maxPerCPU {
		p.list.Errorf(p.probe.Span, "this probe needs %d bytes of memory, of which the kernel gives %d for each CPU", object.ScratchSize, maxPerCPU).Hint =
			"a smaller max_strlen or dw_ustack_bytes makes it less; so does asking for a stack once, in a variable"
		panic(bailout{})
	}
	if object.ScratchSize > 0 {
		p.scratch++
		if p.claim != nil {
			p.scratch += uint32(p.claim.Elements - 1)
		}
		p.scratchMax = max(p.scratchMax, object.ScratchSize)
	}
	p.spec.Instructions = object.Instructions
	p.Spec.Programs[p.key] = p.spec
	p.Programs[p.key] = &Program{Object: object, Probe: p.probe.Span}
	p.attach.Program = p.key
}
