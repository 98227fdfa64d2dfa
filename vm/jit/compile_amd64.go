//go:build linux || darwin

package jit

import (
	"golang.org/x/sys/cpu"

	"skep/vm/code"
	"skep/vm/engine"
)

// stackSlot is how many bytes a return address takes on the machine's stack.
const stackSlot = 8

// regs has the registers of programs, as the kernel has them. r12 is the state, r9 the fuel; r10 and r11 are free for each instruction.
var regs = [11]reg{rax, rdi, rsi, rdx, rcx, r8, rbx, r13, r14, r15, rbp}

const (
	ctx  = r12
	fuel = r9
	tmp  = r10
	tmp2 = r11
)

func (c *compiler) detect() { c.extended = cpu.X86.HasBMI2 }

// setExit says why Go is wanted.
func (c *compiler) setExit(why, row int32) {
	c.rm(wide, 0xc7, 0, ctx, offExit)
	c.imm32(row<<rowShift | why)
}

// toGo goes back to Go, with what helpers preserve. Of r6 to r9, only those that the program uses: the others are still in the state.
func (c *compiler) toGo() {
	for _, r := range append(c.used, 10) {
		c.store(ctx, offRegs+8*int32(r), regs[r])
	}
	c.store(ctx, offFuel, fuel)
	c.store(ctx, offSP, rsp)
	c.load(rsp, ctx, offGoSP)
	c.load(rbp, ctx, offGoBP)
	c.bytes(0xc3)
}

// lookup looks for the address tmp in the other windows.
func (c *compiler) lookup(windowsAt int32, size int) int {
	start := c.here()
	c.store(ctx, offPC, tmp2)
	for i := int32(1); i < windows; i++ {
		w := windowsAt + i*windowBytes
		c.mov(wide, tmp2, tmp)
		c.rm(wide, 0x2b, tmp2, ctx, w)
		c.rm(wide, 0x3b, tmp2, ctx, w+offLimits+8*int32(size))
		over := c.skip(ifAbove)
		c.rm(0, 0xff, 4, ctx, offPC)
		c.land(over)
	}
	c.load(tmp2, ctx, offPC)
	c.patch(c.jumpFar(always), c.common.access)
	return start
}

// leave goes to a routine, and comes back behind.
func (c *compiler) leave(routine int) {
	const jumpBytes = 5
	c.lea(tmp2, c.here()+7+jumpBytes)
	c.patch(c.jumpFar(always), routine)
}

// burn takes fuel and returns a jump for when there is none left.
func (c *compiler) burn(n int) (jump int) {
	c.ri(wide, digitSub, fuel, int32(n))
	return c.jumpFar(ifNegative)
}

func (c *compiler) prologue(f code.Func) {
	c.funcs[c.fn].entry = c.here()
	for _, r := range c.funcs[c.fn].saves {
		c.push(r)
	}
	c.ri(wide, digitAdd, rbp, engine.FrameSize)
	c.charge(f.End - f.Start)
}

func (c *compiler) unwind() {
	c.ri(wide, digitAdd, rbp, -engine.FrameSize)
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
		c.bytes(0xc3)
		return
	}
	c.pop(tmp2)
	c.rr(0, 0xff, 4, tmp2)
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
	c.rm(0, 0xff, 4, ctx, offTail)
}

// restore begins the routine to which programs return that have been gone on in.
func (c *compiler) restore() int {
	start := c.here()
	for r := 9; r >= 6; r-- {
		c.pop(regs[r])
	}
	c.bytes(0xc3)
	return start
}

// fits is asked after each pass: jumps go 2 GB far.
func (c *compiler) fits() error { return nil }

// mayGoto counts down, and jumps out when there is nothing left.
func (c *compiler) mayGoto(out int) {
	c.load(tmp, ctx, offLoops)
	c.rm(0, 0x83, digitCmp, tmp, 0)
	c.bytes(0)
	c.jump(ifEqual, out)
	c.rm(0, 0xff, 1, tmp, 0)
}

// test compares, and returns the condition to jump on.
func (c *compiler) test(in code.Insn) byte {
	dst, src := regs[in.Dst()], regs[in.Src()]
	flags := wide
	if in.Class() == code.ClassJMP32 {
		flags = 0
	}
	set := in.Alu() == code.JSET
	switch {
	case in.Op&code.SrcReg != 0 && set:
		c.rr(flags, 0x85, src, dst)
	case in.Op&code.SrcReg != 0:
		c.rr(flags, 0x39, src, dst)
	case set:
		c.rr(flags, 0xf7, 0, dst)
		c.imm32(in.Imm)
	case in.Imm == 0:
		c.rr(flags, 0x85, dst, dst)
	default:
		c.ri(flags, digitCmp, dst, in.Imm)
	}
	return conditions[in.Alu()>>4]
}

// callLocal calls a function of the program, if there is a frame left.
func (c *compiler) callLocal(f int) {
	c.rm(wide, 0x3b, rbp, ctx, offLimit)
	jump := c.jumpFar(ifNotBelow)
	c.slow(jump, c.common.depth)
	c.bytes(0xe8)
	c.imm32(0)
	c.patch(c.here(), c.funcs[f].start)
}

// array looks up the key at r2.
func (c *compiler) array(a *code.Array) {
	value, key := regs[0], regs[2]
	c.rm(0, 0x8b, value, key, 0)
	c.movImm(tmp, uint64(a.Entries))
	c.rr(0, 0x39, tmp, value)
	none := c.skip(ifNotBelow)
	c.movImm(tmp, uint64(a.Stride))
	c.rr(wide, 0x0faf, value, tmp)
	c.movImm(tmp, a.Base)
	c.rr(wide, 0x01, tmp, value)
	if a.CPU != 0 {
		c.movImm(tmp, uint64(a.CPU))
		c.rm(wide, 0x0faf, tmp, ctx, offCPU)
		c.rr(wide, 0x01, tmp, value)
	}
	end := c.skip(always)
	c.land(none)
	c.movImm(value, 0)
	c.land(end)
}
