package code_test

import (
	"strings"
	"testing"

	"skep/vm/code"
	. "skep/vm/enginetest"
)

func TestCheck(t *testing.T) {
	exit := Exit()
	for _, c := range []struct {
		name   string
		parts  []any
		calls  int
		want   string // empty if the program is right
		strict bool   // only then it is wrong
	}{
		{name: "shortest", parts: []any{exit}},
		{name: "empty", want: "empty"},
		{name: "no end", parts: []any{Mov(0, K(1))}, want: "instruction 0: the last instruction of the function is neither exit nor a jump"},
		{name: "ends with a call", parts: []any{Mov(0, K(1)), Call(0)}, calls: 1, want: "instruction 1: the last instruction of the function is neither", strict: true},
		{name: "ends with a call of a function", parts: []any{Goto(1), exit, CallFunc(-3)}, want: "instruction 2: the last instruction of the function is neither", strict: true},
		{name: "ends with a call of the kernel's", parts: []any{code.Insn{Op: code.CallOp, Regs: code.CallKfunc << 4}}, calls: 1},
		{name: "ends with a jump", parts: []any{Mov(0, K(1)), Goto(-2)}},
		{name: "ends with half a load", parts: []any{exit, Imm64(1, 1)[:1]}, want: "instruction 1: the second half"},
		{name: "second half with an opcode", parts: []any{Imm64(1, 1)[:1], Mov(0, K(0)), exit}, want: "instruction 1: the second half of the immediate load has other"},
		{name: "jump into a load", parts: []any{Goto(1), Imm64(1, 1), exit}, want: "instruction 0: the jump goes to instruction 2, into the middle"},
		{name: "jump before the start", parts: []any{Goto(-2), exit}, want: "instruction 0: the jump goes to instruction -1, out of"},
		{name: "jump past the end", parts: []any{If(code.JEQ, 0, K(0), 1), exit}, want: "instruction 0: the jump goes to instruction 2, out of"},
		{name: "long jump past the end", parts: []any{code.Insn{Op: code.GotoLong, Imm: 1 << 30}, exit}, want: "out of its function"},
		{name: "jump into another function", parts: []any{CallFunc(2), If(code.JEQ, 0, K(0), 1), exit, exit}, want: "instruction 1: the jump goes to instruction 3, out of"},
		{name: "call past the end", parts: []any{CallFunc(5), exit}, want: "instruction 0: the call goes to instruction 6, where no function begins"},
		{name: "unknown helper", parts: []any{Call(1), exit}, calls: 1, want: "instruction 0: function 1 that the program calls is not known"},
		{name: "negative helper", parts: []any{Call(-1), exit}, calls: 1, want: "instruction 0: function -1"},
		{name: "call by register", parts: []any{code.Insn{Op: code.CallOp | code.SrcReg}, exit}, want: "to where a register says (opcode 0x8d) do not exist"},
		{name: "r11", parts: []any{Mov(11, K(0)), exit}, want: "register r11 does not exist"},
		{name: "source r15", parts: []any{Mov(0, Reg(15)), exit}, want: "register r15 does not exist"},
		{name: "frame pointer written", parts: []any{Alu(code.ADD, 10, K(8)), exit}, want: "r10 is read-only"},
		{name: "frame pointer loaded", parts: []any{Load(8, 10, 1, 0), exit}, want: "r10 is read-only"},
		{name: "frame pointer exchanged", parts: []any{Atomic(8, code.AtomicXchg, 1, 0, 10), exit}, want: "r10 is read-only"},
		{name: "shift out of range", parts: []any{Alu(code.LSH, 0, K(64)), exit}, want: "a shift of 64 bits by 64", strict: true},
		{name: "shift of 32 bits out of range", parts: []any{Alu32(code.ARSH, 0, K(32)), exit}, want: "a shift of 32 bits by 32", strict: true},
		{name: "negative shift", parts: []any{Alu(code.RSH, 0, K(-1)), exit}, want: "a shift of 64 bits by -1", strict: true},
		{name: "division by zero", parts: []any{Alu(code.DIV, 0, K(0)), exit}, want: "division by zero", strict: true},
		{name: "remainder by zero", parts: []any{Alu32(code.MOD, 0, K(0)), exit}, want: "division by zero", strict: true},
		{name: "swap of 8 bits", parts: []any{code.Insn{Op: code.ClassALU | code.END, Imm: 8}, exit}, want: "bytes of 8 bits cannot be swapped"},
		{name: "unconditional byte swap to big", parts: []any{code.Insn{Op: code.ClassALU64 | code.END | code.SrcReg, Imm: 16}, exit}, want: "field set"},
		{name: "move that extends 32 bits to 32", parts: []any{Signed(Alu32(code.MOV, 0, Reg(1)), 32), exit}, want: "field set"},
		{name: "move of an immediate that extends", parts: []any{Signed(Mov(0, K(1)), 8), exit}, want: "field set"},
		{name: "signed addition", parts: []any{Signed(Alu(code.ADD, 0, K(1)), 1), exit}, want: "field set"},
		{name: "register and immediate", parts: []any{code.Insn{Op: code.ClassALU64 | code.ADD | code.SrcReg, Imm: 1}, exit}, want: "field set"},
		{name: "exit by a register", parts: []any{code.Insn{Op: code.Exit, Regs: 1}, exit}, want: "field set"},
		{name: "exit of 32 bits", parts: []any{code.Insn{Op: code.ClassJMP32 | code.EXIT}, exit}, want: "opcode 0x96 is not known"},
		{name: "atomic of bytes", parts: []any{Atomic(1, code.ADD, 1, 0, 2), exit}, want: "opcode 0xd3 is not known"},
		{name: "atomic subtraction", parts: []any{Atomic(8, code.SUB, 1, 0, 2), exit}, want: "atomic operation 0x10 is not known"},
		{name: "loads of bytes that acquire", parts: []any{Atomic(1, code.AtomicLoad, 1, 0, 2), exit}},
		{name: "signed load of 8 bytes", parts: []any{LoadSigned(8, 0, 1, 0), exit}, want: "opcode 0x99 is not known"},
		{name: "packet load of 8 bytes", parts: []any{code.Insn{Op: code.ClassLD | code.ModeABS | 0x18}, exit}, want: "opcode 0x38 is not known"},
		{name: "load of a map", parts: []any{code.Insn{Op: code.LoadImm64, Regs: 1 << 4}, code.Insn{}, exit}, want: "field set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Program(c.calls, c.parts...)
			p.Name = ""
			raw := ""
			if !c.strict {
				raw = c.want
			}
			compare(t, p.Check(code.Raw), raw)
			compare(t, p.Check(code.Strict), c.want)
		})
	}
}

