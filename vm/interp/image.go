// Package interp runs eBPF programs by interpreting them, everywhere Go runs. It is the reference for the JIT.
package interp

import (
	"fmt"

	"skep/vm/code"
	"skep/vm/engine"
)

// An Image is a program as the interpreter wants it. Its threads' Space decides whether memory accesses are checked.
type Image struct {
	program *code.Program
	helpers []engine.Helper
	code    []insn  // by slots of the program
	frames  []int   // that they can use, by slots as well
	lengths []int32 // of the functions, at the slots where they begin
}

// An insn is a decoded instruction, in 16 bytes: finding the next one is a shift and an addition.
type insn struct {
	op       uint8
	dst, src uint8
	size     uint8 // of memory accesses
	off      int32 // or the slot where a jump or call goes
	imm      uint64
}

// New prepares a program. Its helpers stand in the order of its Calls.
func New(p *code.Program, helpers []engine.Helper) (*Image, error) {
	if err := p.Check(code.Raw); err != nil {
		return nil, err
	}
	if len(helpers) != len(p.Calls) {
		return nil, fmt.Errorf("program %s calls %d helpers, and %d are given", p.Name, len(p.Calls), len(helpers))
	}
	m := &Image{program: p, helpers: helpers, code: make([]insn, len(p.Insns)), lengths: make([]int32, len(p.Insns)), frames: make([]int, len(p.Insns))}
	for at := 0; at < len(p.Insns); at++ {
		m.code[at] = decode(p, at)
		if p.Insns[at].Op == code.LoadImm64 {
			at++
		}
	}
	for i := range len(p.Insns) - 1 {
		fuse(&m.code[i], &m.code[i+1])
	}
	frames := engine.FramesOf(p)
	for i, f := range p.Funcs {
		m.lengths[f.Start], m.frames[f.Start] = int32(f.End-f.Start), frames[i]
		if last := &m.code[f.End-1]; last.op == opCallHelper || last.op == opCallFunc {
			last.next(len(p.Insns) + f.End - 1) // past the end, which says which call must not return
		}
	}
	return m, nil
}

// Run implements [engine.Image].
func (m *Image) Run(t *engine.Thread, slot int, args engine.Args) (uint64, error) {
	if err := m.runnable(t, slot); err != nil {
		return 0, engine.NewFault(m.program.Name, slot, [11]uint64{1: args.R1, args.R2, args.R3, args.R4, args.R5}, err)
	}
	outer, depth := t.Begin(m, &t.Left), t.Depth
	r0, err := m.run(t, slot, &args)
	t.End(outer)
	if t.Frames() > engine.MaxFrames {
		t.Shrink()
	}
	t.Depth = depth
	return r0, err
}

func (m *Image) runnable(t *engine.Thread, slot int) error {
	switch {
	case slot < 0 || slot >= len(m.lengths) || m.lengths[slot] == 0:
		return engine.ErrSlot
	case t.Stack == nil || len(t.Stack.Bytes()) < engine.MaxFrames*engine.FrameSize:
		return engine.ErrStack
	case t.Depth < 0 || t.Depth >= t.Frames():
		return engine.ErrDepth
	}
	return nil
}

// Close implements [engine.Image].
func (m *Image) Close() error { return nil }
