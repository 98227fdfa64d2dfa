package enginetest

import (
	"skep/vm/code"
	"skep/vm/engine"
)

// A Loop is a program whose speed is measured, and the same in C. It gets in r1 how often it goes round, and in r2 memory of LoopMemory
// bytes. C is a function uint64_t loop(uint64_t n, uint64_t *mem).
type Loop struct {
	Name    string
	Insns   int // in a round
	Program *code.Program
	Helpers []engine.Helper
	C       string
}

// LoopMemory is how many bytes of memory loops get.
const LoopMemory = 8192

// Loops are those of the machine's reference: arithmetic, remainders of 64 bits (prime numbers by trial division), memory (load, add,
// store) and calls of a helper.
var Loops = []Loop{
	{
		Name: "alu", Insns: 7,
		Program: Program(0,
			Mov(0, K(0)),
			Mov(3, K(0)),
			// 2:
			Alu(code.ADD, 0, Reg(3)),
			Alu(code.XOR, 0, K(0x1234567)),
			Mov(4, Reg(0)),
			Alu(code.RSH, 4, K(7)),
			Alu(code.ADD, 0, Reg(4)),
			Alu(code.ADD, 3, K(1)),
			If(code.JNE, 3, Reg(1), -7),
			Exit(),
		),
		C: `uint64_t r = 0;
	for (uint64_t i = 0; i != n; i++) {
		r += i;
		r ^= 0x1234567;
		r += r >> 7;
	}
	return r;`,
	},
	{
		Name: "mod", Insns: 4, // counts the primes below 2^20 that n is made of, by dividing n numbers
		Program: Program(0,
			Mov(0, K(0)),
			Mov(3, K(2)),
			Alu(code.ADD, 1, K(2)),
			Imm64(5, 600851475143123457),
			// 5:
			Mov(4, Reg(5)),
			Alu(code.MOD, 4, Reg(3)),
			If(code.JNE, 4, K(0), 1),
			Alu(code.ADD, 0, K(1)),
			Alu(code.ADD, 3, K(1)),
			If(code.JNE, 3, Reg(1), -6),
			Exit(),
		),
		C: `uint64_t r = 0, m = 600851475143123457;
	asm volatile("" : "+r"(m));
	for (uint64_t i = 2; i != n + 2; i++)
		if (m % i == 0)
			r++;
	return r;`,
	},
	{
		Name: "mem", Insns: 5, // in rounds of 1024 words, of which it does as many as are needed
		Program: Program(0,
			Mov(6, Reg(2)),
			Alu(code.ADD, 6, K(LoopMemory)),
			// 2:
			Mov(3, Reg(2)),
			// 3:
			Load(8, 5, 3, 0),
			Alu(code.ADD, 5, Reg(1)),
			Store(8, 3, 0, Reg(5)),
			Alu(code.ADD, 3, K(8)),
			If(code.JNE, 3, Reg(6), -5),
			Alu(code.SUB, 1, K(LoopMemory/8)),
			If(code.JSGT, 1, K(0), -8),
			Mov(0, K(0)),
			Exit(),
		),
		C: `int64_t left = n;
	uint64_t *end = mem + 1024;
	asm volatile("" : "+r"(end)); // or it would be done by vectors
	do {
		uint64_t *p = mem;
		do
			*p += left;
		while (++p != end);
		left -= 1024;
	} while (left > 0);
	return 0;`,
	},
	{
		Name: "call", Insns: 5,
		Program: withArgs(1, Program(1,
			Mov(6, Reg(1)),
			// 1:
			Mov(1, Reg(6)),
			Call(0),
			Alu(code.ADD, 6, K(-1)),
			If(code.JNE, 6, K(0), -4),
			Exit(),
		)),
		Helpers: []engine.Helper{func(_ *engine.Thread, a *[5]uint64) uint64 { return a[0] + 1 }},
		C: `uint64_t (*volatile f)(uint64_t) = helper, r = 0;
	do
		r = f(n);
	while (--n);
	return r;`,
	},
}

// withArgs says how many arguments the helpers take that the program calls.
func withArgs(n int, p *code.Program) *code.Program {
	for i := range p.Calls {
		p.Calls[i].Args = n
	}
	return p
}
