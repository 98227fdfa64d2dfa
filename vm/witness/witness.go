// Package witness finds inputs with which a program does what it was rejected for, by running it in the machine.
//
// The verifier has walked a path to the instruction that it refuses. Runs are told apart by how far they follow it: where one leaves
// the path, what the comparison looked at is traced to the bytes of the input that it came from, and these are changed.
package witness

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/vm"
	"skep/vm/engine"
	"skep/vm/verifier"
)

// A Witness is an input that was executed.
type Witness struct {
	// Inputs are what the program was given, as far as it matters: everything else was 0.
	Inputs []string
	// Insn is the refused instruction.
	Insn int
	// Fault is what the machine said of it. It is empty where what is refused does no harm by itself; then the program came to Insn.
	Fault string
	// Value is what the register that it is about held there, "" if it is about none.
	Value string
}

// Options are the kernel that was asked about. Runs limits the search; 0 is 2000.
type Options struct {
	Kernel verifier.Kernel
	Types  *btf.Spec
	CPUs   int
	Runs   int
}

// harmful are the rules that the machine sees broken. What others forbid is shown by coming there.
var harmful = map[string]bool{
	"bounds": true, "null": true, "unbounded": true, "size": true, "not a pointer": true, "infinite loop": true, "packet": true, "argument": true,
}

// Find searches an input for a program of the collection that was rejected. It returns nil if it finds none, which does not mean that
// there is none; an error tells why the machine cannot run the program.
func Find(coll *ebpf.CollectionSpec, name string, r *verifier.Rejection, o Options) (*Witness, error) {
	path := r.Walk()
	if len(path) == 0 {
		return nil, nil
	}
	if o.Runs == 0 {
		o.Runs = 2000
	}
	s := &search{rejection: r, path: path, random: rand.New(rand.NewPCG(1, uint64(len(path))))}
	if err := s.prepare(coll, name, o); err != nil {
		return nil, fmt.Errorf("running program %s: %w", name, err)
	}
	defer s.machine.Close()
	return s.find(o.Runs)
}

// A search is runs of one program.
type search struct {
	rejection *verifier.Rejection
	path      []int
	random    *rand.Rand
	machine   *vm.Machine
	thread    *vm.Thread
	program   *vm.Program
	ctx       vm.Context
	packet    *vm.Packet
	record    []byte
	layout    layout
	tables    []*table
	now       *outcome // of the run
	calls     int      // for random numbers, so far
	steps     int      // of all runs
}

// An outcome is what a run came to.
type outcome struct {
	input    []byte
	progress int // instructions of the path that it followed
	reached  bool
	regs     [11]uint64 // at the refused instruction, if it came there
	sources  []source   // that what matters came from: the comparison where it left the path, or the refused instruction
	values   []uint64   // that these may have to be like
	fault    *engine.Fault
	strayed  string // what the machine allows and no kernel would: the refused instruction accesses a neighbour's memory
	endless  bool
}

func (s *search) find(runs int) (*Witness, error) {
	best := s.run(s.layout.initial())
	for range runs {
		if s.steps > stepsMost {
			break
		}
		if s.proves(best) {
			return s.minimal(best), nil
		}
		next := s.run(s.mutate(best))
		if s.proves(next) || next.progress > best.progress || next.progress == best.progress && s.random.IntN(3) == 0 {
			best = next
		}
	}
	if s.proves(best) {
		return s.minimal(best), nil
	}
	return nil, nil
}

// proves reports whether a run shows what the program was rejected for.
func (s *search) proves(o *outcome) bool {
	r := s.rejection
	if r.Rule == "infinite loop" {
		return o.endless
	}
	if !o.reached || !r.Breaks(&o.regs) {
		return false
	}
	return !harmful[r.Rule] || r.Computes() || o.fault != nil || o.strayed != ""
}

// minimal takes out of an input what is not needed.
func (s *search) minimal(o *outcome) *Witness {
	initial := s.layout.initial()
	try := func(from, to int) bool {
		changed := false
		input := append([]byte(nil), o.input...)
		for i := from; i < to; i++ {
			changed = changed || input[i] != initial[i]
			input[i] = initial[i]
		}
		if !changed {
			return true
		}
		next := s.run(input)
		if s.proves(next) {
			o = next
		}
		return s.proves(next)
	}
	for _, p := range s.layout.parts {
		if try(p.at, p.at+p.size) || p.size > 512 {
			continue
		}
		for i := p.at; i < p.at+p.size; i++ {
			try(i, i+1)
		}
	}
	w := &Witness{Inputs: s.describe(o.input), Insn: s.rejection.Insn}
	switch {
	case o.endless:
		w.Fault = fmt.Sprintf("it has not ended after %d instructions", endlessBudget)
	case o.strayed != "":
		w.Fault = o.strayed
	case o.fault != nil:
		w.Fault = o.fault.Reason
	}
	if o.reached {
		w.Value = s.rejection.Value(&o.regs)
	}
	return w
}

// endlessBudget is how many instructions a program may run that is to be shown not to end.
const (
	endlessBudget = 1_000_000
	usualBudget   = 50_000
	stepsMost     = 5_000_000 // of all runs, which takes about a second
)

// run runs the program on an input.
func (s *search) run(input []byte) *outcome {
	o := &outcome{input: input}
	s.now = o
	s.set(input)
	t := newTracer(s)
	s.thread.Watch = t.watch
	s.thread.Budget = usualBudget
	if s.rejection.Rule == "infinite loop" {
		s.thread.Budget = endlessBudget
	}
	_, err := s.thread.Run(s.program, s.ctx)
	s.clear()
	var fault *engine.Fault
	switch {
	case errors.Is(err, engine.ErrBudget):
		o.endless = true
	case errors.As(err, &fault) && o.reached && fault.Slot == s.rejection.Insn: // what ends elsewhere shows nothing of that instruction
		o.fault = fault
	}
	return o
}
