// Package verifier decides by the rules of the Linux kernel whether a program will be loaded, for each version of the kernel, without one.
//
// It mirrors the kernel's algorithm: it walks all paths of the program depth first with what is known of each register and each slot of
// the stack, and leaves a path where a state is covered by one that was walked before. What it does not model gives a verdict of its own,
// never "accepted".
package verifier

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// A Verdict is the answer for one program and one kernel.
type Verdict uint8

const (
	Accepted Verdict = iota + 1
	Rejected
	NotModelled // see Result.Missing
)

func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Rejected:
		return "rejected"
	case NotModelled:
		return "not modelled"
	}
	return "?"
}

// Cost is what the walk took, in the kernel's own units.
type Cost struct {
	Insns      int // instructions walked: the kernel's "processed N insns"
	States     int // states stored
	PeakStates int // at one time
	Stack      int // bytes of stack, all calls together
}

// A Result is the answer for one program and one kernel.
type Result struct {
	Program   string
	Kernel    Kernel
	Verdict   Verdict
	Cost      Cost
	Rejection *Rejection
	Missing   string // the feature that is not modelled
}

// Options are what the kernel would take from its surroundings.
type Options struct {
	// Steps limits the instructions walked, 0 is the kernel's limit. A program that needs more is rejected as too complex.
	Steps int
	// Memory limits the bytes of states, 0 is 200 MB. A program that needs more is not modelled.
	Memory int
	// CPUs is the number of possible CPUs, which bounds what bpf_get_smp_processor_id returns; 0 if not known.
	CPUs int
	// Types are the kernel's own BTF types; nil if not known.
	Types Types
	trace func(v *verifier)
	watch watcher
}

// A watcher is told of the walk as a graph: its steps, in the order of each path, and where a path ends in what was walked before.
type watcher interface {
	// enter is called with the state before an instruction. The state's seen is the step before it, for the watcher to replace.
	enter(v *verifier)
	// covered is called where the current state is covered by an old one, and with how they were compared.
	covered(v *verifier, old *state, how sameness)
}

// Verify walks a program of the collection.
func Verify(coll *ebpf.CollectionSpec, name string, kernel Kernel, opt Options) (*Result, error) {
	spec := coll.Programs[name]
	if spec == nil {
		return nil, fmt.Errorf("no program %s in the collection", name)
	}
	p, err := flatten(coll, spec, opt.Types)
	if err != nil {
		return nil, err
	}
	p.name = name
	return verify(p, kernel, opt), nil
}

// verifier is one program being verified.
type verifier struct {
	prog  *program
	rules *rules
	opt   Options
	subs  []*subprogram

	marks    []mark
	loop     []int
	liveRegs []uint16
	followed []followed // an instruction
	liveness *stackLiveness
	blamed   map[blame]*difference // in vain

	cur                   *state
	insn                  int
	prev                  int
	here                  *step // the entry of the history that this instruction has made
	waiting               []pending
	explored              [][]*stored
	visits                map[callchain]*visit
	ids                   uint32
	jumps                 int
	lastJumps             int
	lastInsns             int
	cost                  Cost
	counts                []int // how often each instruction was walked
	live                  int
	memory                int
	tracking              tracker
	ctx                   *ctxTable
	hook                  *btf.FuncProto // of tracing programs, with its arguments
	hookArgs              []btf.FuncParam
	hookHints             map[int]hookArg
	helpers, laterHelpers helperSet // that the program may call
	helpersRead           bool
	objects               map[btf.Type]*fields // of the program's structs
}

func verify(p *program, kernel Kernel, opt Options) (result *Result) {
	v := &verifier{prog: p, rules: rulesOf(kernel), opt: opt, visits: map[callchain]*visit{}}
	if v.opt.Steps == 0 {
		v.opt.Steps = maxInsns
	}
	if v.opt.Memory == 0 {
		v.opt.Memory = 200 << 20
	}
	result = &Result{Program: p.name, Kernel: kernel, Verdict: Accepted}
	defer func() {
		result.Cost = v.cost
		switch e := recover().(type) {
		case nil:
		case *Rejection:
			result.Verdict, result.Rejection = Rejected, e
			e.Program, e.prog, e.kernel, e.opt = p.name, p, kernel, opt
			v.explain(e)
		case missing:
			result.Verdict, result.Missing = NotModelled, string(e)
		default:
			panic(e)
		}
	}()
	if p.missing != "" {
		v.unmodelled(p.missing)
	}
	v.checkStructure()
	v.checkExceptions()
	v.checkProgramType()
	v.checkFlow()
	v.findLoops()
	v.findLiveRegisters()
	v.followed = make([]followed, len(p.insns))
	v.liveness = newStackLiveness(v)
	v.counts = make([]int, len(p.insns))
	v.walkAll()
	v.checkStackDepth()
	return result
}

// missing is the name of a feature that is not modelled.
type missing string

// unmodelled ends the verification: nothing is said about this program.
func (v *verifier) unmodelled(feature string) { panic(missing(feature)) }

// A Rejection tells why a program is not accepted.
type Rejection struct {
	Program string
	Insn    int
	// Rule is the kind of rule that is broken, a word or two.
	Rule string
	// Text says what is wrong, in the terms of registers and offsets.
	Text string
	Line *Line
	// Required is what the rule asks for; Known what is known of the value instead.
	Required, Known string
	// Path is how that knowledge came about, the last step first.
	Path []Cause
	// Hottest are the lines walked most often, where the program was too complex or does not end, and Unpruned is what kept their states
	// from being covered by earlier ones.
	Hottest  []Hot
	Unpruned []Difference

	reg    int
	at     *state
	live   []uint16 // registers that are read from each instruction on
	prog   *program
	kernel Kernel
	opt    Options
}

func (r *Rejection) Error() string { return fmt.Sprintf("instruction %d: %s", r.Insn, r.Text) }

// reject ends the verification.
func (v *verifier) reject(rule, format string, args ...any) {
	v.rejectReg(-1, rule, format, args...)
}

// rejectReg ends the verification because of what a register holds.
func (v *verifier) rejectReg(r int, rule, format string, args ...any) {
	e := &Rejection{Insn: v.insn, Rule: rule, Text: fmt.Sprintf(format, args...), reg: r, Line: v.prog.line(v.insn), at: v.cur}
	panic(e)
}
