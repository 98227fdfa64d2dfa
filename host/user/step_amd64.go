package user

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"skep/probe"
)

const (
	breakSize      = 1
	breakSignal    = 0x80 // SI_KERNEL: the si_code of its SIGTRAP
	maxInstruction = 16   // bytes of the longest, and one
)

func breakCode() breakBytes { return breakBytes{0xcc} } // int3

// returnsTo tells where a function that has just been called returns to, and the stack as it is then.
func returnsTo(tid, word int, regs *unix.PtraceRegs) (addr, stack uint64, ok bool) {
	var b [8]byte
	if readMemory(tid, regs.Rsp, b[:word]) != nil {
		return 0, 0, false
	}
	return binary.NativeEndian.Uint64(b[:]), regs.Rsp + uint64(word), true
}

// goroutine is the register in which code of Go has its struct g.
func goroutine(regs *unix.PtraceRegs) uint64 { return regs.R14 }

func address(regs *unix.PtraceRegs) uint64          { return regs.Rip }
func breakAddress(regs *unix.PtraceRegs) uint64     { return regs.Rip - 1 }
func setAddress(regs *unix.PtraceRegs, addr uint64) { regs.Rip = addr }

// instruction is one that is to be done elsewhere than where it stands.
type instruction struct {
	code    [maxInstruction]byte
	moved   [maxInstruction]byte // as it is at the slot
	length  int
	word    int  // bytes of what calls and pushes store: 8, or 4 in code of 32 bits
	calls   bool // it leaves the address behind it on the stack
	scratch int  // a register that stands for the instruction's address there; 0 for none
}

// decode reads the instruction at the start of code, of a program with words of so many bytes, to be done elsewhere.
func decode(code []byte, word int) (i instruction, err error) {
	arch := "amd64"
	if word == 4 {
		arch = "386"
	}
	n := probe.InstructionLength(arch, code)
	if n == 0 || n > len(code) {
		return i, errors.New("there is no instruction that is known")
	}
	i.length, i.word = n, word
	copy(i.code[:], code)
	copy(i.moved[:], code[:n])
	op, at, rex := i.opcode()
	switch {
	case op == 0xcc:
		return i, errOtherBreak
	case op == 0x0f05, op == 0x0f34, op == 0xcd, op == 0xce, op == 0xf1, op == 0x9c, op == 0x9d, op == 0xcf, op == 0x0f0b:
		return i, fmt.Errorf("its instruction (% x) cannot be done in another place", code[:n])
	case op == 0xc7 && code[at] == 0xf8, op == 0xe3, op&^3 == 0xe0: // xbegin, jrcxz, loops
		return i, fmt.Errorf("its instruction (% x) cannot be done in another place", code[:n])
	}
	if word == 4 {
		if op == 0x9a || op == 0xea || i.relative(op) && slices.Contains(i.code[:at], 0x66) { // with a segment, or distances of 16 bits
			return i, fmt.Errorf("its instruction (% x) cannot be done in another place", code[:n])
		}
	} else if behind := vexSize(op); behind > 0 && i.code[at+behind]&0xc7 == 5 {
		return i, errors.New("its instruction refers to its own address in a way that is not known")
	}
	if i.relative(op) || !hasModRM(op) {
		return i, nil
	}
	modrm := code[at]
	i.calls = op == 0xff && modrm>>3&7 == 2
	if op == 0xff && (modrm>>3&7 == 3 || modrm>>3&7 == 5) {
		return i, fmt.Errorf("its instruction (% x) cannot be done in another place", code[:n])
	}
	if modrm&0xc7 != 5 || word == 4 {
		return i, nil
	}
	// Its operand's address counts from its own: in the other place, from a register that it does not use, which has that address
	// meanwhile. Of those that instructions with such operands use unasked, none is rsi or rdi.
	i.scratch = 6
	if modrm>>3&7 == 6 {
		i.scratch = 7
	}
	i.moved[at] = 0x80 | modrm&0x38 | byte(i.scratch)
	if rex != 0 {
		for n := range at {
			if i.moved[n] == rex {
				i.moved[n] = rex &^ 1
			}
		}
	}
	return i, nil
}

// lend gives the scratch register the address that the operand counts from, and returns what puts back its value.
func (i *instruction) lend(regs *unix.PtraceRegs, addr uint64) (giveBack func(*unix.PtraceRegs)) {
	if i.scratch == 0 {
		return func(*unix.PtraceRegs) {}
	}
	value := *register(regs, i.scratch)
	*register(regs, i.scratch) = addr + uint64(i.length)
	return func(regs *unix.PtraceRegs) { *register(regs, i.scratch) = value }
}

