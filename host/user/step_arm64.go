package user

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	breakSize      = 4
	breakSignal    = 1 // TRAP_BRKPT: the si_code of its SIGTRAP
	maxInstruction = 4
)

func breakCode() breakBytes { return breakBytes{0x00, 0x00, 0x20, 0xd4} } // brk #0

// returnsTo tells where a function that has just been called returns to, and the stack as it is then.
func returnsTo(_, _ int, regs *unix.PtraceRegs) (addr, stack uint64, ok bool) {
	return regs.Regs[30], regs.Sp, true
}

// goroutine is the register in which code of Go has its struct g.
func goroutine(regs *unix.PtraceRegs) uint64 { return regs.Regs[28] }

func address(regs *unix.PtraceRegs) uint64      { return regs.Pc }
func breakAddress(regs *unix.PtraceRegs) uint64 { return regs.Pc }

// setAddress also forgets a jump that only certain instructions may be the target of: what is done elsewhere is another one.
func setAddress(regs *unix.PtraceRegs, addr uint64) {
	const branchType = 3 << 10
	regs.Pc = addr
	regs.Pstate &^= branchType
}

// instruction is one that is to be done elsewhere than where it stands.
type instruction struct {
	code, moved [maxInstruction]byte
	length      int
	calls       bool // never: calls are done with the registers
}

// decode reads the instruction at the start of code, of a program with words of so many bytes, to be done elsewhere.
func decode(code []byte, wordSize int) (i instruction, err error) {
	if wordSize == 4 {
		return i, errors.New("it is a program of 32 bits")
	}
	if len(code) < 4 {
		return i, errors.New("there is no instruction")
	}
	i.length = 4
	copy(i.code[:], code)
	i.moved = i.code
	word := i.word()
	refuse := func() (instruction, error) {
		return i, fmt.Errorf("its instruction (%08x) cannot be done in another place", word)
	}
	switch {
	case word&0xffe0001f == 0xd4200000:
		return i, errOtherBreak
	case word&0xff000000 == 0xd4000000: // svc, hlt
		return refuse()
	case word&0x3b000000 == 0x18000000: // loads from a distance
		return refuse()
	case word&0x3f000000 == 0x08000000: // exclusive loads and stores, which a step would separate
		return refuse()
	case word&0xfe000000 == 0xd6000000 && word&0xff9ffc1f != 0xd61f0000: // jumps that authenticate pointers
		return refuse()
	}
	return i, nil
}

func (i *instruction) word() uint32 { return binary.LittleEndian.Uint32(i.code[:]) }

// lend has nothing to lend: instructions that refer to their own address are done with the registers.
func (i *instruction) lend(*unix.PtraceRegs, uint64) func(*unix.PtraceRegs) {
	return func(*unix.PtraceRegs) {}
}

// emulate does the instruction with the registers, if it is one that refers to its own address, or one that does nothing.
func (i *instruction) emulate(regs *unix.PtraceRegs, _ func(addr, value uint64) error) bool {
	word := i.word()
	next := regs.Pc + 4
	// distance is a signed number of bits bits, at a bit, in units of 4 bytes.
	distance := func(at, bits int) uint64 { return uint64(int64(word<<(32-at-bits)) << 32 >> (64 - bits) * 4) }
	register := func(n uint32) uint64 {
		if n == 31 {
			return 0
		}
		return regs.Regs[n]
	}
	switch {
	case word&0xfffff01f == 0xd503201f && hintDoesNothing(word>>5&0x7f):
	case word&0x7c000000 == 0x14000000: // b, bl
		if word>>31 != 0 {
			regs.Regs[30] = next
		}
		next = regs.Pc + distance(0, 26)
	case word&0xff000010 == 0x54000000: // b.cond
		if holds(word&0xf, regs.Pstate) {
			next = regs.Pc + distance(5, 19)
		}
	case word&0x7e000000 == 0x34000000: // cbz, cbnz
		value := register(word & 0x1f)
		if word>>31 == 0 {
			value &= 1<<32 - 1
		}
		if (value == 0) == (word>>24&1 == 0) {
			next = regs.Pc + distance(5, 19)
		}
	case word&0x7e000000 == 0x36000000: // tbz, tbnz
		bit := word>>31<<5 | word>>19&0x1f
		if register(word&0x1f)>>bit&1 == uint64(word>>24&1) {
			next = regs.Pc + distance(5, 14)
		}
	case word&0xff9ffc1f == 0xd61f0000: // br, blr, ret
		next = register(word >> 5 & 0x1f)
		if word>>21&3 == 1 {
			regs.Regs[30] = regs.Pc + 4
		}
	case word&0x1f000000 == 0x10000000: // adr, adrp
		offset := uint64(int64(word>>5&0x7ffff<<2|word>>29&3) << 43 >> 43)
		value := regs.Pc + offset
		if word>>31 != 0 {
			value = regs.Pc&^0xfff + offset<<12
		}
		if n := word & 0x1f; n != 31 {
			regs.Regs[n] = value
		}
	default:
		return false
	}
	regs.Pc = next
	return true
}

// hintDoesNothing tells nop and the marks of targets of jumps (bti) from hints that sign pointers.
func hintDoesNothing(hint uint32) bool { return hint == 0 || hint&^6 == 32 }

// holds is whether a condition holds with the flags.
func holds(condition uint32, pstate uint64) bool {
	negative, zero, carry, overflow := pstate>>31&1 != 0, pstate>>30&1 != 0, pstate>>29&1 != 0, pstate>>28&1 != 0
	var is bool
	switch condition >> 1 {
	case 0:
		is = zero
	case 1:
		is = carry
	case 2:
		is = negative
	case 3:
		is = overflow
	case 4:
		is = carry && !zero
	case 5:
		is = negative == overflow
	case 6:
		is = negative == overflow && !zero
	case 7:
		return true
	}
	return is != (condition&1 != 0)
}
