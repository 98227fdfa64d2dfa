//go:build linux || darwin

#include "textflag.h"

// func enter(s *state)
//
// The machine code leaves by loading goSP and goBP and returning. It runs on another stack and owns all registers; Go reloads those
// that it wants after assembly. The offsets are those of the fields of state.
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ s+0(FP), R12
	MOVQ SP, 16(R12)
	MOVQ BP, 24(R12)
	MOVQ 0(R12), R11  // pc
	MOVQ 8(R12), SP
	MOVQ 32(R12), AX  // r0
	MOVQ 40(R12), DI  // r1
	MOVQ 48(R12), SI  // r2
	MOVQ 56(R12), DX  // r3
	MOVQ 64(R12), CX  // r4
	MOVQ 72(R12), R8  // r5
	MOVQ 80(R12), BX  // r6
	MOVQ 88(R12), R13 // r7
	MOVQ 96(R12), R14 // r8
	MOVQ 104(R12), R15 // r9
	MOVQ 112(R12), BP // r10
	MOVQ 120(R12), R9 // fuel
	MOVQ 128(R12), R10 // addr
	JMP  R11

// func resume(s *state)
TEXT ·resume(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ s+0(FP), R12
	MOVQ SP, 16(R12)
	MOVQ BP, 24(R12)
	MOVQ 0(R12), R11
	MOVQ 8(R12), SP
	MOVQ 32(R12), AX
	MOVQ 80(R12), BX
	MOVQ 88(R12), R13
	MOVQ 96(R12), R14
	MOVQ 104(R12), R15
	MOVQ 112(R12), BP
	MOVQ 120(R12), R9
	JMP  R11

// func resumeFew(s *state)
TEXT ·resumeFew(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ s+0(FP), R12
	MOVQ SP, 16(R12)
	MOVQ BP, 24(R12)
	MOVQ 0(R12), R11
	MOVQ 8(R12), SP
	MOVQ 32(R12), AX
	MOVQ 80(R12), BX
	MOVQ 112(R12), BP
	MOVQ 120(R12), R9
	JMP  R11
