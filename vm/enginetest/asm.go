// Package enginetest is what the tests of the machine's engines share: programs in short words, what each instruction must do, random
// programs, and the kernel to compare with.
package enginetest

import (
	"encoding/binary"

	"skep/vm/code"
)

// Reg is a second operand that is a register.
type Reg uint8

// K is a second operand that is an immediate.
type K int32

// Alu is an operation of 64 bits, with a Reg or a K.
func Alu(op uint8, dst uint8, operand any) code.Insn { return alu(code.ClassALU64|op, dst, operand, 0) }

// Alu32 is an operation of 32 bits.
func Alu32(op uint8, dst uint8, operand any) code.Insn { return alu(code.ClassALU|op, dst, operand, 0) }

// Signed makes a division or a move that extends the sign of so many bits: for divisions, 1.
func Signed(in code.Insn, off int16) code.Insn {
	in.Off = off
	return in
}

// Mov is a move of 64 bits.
func Mov(dst uint8, operand any) code.Insn { return Alu(code.MOV, dst, operand) }

// If is a jump of so many slots.
func If(op uint8, dst uint8, operand any, off int16) code.Insn {
	return alu(code.ClassJMP|op, dst, operand, off)
}

// If32 is a jump by a comparison of 32 bits.
func If32(op uint8, dst uint8, operand any, off int16) code.Insn {
	return alu(code.ClassJMP32|op, dst, operand, off)
}

// Goto is a jump in any case.
func Goto(off int16) code.Insn { return code.Insn{Op: code.Goto, Off: off} }

// Exit returns from the function.
func Exit() code.Insn { return code.Insn{Op: code.Exit} }

// Imm64 is the two slots of an immediate load.
func Imm64(dst uint8, v uint64) []code.Insn {
	return []code.Insn{{Op: code.LoadImm64, Regs: dst, Imm: int32(v)}, {Imm: int32(v >> 32)}}
}

// sizes has the bits of opcodes for sizes in bytes.
var sizes = map[int]uint8{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}

// Load is dst = *(size *)(src + off).
func Load(size int, dst, src uint8, off int16) code.Insn {
	return code.Insn{Op: code.ClassLDX | code.ModeMEM | sizes[size], Regs: dst | src<<4, Off: off}
}

// LoadSigned extends the sign.
func LoadSigned(size int, dst, src uint8, off int16) code.Insn {
	return code.Insn{Op: code.ClassLDX | code.ModeMEMSX | sizes[size], Regs: dst | src<<4, Off: off}
}

// Store is *(size *)(dst + off) = a Reg or a K.
func Store(size int, dst uint8, off int16, operand any) code.Insn {
	switch v := operand.(type) {
	case Reg:
		return code.Insn{Op: code.ClassSTX | code.ModeMEM | sizes[size], Regs: dst | uint8(v)<<4, Off: off}
	case K:
		return code.Insn{Op: code.ClassST | code.ModeMEM | sizes[size], Regs: dst, Off: off, Imm: int32(v)}
	}
	panic("enginetest: operand is neither Reg nor K")
}

// Atomic is an atomic operation on *(size *)(dst + off); of code.AtomicLoad, src is the address and dst the register.
func Atomic(size int, op int32, dst uint8, off int16, src uint8) code.Insn {
	return code.Insn{Op: code.ClassSTX | code.ModeATOMIC | sizes[size], Regs: dst | src<<4, Off: off, Imm: op}
}

// Call calls a row of Calls.
func Call(row int32) code.Insn { return code.Insn{Op: code.CallOp, Imm: row} }

// CallFunc calls the function so many slots away.
func CallFunc(distance int32) code.Insn {
	return code.Insn{Op: code.CallOp, Regs: code.CallLocal << 4, Imm: distance}
}

func alu(op uint8, dst uint8, operand any, off int16) code.Insn {
	switch v := operand.(type) {
	case Reg:
		return code.Insn{Op: op | code.SrcReg, Regs: dst | uint8(v)<<4, Off: off}
	case K:
		return code.Insn{Op: op, Regs: dst, Off: off, Imm: int32(v)}
	}
	panic("enginetest: operand is neither Reg nor K")
}

// Program is a program of instructions (code.Insn) and lists of them, which calls so many helpers.
func Program(calls int, parts ...any) *code.Program {
	p := &code.Program{Name: "test", Calls: make([]code.Call, calls)}
	for _, part := range parts {
		switch v := part.(type) {
		case code.Insn:
			p.Insns = append(p.Insns, v)
		case []code.Insn:
			p.Insns = append(p.Insns, v...)
		default:
			panic("enginetest: part is neither an instruction nor a list of them")
		}
	}
	var called []int // through addresses
	for at, in := range p.Insns {
		if in.Op == code.LoadImm64 && at+1 < len(p.Insns) {
			if slot, ok := code.FuncSlot(uint64(uint32(in.Imm)) | uint64(p.Insns[at+1].Imm)<<32); ok {
				called = append(called, slot)
			}
		}
	}
	p.Funcs = code.FindFuncs(p.Insns, called...)
	return p
}

// Bytes is instructions as they stand in files, the lowest byte of numbers first.
func Bytes(insns []code.Insn) (b []byte) {
	for _, in := range insns {
		b = append(b, in.Op, in.Regs)
		b = binary.LittleEndian.AppendUint16(b, uint16(in.Off))
		b = binary.LittleEndian.AppendUint32(b, uint32(in.Imm))
	}
	return b
}

// Insns is the opposite of Bytes. What does not fill an instruction is left out.
func Insns(b []byte) (insns []code.Insn) {
	for ; len(b) >= 8; b = b[8:] {
		insns = append(insns, code.Insn{Op: b[0], Regs: b[1], Off: int16(binary.LittleEndian.Uint16(b[2:])), Imm: int32(binary.LittleEndian.Uint32(b[4:]))})
	}
	return insns
}
