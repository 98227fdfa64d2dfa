//go:build linux || darwin

package jit

import (
	"math/bits"

	"skep/vm/code"
)

// loadStore emits loads, stores and atomic instructions.
func (c *compiler) loadStore(in code.Insn) {
	base, write := in.Dst(), true
	if in.Class() == code.ClassLDX || in.Mode() == code.ModeATOMIC && in.Imm == code.AtomicLoad {
		base, write = in.Src(), false
	}
	atomic := in.Mode() == code.ModeATOMIC
	m, off := regs[base], int32(in.Off)
	size := uint32(bits.TrailingZeros(uint(in.Bytes())))
	switch checked := c.checked && (atomic || !framed(base, in.Off, in.Bytes())); {
	case checked:
		c.check(m, off, size, write, atomic)
		m, off = tmp, 0
	case atomic:
		// Atomic instructions have no offset.
		c.addImm(wide, tmp, m, int64(off), tmp2)
		m = tmp
	}
	switch {
	case atomic:
		c.atomic(in, size)
	case in.Class() == code.ClassLDX && in.Mode() == code.ModeMEMSX:
		c.access(opLDRSX, size, regs[in.Dst()], m, off, tmp2)
	case in.Class() == code.ClassLDX:
		c.access(opLDR, size, regs[in.Dst()], m, off, tmp2)
	case in.Class() == code.ClassSTX:
		c.access(opSTR, size, regs[in.Src()], m, off, tmp2)
	default:
		c.movImm(tmp3, uint64(int64(in.Imm)))
		c.access(opSTR, size, tmp3, m, off, tmp2)
	}
}

// check leaves the address in tmp, and has asked Go if the first window does not show it.
func (c *compiler) check(base reg, off int32, size uint32, write, atomic bool) {
	w, slow := offReads, c.common.reads
	if write {
		w, slow = offWrites, c.common.writes
	}
	c.addImm(wide, tmp, base, int64(off), tmp2)
	if atomic && size > 0 {
		c.movImm(tmp3, 1<<size-1)
		c.rrr(wide|opANDS, zero, tmp, tmp3)
		c.slow(c.jumpFar(ifNotEqual), c.common.access)
	}
	c.window(w, int(size))
	c.slow(c.jumpFar(ifAbove), slow[size])
}

// Atomic instructions that acquire and release, of 1<<size bytes.
const (
	opLDADDAL = 0x38e00000
	opLDCLRAL = 0x38e01000
	opLDEORAL = 0x38e02000
	opLDSETAL = 0x38e03000
	opSWPAL   = 0x38e08000
	opCASAL   = 0x08e0fc00
	opLDAR    = 0x08dffc00
	opSTLR    = 0x089ffc00
	opLDAXR   = 0x085ffc00
	opSTLXR   = 0x0800fc00
)

// atomic emits an atomic instruction on the address tmp.
func (c *compiler) atomic(in code.Insn, size uint32) {
	src := regs[in.Src()]
	switch {
	case in.Imm == code.AtomicLoad:
		c.rr(size<<30|opLDAR, regs[in.Dst()], tmp)
	case in.Imm == code.AtomicStore:
		c.rr(size<<30|opSTLR, src, tmp)
	case c.extended:
		c.atomicLSE(in, size)
	default:
		c.atomicLoop(in, size)
	}
}

func (c *compiler) atomicLSE(in code.Insn, size uint32) {
	src, old := regs[in.Src()], zero
	if in.Imm&code.AtomicFetch != 0 {
		old = regs[in.Src()]
	}
	size <<= 30
	switch in.Imm &^ code.AtomicFetch {
	case code.ADD:
		c.rrr(size|opLDADDAL, old, tmp, src)
	case code.OR:
		c.rrr(size|opLDSETAL, old, tmp, src)
	case code.XOR:
		c.rrr(size|opLDEORAL, old, tmp, src)
	case code.AND:
		c.rrr(wide|opORN, tmp3, zero, src)
		c.rrr(size|opLDCLRAL, old, tmp, tmp3)
	case code.AtomicXchg &^ code.AtomicFetch:
		c.rrr(size|opSWPAL, old, tmp, src)
	case code.AtomicCmp &^ code.AtomicFetch:
		// The register that is compared gets what was there, with the upper half cleared.
		c.rrr(size|opCASAL, src, tmp, regs[0])
	}
}

// atomicLoop is for processors without atomic instructions: load, operate, and store if nothing came between.
func (c *compiler) atomicLoop(in code.Insn, size uint32) {
	const cbnz, dmb = 0x35000000, 0xd5033bbf
	src, flags := regs[in.Src()], uint32(0)
	if size == 3 {
		flags = wide
	}
	size <<= 30
	again := c.here()
	c.rr(size|opLDAXR, tmp3, tmp)
	value, differs := tmp4, 0
	switch in.Imm &^ code.AtomicFetch {
	case code.AtomicXchg &^ code.AtomicFetch:
		value = src
	case code.AtomicCmp &^ code.AtomicFetch:
		value = src
		c.rrr(flags|opSUBS, zero, tmp3, regs[0])
		differs = c.skip(ifNotEqual)
	default:
		c.rrr(flags|plain[uint8(in.Imm)&^code.AtomicFetch], tmp4, tmp3, src)
	}
	c.word(size | opSTLXR | uint32(tmp5)<<16 | uint32(tmp)<<5 | uint32(value))
	c.word(cbnz | uint32((again-c.here())>>2)&0x7ffff<<5 | uint32(tmp5))
	if differs != 0 {
		c.land(differs)
	}
	c.word(dmb)
	switch {
	case in.Imm == code.AtomicCmp:
		c.mov(wide, regs[0], tmp3)
	case in.Imm&code.AtomicFetch != 0:
		c.mov(wide, src, tmp3)
	}
}