// opcode gives the opcode, 0x0f.. for those of two bytes, and where what follows it begins, and the REX prefix.
func (i *instruction) opcode() (op, at int, rex byte) {
	for at < i.length {
		switch b := i.code[at]; b {
		case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65:
			at++
			continue
		}
		break
	}
	if i.code[at]>>4 == 4 && i.word == 8 {
		rex = i.code[at]
		at++
	}
	op = int(i.code[at])
	at++
	if op == 0x0f {
		op = 0x0f00 | int(i.code[at])
		at++
		if op == 0x0f38 || op == 0x0f3a {
			op = op<<8 | int(i.code[at])
			at++
		}
	}
	return op, at, rex
}

// relative reports whether the opcode is a jump or call by a distance.
func (i *instruction) relative(op int) bool {
	return op == 0xeb || op == 0xe9 || op == 0xe8 || op>>4 == 7 || op&^0xf == 0x0f80
}

// vexSize is how far behind the first byte of a VEX or EVEX prefix the byte is that names operands; 0 for others.
func vexSize(op int) int {
	switch op {
	case 0xc5:
		return 2
	case 0xc4:
		return 3
	case 0x62:
		return 4
	}
	return 0
}

// hasModRM reports whether an opcode, which is no such prefix, is followed by a byte that names operands.
func hasModRM(op int) bool {
	switch {
	case op > 0xffff:
		return true
	case op > 0xff:
		b := op & 0xff
		return !(b>>4 == 8 || b == 0x05 || b == 0x06 || b == 0x08 || b == 0x09 || b == 0x0b || b == 0x77 || b == 0xa0 || b == 0xa1 || b == 0xa2 ||
			b == 0xa8 || b == 0xa9 || b == 0xaa || b&^7 == 0xc8 || b&^7 == 0x30)
	case op < 0x40:
		return op&7 < 4
	}
	switch {
	case op == 0x63, op == 0x69, op == 0x6b, op>>4 == 8, op == 0xc0, op == 0xc1, op == 0xc6, op == 0xc7, op&^3 == 0xd0, op&^7 == 0xd8, op == 0xf6, op == 0xf7, op == 0xfe, op == 0xff:
		return true
	}
	return false
}

// emulate does the instruction with the registers, if it is one of the plain ones that functions begin with or that go by distances.
func (i *instruction) emulate(regs *unix.PtraceRegs, write func(addr, value uint64) error) bool {
	op, at, rex := i.opcode()
	// narrow is an address as the program's registers hold it.
	narrow := func(addr uint64) uint64 { return addr << (64 - 8*i.word) >> (64 - 8*i.word) }
	push := func(value uint64) bool {
		top := narrow(regs.Rsp - uint64(i.word))
		if write(top, value) != nil {
			return false
		}
		regs.Rsp = top
		return true
	}
	next := narrow(regs.Rip + uint64(i.length))
	distance := func() uint64 {
		if i.length-at == 1 {
			return uint64(int64(int8(i.code[at])))
		}
		return uint64(int64(int32(binary.LittleEndian.Uint32(i.code[at:]))))
	}
	switch {
	case op == 0x0f1e && i.code[0] == 0xf3, op == 0x0f1f, op == 0x90 && rex == 0 && i.length == 1: // endbr64, nop
		regs.Rip = next
	case op&^7 == 0x50 && i.code[0] != 0x66: // push
		if !push(*register(regs, op&7|int(rex&1)<<3)) {
			return false
		}
		regs.Rip = next
	case op == 0xeb, op == 0xe9:
		regs.Rip = narrow(next + distance())
	case op == 0xe8:
		if !push(next) {
			return false
		}
		regs.Rip = narrow(next + distance())
	case op>>4 == 7, op&^0xf == 0x0f80:
		if regs.Rip = next; condition(op&0xf, regs.Eflags) {
			regs.Rip = narrow(next + distance())
		}
	default:
		return false
	}
	return true
}

// condition is whether a conditional jump goes.
func condition(code int, flags uint64) bool {
	bit := func(n int) bool { return flags>>n&1 != 0 }
	carry, parity, zero, sign, overflow := bit(0), bit(2), bit(6), bit(7), bit(11)
	var is bool
	switch code >> 1 {
	case 0:
		is = overflow
	case 1:
		is = carry
	case 2:
		is = zero
	case 3:
		is = carry || zero
	case 4:
		is = sign
	case 5:
		is = parity
	case 6:
		is = sign != overflow
	case 7:
		is = zero || sign != overflow
	}
	return is != (code&1 != 0)
}

// register is the one that instructions know by the number.
func register(r *unix.PtraceRegs, n int) *uint64 {
	return [...]*uint64{&r.Rax, &r.Rcx, &r.Rdx, &r.Rbx, &r.Rsp, &r.Rbp, &r.Rsi, &r.Rdi, &r.R8, &r.R9, &r.R10, &r.R11, &r.R12, &r.R13, &r.R14, &r.R15}[n]
}
