package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"skep/internal/ktest"
	"skep/vm/code"
	"skep/vm/engine"
	. "skep/vm/enginetest"
	"skep/vm/jit"
)

// A bare is a bare program, and what comes of it in every form in which it can be given.
type bare struct {
	name   string
	parts  []any
	memory string // in hexadecimal
	want   string
	fails  string // a part of the message, in place of want
	strict string // the same, without --raw
}

// Where r1 points if the program has this memory.
const bytes16 = "00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff"

func end(insns ...any) []any { return append(insns, Exit()) }

func bareArithmetic() []bare {
	swap := func(op uint8, bits int32) code.Insn { return code.Insn{Op: op, Imm: bits} }
	const (
		le    = code.ClassALU | code.END
		be    = code.ClassALU | code.END | code.SrcReg
		bswap = code.ClassALU64 | code.END
	)
	one := Imm64(0, 0x1122334455667788)
	return []bare{
		{name: "move", parts: end(Mov(0, K(-1))), want: "ffffffffffffffff"},
		{name: "move of 32 bits", parts: end(Mov(0, K(-1)), Alu32(code.MOV, 0, K(-1))), want: "ffffffff"},
		{name: "zero", parts: end(Mov(0, K(0))), want: "0"},
		{name: "64 bits", parts: end(one), want: "1122334455667788"},
		{name: "32 bits clear the upper half", parts: end(one, Alu32(code.ADD, 0, K(0))), want: "55667788"},
		{name: "addition wraps", parts: end(Mov(0, K(-1)), Alu(code.ADD, 0, K(2))), want: "1"},
		{name: "subtraction wraps", parts: end(Mov(0, K(0)), Alu32(code.SUB, 0, K(1))), want: "ffffffff"},
		{name: "multiplication", parts: end(one, Alu(code.MUL, 0, Reg(0))), want: fmt.Sprintf("%x", one64*one64)},
		{name: "multiplication of 32 bits", parts: end(one, Alu32(code.MUL, 0, K(-2))), want: "553310f0"},
		{name: "division is unsigned", parts: end(Mov(0, K(-10)), Alu(code.DIV, 0, K(3))), want: "5555555555555552"},
		{name: "a negative divisor is huge", parts: end(Mov(0, K(10)), Alu(code.DIV, 0, K(-3))), want: "0"},
		{name: "signed division", parts: end(Mov(0, K(-10)), Signed(Alu(code.DIV, 0, K(3)), 1)), want: "fffffffffffffffd"},
		{name: "signed division of 32 bits", parts: end(Mov(0, K(-10)), Signed(Alu32(code.DIV, 0, K(3)), 1)), want: "fffffffd"},
		{name: "signed remainder", parts: end(Mov(0, K(-13)), Signed(Alu(code.MOD, 0, K(3)), 1)), want: "ffffffffffffffff"},
		{name: "signed remainder by what is negative", parts: end(Mov(0, K(13)), Signed(Alu32(code.MOD, 0, K(-3)), 1)), want: "1"},
		{name: "division by 0", parts: end(Mov(0, K(5)), Mov(1, K(0)), Alu(code.DIV, 0, Reg(1))), want: "0"},
		{name: "signed division by 0", parts: end(Mov(0, K(5)), Mov(1, K(0)), Signed(Alu32(code.DIV, 0, Reg(1)), 1)), want: "0"},
		{name: "remainder by 0", parts: end(one, Mov(1, K(0)), Alu(code.MOD, 0, Reg(1))), want: "1122334455667788"},
		{name: "remainder of 32 bits by 0", parts: end(one, Mov(1, K(0)), Alu32(code.MOD, 0, Reg(1))), want: "55667788"},
		{name: "only the lower half is the divisor", parts: end(one, Imm64(1, 1<<32), Alu32(code.DIV, 0, Reg(1))), want: "0"},
		{name: "the least number by -1", parts: end(Imm64(0, 1<<63), Signed(Alu(code.DIV, 0, K(-1)), 1)), want: "8000000000000000"},
		{name: "the least number's remainder by -1", parts: end(Imm64(0, 1<<63), Mov(1, K(-1)), Signed(Alu(code.MOD, 0, Reg(1)), 1)), want: "0"},
		{name: "the least number of 32 bits by -1", parts: end(Alu32(code.MOV, 0, K(-1<<31)), Signed(Alu32(code.DIV, 0, K(-1)), 1)), want: "80000000"},
		{name: "division by an immediate of 0", parts: end(Mov(0, K(5)), Alu(code.DIV, 0, K(0))), want: "0", strict: "division by zero"},
		{name: "remainder by an immediate of 0", parts: end(Mov(0, K(5)), Alu(code.MOD, 0, K(0))), want: "5", strict: "division by zero"},
		{name: "and or xor", parts: end(one, Alu(code.AND, 0, K(-256)), Alu(code.OR, 0, K(3)), Alu32(code.XOR, 0, K(-1))), want: "aa9988fc"},
		{name: "negation", parts: end(Mov(0, K(1)), Alu(code.NEG, 0, K(0))), want: "ffffffffffffffff"},
		{name: "negation of 32 bits", parts: end(Mov(0, K(1)), Alu32(code.NEG, 0, K(0))), want: "ffffffff"},
		{name: "shifts", parts: end(one, Alu(code.LSH, 0, K(8)), Alu(code.RSH, 0, K(56))), want: "22"},
		{name: "arithmetic shift", parts: end(Mov(0, K(-256)), Alu(code.ARSH, 0, K(4))), want: "fffffffffffffff0"},
		{name: "arithmetic shift of 32 bits", parts: end(Mov(0, K(-256)), Alu32(code.ARSH, 0, K(4))), want: "fffffff0"},
		{name: "a register's shift takes 6 bits", parts: end(Mov(0, K(1)), Mov(1, K(65)), Alu(code.LSH, 0, Reg(1))), want: "2"},
		{name: "a register's shift of 32 bits takes 5", parts: end(Mov(0, K(1)), Mov(1, K(-31)), Alu32(code.LSH, 0, Reg(1))), want: "2"},
		{name: "a shift out of range", parts: end(Mov(0, K(1)), Alu(code.LSH, 0, K(65))), want: "2", strict: "a shift of 64 bits by 65"},
		{name: "a shift of 32 bits out of range", parts: end(Mov(0, K(4)), Alu32(code.RSH, 0, K(33))), want: "2", strict: "a shift of 32 bits by 33"},
		{name: "to little endian", parts: end(one, swap(le, 16)), want: "7788"},
		{name: "to little endian, 64", parts: end(one, swap(le, 64)), want: "1122334455667788"},
		{name: "to big endian, 16", parts: end(one, swap(be, 16)), want: "8877"},
		{name: "to big endian, 32", parts: end(one, swap(be, 32)), want: "88776655"},
		{name: "to big endian, 64", parts: end(one, swap(be, 64)), want: "8877665544332211"},
		{name: "byte swap, 16", parts: end(one, swap(bswap, 16)), want: "8877"},
		{name: "byte swap, 32", parts: end(one, swap(bswap, 32)), want: "88776655"},
		{name: "byte swap, 64", parts: end(one, swap(bswap, 64)), want: "8877665544332211"},
		{name: "move that extends 8 bits", parts: end(one, Signed(Mov(0, Reg(0)), 8)), want: "ffffffffffffff88"},
		{name: "move that extends 8 bits to 32", parts: end(one, Signed(Alu32(code.MOV, 0, Reg(0)), 8)), want: "ffffff88"},
		{name: "move that extends 16 bits", parts: end(one, Signed(Mov(0, Reg(0)), 16)), want: "7788"},
		{name: "move that extends 32 bits", parts: end(Imm64(0, 0x80000000), Signed(Mov(0, Reg(0)), 32)), want: "ffffffff80000000"},
	}
}

