//go:build linux || darwin

package jit

import (
	"fmt"

	"golang.org/x/sys/cpu"

	"skep/vm/code"
	"skep/vm/engine"
)

// stackSlot is how many bytes a return address takes on the machine's stack, which stays aligned to 16.
const stackSlot = 16

// regs has the registers of programs, as the kernel has them. x26 is the state, x24 the fuel; x9 to x13 are free for each instruction.
// Go's x28, the platform's x18 and the frame pointer x29 are never touched, and x30 only ever holds return addresses: what looks at
// it from outside, as a profile does, finds what it expects.
var regs = [11]reg{7, 0, 1, 2, 3, 4, 19, 20, 21, 22, 25}

const (
	ctx   reg = 26
	fuel  reg = 24
	frame reg = 25
	tmp   reg = 9
	tmp2  reg = 10
	tmp3  reg = 11
	tmp4  reg = 12
	tmp5  reg = 13
	link  reg = 30
	sp    reg = 31
)

func (c *compiler) detect() { c.extended = cpu.ARM64.HasATOMICS }

// setExit says why Go is wanted.
func (c *compiler) setExit(why, row int32) {
	c.movImm(tmp3, uint64(row<<rowShift|why))
	c.store(ctx, offExit, tmp3)
}

// toGo goes back to Go, with what helpers preserve. Of r6 to r9, only those that the program uses: the others are still in the state.
func (c *compiler) toGo() {
	for _, r := range append(c.used, 10) {
		c.store(ctx, offRegs+8*int32(r), regs[r])
	}
	c.store(ctx, offFuel, fuel)
	c.addImm(wide, tmp3, sp, 0, zero)
	c.store(ctx, offSP, tmp3)
	c.load(tmp3, ctx, offGoSP)
	c.load(link, ctx, offGoBP)
	c.addImm(wide, sp, tmp3, 0, zero)
	c.word(0xd65f03c0)
}

// lookup looks for the address tmp in the other windows.
func (c *compiler) lookup(windowsAt int32, size int) int {
	start := c.here()
	for i := int32(1); i < windows; i++ {
		w := windowsAt + i*windowBytes
		c.window(w, size)
		over := c.skip(ifAbove)
		c.branch(tmp2)
		c.land(over)
	}
	c.jump(always, c.common.access)
	return start
}

// window compares how far the address tmp is past a window's base with how far it may be.
func (c *compiler) window(w int32, size int) {
	c.load(tmp3, ctx, w)
	c.load(tmp4, ctx, w+offLimits+8*int32(size))
	c.rrr(wide|opSUB, tmp3, tmp, tmp3)
	c.rrr(wide|opSUBS, zero, tmp3, tmp4)
}

// leave goes to a routine, and comes back behind.
func (c *compiler) leave(routine int) {
	back := c.here() + 8
	if c.large {
		back += 4
	}
	c.lea(tmp2, back)
	c.jump(always, routine)
}

// burn takes fuel and returns a jump for when there is none left.
func (c *compiler) burn(n int) (jump int) {
	const subs = 0xf1000000
	if n < 1<<12 {
		c.word(subs | uint32(n)<<10 | uint32(fuel)<<5 | uint32(fuel))
	} else {
		c.movImm(tmp3, uint64(n))
		c.rrr(wide|opSUBS, fuel, fuel, tmp3)
	}
	return c.jumpFar(ifNegative)
}

func (c *compiler) prologue(f code.Func) {
	c.push(link)
	c.funcs[c.fn].entry = c.here()
	for _, r := range c.funcs[c.fn].saves {
		c.push(r)
	}
	c.addImm(wide, frame, frame, engine.FrameSize, zero)
	c.charge(f.End - f.Start)
}

func (c *compiler) unwind() {
	c.addImm(wide, frame, frame, -engine.FrameSize, zero)
	saves := c.funcs[c.fn].saves
	for i := len(saves) - 1; i >= 0; i-- {
		c.pop(saves[i])
	}
}

