package probe

// instructionStart reports whether an offset in code, which begins with an instruction, is the start of one. It is not known for code
// that is none.
func instructionStart(arch string, code []byte, offset uint64) (is, known bool) {
	if !isX86(arch) {
		return offset%4 == 0, true
	}
	at := uint64(0)
	for at < offset {
		if at >= uint64(len(code)) {
			return false, false
		}
		n := InstructionLength(arch, code[at:])
		if n == 0 {
			return false, false
		}
		at += uint64(n)
	}
	return at == offset, true
}

// InstructionLength is the length in bytes of the instruction that code begins with, 0 if it is not known.
func InstructionLength(arch string, code []byte) int {
	if !isX86(arch) {
		return min(len(code), 4)
	}
	return x86Length(code, arch == "amd64")
}

func isX86(arch string) bool { return arch == "amd64" || arch == "386" }

// Shapes of what follows an opcode of x86: bits that can be combined.
const (
	xModRM = 1 << iota
	xImm8
	xImm16
	xImmZ // 4 bytes, or 2 with the operand-size prefix
	xImm4 // 4 bytes always
	xBad
)

// x86Length is the length of the first instruction of code, of 64 or 32 bits, or 0 if there is none.
func x86Length(code []byte, long bool) int {
	i := 0
	narrow, wide, short := false, false, false // operands of 16 and of 64 bits, addresses of 32
prefixes:
	for ; i < len(code) && i < 14; i++ {
		switch b := code[i]; {
		case b == 0x66:
			narrow = true
		case b == 0x67:
			short = true
		case b == 0xf0, b == 0xf2, b == 0xf3, b == 0x2e, b == 0x36, b == 0x3e, b == 0x26, b == 0x64, b == 0x65:
		case b>>4 == 4 && long: // REX, which stands right before the opcode
			wide = b&8 != 0
			i++
			break prefixes
		default:
			break prefixes
		}
	}
	at := func(n int) byte {
		if n < len(code) {
			return code[n]
		}
		return 0
	}
	op := at(i)
	i++
	shape, imm := 0, 0
	isVector := long || at(i)>>6 == 3 // in 32 bits, such opcodes with an operand in memory are others
	switch {
	case op == 0x0f && at(i) == 0x38:
		i, shape = i+2, xModRM
	case op == 0x0f && at(i) == 0x3a:
		i, shape = i+2, xModRM|xImm8
	case op == 0x0f:
		shape = x86TwoByte(at(i))
		i++
	case op == 0xc5 && isVector: // VEX
		shape = x86Vector(1, at(i+1))
		i += 2
	case op == 0xc4 && isVector:
		shape = x86Vector(at(i)&31, at(i+2))
		i += 3
	case op == 0x8f && at(i)&31 >= 8: // XOP
		shape = xModRM | [...]int{xImm8, 0, xImm4, xBad}[min(at(i)&31-8, 3)]
		i += 3
	case op == 0x62 && isVector: // EVEX
		shape = x86Vector(at(i)&7, at(i+3))
		i += 4
	default:
		if shape = x86OneByte(op); !long {
			shape = x86ShortByte(op, shape)
		}
		switch {
		case op >= 0xa0 && op <= 0xa3 && !long && short:
			imm = 2
		case op >= 0xa0 && op <= 0xa3 && (short || !long):
			imm = 4
		case op >= 0xa0 && op <= 0xa3:
			imm = 8
		case op >= 0xb8 && op <= 0xbf && wide:
			shape, imm = 0, 8
		case op == 0xc8:
			imm = 1
		case op == 0xf6 && at(i)>>3&7 < 2:
			shape |= xImm8
		case op == 0xf7 && at(i)>>3&7 < 2:
			shape |= xImmZ
		}
	}
	if shape&xBad != 0 {
		return 0
	}
	switch {
	case shape&xModRM == 0:
	case short && !long:
		i += x86ShortOperand(at(i))
	default:
		i += x86Operand(at(i), at(i+1))
	}
	if shape&xImm8 != 0 {
		imm++
	}
	if shape&xImm16 != 0 {
		imm += 2
	}
	if shape&xImm4 != 0 || shape&xImmZ != 0 && (!narrow || wide) {
		imm += 4
	} else if shape&xImmZ != 0 {
		imm += 2
	}
	if i += imm; i > len(code) || i > 15 {
		return 0
	}
	return i
}