var one64 uint64 = 0x1122334455667788

func bareMemory() []bare {
	packet := func(mode, size uint8, k int32) code.Insn {
		return code.Insn{Op: code.ClassLD | mode | size, Regs: 2 << 4, Imm: k}
	}
	abs := func(size uint8, k int32) code.Insn {
		in := packet(code.ModeABS, size, k)
		in.Regs = 0
		return in
	}
	return []bare{
		{name: "no memory", parts: end(Mov(0, Reg(1)), Alu(code.OR, 0, Reg(2))), want: "0"},
		{name: "the memory's length", parts: end(Mov(0, Reg(2))), memory: bytes16, want: "10"},
		{name: "loads", memory: bytes16, want: "ffdd", parts: end(Load(1, 0, 1, 15), Load(2, 2, 1, 0), Load(4, 3, 1, 4), Load(8, 4, 1, 8),
			Alu(code.LSH, 0, K(8)), Alu(code.RSH, 4, K(40)), Alu(code.AND, 4, K(0xff)), Alu(code.OR, 0, Reg(4)))},
		{name: "a load of 8 bytes", parts: end(Load(8, 0, 1, 0)), memory: bytes16, want: "7766554433221100"},
		{name: "a load that is not aligned", parts: end(Load(8, 0, 1, 3)), memory: bytes16, want: "aa99887766554433"},
		{name: "a load that extends 1 byte", parts: end(LoadSigned(1, 0, 1, 8)), memory: bytes16, want: "ffffffffffffff88"},
		{name: "a load that extends 2 bytes", parts: end(LoadSigned(2, 0, 1, 8)), memory: bytes16, want: "ffffffffffff9988"},
		{name: "a load that extends 4 bytes", parts: end(LoadSigned(4, 0, 1, 8)), memory: bytes16, want: "ffffffffbbaa9988"},
		{name: "stores", parts: end(Mov(3, K(-1)), Store(2, 1, 1, Reg(3)), Store(1, 1, 5, K(0x1ee)), Store(4, 1, 8, K(-2)), Load(8, 0, 1, 0)), memory: bytes16, want: "7766ee4433ffff00"},
		{name: "a store of 8 bytes extends the sign", parts: end(Store(8, 10, -8, K(-2)), Load(8, 0, 10, -8)), want: "fffffffffffffffe"},
		{name: "past the memory", parts: end(Load(1, 0, 1, 16)), memory: bytes16, fails: "reading 1 bytes at 0x"},
		{name: "across its end", parts: end(Load(8, 0, 1, 9)), memory: bytes16, fails: "of which the program has only 7, the end of the memory"},
		{name: "before the memory", parts: end(Store(1, 1, -1, K(0))), memory: bytes16, fails: "writing 1 bytes at 0x"},
		{name: "at no address", parts: end(Load(1, 0, 1, 0)), fails: "reading 1 bytes at 0x0"},
		{name: "the stack's end", parts: end(Mov(1, K(5)), Store(8, 10, -512, Reg(1)), Load(8, 0, 10, -512)), want: "5"},
		{name: "a stack overflow", parts: end(Store(8, 10, -520, K(1))), fails: "writing 8 bytes at 0x"},
		{name: "above the stack", parts: []any{Mov(1, Reg(10)), Alu(code.ADD, 1, K(7*512)), Store(1, 1, 0, K(1)), Exit()}, fails: "past the end of the stack"},
		{name: "atomics of 8 bytes", memory: bytes16, want: "7766554433221101",
			parts: end(Mov(3, K(1)), Atomic(8, code.ADD, 1, 0, 3), Load(8, 0, 1, 0))},
		{name: "atomics of 4 bytes", memory: "ff ff ff ff 01 00 00 00", want: "100000000",
			parts: end(Mov(3, K(1)), Atomic(4, code.ADD, 1, 0, 3), Load(8, 0, 1, 0))},
		{name: "or and xor", memory: bytes16, want: "7766554433221133",
			parts: end(Mov(3, K(0x33)), Atomic(8, code.OR, 1, 0, 3), Mov(3, K(-1)), Atomic(4, code.AND, 1, 0, 3), Mov(3, K(0)), Atomic(4, code.XOR, 1, 0, 3), Load(8, 0, 1, 0))},
		{name: "fetch", memory: bytes16, want: "7766554433221100", parts: end(Mov(0, K(1)), Atomic(8, code.ADD|code.AtomicFetch, 1, 0, 0))},
		{name: "fetch of 4 bytes", memory: bytes16, want: "33221100", parts: end(Mov(0, K(-1)), Atomic(4, code.OR|code.AtomicFetch, 1, 0, 0))},
		{name: "fetch of xor", memory: bytes16, want: "33221100", parts: end(Mov(0, K(-1)), Atomic(4, code.XOR|code.AtomicFetch, 1, 0, 0))},
		{name: "fetch of and", memory: bytes16, want: "7766554433221100", parts: end(Mov(0, K(0)), Atomic(8, code.AND|code.AtomicFetch, 1, 0, 0))},
		{name: "exchange", memory: bytes16, want: "3322110000000005", parts: end(Mov(3, K(5)), Atomic(4, code.AtomicXchg, 1, 0, 3), Load(4, 0, 1, 0),
			Alu(code.LSH, 3, K(32)), Alu(code.OR, 0, Reg(3)))},
		{name: "exchange of 8 bytes", memory: bytes16, want: "7766554433221100", parts: end(Mov(0, K(5)), Atomic(8, code.AtomicXchg, 1, 0, 0))},
		{name: "compare and exchange", memory: bytes16, want: "5", parts: end(Load(8, 0, 1, 0), Mov(3, K(5)), Atomic(8, code.AtomicCmp, 1, 0, 3), Load(8, 0, 1, 0))},
		{name: "compare and do not exchange", memory: bytes16, want: "7766554433221100", parts: end(Mov(0, K(5)), Mov(3, K(5)), Atomic(8, code.AtomicCmp, 1, 0, 3))},
		{name: "compare 4 bytes", memory: bytes16, want: "33221100", parts: end(Imm64(0, 0xabcd_3322_1100), Mov(3, K(5)), Atomic(4, code.AtomicCmp, 1, 0, 3))},
		{name: "load_acquire", memory: bytes16, want: "99", parts: end(Atomic(8, code.AtomicLoad, 3, 8, 1), Atomic(1, code.AtomicLoad, 0, 9, 1))},
		{name: "store_release", memory: bytes16, want: "7766554433221111", parts: end(Mov(3, K(0x11)), Atomic(1, code.AtomicStore, 1, 0, 3), Load(8, 0, 1, 0))},
		{name: "store_release of 2 bytes", memory: bytes16, want: "7766554433220011", parts: end(Mov(3, K(0x11)), Atomic(2, code.AtomicStore, 1, 0, 3), Load(8, 0, 1, 0))},
		{name: "an atomic operation not aligned", memory: bytes16, fails: "not aligned", parts: end(Mov(3, K(1)), Atomic(8, code.ADD, 1, 4, 3))},
		{name: "an atomic operation of 2 bytes", memory: bytes16, fails: "opcode 0xcb is not known", parts: end(Mov(3, K(1)), Atomic(2, code.ADD, 1, 0, 3))},
		{name: "an atomic operation that there is not", fails: "atomic operation 0x20 is not known", parts: end(Atomic(8, 0x20, 1, 0, 3))},
		{name: "a legacy load", memory: bytes16, want: "2233", parts: end(Mov(6, Reg(1)), abs(0x08, 2))},
		{name: "a legacy load by a register", memory: bytes16, want: "44556677", parts: end(Mov(6, Reg(1)), Mov(2, K(3)), packet(code.ModeIND, 0x00, 1))},
		{name: "a legacy load of nothing ends the program", memory: bytes16, want: "0", parts: end(Mov(6, Reg(1)), Mov(0, K(7)), abs(0x10, 16), Mov(0, K(5)))},
	}
}

