//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/enginetest"
	"skep/vm/interp"
	"skep/vm/jit"
	"skep/vm/memory"
)

// agreement runs whatever has the form of a program, checked, on both engines: neither the process nor their agreement may suffer.
type agreement struct {
	thread  *engine.Thread
	block   *memory.Block // may be written
	fixed   *memory.Block // may be read
	helpers []engine.Helper
}

func newAgreement(t testing.TB) *agreement {
	a := &agreement{thread: enginetest.NewThread(t, true), block: enginetest.NewBlock(t, 64), fixed: enginetest.NewBlock(t, 64)}
	a.thread.Space.Add(memory.Region{Base: a.block.Base(), Size: 64, Name: "block"})
	a.thread.Space.Add(memory.Region{Base: a.fixed.Base(), Size: 60, ReadOnly: true, Name: "fixed"})
	a.helpers = enginetest.Helpers(a.block.Base(), nil)
	a.thread.Packet = func(_ *engine.Thread, _ uint64, off int32, size int) (uint64, bool) {
		return uint64(off) & 0xff, off >= 0 && int(off)+size < 100
	}
	return a
}

// run tells whether the program ran.
func (a *agreement) run(t *testing.T, insns []code.Insn) bool {
	p := &code.Program{Insns: insns, Funcs: code.FindFuncs(insns), Calls: make([]code.Call, len(a.helpers))}
	if p.Check(code.Raw) != nil {
		return false
	}
	interpreted, err := interp.New(p, a.helpers)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := jit.New(p, a.helpers, true)
	if err != nil {
		t.Fatal(err)
	}
	defer compiled.Close()
	run := func(m engine.Image) (uint64, *engine.Fault, []byte) {
		clear(a.thread.Stack.Bytes()[:engine.MaxFrames*engine.FrameSize])
		clear(a.block.Bytes())
		a.thread.Budget = 20_000
		r0, err := m.Run(a.thread, 0, engine.Args{R1: a.block.Base(), R2: 64, R3: a.fixed.Base(), R4: 60, R5: uint64(len(insns))})
		var fault *engine.Fault
		if err != nil && !errors.As(err, &fault) {
			t.Fatal(err)
		}
		return r0, fault, append(bytes.Clone(a.thread.Stack.Bytes()[:engine.MaxFrames*engine.FrameSize]), a.block.Bytes()...)
	}
	r1, f1, m1 := run(interpreted)
	r2, f2, m2 := run(compiled)
	// They count the budget in different places.
	if f1 != nil && errors.Is(f1, engine.ErrBudget) || f2 != nil && errors.Is(f2, engine.ErrBudget) {
		return true
	}
	if (f1 == nil) != (f2 == nil) || r1 != r2 || !bytes.Equal(m1, m2) {
		t.Fatalf("the interpreter ends with %#x, %v; the machine code with %#x, %v\n%s", r1, f1, r2, f2, enginetest.Listing(p))
	}
	if f1 != nil && (f1.Slot != f2.Slot || f1.Reason != f2.Reason || f1.Regs != f2.Regs) {
		t.Fatalf("the interpreter's fault is %v with %x, the machine code's %v with %x\n%s", f1, f1.Regs, f2, f2.Regs, enginetest.Listing(p))
	}
	return true
}

func FuzzEngines(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(enginetest.Bytes(enginetest.NewRandom(seed).Program.Insns))
	}
	for _, loop := range enginetest.Loops {
		f.Add(enginetest.Bytes(loop.Program.Insns))
	}
	a := newAgreement(f)
	f.Fuzz(func(t *testing.T, b []byte) { a.run(t, enginetest.Insns(b)) })
}

// TestMutations does the same with random programs in which something has been changed, so that most of them end with a fault.
func TestMutations(t *testing.T) {
	a := newAgreement(t)
	first, n, ran := enginetest.Seed(t), enginetest.Programs(t, 20000), 0
	for i := range uint64(n) {
		rng := rand.New(rand.NewPCG(first+i, 3))
		insns := enginetest.NewRandom(first + i).Program.Insns
		for range 1 + rng.IntN(4) {
			mutate(rng, &insns[rng.IntN(len(insns))])
		}
		if a.run(t, insns) {
			ran++
		}
	}
	t.Logf("%d of %d ran", ran, n)
}

func mutate(rng *rand.Rand, in *code.Insn) {
	switch rng.IntN(6) {
	case 0:
		in.Op = uint8(rng.Uint32())
	case 1:
		in.Op ^= 1 << rng.IntN(8)
	case 2:
		in.Regs = in.Regs&0xf0 | uint8(rng.IntN(11))
	case 3:
		in.Regs = in.Regs&0x0f | uint8(rng.IntN(11))<<4
	case 4:
		in.Off = int16(rng.IntN(64) - 32)
	case 5:
		in.Imm ^= 1 << rng.IntN(32)
	}
}