// x86Operand is the length of an operand in memory or a register: the byte ModRM and what it asks for.
func x86Operand(modRM, sib byte) int {
	mod, rm := modRM>>6, modRM&7
	n := 1
	if mod == 3 {
		return n
	}
	if rm == 4 {
		n++
		if mod == 0 && sib&7 == 5 {
			n += 4
		}
	}
	switch {
	case mod == 1:
		n++
	case mod == 2, mod == 0 && rm == 5:
		n += 4
	}
	return n
}

// x86ShortOperand is the same with addresses of 16 bits.
func x86ShortOperand(modRM byte) int {
	switch mod, rm := modRM>>6, modRM&7; {
	case mod == 1:
		return 2
	case mod == 2, mod == 0 && rm == 6:
		return 3
	}
	return 1
}

// x86ShortByte is x86OneByte for 32 bits, which have opcodes that 64 bits have not.
func x86ShortByte(op byte, long int) int {
	switch {
	case op < 0x40 && op&7 >= 6, op >= 0x40 && op <= 0x4f, op == 0x60, op == 0x61, op == 0xce, op == 0xd6:
		return 0
	case op == 0x62, op == 0xc4, op == 0xc5:
		return xModRM
	case op == 0x82:
		return xModRM | xImm8
	case op == 0x9a, op == 0xea:
		return xImmZ | xImm16
	case op == 0xd4, op == 0xd5:
		return xImm8
	case op == 0xe8, op == 0xe9:
		return xImmZ
	}
	return long
}

func x86OneByte(op byte) int {
	switch {
	case op < 0x40:
		switch op & 7 {
		case 4:
			return xImm8
		case 5:
			return xImmZ
		case 6, 7:
			return xBad
		}
		return xModRM
	case op >= 0x50 && op <= 0x5f, op >= 0x6c && op <= 0x6f, op >= 0x90 && op <= 0x99, op >= 0x9b && op <= 0xa7,
		op >= 0xaa && op <= 0xaf:
		return 0
	case op == 0x63, op >= 0x84 && op <= 0x8f, op >= 0xd0 && op <= 0xd3, op >= 0xd8 && op <= 0xdf, op == 0xf6, op == 0xf7, op >= 0xfe:
		return xModRM
	case op == 0x68, op == 0xa9, op >= 0xb8 && op <= 0xbf:
		return xImmZ
	case op == 0x69, op == 0x81, op == 0xc7:
		return xModRM | xImmZ
	case op == 0x6a, op >= 0x70 && op <= 0x7f, op == 0xa8, op >= 0xb0 && op <= 0xb7, op == 0xcd, op >= 0xe0 && op <= 0xe7, op == 0xeb:
		return xImm8
	case op == 0x6b, op == 0x80, op == 0x83, op == 0xc0, op == 0xc1, op == 0xc6:
		return xModRM | xImm8
	case op == 0xc2, op == 0xc8, op == 0xca:
		return xImm16
	case op == 0xe8, op == 0xe9:
		return xImm4
	case op == 0xc3, op == 0xc9, op == 0xcb, op == 0xcc, op == 0xcf, op == 0xd7, op >= 0xec && op <= 0xef, op == 0xf1, op == 0xf4, op == 0xf5,
		op >= 0xf8 && op <= 0xfd:
		return 0
	}
	return xBad
}

func x86TwoByte(op byte) int {
	switch {
	case op >= 0x05 && op <= 0x09, op == 0x0b, op == 0x0e, op >= 0x30 && op <= 0x37, op == 0x77, op >= 0xa0 && op <= 0xa2,
		op >= 0xa8 && op <= 0xaa, op >= 0xc8 && op <= 0xcf:
		return 0
	case op >= 0x80 && op <= 0x8f:
		return xImm4
	case op == 0x0f, op >= 0x70 && op <= 0x73, op == 0xa4, op == 0xac, op == 0xba, op == 0xc2, op >= 0xc4 && op <= 0xc6:
		return xModRM | xImm8
	case op == 0x04, op == 0x0a, op == 0x0c, op >= 0x24 && op <= 0x27, op == 0x39, op >= 0x3b && op <= 0x3f:
		return xBad
	}
	return xModRM
}

// x86Vector is the shape of an opcode behind VEX or EVEX, by its map.
func x86Vector(of, op byte) int {
	switch of {
	case 1:
		if op == 0x77 {
			return 0
		}
		return x86TwoByte(op) | xModRM
	case 2, 5, 6:
		return xModRM
	case 3:
		return xModRM | xImm8
	}
	return xBad
}