func bareControl() []bare {
	taken := func(in code.Insn, dst, src uint64, want string) bare {
		return bare{parts: []any{Imm64(1, dst), Imm64(2, src), Mov(0, K(1)), in, Mov(0, K(0)), Exit()}, want: want}
	}
	var cases []bare
	for _, j := range []struct {
		name    string
		op      uint8
		less    bool // whether it is taken for 1, -1
		equal   bool // for 1, 1
		greater bool // for -1, 1
		less32  bool // with other upper halves
	}{
		{"jeq", code.JEQ, false, true, false, false}, {"jne", code.JNE, true, false, true, true},
		{"jgt", code.JGT, false, false, true, false}, {"jge", code.JGE, false, true, true, false},
		{"jlt", code.JLT, true, false, false, true}, {"jle", code.JLE, true, true, false, true},
		{"jsgt", code.JSGT, true, false, false, true}, {"jsge", code.JSGE, true, true, false, true},
		{"jslt", code.JSLT, false, false, true, false}, {"jsle", code.JSLE, false, true, true, false},
		{"jset", code.JSET, true, true, true, true},
	} {
		want := map[bool]string{true: "1", false: "0"}
		const minus = ^uint64(0)
		for _, c := range []bare{
			taken(If(j.op, 1, Reg(2), 1), 1, minus, want[j.less]),
			taken(If(j.op, 1, Reg(2), 1), 1, 1, want[j.equal]),
			taken(If(j.op, 1, Reg(2), 1), minus, 1, want[j.greater]),
			taken(If(j.op, 1, K(-1), 1), 1, 0, want[j.less]),
			taken(If(j.op, 1, K(1), 1), minus, 0, want[j.greater]),
			taken(If32(j.op, 1, Reg(2), 1), 0xffff_0000_0000_0001, 0xffff_ffff, want[j.less32]),
			taken(If32(j.op, 1, K(1), 1), 0xabcd_0000_0001, 0, want[j.equal]),
			taken(If32(j.op, 1, K(1), 1), 0xffff_ffff, 0, want[j.greater]),
		} {
			c.name = fmt.Sprintf("%s %d", j.name, len(cases))
			cases = append(cases, c)
		}
	}
	deep := func(n int32) (parts []any) {
		for range n - 1 {
			parts = append(parts, Mov(6, Reg(1)), Alu(code.ADD, 1, K(1)), Store(8, 10, -8, Reg(6)), CallFunc(3), Load(8, 1, 10, -8), Alu(code.ADD, 0, Reg(1)), Exit())
		}
		return append(parts, Mov(0, K(0)), Exit())
	}
	return append(cases, []bare{
		{name: "gotol", parts: []any{Mov(0, K(1)), code.Insn{Op: code.GotoLong, Imm: 1}, Mov(0, K(2)), Exit()}, want: "1"},
		{name: "jump backward", parts: []any{Mov(0, K(0)), Mov(1, K(100)), Alu(code.ADD, 0, K(2)), Alu(code.SUB, 1, K(1)), If(code.JNE, 1, K(0), -3), Exit()}, want: "c8"},
		{name: "may_goto", parts: []any{Mov(0, K(0)), code.Insn{Op: code.MayGoto, Off: 2}, Alu(code.ADD, 0, K(1)), Goto(-3), Exit()}, want: fmt.Sprintf("%x", engine.MaxLoops)},
		{name: "local call", parts: []any{Mov(1, K(3)), Mov(6, K(4)), CallFunc(2), Alu(code.ADD, 0, Reg(6)), Exit(), Mov(6, K(9)), Mov(0, Reg(1)), Exit()}, want: "7"},
		{name: "frames of their own", parts: []any{Store(8, 10, -8, K(5)), CallFunc(2), Load(8, 0, 10, -8), Exit(), Store(8, 10, -8, K(6)), Mov(0, K(0)), Exit()}, want: "5"},
		{name: "a caller's stack", parts: []any{Store(8, 10, -8, K(5)), Mov(1, Reg(10)), CallFunc(2), Load(8, 0, 10, -8), Exit(), Store(8, 1, -8, K(7)), Mov(0, K(0)), Exit()}, want: "7"},
		{name: "8 functions", parts: deep(8), want: fmt.Sprintf("%x", 0+1+2+3+4+5+6)},
		{name: "9 functions", parts: deep(9), fails: "more than 8 functions call each other"},
		{name: "recursion without end", parts: end(CallFunc(-1)), fails: "more than 8 functions call each other"},
		{name: "helper", parts: end(Call(5), If(code.JEQ, 0, K(0), 1), Mov(0, K(1))), want: "1"},
		{name: "a helper by name of the task", parts: end(Call(14), Alu(code.RSH, 0, K(32)), If(code.JEQ, 0, K(0), 1), Mov(0, K(1))), want: "1"},
		{name: "a helper with memory", memory: "31 32 33 00", want: "7b", parts: end(Mov(3, K(0)), Mov(2, K(4)), Mov(4, Reg(10)), Alu(code.ADD, 4, K(-8)), Call(105), Load(8, 0, 10, -8))},
		{name: "a helper with memory that is not there", fails: "strtol: r1: reading 4 bytes at 0x7", parts: end(Mov(1, K(7)), Mov(3, K(0)), Mov(2, K(4)), Mov(4, Reg(10)), Alu(code.ADD, 4, K(-8)), Call(105))},
		{name: "bpf_loop", want: "2d", parts: []any{Store(8, 10, -8, K(0)), Mov(1, K(10)), code.Insn{Op: code.LoadImm64, Regs: 2 | 4<<4, Imm: 6}, code.Insn{},
			Mov(3, Reg(10)), Mov(4, K(0)), Call(181), Load(8, 0, 10, -8), Exit(),
			Load(8, 3, 2, -8), Alu(code.ADD, 3, Reg(1)), Store(8, 2, -8, Reg(3)), Mov(0, K(0)), Exit()}},
		{name: "a helper that there is not", parts: end(Call(9999)), fails: "the machine has no helper 9999 (call helper#9999)"},
		{name: "a tail call without programs", parts: end(Mov(2, K(0)), Mov(3, K(0)), Call(12)), fails: "tail_call: r2: 0x0 is not a map"},
		{name: "no instruction", fails: "its length of 0 bytes"},
		{name: "no end", parts: []any{Mov(0, K(0))}, fails: "neither exit nor a jump"},
		{name: "a call at the end", parts: []any{Mov(0, K(0)), Call(5)}, strict: "neither exit nor a jump", fails: "does not return has returned"},
		{name: "a function behind the end", parts: end(code.Insn{Op: code.LoadImm64, Regs: 1 | 4<<4, Imm: 100}, code.Insn{}, Mov(0, K(0))), fails: "the address of instruction 101, where"},
		{name: "a function right behind the end", parts: end(code.Insn{Op: code.LoadImm64, Regs: 1 | 4<<4, Imm: 3}, code.Insn{}, Mov(0, K(0))), fails: "the address of instruction 4, where"},
		{name: "a function before the start", parts: end(code.Insn{Op: code.LoadImm64, Regs: 1 | 4<<4, Imm: -2}, code.Insn{}, Mov(0, K(0))), fails: "is before the program"},
		{name: "a function in the middle of a load", parts: end(code.Insn{Op: code.LoadImm64, Regs: 1 | 4<<4, Imm: 2}, code.Insn{}, Imm64(0, 1)), fails: "the second half of the immediate load is missing"},
		{name: "a jump past the end", parts: end(Goto(1)), fails: "instruction 0: the jump goes to instruction 2, out of its function"},
		{name: "a jump before the start", parts: end(Goto(-2)), fails: "to instruction -1, out of its function"},
		{name: "a jump into a load", parts: end(Goto(1), Imm64(0, 1)), fails: "into the middle of an immediate load"},
		{name: "half a load", parts: []any{Exit(), Imm64(0, 1)[:1]}, fails: "the second half of the immediate load is missing"},
		{name: "a load's second half with an opcode", parts: end(Imm64(0, 1)[:1], Mov(0, K(1))), fails: "has other fields than the immediate"},
		{name: "an opcode that there is not", parts: end(code.Insn{Op: 0xff}), fails: "opcode 0xff is not known"},
		{name: "register 11", parts: end(Mov(11, K(0))), fails: "register r11 does not exist"},
		{name: "the frame pointer changes", parts: end(Mov(10, K(0))), fails: "r10 is read-only"},
		{name: "a field that is not used", parts: end(code.Insn{Op: code.ClassALU64 | code.MOV, Off: 5}), fails: "a field set that it does not use"},
		{name: "an exit with an immediate", parts: []any{code.Insn{Op: code.Exit, Imm: 1}}, fails: "a field set that it does not use"},
		{name: "callx", parts: end(code.Insn{Op: 0x8d, Regs: 1}), fails: "(opcode 0x8d) do not exist"},
		{name: "a map that there is not", parts: end(code.Insn{Op: code.LoadImm64, Regs: 1 | 1<<4, Imm: 3}, code.Insn{}), fails: "the machine has no map 3"},
		{name: "a loop without end", parts: []any{Goto(-1)}, fails: "the budget of instructions is used up"},
		{name: "a kernel function", parts: end(code.Insn{Op: code.CallOp, Regs: 2 << 4, Imm: 7}), fails: "it calls a kernel function"},
	}...)
}

