//go:build linux || darwin

package jit

import "skep/vm/code"

// plain has the opcode for two registers and the digit for an immediate.
var plain = map[uint8]struct {
	opcode uint32
	digit  int
}{
	code.ADD: {0x01, digitAdd}, code.SUB: {0x29, digitSub}, code.AND: {0x21, digitAnd}, code.OR: {0x09, digitOr}, code.XOR: {0x31, digitXor},
}

var shifts = map[uint8]int{code.LSH: digitShl, code.RSH: digitShr, code.ARSH: digitSar}

func (c *compiler) arithmetic(in code.Insn) {
	dst, src := regs[in.Dst()], regs[in.Src()]
	flags, reg := 0, in.Op&code.SrcReg != 0
	if in.Class() == code.ClassALU64 {
		flags = wide
	}
	switch op := in.Alu(); op {
	case code.ADD, code.SUB, code.AND, code.OR, code.XOR:
		if reg {
			c.rr(flags, plain[op].opcode, src, dst)
		} else {
			c.ri(flags, plain[op].digit, dst, in.Imm)
		}
	case code.MOV:
		c.move(in, flags)
	case code.NEG:
		c.rr(flags, 0xf7, 3, dst)
	case code.MUL:
		switch {
		case reg:
			c.rr(flags, 0x0faf, dst, src)
		case in.Imm == int32(int8(in.Imm)):
			c.rr(flags, 0x6b, dst, dst)
			c.bytes(byte(in.Imm))
		default:
			c.rr(flags, 0x69, dst, dst)
			c.imm32(in.Imm)
		}
	case code.LSH, code.RSH, code.ARSH:
		if reg {
			c.shift(flags, shifts[op], dst, src)
			break
		}
		n := byte(in.Imm & 63)
		if flags == 0 {
			n &= 31
		}
		c.rr(flags, 0xc1, reg5(shifts[op]), dst)
		c.bytes(n)
		if n == 0 && flags == 0 {
			c.mov(0, dst, dst)
		}
	case code.END:
		c.swap(in)
	case code.DIV, code.MOD:
		c.divide(in, flags)
	}
}

// reg5 is a digit in the place of a register.
func reg5(digit int) reg { return reg(digit) }

func (c *compiler) move(in code.Insn, flags int) {
	dst, src := regs[in.Dst()], regs[in.Src()]
	switch {
	case in.Op&code.SrcReg == 0 && flags == wide:
		c.movImm(dst, uint64(int64(in.Imm)))
	case in.Op&code.SrcReg == 0:
		c.movImm(dst, uint64(uint32(in.Imm)))
	case in.Off == 8:
		c.rr(flags|unified, 0x0fbe, dst, src)
	case in.Off == 16:
		c.rr(flags, 0x0fbf, dst, src)
	case in.Off == 32:
		c.rr(flags, 0x63, dst, src)
	case dst != src || flags == 0:
		c.mov(flags, dst, src)
	}
}

// shift shifts by a register.
func (c *compiler) shift(flags int, digit int, dst, src reg) {
	if c.extended {
		c.shiftX(flags, digit, dst, dst, src)
		return
	}
	// The count must be in cl. A shift of 32 bits by 0 must clear the upper half too.
	value := dst
	c.mov(wide, tmp, rcx)
	if dst == rcx {
		c.mov(wide, tmp2, rcx)
		value = tmp2
	}
	if src != rcx {
		c.mov(wide, rcx, src)
	}
	if flags == 0 {
		c.mov(0, value, value)
	}
	c.rr(flags, 0xd3, reg5(digit), value)
	if dst == rcx {
		c.mov(wide, rcx, tmp2)
	} else if src != rcx {
		c.mov(wide, rcx, tmp)
	}
}

func (c *compiler) swap(in code.Insn) {
	dst := regs[in.Dst()]
	swaps := in.Class() == code.ClassALU64 || in.Op&code.SrcReg != 0
	switch {
	case in.Imm == 16 && swaps:
		c.rr(half, 0xc1, 1, dst) // ror
		c.bytes(8)
		c.rr(0, 0x0fb7, dst, dst)
	case in.Imm == 16:
		c.rr(0, 0x0fb7, dst, dst)
	case in.Imm == 32 && swaps:
		c.prefix(0, 0x0fc8|uint32(dst&7), 0, 0, dst)
	case in.Imm == 32:
		c.mov(0, dst, dst)
	case swaps:
		c.prefix(wide, 0x0fc8|uint32(dst&7), 0, 0, dst)
	}
}