// epilogue leaves the function. Go calls by a jump: where only Go calls, returning by a jump too keeps the processor's idea of who
// returns where in order.
func (c *compiler) epilogue() {
	c.unwind()
	if c.funcs[c.fn].local {
		c.pop(link)
		c.word(0xd65f03c0)
		return
	}
	c.pop(tmp2)
	c.branch(tmp2)
}

// tailCall leaves the function for another program. That one may not use registers that the caller does: it keeps them in no state, so
// that a routine, to which it returns, gives them back.
func (c *compiler) tailCall() {
	c.unwind()
	for _, r := range regs[6:10] {
		c.push(r)
	}
	c.lea(tmp2, c.common.restore)
	c.push(tmp2)
	c.load(tmp2, ctx, offTail)
	c.branch(tmp2)
}

// restore begins the routine to which programs return that have been gone on in.
func (c *compiler) restore() int {
	start := c.here()
	for r := 9; r >= 6; r-- {
		c.pop(regs[r])
	}
	c.pop(link)
	c.word(0xd65f03c0)
	return start
}

// fits is asked after each pass.
func (c *compiler) fits() error {
	const nearBytes, farBytes = 1 << 19, 1 << 26
	if c.here() > farBytes {
		return fmt.Errorf("program %s: %d bytes of machine code are too many for jumps", c.p.Name, c.here())
	}
	c.large = c.large || c.here() > nearBytes
	return nil
}

// mayGoto counts down, and jumps out when there is nothing left.
func (c *compiler) mayGoto(out int) {
	c.load(tmp, ctx, offLoops)
	c.access(opLDR, 2, tmp2, tmp, 0, zero)
	c.compareImm(0, tmp2, 0, zero)
	c.jump(ifEqual, out)
	c.addImm(0, tmp2, tmp2, -1, zero)
	c.access(opSTR, 2, tmp2, tmp, 0, zero)
}

// test compares, and returns the condition to jump on.
func (c *compiler) test(in code.Insn) byte {
	dst, src := regs[in.Dst()], regs[in.Src()]
	flags := uint32(wide)
	if in.Class() == code.ClassJMP32 {
		flags = 0
	}
	reg := in.Op&code.SrcReg != 0
	switch {
	case in.Alu() == code.JSET:
		if !reg {
			c.movImm(tmp, uint64(int64(in.Imm)))
			src = tmp
		}
		c.rrr(flags|opANDS, zero, dst, src)
	case reg:
		c.rrr(flags|opSUBS, zero, dst, src)
	default:
		c.compareImm(flags, dst, int64(in.Imm), tmp)
	}
	return conditions[in.Alu()>>4]
}

// callLocal calls a function of the program, if there is a frame left.
func (c *compiler) callLocal(f int) {
	c.load(tmp, ctx, offLimit)
	c.rrr(wide|opSUBS, zero, frame, tmp)
	c.slow(c.jumpFar(ifNotBelow), c.common.depth)
	c.word(opBL)
	c.patch(c.here(), c.funcs[f].start)
}

// array looks up the key at r2.
func (c *compiler) array(a *code.Array) {
	const madd = 0x1b000000
	value, key := regs[0], regs[2]
	c.access(opLDR, 2, tmp, key, 0, zero)
	c.movImm(value, 0)
	c.compareImm(0, tmp, int64(a.Entries), tmp2)
	none := c.skip(ifNotBelow)
	c.movImm(tmp2, uint64(a.Stride))
	c.movImm(value, a.Base)
	c.rrr(wide|madd|uint32(value)<<10, value, tmp, tmp2)
	if a.CPU != 0 {
		c.movImm(tmp2, uint64(a.CPU))
		c.load(tmp, ctx, offCPU)
		c.rrr(wide|madd|uint32(value)<<10, value, tmp, tmp2)
	}
	c.land(none)
}