// TestExec runs bare programs as conformance suites do: as hexadecimal text and as an ELF object, with each engine, strictly and raw.
func TestExec(t *testing.T) {
	if ktest.Emulated() {
		t.Skip("what the machine does is no matter of the running kernel")
	}
	engines := []engineFlags{{interp: true}, {}}
	if jit.Supported {
		engines = append(engines, engineFlags{jit: true})
	}
	for _, c := range append(append(bareArithmetic(), bareMemory()...), bareControl()...) {
		t.Run(c.name, func(t *testing.T) {
			program := Bytes(instructions(c.parts))
			for _, e := range engines {
				e.budget = 100_000_000
				for _, raw := range []bool{false, true} {
					c.check(t, &e, raw, false, spaced(program))
					if len(program) > 0 {
						object := bareObject(program, binary.LittleEndian)
						c.check(t, &e, raw, true, string(object))
						c.check(t, &e, raw, true, hex.EncodeToString(object))
					}
				}
			}
		})
	}
}

// instructions are the parts with calls of helpers by their numbers.
func instructions(parts []any) (insns []code.Insn) {
	for _, p := range parts {
		switch v := p.(type) {
		case code.Insn:
			insns = append(insns, v)
		case []code.Insn:
			insns = append(insns, v...)
		}
	}
	return insns
}

