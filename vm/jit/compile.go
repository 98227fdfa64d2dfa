//go:build (linux || darwin) && (amd64 || arm64)

package jit

import (
	"fmt"
	"slices"

	"skep/vm/code"
	"skep/vm/engine"
)

// A compiler makes machine code of a program in passes: the first one assumes that jumps are long, each further one knows from the one
// before how far they are, until nothing changes. Code mostly shrinks, so that what was near stays near.
type compiler struct {
	asm
	p        *code.Program
	checked  bool
	at       int   // slot
	fn       int   // function
	places   []int // of the slots' code, in this pass up to at and in the last one from there on
	moved    int   // how much the code of the slot has moved since the last pass
	funcs    []function
	loops    map[int]int // their last slots, by the first
	stubs    []stub
	common   common
	first    bool  // pass
	used     []int // of r6 to r9, those that the program uses at all
	extended bool  // the processor has what not all of its kind have: BMI2, or atomic instructions on arm64
}

// A function is where the parts of one are.
type function struct {
	start, entry int   // for calls of the program's, and for Go, which has pushed the return address
	tail, exit   int   // ways out: to another program, and back
	local        bool  // functions of the program call it
	saves        []reg // what the function changes of what it must preserve
	length       int   // in slots
	frames       int   // that it can use
}

// A stub is code that is rarely run and stands behind the functions: it says where to return and goes on in a common routine.
type stub struct {
	jump    int // the end of the jump here
	back    int
	routine int
}

// common is where the routines are that the whole image uses.
type common struct {
	done, call, fuel, packet, depth, ret int
	reads, writes                        [4]int // for a window that does not show 1, 2, 4 or 8 bytes
	access                               int    // for what is never in a window
	restore                              int
}

// maxPasses is more than it takes, most often four. Moving loops may make what was near far again, and so on: if that does not come to
// an end, loops stay where they are.
const (
	maxPasses     = 256
	alignedPasses = 16
)

func (c *compiler) compile() error {
	c.places = make([]int, len(c.p.Insns)+1)
	c.funcs = make([]function, len(c.p.Funcs))
	frames := engine.FramesOf(c.p)
	for i, f := range c.p.Funcs {
		c.funcs[i].length, c.funcs[i].frames = f.End-f.Start, frames[i]
		c.funcs[i].saves = c.saves(f)
	}
	for r := 6; r < 10; r++ {
		if slices.ContainsFunc(c.p.Insns, func(in code.Insn) bool { return int(in.Dst()) == r || int(in.Src()) == r }) {
			c.used = append(c.used, r)
		}
	}
	for at, in := range c.p.Insns {
		if in.Op == code.CallOp && in.Src() == code.CallLocal {
			c.funcs[c.p.FuncAt(in.Target(at))].local = true
		}
	}
	c.loops = findLoops(c.p)
	for pass := range maxPasses {
		c.first = pass == 0
		if pass == alignedPasses {
			clear(c.loops)
		}
		before := slices.Clone(c.places)
		c.buf, c.stubs = c.buf[:0], c.stubs[:0]
		c.pass()
		if err := c.fits(); err != nil {
			return err
		}
		if slices.Equal(c.places, before) {
			return nil
		}
	}
	return fmt.Errorf("program %s: jumps do not settle", c.p.Name)
}

func (c *compiler) pass() {
	c.routines()
	for i, f := range c.p.Funcs {
		c.fn = i
		c.funcs[i].start = c.here()
		c.prologue(f)
		for c.at = f.Start; c.at < f.End; c.at++ {
			in := c.p.Insns[c.at]
			c.align()
			c.moved = c.here() - c.places[c.at]
			c.places[c.at] = c.here()
			if in.Op == code.LoadImm64 {
				c.insn(in)
				c.at++
				c.places[c.at] = c.here()
				continue
			}
			c.insn(in)
		}
		if c.p.Insns[f.End-1].Op == code.CallOp {
			c.leave(c.common.ret)
		}
		c.funcs[i].exit = c.here()
		c.epilogue()
		c.funcs[i].tail = c.here()
		c.tailCall()
	}
	c.places[len(c.p.Insns)] = c.here()
	for _, s := range c.stubs {
		c.patch(s.jump, c.here())
		c.lea(tmp2, s.back)
		c.jump(always, s.routine)
	}
}

// routines emits what all functions use. They find in tmp2 where to go on.
func (c *compiler) routines() {
	c.common.done = c.here()
	c.store(ctx, offRegs, regs[0])
	c.setExit(exitDone, 0)
	c.toGo()

	c.common.call = c.here() // exit has been set
	c.store(ctx, offPC, tmp2)
	c.toGo()

	c.common.fuel = c.saveAll()
	c.setExit(exitFuel, 0)
	c.toGo()
	c.common.packet = c.saveAll()
	c.toGo() // exit has been set
	c.common.depth = c.saveAll()
	c.setExit(exitDepth, 0)
	c.toGo()
	c.common.ret = c.saveAll()
	c.setExit(exitReturn, 0)
	c.toGo()
	c.common.access = c.saveAll()
	c.store(ctx, offAddr, tmp)
	c.setExit(exitAccess, 0)
	c.toGo()
	c.common.restore = c.restore()
	for size := range 4 {
		c.common.reads[size] = c.lookup(offReads, size)
		c.common.writes[size] = c.lookup(offWrites, size)
	}
}

