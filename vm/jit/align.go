//go:build (linux || darwin) && (amd64 || arm64)

package jit

import "skep/vm/code"

// line is how many bytes the processor fetches at once. A short loop that lies in two lines where one would do may take twice the time.
const line = 64

// findLoops returns the last slot of each loop, by the first: of the shortest, if several begin there.
func findLoops(p *code.Program) map[int]int {
	loops := map[int]int{}
	second := false
	for at, in := range p.Insns {
		if !second && in.Jumps() && in.Target(at) <= at {
			if _, shorter := loops[in.Target(at)]; !shorter {
				loops[in.Target(at)] = at
			}
		}
		second = !second && in.Op == code.LoadImm64
	}
	return loops
}

// align moves a short loop that begins here into one line. Its length is that of the pass before.
func (c *compiler) align() {
	last, begins := c.loops[c.at]
	if !begins || c.first {
		return
	}
	length := c.places[last+1] - c.places[c.at]
	if into := c.here() % line; length <= line && into+length > line {
		c.nops(line - into)
	}
}
