//go:build linux || darwin

package jit

import "encoding/binary"

// A reg is a register of the machine by its number in instructions.
type reg uint8

const (
	rax reg = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	r12
	r13
	r14
	r15
)

// What an instruction is besides its opcode.
const (
	wide    = 1 << iota // of 64 bits
	half                // of 16 bits
	narrow              // of 8 bits: the register is one of the low bytes
	locked              // atomic
	unified             // also for narrow: the other operand is a byte register too
)

// An asm is machine code that grows.
type asm struct {
	buf []byte
}

func (a *asm) here() int { return len(a.buf) }

func (a *asm) bytes(b ...byte) { a.buf = append(a.buf, b...) }

func (a *asm) imm32(v int32) { a.buf = binary.LittleEndian.AppendUint32(a.buf, uint32(v)) }

func (a *asm) imm64(v uint64) { a.buf = binary.LittleEndian.AppendUint64(a.buf, v) }

// prefix writes what comes before the opcode, and the opcode, whose bytes are those of the number.
func (a *asm) prefix(flags int, opcode uint32, r, index, base reg) {
	if flags&locked != 0 {
		a.bytes(0xf0)
	}
	if flags&half != 0 {
		a.bytes(0x66)
	}
	rex := byte(0x40) | byte(r>>3)<<2 | byte(index>>3)<<1 | byte(base>>3)
	if flags&wide != 0 {
		rex |= 8
	}
	// Without a REX prefix, the bytes of rsi, rdi, rbp and rsp are others.
	if rex != 0x40 || flags&narrow != 0 && r >= rsp || flags&unified != 0 && base >= rsp {
		a.bytes(rex)
	}
	if opcode > 0xffff {
		a.bytes(byte(opcode >> 16))
	}
	if opcode > 0xff {
		a.bytes(byte(opcode >> 8))
	}
	a.bytes(byte(opcode))
}

// rr is an instruction with a register (or a digit) and one that could be memory.
func (a *asm) rr(flags int, opcode uint32, r, rm reg) {
	a.prefix(flags, opcode, r, 0, rm)
	a.bytes(0xc0 | byte(r&7)<<3 | byte(rm&7))
}

// rm is an instruction with a register (or a digit) and memory.
func (a *asm) rm(flags int, opcode uint32, r, base reg, disp int32) {
	a.prefix(flags, opcode, r, 0, base)
	small := disp == int32(int8(disp))
	mod := byte(0x80)
	switch {
	case disp == 0 && base&7 != rbp:
		mod = 0
	case small:
		mod = 0x40
	}
	a.bytes(mod | byte(r&7)<<3 | byte(base&7))
	if base&7 == rsp {
		a.bytes(0x24)
	}
	switch mod {
	case 0x40:
		a.bytes(byte(disp))
	case 0x80:
		a.imm32(disp)
	}
}

// Digits of the instructions that have an immediate.
const (
	digitAdd = 0
	digitOr  = 1
	digitAnd = 4
	digitSub = 5
	digitXor = 6
	digitCmp = 7

	digitShl = 4
	digitShr = 5
	digitSar = 7
)

// ri is one of the instructions with a digit and an immediate.
func (a *asm) ri(flags int, digit int, rm reg, imm int32) {
	if imm == int32(int8(imm)) {
		a.rr(flags, 0x83, reg(digit), rm)
		a.bytes(byte(imm))
		return
	}
	a.rr(flags, 0x81, reg(digit), rm)
	a.imm32(imm)
}

// mov copies a register, of 32 or 64 bits.
func (a *asm) mov(flags int, dst, src reg) { a.rr(flags, 0x89, src, dst) }

// movImm loads a number in the shortest way.
func (a *asm) movImm(dst reg, v uint64) {
	switch {
	case v == 0:
		a.rr(0, 0x31, dst, dst)
	case v <= 0xffffffff:
		a.prefix(0, 0xb8|uint32(dst&7), 0, 0, dst)
		a.imm32(int32(v))
	case v == uint64(int64(int32(v))):
		a.rr(wide, 0xc7, 0, dst)
		a.imm32(int32(v))
	default:
		a.prefix(wide, 0xb8|uint32(dst&7), 0, 0, dst)
		a.imm64(v)
	}
}

