package engine

import (
	"skep/vm/code"
	"skep/vm/memory"
)

// FramesOf is how many frames each function of a program can use: the longest chain of functions that call each other or are given to helpers
// to be called back, MaxFrames if there is no end to it.
func FramesOf(p *code.Program) []int {
	calls := make([][]int, len(p.Funcs))
	for i, f := range p.Funcs {
		for at := f.Start; at < f.End; at++ {
			switch in := p.Insns[at]; {
			case in.Op == code.CallOp && in.Src() == code.CallLocal:
				calls[i] = append(calls[i], p.FuncOf(at+1+int(in.Imm)))
			case in.Op == code.LoadImm64:
				at++
				if slot, ok := code.FuncSlot(uint64(uint32(in.Imm)) | uint64(uint32(p.Insns[at].Imm))<<32); ok {
					calls[i] = append(calls[i], p.FuncOf(slot))
				}
			}
		}
	}
	// deepest[i] is the longest chain that function i begins and that was found so far.
	deepest := make([]int, len(p.Funcs))
	for n := range deepest {
		deepest[n] = 1
	}
	for grown := true; grown; {
		grown = false
		for i, called := range calls {
			for _, j := range called {
				if j >= 0 && deepest[i] <= deepest[j] && deepest[i] < MaxFrames {
					deepest[i], grown = min(deepest[j]+1, MaxFrames), true
				}
			}
		}
	}
	return deepest
}

// Reach lets code that is not trusted use the stack for a function that can use so many frames, the first of which is at the depth. Deeper frames that
// it was given in the same run stay.
func (t *Thread) Reach(depth, frames int) {
	n := min(depth+frames, t.Frames())
	if depth > 0 {
		n = max(n, t.reach)
	}
	t.reach = n
}

// Reached is how many bytes of the stack code that is not trusted may use.
func (t *Thread) Reached() uint64 { return uint64(t.reach) * FrameSize }

// Region returns the region that has all the bytes from addr on, of the stack what the program may use.
func (t *Thread) Region(addr, size uint64) (memory.Region, bool) {
	r, ok := t.Space.Find(addr, size)
	if !ok || r.Base != t.Stack.Base() {
		return r, ok
	}
	r.Size = min(r.Size, t.Reached())
	past := addr - r.Base
	return r, past <= r.Size && size <= r.Size-past
}