func (c *bare) check(t *testing.T, flags *engineFlags, raw, isELF bool, text string) {
	t.Helper()
	fails := c.fails
	if c.strict != "" && !raw {
		fails = c.strict
	}
	args := []string{c.memory}
	if c.memory == "" && isELF {
		args = nil
	}
	r0, err := execBare(&environment{stdin: strings.NewReader(text)}, flags, args, "", raw, isELF)
	switch {
	case fails == "" && err != nil:
		t.Errorf("%+v, raw %v, ELF %v: %v", *flags, raw, isELF, err)
	case fails == "" && fmt.Sprintf("%x", r0) != c.want:
		t.Errorf("%+v, raw %v, ELF %v: %x, not %s", *flags, raw, isELF, r0, c.want)
	case fails != "" && (err == nil || !strings.Contains(err.Error(), fails)):
		t.Errorf("%+v, raw %v, ELF %v: %x and the error %v, not %q", *flags, raw, isELF, r0, err, fails)
	}
}

// spaced is the program as people and suites write it: with blanks, line ends and now and then a capital letter.
func spaced(program []byte) string {
	var b strings.Builder
	for i, x := range program {
		format := "%02x"
		if i%3 == 0 {
			format = "%02X"
		}
		fmt.Fprintf(&b, format, x)
		switch {
		case i%8 == 7:
			b.WriteString("\r\n")
		case i%8 < 4:
			b.WriteString(" \t")
		}
	}
	return b.String()
}

