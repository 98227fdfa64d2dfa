//go:build (linux || darwin) && (amd64 || arm64)

package jit

import "skep/vm/code"

// Short loops without anything but arithmetic and memory would spend much of their time on fuel. They are emitted several times, one
// after the other, and pay for all rounds at once; who leaves early is paid back. Only for trusted code, which has no faults inside.
const (
	unrolled  = 4
	loopSlots = 16
)

// findLoops returns the last slot of the loops to be unrolled, by the first.
func (c *compiler) findLoops() map[int]int {
	if c.checked {
		return nil
	}
	jumps := make([]int, len(c.p.Insns)) // how many go to each slot
	second := false
	for at, in := range c.p.Insns {
		if !second && in.Jumps() {
			jumps[in.Target(at)]++
		}
		second = !second && in.Op == code.LoadImm64
	}
	loops := map[int]int{}
	second = false
	for at, in := range c.p.Insns {
		if !second && in.Jumps() && in.Op != code.Goto && in.Op != code.GotoLong && in.Op != code.MayGoto {
			if start := in.Target(at); start <= at && at-start < loopSlots && c.straight(start, at, jumps) {
				loops[start] = at
			}
		}
		second = !second && in.Op == code.LoadImm64
	}
	return loops
}

// straight tells whether the slots are run one after the other, up to a jump at the last one, and never entered but at the first.
func (c *compiler) straight(start, last int, jumps []int) bool {
	for at := start; at <= last; at++ {
		if at > start && jumps[at] > 0 || at < last && !simple(c.p.Insns[at]) {
			return false
		}
	}
	return true
}

func simple(in code.Insn) bool {
	switch in.Class() {
	case code.ClassALU, code.ClassALU64, code.ClassLDX, code.ClassST:
		return true
	case code.ClassSTX:
		return in.Mode() == code.ModeMEM
	case code.ClassLD:
		return in.Op == code.LoadImm64 || in.Op == 0 // the second half of one
	}
	return false
}

// loop emits a loop several times, and leaves at on its last slot.
func (c *compiler) loop(last int) {
	start := c.at
	head := c.here()
	length := last + 1 - start
	c.charge(unrolled * length)
	for round := range unrolled {
		for c.at = start; c.at < last; c.at++ {
			if round == 0 && c.at > start {
				c.places[c.at] = c.here()
			}
			in := c.p.Insns[c.at]
			c.insn(in)
			if in.Op == code.LoadImm64 {
				c.at++
				if round == 0 {
					c.places[c.at] = c.here()
				}
			}
		}
		if round == 0 {
			c.places[last] = c.here()
		}
		cond := c.test(c.p.Insns[last])
		if round < unrolled-1 {
			c.stubs = append(c.stubs, stub{jump: c.jumpFar(cond ^ 1), refund: (unrolled - 1 - round) * length, loop: last})
		} else {
			c.jump(cond, head)
		}
	}
}
