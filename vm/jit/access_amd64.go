//go:build linux || darwin

package jit

import (
	"math/bits"

	"skep/vm/code"
)

// access emits loads, stores and atomic instructions.
func (c *compiler) loadStore(in code.Insn) {
	base, write := in.Dst(), true
	if in.Class() == code.ClassLDX || in.Mode() == code.ModeATOMIC && in.Imm == code.AtomicLoad {
		base, write = in.Src(), false
	}
	atomic := in.Mode() == code.ModeATOMIC
	m, off := regs[base], int32(in.Off)
	if c.checked && (atomic || !framed(base, in.Off, in.Bytes())) {
		c.check(m, off, in.Bytes(), write, atomic)
		if !atomic {
			m, off = tmp, 0
		}
	}
	switch {
	case atomic:
		c.atomic(in, m, off)
	case in.Class() == code.ClassLDX:
		c.loadBytes(in, regs[in.Dst()], m, off)
	case in.Class() == code.ClassSTX:
		c.storeBytes(in.Bytes(), regs[in.Src()], m, off)
	default:
		c.storeImm(in.Bytes(), in.Imm, m, off)
	}
}

// check leaves the address in tmp, and has asked Go if the first window does not show it.
func (c *compiler) check(base reg, off int32, size int, write, atomic bool) {
	w, slow := offReads, c.common.reads
	if write {
		w, slow = offWrites, c.common.writes
	}
	n := bits.TrailingZeros(uint(size))
	c.rm(wide, 0x8d, tmp, base, off)
	if atomic && size > 1 {
		c.rr(unified, 0xf6, 0, tmp)
		c.bytes(byte(size - 1))
		aligned := c.skip(ifEqual)
		jump := c.jumpFar(always)
		c.slow(jump, c.common.access)
		c.land(aligned)
	}
	c.mov(wide, tmp2, tmp)
	c.rm(wide, 0x2b, tmp2, ctx, w)
	c.rm(wide, 0x3b, tmp2, ctx, w+offLimits+8*int32(n))
	jump := c.jumpFar(ifAbove)
	c.slow(jump, slow[n])
}

func (c *compiler) loadBytes(in code.Insn, dst, base reg, off int32) {
	signed := in.Class() == code.ClassLDX && in.Mode() == code.ModeMEMSX
	switch n := in.Bytes(); {
	case n == 1 && signed:
		c.rm(wide, 0x0fbe, dst, base, off)
	case n == 2 && signed:
		c.rm(wide, 0x0fbf, dst, base, off)
	case n == 4 && signed:
		c.rm(wide, 0x63, dst, base, off)
	case n == 1:
		c.rm(0, 0x0fb6, dst, base, off)
	case n == 2:
		c.rm(0, 0x0fb7, dst, base, off)
	case n == 4:
		c.rm(0, 0x8b, dst, base, off)
	default:
		c.load(dst, base, off)
	}
}

// sizeFlags are those of an instruction that moves so many bytes.
func sizeFlags(size int) int {
	return map[int]int{1: narrow, 2: half, 4: 0, 8: wide}[size]
}

func (c *compiler) storeBytes(size int, src, base reg, off int32) {
	opcode := uint32(0x89)
	if size == 1 {
		opcode = 0x88
	}
	c.rm(sizeFlags(size), opcode, src, base, off)
}

func (c *compiler) storeImm(size int, imm int32, base reg, off int32) {
	if size == 1 {
		c.rm(0, 0xc6, 0, base, off)
		c.bytes(byte(imm))
		return
	}
	c.rm(sizeFlags(size), 0xc7, 0, base, off)
	if size == 2 {
		c.bytes(byte(imm), byte(imm>>8))
	} else {
		c.imm32(imm)
	}
}

// atomic emits an atomic instruction. Loads acquire and stores release on this machine anyway.
func (c *compiler) atomic(in code.Insn, base reg, off int32) {
	src := regs[in.Src()]
	flags := sizeFlags(in.Bytes())
	switch in.Imm {
	case code.AtomicLoad:
		c.loadBytes(in, regs[in.Dst()], base, off)
	case code.AtomicStore:
		c.storeBytes(in.Bytes(), src, base, off)
	case code.ADD, code.OR, code.AND, code.XOR:
		c.rm(flags|locked, plain[uint8(in.Imm)].opcode, src, base, off)
	case code.ADD | code.AtomicFetch:
		c.rm(flags|locked, 0x0fc1, src, base, off)
	case code.AtomicXchg:
		c.rm(flags, 0x87, src, base, off)
	case code.AtomicCmp:
		c.rm(flags|locked, 0x0fb1, src, base, off)
		if in.Bytes() == 4 {
			c.mov(0, rax, rax)
		}
	default:
		c.fetch(in, base, off, flags)
	}
}

// fetch is an operation that the processor has only without the old value: it is repeated until nothing came between.
func (c *compiler) fetch(in code.Insn, base reg, off int32, flags int) {
	src := regs[in.Src()]
	c.mov(wide, tmp2, rax)
	operand := src
	if src == rax {
		operand = tmp2
	}
	if base == rax {
		base = tmp2
	}
	c.rm(flags, 0x8b, rax, base, off)
	again := c.here()
	c.mov(flags, tmp, rax)
	c.rr(flags, plain[uint8(in.Imm)&^code.AtomicFetch].opcode, operand, tmp)
	c.rm(flags|locked, 0x0fb1, tmp, base, off)
	c.jump(ifNotEqual, again)
	if flags == 0 {
		c.mov(0, rax, rax)
	}
	if src != rax {
		c.mov(wide, src, rax)
		c.mov(wide, rax, tmp2)
	}
}
