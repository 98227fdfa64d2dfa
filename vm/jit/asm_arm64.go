//go:build linux || darwin

package jit

import "encoding/binary"

// A reg is a register of the machine by its number in instructions. 31 is 0, or the stack pointer.
type reg uint8

const zero reg = 31

// wide makes an instruction one of 64 bits, for those that have the bit in the usual place.
const wide = 1 << 31

// An asm is machine code that grows by instructions of 4 bytes.
type asm struct {
	buf   []byte
	large bool // more than a conditional jump reaches
}

func (a *asm) here() int { return len(a.buf) }

func (a *asm) word(w uint32) { a.buf = binary.LittleEndian.AppendUint32(a.buf, w) }

// Opcodes of instructions with three registers.
const (
	opADD  = 0x0b000000
	opSUB  = 0x4b000000
	opSUBS = 0x6b000000
	opAND  = 0x0a000000
	opANDS = 0x6a000000
	opORR  = 0x2a000000
	opORN  = 0x2a200000
	opEOR  = 0x4a000000
	opMUL  = 0x1b007c00
	opUDIV = 0x1ac00800
	opSDIV = 0x1ac00c00
	opLSLV = 0x1ac02000
	opLSRV = 0x1ac02400
	opASRV = 0x1ac02800
)

// rrr is d = n op m.
func (a *asm) rrr(op uint32, d, n, m reg) { a.word(op | uint32(m)<<16 | uint32(n)<<5 | uint32(d)) }

// rr is an instruction with two registers.
func (a *asm) rr(op uint32, d, n reg) { a.word(op | uint32(n)<<5 | uint32(d)) }

// mov copies a register, of 32 or 64 bits.
func (a *asm) mov(flags uint32, d, m reg) { a.rrr(flags|opORR, d, zero, m) }

// movImm loads a number, in as few pieces of 16 bits as it takes.
func (a *asm) movImm(d reg, v uint64) {
	const movz, movn, movk = 0xd2800000, 0x92800000, 0xf2800000
	zeros, ones := 0, 0
	for i := range 4 {
		switch uint16(v >> (16 * i)) {
		case 0:
			zeros++
		case 0xffff:
			ones++
		}
	}
	skip, first := uint16(0), uint32(movz)
	if ones > zeros {
		skip, first = 0xffff, movn
	}
	begun := false
	for i := range uint32(4) {
		part := uint16(v >> (16 * i))
		switch {
		case part == skip && (begun || i < 3):
			continue
		case begun:
			a.word(movk | i<<21 | uint32(part)<<5 | uint32(d))
		case first == movn:
			a.word(movn | i<<21 | uint32(^part)<<5 | uint32(d))
		default:
			a.word(movz | i<<21 | uint32(part)<<5 | uint32(d))
		}
		begun = true
	}
}

// addImm is d = n + v. It may use the register by, which is not n.
func (a *asm) addImm(flags uint32, d, n reg, v int64, by reg) {
	const add, sub = 0x11000000, 0x51000000
	switch {
	case v >= 0 && v < 1<<12:
		a.word(flags | add | uint32(v)<<10 | uint32(n)<<5 | uint32(d))
	case v < 0 && v > -1<<12:
		a.word(flags | sub | uint32(-v)<<10 | uint32(n)<<5 | uint32(d))
	default:
		a.movImm(by, uint64(v))
		a.rrr(flags|opADD, d, n, by)
	}
}

// compareImm compares with a number. It may use the register by.
func (a *asm) compareImm(flags uint32, n reg, v int64, by reg) {
	const cmp, cmn = 0x7100001f, 0x3100001f
	switch {
	case v >= 0 && v < 1<<12:
		a.word(flags | cmp | uint32(v)<<10 | uint32(n)<<5)
	case v < 0 && v > -1<<12:
		a.word(flags | cmn | uint32(-v)<<10 | uint32(n)<<5)
	default:
		a.movImm(by, uint64(v))
		a.rrr(flags|opSUBS, zero, n, by)
	}
}

// bits moves bits: d has those of n, turned right by r, up to s; see the manual's UBFM and SBFM.
func (a *asm) bits(op uint32, d, n reg, r, s uint32) {
	if op&wide != 0 {
		op |= 1 << 22
	}
	a.word(op | r<<16 | s<<10 | uint32(n)<<5 | uint32(d))
}

const (
	opUBFM = 0x53000000
	opSBFM = 0x13000000
)

