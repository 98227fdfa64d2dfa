//go:build linux || darwin

package jit

import "skep/vm/code"

// plain has the opcodes of what is one instruction.
var plain = map[uint8]uint32{
	code.ADD: opADD, code.SUB: opSUB, code.MUL: opMUL, code.AND: opAND, code.OR: opORR, code.XOR: opEOR,
	code.LSH: opLSLV, code.RSH: opLSRV, code.ARSH: opASRV,
}

func (c *compiler) arithmetic(in code.Insn) {
	dst, src := regs[in.Dst()], regs[in.Src()]
	flags, reg := uint32(0), in.Op&code.SrcReg != 0
	if in.Class() == code.ClassALU64 {
		flags = wide
	}
	switch op := in.Alu(); op {
	case code.MOV:
		c.move(in, flags)
	case code.NEG:
		c.rrr(flags|opSUB, dst, zero, dst)
	case code.END:
		c.swap(in)
	case code.DIV, code.MOD:
		if !reg {
			c.movImm(tmp, uint64(int64(in.Imm)))
			src = tmp
		}
		c.divide(in, flags, dst, src)
	default:
		if !reg && c.immediate(op, in.Imm, flags, dst) {
			return
		}
		if !reg {
			c.movImm(tmp, uint64(int64(in.Imm)))
			src = tmp
		}
		c.rrr(flags|plain[op], dst, dst, src)
	}
}

// immediate does what needs no register for the immediate.
func (c *compiler) immediate(op uint8, imm int32, flags uint32, dst reg) bool {
	last := uint32(31)
	if flags == wide {
		last = 63
	}
	n := uint32(imm) & last
	switch op {
	case code.ADD:
		c.addImm(flags, dst, dst, int64(imm), tmp)
	case code.SUB:
		c.addImm(flags, dst, dst, -int64(imm), tmp)
	case code.LSH:
		c.bits(flags|opUBFM, dst, dst, -n&last, last-n)
	case code.RSH:
		c.bits(flags|opUBFM, dst, dst, n, last)
	case code.ARSH:
		c.bits(flags|opSBFM, dst, dst, n, last)
	default:
		return false
	}
	return true
}

func (c *compiler) move(in code.Insn, flags uint32) {
	dst, src := regs[in.Dst()], regs[in.Src()]
	switch {
	case in.Op&code.SrcReg == 0 && flags == wide:
		c.movImm(dst, uint64(int64(in.Imm)))
	case in.Op&code.SrcReg == 0:
		c.movImm(dst, uint64(uint32(in.Imm)))
	case in.Off != 0:
		c.bits(flags|opSBFM, dst, src, 0, uint32(in.Off)-1)
	case dst != src || flags == 0:
		c.mov(flags, dst, src)
	}
}

func (c *compiler) swap(in code.Insn) {
	const rev16, rev32, rev64 = 0x5ac00400, 0x5ac00800, 0xdac00c00
	dst := regs[in.Dst()]
	swaps := in.Class() == code.ClassALU64 || in.Op&code.SrcReg != 0
	switch {
	case in.Imm == 16:
		if swaps {
			c.rr(rev16, dst, dst)
		}
		c.bits(opUBFM, dst, dst, 0, 15)
	case in.Imm == 32 && swaps:
		c.rr(rev32, dst, dst)
	case in.Imm == 32:
		c.mov(0, dst, dst)
	case swaps:
		c.rr(rev64, dst, dst)
	}
}

// divide does divisions and remainders. This processor's division by 0 gives 0, and of the lowest number by -1 that number, as it
// should be; a remainder is the dividend less divisor times quotient, which is then right too.
func (c *compiler) divide(in code.Insn, flags uint32, dst, src reg) {
	const msub = 0x1b008000
	op := uint32(opUDIV)
	if in.Off == 1 {
		op = opSDIV
	}
	if in.Alu() == code.DIV {
		c.rrr(flags|op, dst, dst, src)
		return
	}
	c.rrr(flags|op, tmp2, dst, src)
	c.rrr(flags|msub|uint32(dst)<<10, dst, tmp2, src)
}
