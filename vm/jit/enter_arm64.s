//go:build linux || darwin

#include "textflag.h"

// func enter(s *state)
//
// The machine code leaves by loading goSP and goBP (the link register) and returning. It runs on another stack and leaves R18, R28 and
// R29 alone. The offsets are those of the fields of state.
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-8
	MOVD s+0(FP), R26
	MOVD RSP, R9
	MOVD R9, 16(R26)
	MOVD R30, 24(R26)
	MOVD 8(R26), R9
	MOVD R9, RSP
	MOVD 32(R26), R7   // r0
	MOVD 40(R26), R0   // r1
	MOVD 48(R26), R1   // r2
	MOVD 56(R26), R2   // r3
	MOVD 64(R26), R3   // r4
	MOVD 72(R26), R4   // r5
	MOVD 80(R26), R19  // r6
	MOVD 88(R26), R20  // r7
	MOVD 96(R26), R21  // r8
	MOVD 104(R26), R22 // r9
	MOVD 112(R26), R25 // r10
	MOVD 120(R26), R24 // fuel
	MOVD 128(R26), R9  // addr
	MOVD 0(R26), R11   // pc
	JMP  (R11)

// func resume(s *state)
TEXT ·resume(SB), NOSPLIT|NOFRAME, $0-8
	MOVD s+0(FP), R26
	MOVD RSP, R9
	MOVD R9, 16(R26)
	MOVD R30, 24(R26)
	MOVD 8(R26), R9
	MOVD R9, RSP
	MOVD 32(R26), R7
	MOVD 80(R26), R19
	MOVD 88(R26), R20
	MOVD 96(R26), R21
	MOVD 104(R26), R22
	MOVD 112(R26), R25
	MOVD 120(R26), R24
	MOVD 0(R26), R11
	JMP  (R11)

// func resumeFew(s *state)
TEXT ·resumeFew(SB), NOSPLIT|NOFRAME, $0-8
	MOVD s+0(FP), R26
	MOVD RSP, R9
	MOVD R9, 16(R26)
	MOVD R30, 24(R26)
	MOVD 8(R26), R9
	MOVD R9, RSP
	MOVD 32(R26), R7
	MOVD 80(R26), R19
	MOVD 112(R26), R25
	MOVD 120(R26), R24
	MOVD 0(R26), R11
	JMP  (R11)