func (a *asm) load(dst, base reg, disp int32)    { a.rm(wide, 0x8b, dst, base, disp) }
func (a *asm) store(base reg, disp int32, r reg) { a.rm(wide, 0x89, r, base, disp) }

func (a *asm) push(r reg) { a.prefix(0, 0x50|uint32(r&7), 0, 0, r) }
func (a *asm) pop(r reg)  { a.prefix(0, 0x58|uint32(r&7), 0, 0, r) }

// lea puts the address of a place in the code into a register.
func (a *asm) lea(dst reg, place int) {
	a.prefix(wide, 0x8d, dst, 0, 0)
	a.bytes(0x05 | byte(dst&7)<<3)
	a.imm32(int32(place - a.here() - 4))
}

// Conditions of jumps.
const (
	ifBelow        = 0x2
	ifNotBelow     = 0x3
	ifEqual        = 0x4
	ifNotEqual     = 0x5
	ifNotAbove     = 0x6
	ifAbove        = 0x7
	ifNegative     = 0x8
	ifLess         = 0xc
	ifNotLess      = 0xd
	ifNotGreater   = 0xe
	ifGreater      = 0xf
	always         = 0x10
	shortJumpBytes = 2
)

// jump goes to a place that is known, or was roughly known in the pass before: then it must be no further away than it was.
func (a *asm) jump(cond byte, place int) {
	if d := place - a.here() - shortJumpBytes; d == int(int8(d)) {
		if cond == always {
			a.bytes(0xeb, byte(d))
		} else {
			a.bytes(0x70|cond, byte(d))
		}
		return
	}
	a.jumpFar(cond)
	a.patch(a.here(), place)
}

// jumpFar is a jump to a place that patch tells later.
func (a *asm) jumpFar(cond byte) (end int) {
	if cond == always {
		a.bytes(0xe9)
	} else {
		a.bytes(0x0f, 0x80|cond)
	}
	a.imm32(0)
	return a.here()
}

// patch sets the place where the jump goes that ends there.
func (a *asm) patch(end, place int) {
	binary.LittleEndian.PutUint32(a.buf[end-4:], uint32(place-end))
}

// skip is a short jump over what is emitted next, until land.
func (a *asm) skip(cond byte) (end int) {
	if cond == always {
		a.bytes(0xeb, 0)
	} else {
		a.bytes(0x70|cond, 0)
	}
	return a.here()
}

func (a *asm) land(end int) {
	if a.here()-end > 127 {
		panic("jit: a short jump is too long")
	}
	a.buf[end-1] = byte(a.here() - end)
}

// shiftX is shlx, shrx or sarx: a shift by another register, of BMI2.
func (a *asm) shiftX(flags int, digit int, dst, src, count reg) {
	p := map[int]byte{digitShl: 1, digitShr: 3, digitSar: 2}[digit]
	w := byte(0)
	if flags&wide != 0 {
		w = 0x80
	}
	a.bytes(0xc4, (^byte(dst>>3)&1)<<7|1<<6|(^byte(src>>3)&1)<<5|2, w|(^byte(count)&15)<<3|p, 0xf7, 0xc0|byte(dst&7)<<3|byte(src&7))
}

// nops is so many bytes that do nothing, in as few instructions as possible.
func (a *asm) nops(n int) {
	for ; n > 0; n -= min(n, 9) {
		switch n := min(n, 9); n {
		case 1:
			a.bytes(0x90)
		case 2:
			a.bytes(0x66, 0x90)
		case 3:
			a.bytes(0x0f, 0x1f, 0x00)
		case 4:
			a.bytes(0x0f, 0x1f, 0x40, 0)
		case 5:
			a.bytes(0x0f, 0x1f, 0x44, 0, 0)
		case 6:
			a.bytes(0x66, 0x0f, 0x1f, 0x44, 0, 0)
		case 7:
			a.bytes(0x0f, 0x1f, 0x80, 0, 0, 0, 0)
		default:
			a.bytes(0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0)
			if n == 9 {
				a.bytes(0x90)
			}
		}
	}
}
