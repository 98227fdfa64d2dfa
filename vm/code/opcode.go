package code

// The lower three bits of an opcode are its class.
const (
	ClassLD    = 0x00
	ClassLDX   = 0x01
	ClassST    = 0x02
	ClassSTX   = 0x03
	ClassALU   = 0x04
	ClassJMP   = 0x05
	ClassJMP32 = 0x06
	ClassALU64 = 0x07
)

// SrcReg in an opcode of the classes ALU and JMP says that the second operand is a register, not the immediate.
const SrcReg = 0x08

// The upper four bits of an opcode of the classes ALU and ALU64. An offset of 1 makes DIV and MOD signed; one of 8, 16 or 32 makes MOV
// extend the sign of so many bits.
const (
	ADD  = 0x00
	SUB  = 0x10
	MUL  = 0x20
	DIV  = 0x30
	OR   = 0x40
	AND  = 0x50
	LSH  = 0x60
	RSH  = 0x70
	NEG  = 0x80
	MOD  = 0x90
	XOR  = 0xa0
	MOV  = 0xb0
	ARSH = 0xc0
	END  = 0xd0
)

// The upper four bits of an opcode of the classes JMP and JMP32.
const (
	JA    = 0x00
	JEQ   = 0x10
	JGT   = 0x20
	JGE   = 0x30
	JSET  = 0x40
	JNE   = 0x50
	JSGT  = 0x60
	JSGE  = 0x70
	CALL  = 0x80
	EXIT  = 0x90
	JLT   = 0xa0
	JLE   = 0xb0
	JSLT  = 0xc0
	JSLE  = 0xd0
	JCOND = 0xe0 // may_goto
)

// The upper three bits of an opcode of the classes LD, LDX, ST and STX.
const (
	ModeIMM    = 0x00
	ModeABS    = 0x20
	ModeIND    = 0x40
	ModeMEM    = 0x60
	ModeMEMSX  = 0x80
	ModeATOMIC = 0xc0
)

// What an atomic instruction does, in its immediate. ADD, OR, AND and XOR are further ones, and leave the old value in the source
// register together with AtomicFetch.
const (
	AtomicFetch = 0x01
	AtomicXchg  = 0xe1
	AtomicCmp   = 0xf1
	AtomicLoad  = 0x100 // load_acquire
	AtomicStore = 0x110 // store_release
)

// Whole opcodes.
const (
	LoadImm64 = ClassLD | ModeIMM | 0x18
	CallOp    = ClassJMP | CALL
	Exit      = ClassJMP | EXIT
	Goto      = ClassJMP | JA
	GotoLong  = ClassJMP32 | JA
	MayGoto   = ClassJMP | JCOND
)

// What a call is of, in its source field.
const (
	CallHelper = 0
	CallLocal  = 1
	CallKfunc  = 2
)

// Class is the class of the opcode.
func (i Insn) Class() uint8 { return i.Op & 7 }

// Mode is the mode of a load or store.
func (i Insn) Mode() uint8 { return i.Op & 0xe0 }

// Alu is the operation of an instruction of the classes ALU and ALU64, or the comparison of one of JMP and JMP32.
func (i Insn) Alu() uint8 { return i.Op & 0xf0 }

// Bytes is how many bytes a load or store moves.
func (i Insn) Bytes() int {
	switch i.Op & 0x18 {
	case 0x00:
		return 4
	case 0x08:
		return 2
	case 0x10:
		return 1
	}
	return 8
}

// Jumps tells whether the instruction may go on elsewhere in its function.
func (i Insn) Jumps() bool {
	switch i.Class() {
	case ClassJMP:
		return i.Op != Exit && i.Op != CallOp
	case ClassJMP32:
		return true
	}
	return false
}

// Target is the slot where the jump or the call of a subprogram at the slot goes.
func (i Insn) Target(slot int) int {
	if i.Op == GotoLong || i.Op == CallOp {
		return slot + 1 + int(i.Imm)
	}
	return slot + 1 + int(i.Off)
}
