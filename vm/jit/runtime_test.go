//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"skep/vm/code"
	"skep/vm/engine"
	. "skep/vm/enginetest"
)

// endless are programs that run until they are stopped, each in another way.
func endless(t *testing.T) []Loop {
	arithmetic := Program(0, Alu(code.ADD, 0, K(1)), Alu(code.XOR, 0, Reg(1)), Goto(-3))
	target := compiler.Image(t, arithmetic, false)
	tail := func(t *engine.Thread, _ *[5]uint64) uint64 {
		t.TailCall(target)
		return 0
	}
	allocate := func(_ *engine.Thread, a *[5]uint64) uint64 { return uint64(len(make([]byte, 100+a[0]&7))) }
	deep := func(_ *engine.Thread, a *[5]uint64) uint64 { return grow(int(a[0]&1023) + 1) }
	callBack := func(t *engine.Thread, a *[5]uint64) uint64 {
		slot, _ := code.FuncSlot(a[0])
		r, _ := t.Call(slot, [5]uint64{1, 2, 3, 4, 5})
		return r
	}
	return []Loop{
		{Name: "arithmetic", Program: arithmetic},
		{Name: "a tail call", Program: Program(1, Call(0), Exit()), Helpers: []engine.Helper{tail}},
		{Name: "a helper that allocates", Program: Program(1, Mov(6, K(0)), Mov(1, Reg(6)), Call(0), Alu(code.ADD, 6, K(1)), Goto(-4)),
			Helpers: []engine.Helper{allocate}},
		{Name: "a helper that needs much stack", Program: Program(1, Mov(6, K(0)), Mov(1, Reg(6)), Call(0), Alu(code.ADD, 6, K(1)), Goto(-4)),
			Helpers: []engine.Helper{deep}},
		{Name: "functions and callbacks", Program: Program(2,
			CallFunc(1), Goto(-2),
			// 2:
			Imm64(1, code.FuncAddress(6)), Call(1), Exit(),
			// 6:
			Mov(6, Reg(1)), Mov(1, Reg(5)), Call(0), Alu(code.ADD, 0, Reg(6)), Exit()),
			Helpers: []engine.Helper{allocate, callBack}},
	}
}

func grow(n int) uint64 {
	var room [64]uint64
	if n > 1 {
		room[n&63] = grow(n - 1)
	}
	return room[n&63] + 1
}

// TestRuntime collects garbage and takes a profile of the processor while programs run that never end by themselves.
func TestRuntime(t *testing.T) {
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var threads []*engine.Thread
	for _, loop := range endless(t) {
		m := compiler.Image(t, loop.Program, false, loop.Helpers...)
		for range 2 {
			th := NewThread(t, false)
			th.Budget = math.MaxInt64
			threads = append(threads, th)
			wg.Go(func() {
				if _, err := m.Run(th, 0, engine.Args{}); !errors.Is(err, engine.ErrStopped) {
					t.Errorf("%s ended with %v, not because it was stopped", loop.Name, err)
				}
			})
		}
	}
	var longest time.Duration
	const collections = 30
	for range collections {
		start := time.Now()
		runtime.GC()
		longest = max(longest, time.Since(start))
	}
	t.Logf("%d collections, the longest took %v", collections, longest)
	for _, th := range threads {
		th.Stop.Store(true)
	}
	wg.Wait()
	pprof.StopCPUProfile()
	if profile.Len() == 0 {
		t.Error("there is no profile")
	}
}

// TestAllocations counts what a run allocates, in the steady state.
func TestAllocations(t *testing.T) {
	for _, checked := range []bool{false, true} {
		p := Program(1, Mov(1, Reg(10)), Store(8, 1, -8, K(1)), Call(0), CallFunc(1), Exit(), Exit())
		m := compiler.Image(t, p, checked, func(_ *engine.Thread, a *[5]uint64) uint64 { return a[0] })
		th := NewThread(t, checked)
		n := testing.AllocsPerRun(100, func() {
			if _, err := m.Run(th, 0, engine.Args{}); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a run allocates %v times, checked: %v", n, checked)
		}
	}
}

// TestPanic runs a program again after a helper of its has panicked.
func TestPanic(t *testing.T) {
	panics := true
	p := Program(1, CallFunc(1), Exit(), Call(0), Exit())
	m := compiler.Image(t, p, false, func(*engine.Thread, *[5]uint64) uint64 {
		if panics {
			panic("helper")
		}
		return 5
	})
	th := NewThread(t, false)
	for range 1000 {
		func() {
			defer func() { _ = recover() }()
			_, _ = m.Run(th, 0, engine.Args{})
			t.Fatal("the panic has got lost")
		}()
		th.Reset()
	}
	panics = false
	if r0, err := m.Run(th, 0, engine.Args{}); r0 != 5 || err != nil {
		t.Errorf("after panics the program returns %d, %v", r0, err)
	}
}

// TestShared runs both engines on the same memory at once: no atomic operation may get lost.
func TestShared(t *testing.T) {
	const rounds, runners = 20_000, 3
	count := func(insns ...code.Insn) *code.Program {
		return Program(0, Mov(6, K(rounds)), insns, Alu(code.SUB, 6, K(1)), If(code.JNE, 6, K(0), int16(-len(insns)-2)), Mov(0, K(0)), Exit())
	}
	// r1 is the memory: a word that is added to, one that is fetched from, one that bits are turned in, and one that is exchanged by
	// comparison.
	exchange := []code.Insn{Load(8, 0, 1, 24), Mov(2, Reg(0)), Mov(3, Reg(0)), Alu(code.ADD, 3, K(1)), Atomic(8, code.AtomicCmp, 1, 24, 3), If(code.JNE, 0, Reg(2), -6)}
	p := count(append([]code.Insn{Mov(2, K(1)), Atomic(8, code.ADD, 1, 0, 2), Mov(2, K(3)), Atomic(4, code.ADD|code.AtomicFetch, 1, 8, 2),
		Mov(2, K(5)), Atomic(8, code.XOR|code.AtomicFetch, 1, 16, 2)}, exchange...)...)
	block := NewBlock(t, 64)
	var wg sync.WaitGroup
	for _, e := range []Engine{compiler, interpreter} {
		m := e.Image(t, p, false)
		for range runners {
			th := NewThread(t, false)
			wg.Go(func() {
				if _, err := m.Run(th, 0, engine.Args{R1: block.Base()}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	const all = 2 * runners * rounds
	for i, want := range []uint64{all, 3 * all, 0, all} {
		if got := binary.NativeEndian.Uint64(block.Bytes()[8*i:]); got != want {
			t.Errorf("the word %d is %d, not %d", i, got, want)
		}
	}
}