// saveAll begins a routine that may end the program or that needs everything preserved: the registers that helpers may change.
func (c *compiler) saveAll() int {
	start := c.here()
	c.store(ctx, offPC, tmp2)
	for r := range 6 {
		c.store(ctx, offRegs+8*int32(r), regs[r])
	}
	return start
}

func (c *compiler) insn(in code.Insn) {
	switch in.Class() {
	case code.ClassALU, code.ClassALU64:
		c.arithmetic(in)
	case code.ClassJMP, code.ClassJMP32:
		c.control(in)
	case code.ClassLD:
		if in.Op == code.LoadImm64 {
			c.movImm(regs[in.Dst()], uint64(uint32(in.Imm))|uint64(c.p.Insns[c.at+1].Imm)<<32)
			return
		}
		c.setExit(exitPacket, int32(c.at))
		c.leave(c.common.packet)
	default:
		c.loadStore(in)
	}
}

func (c *compiler) control(in code.Insn) {
	switch in.Op {
	case code.Exit:
		c.epilogue()
	case code.CallOp:
		c.call(in)
	case code.Goto, code.GotoLong:
		c.budget(in)
		if in.Target(c.at) != c.at+1 {
			c.jump(always, c.place(in.Target(c.at)))
		}
	case code.MayGoto:
		c.budget(in)
		c.mayGoto(c.place(in.Target(c.at)))
	default:
		c.budget(in)
		c.jump(c.test(in), c.place(in.Target(c.at)))
	}
}

// conditions has those of the comparisons.
var conditions = [16]byte{
	code.JEQ >> 4: ifEqual, code.JNE >> 4: ifNotEqual, code.JSET >> 4: ifNotEqual,
	code.JGT >> 4: ifAbove, code.JGE >> 4: ifNotBelow, code.JLT >> 4: ifBelow, code.JLE >> 4: ifNotAbove,
	code.JSGT >> 4: ifGreater, code.JSGE >> 4: ifNotLess, code.JSLT >> 4: ifLess, code.JSLE >> 4: ifNotGreater,
}

func (c *compiler) call(in code.Insn) {
	if in.Src() == code.CallLocal {
		c.callLocal(c.p.FuncAt(in.Target(c.at)))
		return
	}
	if a := c.p.Calls[in.Imm].Array; a != nil && !c.checked {
		c.array(a)
		return
	}
	for r := range c.arguments(in) {
		c.store(ctx, offRegs+8*int32(r+1), regs[r+1])
	}
	c.setExit(exitCall, in.Imm)
	c.leave(c.common.call)
}

// saves lists what the function must preserve and changes.
func (c *compiler) saves(f code.Func) (saves []reg) {
	var changed [11]bool
	for _, in := range c.p.Insns[f.Start:f.End] {
		switch in.Class() {
		case code.ClassALU, code.ClassALU64, code.ClassLDX, code.ClassLD:
			changed[in.Dst()] = true
		case code.ClassSTX:
			if in.Mode() == code.ModeATOMIC {
				changed[in.Src()], changed[in.Dst()] = true, true
			}
		}
	}
	for r := 6; r < 10; r++ {
		if changed[r] {
			saves = append(saves, regs[r])
		}
	}
	return saves
}

// place is where the code of a slot is: of a later one, as far from here as it was in the pass before.
func (c *compiler) place(slot int) int {
	switch {
	case slot <= c.at:
		return c.places[slot]
	case c.first:
		return farAway
	}
	return c.places[slot] + c.moved
}

// farAway is further than any short jump goes, and less than any jump can go.
const farAway = 1 << 28

// slow is a jump to a common routine by way of a stub, which comes back to here.
func (c *compiler) slow(jump, routine int) {
	c.stubs = append(c.stubs, stub{jump: jump, back: c.here(), routine: routine})
}

// charge asks for fuel of so many instructions.
func (c *compiler) charge(n int) {
	c.slow(c.burn(n), c.common.fuel)
}

// budget charges a jump backward before it is decided.
func (c *compiler) budget(in code.Insn) {
	if back := c.at + 1 - in.Target(c.at); back > 0 {
		c.charge(back)
	}
}

// framed tells whether the access stays in the function's own frame, so that it is never checked.
func framed(base uint8, off int16, size int) bool {
	return base == 10 && off >= -512 && int(off)+size <= 0
}

// arguments is how many registers the call of a helper passes on. Code that has not been verified may look at all of them afterwards.
func (c *compiler) arguments(in code.Insn) int {
	if n := c.p.Calls[in.Imm].Args; n > 0 && n < 5 && !c.checked {
		return n
	}
	return 5
}