// bareObject is an ELF object with the program in .text and nothing else: no symbols, no license.
func bareObject(program []byte, order binary.ByteOrder) []byte {
	const header, entry = 64, 64
	names := "\x00.text\x00.shstrtab\x00"
	at := header + len(program)
	table := (at + len(names) + 7) &^ 7
	var b bytes.Buffer
	data := elf.ELFDATA2LSB
	if order == binary.BigEndian {
		data = elf.ELFDATA2MSB
	}
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(data), byte(elf.EV_CURRENT)}
	for _, part := range []any{
		elf.Header64{Ident: ident, Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_BPF), Version: 1, Shoff: uint64(table), Ehsize: header,
			Shentsize: entry, Shnum: 3, Shstrndx: 2},
		program, []byte(names), make([]byte, table-at-len(names)),
		elf.Section64{},
		elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_EXECINSTR), Off: header, Size: uint64(len(program)), Addralign: 8},
		elf.Section64{Name: 7, Type: uint32(elf.SHT_STRTAB), Off: uint64(at), Size: uint64(len(names)), Addralign: 1},
	} {
		_ = binary.Write(&b, order, part)
	}
	return b.Bytes()
}

// TestExecOtherOrder: the instructions of an object for another byte order are not taken for others.
func TestExecOtherOrder(t *testing.T) {
	var order binary.ByteOrder = binary.BigEndian
	if order.String() == thisOrder() {
		order = binary.LittleEndian
	}
	object := bareObject(Bytes(instructions(end(Mov(0, K(1))))), order)
	_, err := execBare(&environment{stdin: bytes.NewReader(object)}, &engineFlags{}, nil, "", false, true)
	if err == nil || !strings.Contains(err.Error(), "the object is for "+order.String()) {
		t.Errorf("the error is %v", err)
	}
}

// TestExecMistakes: suites know the exit codes 0 and 1.
func TestExecMistakes(t *testing.T) {
	for _, args := range [][]string{{"--nonsense"}, {"--budget", "many"}, {"--budget", "-1"}, {"00", "11"}, {"--jit", "--interp"}} {
		messages, err := os.CreateTemp(t.TempDir(), "stderr")
		if err != nil {
			t.Fatal(err)
		}
		defer messages.Close()
		env := &environment{stdin: strings.NewReader("9500000000000000"), stderr: messages}
		if code := runVMExec(env, args); code != 1 {
			t.Errorf("%q: exit code %d", args, code)
		}
		if info, err := messages.Stat(); err != nil || info.Size() == 0 {
			t.Errorf("%q: no message (%v)", args, err)
		}
	}
}

// FuzzExecELF runs what somebody has made of an object.
func FuzzExecELF(f *testing.F) {
	for _, c := range bareMemory()[:6] {
		f.Add(bareObject(Bytes(instructions(c.parts)), binary.LittleEndian))
	}
	f.Fuzz(func(_ *testing.T, content []byte) {
		_, _ = execBare(&environment{stdin: bytes.NewReader(content)}, &engineFlags{budget: 10_000}, []string{bytes16}, "", false, true)
	})
}
