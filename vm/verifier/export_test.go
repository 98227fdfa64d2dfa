package verifier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// What the oracle, which runs programs in the machine that imports this package, needs of it.

// A Walked is a program that was accepted, and the walk.
type Walked struct {
	Result *Result

	prog   *program
	graph  *walkGraph
	global map[int]bool
	rules  *rules
}

// Walk verifies a program and keeps the walk, if it has not more than so many steps.
func (s Sample) Walk(k Kernel, o Options, most int) *Walked {
	w := &Walked{prog: s.prog, graph: newWalkGraph(most), global: map[int]bool{}, rules: rulesOf(k)}
	o.watch, o.Steps = w.graph, most
	w.Result = verify(s.prog, k, o)
	for slot := range w.graph.roots {
		w.global[slot] = slot != 0
	}
	return w
}

// Follow makes what follows one run, whose context is at an address. Data gives the packet's ends; born is where memory is.
func (w *Walked) Follow(ctx uint64, data func() (start, end, meta uint64), born []uint64) *Follower {
	f := &Follower{walked: w}
	f.m.ctx, f.m.data, f.m.born = ctx, data, map[uint64]bool{}
	f.give(born...)
	return f
}

// A Sample is a program of the tests.
type Sample struct {
	sample
	Maps map[string]*ebpf.MapSpec
}

func (s Sample) Name() string { return s.name }

// A RunningKernel is asked for its logs.
type RunningKernel struct {
	k       *kernelUnderTest
	Version Kernel
}

// Running is the running kernel. The test is skipped if its rules are not known.
func Running(t testing.TB) RunningKernel {
	k := runningKernel(t)
	return RunningKernel{k, k.version}
}

// Log is what the kernel says of a sample that it rejects, "" if it does not.
func (r RunningKernel) Log(s Sample) string {
	a := r.k.load(s.prog, true)
	if a.accepted {
		return ""
	}
	return a.log
}

// CallsBack reports whether the program has functions that helpers call.
func (s Sample) CallsBack() bool {
	return slices.ContainsFunc(s.prog.insns, func(in insn) bool { return in.isFuncRef() })
}

// Spec is the program for the machine.
func (s Sample) Spec() (*ebpf.ProgramSpec, error) {
	insns, err := asmOf(s.prog)
	if err != nil {
		return nil, err
	}
	spec := *s.prog.spec
	spec.Name, spec.Instructions = "p", insns
	return &spec, nil
}

// Mutate changes a sample.
func (s Sample) Mutate(g *rand.Rand, seed uint64) Sample {
	s.name, s.prog = fmt.Sprintf("%s mutated %d", s.name, seed), mutate(s.prog, g)
	return s
}

// Generated makes a program.
func Generated(seed uint64, maps map[string]*ebpf.MapSpec) Sample {
	p := generate(rand.New(rand.NewPCG(seed, 2)), newMapDef("array", maps["array"]))
	return Sample{sample{fmt.Sprintf("generated %d", seed), p}, maps}
}

// TwinSamples are the twins.
func TwinSamples() (all []Sample) {
	for _, s := range twinPrograms() {
		all = append(all, Sample{s, twinMaps()})
	}
	return all
}

// TwinMaps are the maps of twins and generated programs.
func TwinMaps() map[string]*ebpf.MapSpec { return twinMaps() }

// ScriptSamples are what the compiler makes of the scripts of the repository.
func ScriptSamples(t testing.TB, k Kernel) (all []Sample) {
	for _, s := range scriptPrograms(t, k) {
		maps := map[string]*ebpf.MapSpec{}
		for _, m := range s.prog.maps {
			maps[m.name] = m.spec
		}
		all = append(all, Sample{s, maps})
	}
	return all
}

// asmOf makes instructions of the raw form.
func asmOf(p *program) (asm.Instructions, error) {
	insns, err := asm.AppendInstructions(nil, bytes.NewReader(encode(p.insns)), binary.LittleEndian, "linux")
	if err != nil {
		return nil, err
	}
	slot := 0
	for i := range insns {
		if m := p.maps[slot]; m != nil {
			insns[i] = insns[i].WithReference(m.name)
		}
		if name := p.kfuncs[slot]; name != "" {
			insns[i] = insns[i].WithReference(name)
		}
		slot += p.insns[slot].width()
	}
	return insns, nil
}
