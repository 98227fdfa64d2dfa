package interp

import (
	"encoding/binary"

	"skep/vm/code"
)

// littleEndian tells whether the machine is: programs see its byte order.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// arithmetic has the first of the four opcodes of each operation.
var arithmetic = [16]uint8{
	code.ADD >> 4: opAdd64K, code.SUB >> 4: opSub64K, code.MUL >> 4: opMul64K, code.DIV >> 4: opDiv64K, code.OR >> 4: opOr64K,
	code.AND >> 4: opAnd64K, code.LSH >> 4: opLsh64K, code.RSH >> 4: opRsh64K, code.MOD >> 4: opMod64K, code.XOR >> 4: opXor64K,
	code.MOV >> 4: opMov64K, code.ARSH >> 4: opArsh64K,
}

// jumps has the same of each comparison.
var jumps = [16]uint8{
	code.JEQ >> 4: opJeq64K, code.JGT >> 4: opJgt64K, code.JGE >> 4: opJge64K, code.JSET >> 4: opJset64K, code.JNE >> 4: opJne64K,
	code.JSGT >> 4: opJsgt64K, code.JSGE >> 4: opJsge64K, code.JLT >> 4: opJlt64K, code.JLE >> 4: opJle64K, code.JSLT >> 4: opJslt64K,
	code.JSLE >> 4: opJsle64K,
}

// decode decodes the instruction at a slot of a program that has been checked.
func decode(p *code.Program, at int) insn {
	in := p.Insns[at]
	out := insn{dst: in.Dst(), src: in.Src(), off: int32(in.Off), imm: uint64(int64(in.Imm))}
	switch in.Class() {
	case code.ClassALU, code.ClassALU64:
		out.op = decodeArithmetic(in)
	case code.ClassJMP, code.ClassJMP32:
		decodeJump(&out, in, at)
	case code.ClassLD:
		if in.Op == code.LoadImm64 {
			out.op, out.imm = opLoadImm, uint64(uint32(in.Imm))|uint64(uint32(p.Insns[at+1].Imm))<<32
			break
		}
		// dst has the size. An offset of all ones lets the source register count.
		out.op, out.dst = opLoadPacket, uint8(in.Bytes())
		if in.Mode() == code.ModeIND {
			out.off = -1
		}
	default:
		decodeAccess(&out, in)
	}
	return out
}

// form is which of four opcodes the instruction is.
func form(in code.Insn, narrow uint8) uint8 {
	n := uint8(0)
	if in.Op&code.SrcReg != 0 {
		n = 1
	}
	if in.Class() == narrow {
		n += 2
	}
	return n
}

func decodeArithmetic(in code.Insn) uint8 {
	narrow := in.Class() == code.ClassALU
	op := arithmetic[in.Alu()>>4]
	switch in.Alu() {
	case code.NEG:
		if narrow {
			return opNeg32
		}
		return opNeg64
	case code.END:
		return decodeSwap(in)
	case code.DIV:
		if in.Off == 1 {
			op = opSdiv64K
		}
	case code.MOD:
		if in.Off == 1 {
			op = opSmod64K
		}
	case code.MOV:
		switch {
		case in.Off == 8 && narrow:
			return opMovsx32From8
		case in.Off == 16 && narrow:
			return opMovsx32From16
		case in.Off == 8:
			return opMovsx64From8
		case in.Off == 16:
			return opMovsx64From16
		case in.Off == 32:
			return opMovsx64From32
		}
	}
	return op + form(in, code.ClassALU)
}

// decodeSwap decodes le, be and bswap: each swaps the bytes or only clears those above.
func decodeSwap(in code.Insn) uint8 {
	swaps := in.Class() == code.ClassALU64 || (in.Op&code.SrcReg != 0) == littleEndian
	switch {
	case in.Imm == 16 && swaps:
		return opSwap16
	case in.Imm == 32 && swaps:
		return opSwap32
	case swaps:
		return opSwap64
	case in.Imm == 16:
		return opTrunc16
	case in.Imm == 32:
		return opTrunc32
	}
	return opNop
}

func decodeJump(out *insn, in code.Insn, at int) {
	switch in.Op {
	case code.CallOp:
		out.op = opCallHelper
		if in.Src() == code.CallLocal {
			out.op, out.off = opCallFunc, int32(in.Target(at))
		}
		out.next(at + 1)
		return
	case code.Exit:
		out.op = opExit
		return
	case code.Goto, code.GotoLong:
		out.op = opGoto
	case code.MayGoto:
		out.op = opMayGoto
	default:
		out.op = jumps[in.Alu()>>4] + form(in, code.ClassJMP32)
	}
	out.off = int32(in.Target(at))
}

func decodeAccess(out *insn, in code.Insn) {
	// The opcodes of one kind stand in the order of their sizes.
	size := map[int]uint8{1: 0, 2: 1, 4: 2, 8: 3}[in.Bytes()]
	out.size = uint8(in.Bytes())
	switch in.Class() | in.Mode() {
	case code.ClassLDX | code.ModeMEM:
		out.op = opLoadB + size
	case code.ClassLDX | code.ModeMEMSX:
		out.op = opLoadSxB + size
	case code.ClassSTX | code.ModeMEM:
		out.op = opStoreBX + size
	case code.ClassST | code.ModeMEM:
		out.op = opStoreBK + size
	case code.ClassSTX | code.ModeATOMIC:
		out.op = opAtomic
	}
}

// next sets where the program goes on after a call.
func (in *insn) next(slot int) {
	if in.op == opCallFunc {
		in.imm = uint64(slot)
	} else {
		in.off = int32(slot)
	}
}

// movThen has the opcodes for a move that is followed by an operation on its destination with an immediate.
var movThen = map[uint8]uint8{
	opAdd64K: opMovAdd, opMul64K: opMovMul, opOr64K: opMovOr, opAnd64K: opMovAnd, opXor64K: opMovXor, opLsh64K: opMovLsh,
	opRsh64K: opMovRsh, opArsh64K: opMovArsh,
}

// addThen has those for an addition that is followed by a jump, as at the end of loops.
var addThen = map[uint8]uint8{
	opJne64K: opAddJneK, opJne64X: opAddJneX, opJlt64K: opAddJltK, opJlt64X: opAddJltX,
}

// fuse makes one instruction of two that often come together.
func fuse(first, second *insn) {
	switch {
	case first.op == opMov64X && first.dst == second.dst:
		if op, ok := movThen[second.op]; ok {
			first.op, first.imm = op, second.imm
		}
	case first.op == opAdd64K:
		if op, ok := addThen[second.op]; ok {
			first.op = op
		}
	}
}