// Loads and stores with a scaled offset of 12 bits, by the logarithm of the size in the upper two bits.
const (
	opSTR   = 0x39000000
	opLDR   = 0x39400000
	opLDRSX = 0x39800000 // extends the sign to 64 bits
)

// access is a load or store of 1<<size bytes. It may use the register by.
func (a *asm) access(op uint32, size uint32, t, base reg, off int32, by reg) {
	op |= size << 30
	const scaled = 1 << 24
	switch {
	case off >= 0 && off&(1<<size-1) == 0 && off>>size < 1<<12:
		a.word(op | uint32(off)>>size<<10 | uint32(base)<<5 | uint32(t))
	case off >= -256 && off < 256:
		a.word(op&^scaled | uint32(off)&0x1ff<<12 | uint32(base)<<5 | uint32(t))
	default:
		a.movImm(by, uint64(int64(off)))
		a.word(op&^scaled | 0x00206800 | uint32(by)<<16 | uint32(base)<<5 | uint32(t))
	}
}

func (a *asm) load(t, base reg, off int32)      { a.access(opLDR, 3, t, base, off, zero) }
func (a *asm) store(base reg, off int32, t reg) { a.access(opSTR, 3, t, base, off, zero) }

// push and pop keep the stack aligned to 16 bytes.
func (a *asm) push(r reg) { a.word(0xf81f0fe0 | uint32(r)) }
func (a *asm) pop(r reg)  { a.word(0xf84107e0 | uint32(r)) }

// branch goes where a register says.
func (a *asm) branch(r reg) { a.word(0xd61f0000 | uint32(r)<<5) }

// lea puts the address of a place in the code into a register. The code begins at a page.
func (a *asm) lea(d reg, place int) {
	n := uint32(place - a.here())
	const adr, adrp, add = 0x10000000, 0x90000000, 0x91000000
	if !a.large {
		a.word(adr | n&3<<29 | n>>2&0x7ffff<<5 | uint32(d))
		return
	}
	n = uint32(place>>12 - a.here()>>12)
	a.word(adrp | n&3<<29 | n>>2&0x7ffff<<5 | uint32(d))
	a.word(add | uint32(place)&0xfff<<10 | uint32(d)<<5 | uint32(d))
}

// Conditions of jumps.
const (
	ifEqual      = 0x0
	ifNotEqual   = 0x1
	ifNotBelow   = 0x2
	ifBelow      = 0x3
	ifNegative   = 0x4
	ifAbove      = 0x8
	ifNotAbove   = 0x9
	ifNotLess    = 0xa
	ifLess       = 0xb
	ifGreater    = 0xc
	ifNotGreater = 0xd
	always       = 0x10
)

const (
	opB     = 0x14000000
	opBL    = 0x94000000
	opBCond = 0x54000000
)

// jump goes to a place that is known, or was roughly known in the pass before: then it must be no further away than it was.
func (a *asm) jump(cond byte, place int) {
	const reach = 1 << 20
	d := place - a.here()
	if cond == always {
		a.word(opB | uint32(d>>2)&0x3ffffff)
		return
	}
	if d > -reach && d < reach {
		a.word(opBCond | uint32(d>>2)&0x7ffff<<5 | uint32(cond))
		return
	}
	a.word(opBCond | 2<<5 | uint32(cond^1)) // over the next one
	a.word(opB | uint32((d-4)>>2)&0x3ffffff)
}

// jumpFar is a jump to a place that patch tells later.
func (a *asm) jumpFar(cond byte) (end int) {
	if cond != always && a.large {
		a.word(opBCond | 2<<5 | uint32(cond^1))
		cond = always
	}
	if cond == always {
		a.word(opB)
	} else {
		a.word(opBCond | uint32(cond))
	}
	return a.here()
}

// patch sets the place where the jump goes that ends there.
func (a *asm) patch(end, place int) {
	w := binary.LittleEndian.Uint32(a.buf[end-4:])
	d := uint32(place-end+4) >> 2
	if w&0xff000000 == opBCond {
		w |= d & 0x7ffff << 5
	} else {
		w |= d & 0x3ffffff
	}
	binary.LittleEndian.PutUint32(a.buf[end-4:], w)
}

// skip is a short jump over what is emitted next, until land.
func (a *asm) skip(cond byte) (end int) {
	a.word(opBCond | uint32(cond))
	return a.here()
}

func (a *asm) land(end int) { a.patch(end, a.here()) }

// nops is so many bytes that do nothing.
func (a *asm) nops(n int) {
	for range n / 4 {
		a.word(0xd503201f)
	}
}
