package interp

import "skep/vm/engine"

// single is code of which only one instruction at a time is not the end of the loop: the one that is watched.
type single struct {
	image *Image
	code  []insn
	r     [11]uint64 // a copy, so that the state need not live on the heap
}

// watched tells the thread's Watch of the instruction at the slot and runs it as loop does, alone. It returns the next slot, or the same
// one if the instruction is left to step or to the next slice.
func (s *state) watched(t *engine.Thread, pc int) int {
	if s.single == nil || s.single.image != s.image {
		s.single = &single{image: s.image, code: make([]insn, len(s.code)+2)} // an immediate load may be last
		for i := range s.single.code {
			s.single.code[i].op = opStop
		}
	}
	one := s.single
	copy(one.r[:], s.r[:])
	t.Watch(s.image.program, pc, s.depth, &one.r)
	in := s.code[pc]
	if in.op >= opMovAdd && in.op <= opAddJltX {
		in = decode(s.image.program, pc) // fused with the next one
	}
	code := s.code
	s.code, one.code[pc] = one.code, in
	next := s.loop(pc)
	s.code, one.code[pc] = code, insn{op: opStop}
	return next
}