// divide does divisions and remainders, signed and not. The processor divides rdx:rax, and leaves the quotient in rax and the remainder
// in rdx; it traps at 0 and at the lowest number by -1.
func (c *compiler) divide(in code.Insn, flags int) {
	dst := regs[in.Dst()]
	signed, mod := in.Off == 1, in.Alu() == code.MOD
	if in.Op&code.SrcReg == 0 {
		switch {
		case in.Imm == 0:
			c.trivial(flags, dst, mod, false)
			return
		case signed && in.Imm == -1:
			c.trivial(flags, dst, mod, true)
			return
		case !signed && in.Imm > 0 && in.Imm&(in.Imm-1) == 0:
			c.powerOfTwo(flags, dst, mod, in.Imm)
			return
		}
		c.push(rdx)
		c.mov(wide, tmp, rax)
		if flags == wide {
			c.movImm(tmp2, uint64(int64(in.Imm)))
		} else {
			c.movImm(tmp2, uint64(uint32(in.Imm)))
		}
		c.quotient(flags, dst, tmp2, signed, mod)
		if dst == rdx {
			c.ri(wide, digitAdd, rsp, 8)
		} else {
			c.pop(rdx)
		}
		return
	}
	src := regs[in.Src()]
	c.rr(flags, 0x85, src, src)
	zero := c.skip(ifEqual)
	minus := 0
	if signed {
		c.ri(flags, digitCmp, src, -1)
		minus = c.skip(ifEqual)
	}
	divisor := src
	c.mov(wide, tmp, rax)
	c.mov(wide, tmp2, rdx)
	switch src {
	case rax:
		divisor = tmp
	case rdx:
		divisor = tmp2
	}
	c.quotient(flags, dst, divisor, signed, mod)
	if dst != rdx {
		c.mov(wide, rdx, tmp2)
	}
	end := c.skip(always)
	if signed {
		c.land(minus)
		c.trivial(flags, dst, mod, true)
		over := c.skip(always)
		c.land(zero)
		c.trivial(flags, dst, mod, false)
		c.land(over)
	} else {
		c.land(zero)
		c.trivial(flags, dst, mod, false)
	}
	c.land(end)
}

// quotient divides dst. rax has been saved in tmp, and is restored; rdx has been saved, and is not.
func (c *compiler) quotient(flags int, dst, divisor reg, signed, mod bool) {
	if dst != rax {
		c.mov(flags, rax, dst)
	}
	if signed {
		c.prefix(flags, 0x99, 0, 0, 0) // rdx: the sign of rax
		c.rr(flags, 0xf7, 7, divisor)
	} else {
		c.rr(0, 0x31, rdx, rdx)
		c.rr(flags, 0xf7, 6, divisor)
	}
	result := rax
	if mod {
		result = rdx
	}
	if dst != result {
		c.mov(flags, dst, result)
	}
	if dst != rax {
		c.mov(wide, rax, tmp)
	}
}

// trivial is the division by 0, or by -1.
func (c *compiler) trivial(flags int, dst reg, mod, minus bool) {
	switch {
	case minus && !mod:
		c.rr(flags, 0xf7, 3, dst)
	case minus || !mod:
		c.rr(0, 0x31, dst, dst)
	case flags == 0:
		c.mov(0, dst, dst)
	}
}

func (c *compiler) powerOfTwo(flags int, dst reg, mod bool, n int32) {
	if mod {
		c.ri(flags, digitAnd, dst, n-1)
		return
	}
	shift := byte(0)
	for n > 1 {
		n >>= 1
		shift++
	}
	c.rr(flags, 0xc1, digitShr, dst)
	c.bytes(shift)
	if shift == 0 && flags == 0 {
		c.mov(0, dst, dst)
	}
}