func compare(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Error(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("the error is %v, not %q", err, want)
	}
}

func TestFunctions(t *testing.T) {
	p := Program(0, Exit(), Exit(), Exit(), Exit())
	for name, funcs := range map[string][]code.Func{
		"not from the start": {{Start: 1, End: 4}},
		"a gap":              {{Start: 0, End: 1}, {Start: 2, End: 4}},
		"an overlap":         {{Start: 0, End: 3}, {Start: 2, End: 4}},
		"not to the end":     {{Start: 0, End: 3}},
		"past the end":       {{Start: 0, End: 5}},
		"an empty one":       {{Start: 0, End: 0}, {Start: 0, End: 4}},
		"none":               nil,
		"too much stack":     {{Start: 0, End: 4, Stack: 513}},
	} {
		p.Funcs = funcs
		if err := p.Check(code.Raw); err == nil {
			t.Errorf("functions with %s are right", name)
		}
	}
	for _, slot := range []int{0, 1, 1000} {
		if got, ok := code.FuncSlot(code.FuncAddress(slot)); !ok || got != slot {
			t.Errorf("the function at %d is at %d, %v", slot, got, ok)
		}
	}
	for _, addr := range []uint64{0, 1 << 40, ^uint64(0), code.FuncAddress(3) + 1} {
		if slot, ok := code.FuncSlot(addr); ok {
			t.Errorf("at %#x is function %d", addr, slot)
		}
	}
}

// FuzzCheck only asks for no panic, and for the levels to be in order.
func FuzzCheck(f *testing.F) {
	for seed := range uint64(3) {
		f.Add(Bytes(NewRandom(seed).Program.Insns))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		insns := Insns(b)
		p := &code.Program{Insns: insns, Funcs: code.FindFuncs(insns), Calls: make([]code.Call, 2)}
		if raw, strict := p.Check(code.Raw), p.Check(code.Strict); raw != nil && strict == nil {
			t.Errorf("only raw programs are wrong: %v", raw)
		}
	})
}
