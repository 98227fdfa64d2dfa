package interp

import "skep/vm/engine"

// A state is that of a program that runs.
type state struct {
	r             [16]uint64 // 16, so that the lower four bits of a register's number need no check
	code          []insn
	fuel          int64 // instructions until the thread is asked whether to go on
	reads, writes window
	image         *Image
	depth, outer  int // of the frame that runs, and of the one that run began with
	frames        [engine.MaxFrames]frame
	deep          []frame // those behind frames, after tail calls from functions
	single        *single
}

// A frame is what a function that calls another one gets back.
type frame struct {
	image *Image
	pc    int
	saved [4]uint64 // r6 to r9
}

// done is where a program goes on that has ended.
const done = -1

// run runs the function that begins at the slot. It does what loop leaves to it.
func (m *Image) run(t *engine.Thread, pc int, args *engine.Args) (uint64, error) {
	s := state{code: m.code, image: m, depth: t.Depth, outer: t.Depth, fuel: t.Slice() - int64(m.lengths[pc])}
	s.r[1], s.r[2], s.r[3], s.r[4], s.r[5] = args.R1, args.R2, args.R3, args.R4, args.R5
	s.r[10] = t.Stack.Base() + uint64(s.depth+1)*engine.FrameSize
	t.Reach(s.depth, m.frames[pc])
	s.reads.reset(t)
	s.writes.write = true
	s.writes.reset(t)
	for {
		if s.fuel >= 0 {
			if t.Watch == nil {
				pc = s.loop(pc)
			} else if next := s.watched(t, pc); next != pc {
				pc = next
				continue
			}
		}
		var err error
		at := pc
		if s.fuel < 0 {
			s.fuel, err = t.Refill(s.fuel)
		} else {
			pc, err = s.step(t, pc)
			if n := len(s.code); err == nil && pc >= n {
				at, err = pc-n, engine.ErrReturn
			}
		}
		if err != nil {
			t.Budget += max(s.fuel, 0)
			return 0, engine.NewFault(s.image.program.Name, at, [11]uint64(s.r[:11]), err)
		}
		if pc == done {
			t.Budget += s.fuel
			return s.r[0], nil
		}
	}
}

// step runs the instruction at the slot, and returns where the program goes on.
func (s *state) step(t *engine.Thread, pc int) (next int, err error) {
	switch in := &s.code[pc]; in.op {
	case opCallHelper:
		return s.callHelper(t, in)
	case opCallFunc:
		return s.callFunc(t, in)
	case opExit:
		return s.exit(), nil
	case opAtomic:
		return pc + 1, s.atomic(t, in)
	case opMayGoto:
		if t.Loops > 0 {
			t.Loops--
			return pc + 1, nil
		}
		to := int(in.off)
		s.fuel -= int64(max(pc+1-to, 0))
		return to, nil
	case opLoadPacket:
		return s.loadPacket(t, pc)
	default:
		return pc + 1, s.access(t, in)
	}
}

func (s *state) callHelper(t *engine.Thread, in *insn) (next int, err error) {
	t.Depth, t.Left = s.depth+1, s.fuel
	if t.TailCalls > 0 {
		t.Continue(s.image)
	}
	a := t.Args()
	copy(a[:], s.r[1:6])
	s.r[0] = s.image.helpers[in.imm](t, a)
	s.fuel = t.Left
	if t.Depth = s.depth; t.Pending() {
		tail, err := t.TakeTail()
		if err != nil || tail != nil {
			return s.tailCall(t, tail, err)
		}
	}
	s.reads.refresh(t)
	s.writes.refresh(t)
	return int(in.off), nil
}

// tailCall replaces the function that runs by another program.
func (s *state) tailCall(t *engine.Thread, to engine.Image, err error) (next int, _ error) {
	if err != nil {
		return 0, err
	}
	if m, same := to.(*Image); same {
		s.image, s.code = m, m.code
		t.Reach(s.depth, m.frames[0])
		s.fuel -= int64(m.lengths[0])
		s.reads.refresh(t)
		s.writes.refresh(t)
		return 0, nil
	}
	if s.r[0], err = t.RunInstead(to, &s.fuel, [5]uint64(s.r[1:6])); err != nil {
		return 0, err
	}
	return s.exit(), nil
}

func (s *state) callFunc(t *engine.Thread, in *insn) (next int, err error) {
	if s.depth+1 >= t.Frames() {
		return 0, engine.ErrDepth
	}
	f := s.frame()
	f.image, f.pc = s.image, int(in.imm)
	copy(f.saved[:], s.r[6:10])
	s.depth++
	s.r[10] += engine.FrameSize
	s.fuel -= int64(s.image.lengths[in.off])
	return int(in.off), nil
}

// frame is that of the function that runs.
func (s *state) frame() *frame {
	if s.depth < len(s.frames) {
		return &s.frames[s.depth]
	}
	for len(s.deep) <= s.depth-len(s.frames) {
		s.deep = append(s.deep, frame{})
	}
	return &s.deep[s.depth-len(s.frames)]
}

func (s *state) exit() (next int) {
	if s.depth == s.outer {
		return done
	}
	s.depth--
	s.r[10] -= engine.FrameSize
	f := s.frame()
	s.image, s.code = f.image, f.image.code
	copy(s.r[6:10], f.saved[:])
	return f.pc
}

// loadPacket is a legacy load, whose size is in dst. It leaves the function with 0 if there are no such bytes.
func (s *state) loadPacket(t *engine.Thread, pc int) (next int, err error) {
	if t.Packet == nil {
		return 0, engine.ErrPacket
	}
	in := &s.code[pc]
	// off is 0 or, if the source register counts, all ones.
	v, ok := t.Packet(t, s.r[6], int32(in.imm)+int32(s.r[in.src])&in.off, int(in.dst))
	if !ok {
		s.r[0] = 0
		return s.exit(), nil
	}
	s.r[0] = v
	return pc + 1, nil
}
