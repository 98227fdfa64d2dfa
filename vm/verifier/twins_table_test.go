package verifier

import (
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// join puts pieces of programs together.
func join(parts ...any) (all asm.Instructions) {
	for _, p := range parts {
		switch p := p.(type) {
		case asm.Instruction:
			all = append(all, p)
		case asm.Instructions:
			all = append(all, p...)
		}
	}
	return all
}

func ret(n int32) asm.Instructions { return join(asm.Mov.Imm(asm.R0, n), asm.Return()) }

func label(i asm.Instruction, name string) asm.Instruction { return i.WithSymbol(name) }

// leave ends the program, for jumps to "out".
func leave() asm.Instructions { return join(label(asm.Mov.Imm(asm.R0, 0), "out"), asm.Return()) }

func mapAt(r asm.Register, name string) asm.Instruction {
	return asm.LoadMapPtr(r, 0).WithReference(name)
}

// lookup leaves in r0 the value of the key that is in r6, or null.
func lookup(name string) asm.Instructions {
	return join(
		asm.StoreMem(asm.RFP, -8, asm.R6, asm.DWord), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), mapAt(asm.R1, name),
		asm.FnMapLookupElem.Call(),
	)
}

// random leaves in r7 a number of which nothing is known.
func random() asm.Instructions { return join(asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R7, asm.R0)) }

// value leaves in r0 a value of the array.
func value() asm.Instructions {
	return join(random(), asm.Mov.Reg(asm.R6, asm.R7), lookup("array"), asm.JEq.Imm(asm.R0, 0, "out"))
}

// function is the start of a function of the program.
func function(i asm.Instruction, name string, linkage btf.FuncLinkage, params ...btf.Type) asm.Instruction {
	n := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	proto := &btf.FuncProto{Return: n}
	for j, p := range params {
		proto.Params = append(proto.Params, btf.FuncParam{Name: string(rune('a' + j)), Type: p})
	}
	return btf.WithFuncMetadata(i.WithSymbol(name), &btf.Func{Name: name, Type: proto, Linkage: linkage})
}

func entry(i asm.Instruction) asm.Instruction {
	return function(i, "entry", btf.GlobalFunc, &btf.Pointer{Target: &btf.Void{}})
}

func callTo(name string) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoCall, Constant: -1}.WithReference(name)
}

func funcRef(r asm.Register, name string) asm.Instruction {
	return asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: r, Src: asm.PseudoFunc, Constant: -1}.WithReference(name)
}

func raw(op uint8, dst, src asm.Register, off int16, imm int64) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(op), Dst: dst, Src: src, Offset: off, Constant: imm}
}

func number() btf.Type { return &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed} }

func twins() []twin {
	all := append(numberTwins(), pointerTwins()...)
	all = append(all, stackTwins()...)
	all = append(all, packetTwins()...)
	all = append(all, flowTwins()...)
	all = append(all, helperTwins()...)
	return append(all, callTwins()...)
}

func numberTwins() []twin {
	use := func(parts ...any) asm.Instructions {
		return join(append(append([]any{value(), asm.Mov.Reg(asm.R8, asm.R0)}, parts...), asm.Add.Reg(asm.R8, asm.R7), asm.LoadMem(asm.R0, asm.R8, 0, asm.Byte), leave())...)
	}
	rangeTwin := func(name string, good, bad asm.Instructions) twin {
		return twin{name: "range " + name, good: use(random2(), good), bad: use(random2(), bad)}
	}
	out := "out"
	return []twin{
		rangeTwin("and", join(asm.And.Imm(asm.R7, 63)), join(asm.And.Imm(asm.R7, 64))),
		rangeTwin("jgt", join(asm.JGT.Imm(asm.R7, 63, out)), join(asm.JGT.Imm(asm.R7, 64, out))),
		rangeTwin("jge", join(asm.JGE.Imm(asm.R7, 64, out)), join(asm.JGE.Imm(asm.R7, 65, out))),
		rangeTwin("signed", join(asm.JSGT.Imm(asm.R7, 63, out), asm.JSLT.Imm(asm.R7, 0, out)), join(asm.JSGT.Imm(asm.R7, 63, out))),
		rangeTwin("jlt32", join(asm.Mov.Reg32(asm.R7, asm.R7), asm.JGE.Imm32(asm.R7, 64, out)), join(asm.JGE.Imm32(asm.R7, 64, out))),
		rangeTwin("rsh", join(asm.RSh.Imm(asm.R7, 58)), join(asm.RSh.Imm(asm.R7, 57))),
		rangeTwin("rsh32", join(asm.RSh.Imm32(asm.R7, 26)), join(asm.RSh.Imm32(asm.R7, 25))),
		rangeTwin("lsh", join(asm.And.Imm(asm.R7, 7), asm.LSh.Imm(asm.R7, 3)), join(asm.And.Imm(asm.R7, 15), asm.LSh.Imm(asm.R7, 3))),
		rangeTwin("arsh", join(asm.And.Imm(asm.R7, 255), asm.ArSh.Imm(asm.R7, 2)), join(asm.ArSh.Imm(asm.R7, 60))),
		rangeTwin("mul", join(asm.And.Imm(asm.R7, 3), asm.Mul.Imm(asm.R7, 20)), join(asm.And.Imm(asm.R7, 3), asm.Mul.Imm(asm.R7, 22))),
		rangeTwin("sub", join(asm.And.Imm(asm.R7, 15), asm.Add.Imm(asm.R7, 20), asm.Sub.Imm(asm.R7, 20)), join(asm.And.Imm(asm.R7, 15), asm.Sub.Imm(asm.R7, 1))),
		rangeTwin("or", join(asm.And.Imm(asm.R7, 15), asm.Or.Imm(asm.R7, 48)), join(asm.And.Imm(asm.R7, 15), asm.Or.Imm(asm.R7, 64))),
		rangeTwin("xor", join(asm.And.Imm(asm.R7, 15), asm.Xor.Imm(asm.R7, 32)), join(asm.And.Imm(asm.R7, 15), asm.Xor.Imm(asm.R7, 64))),
		rangeTwin("jset", join(asm.And.Imm(asm.R7, 127), asm.JSet.Imm(asm.R7, 64, out)), join(asm.And.Imm(asm.R7, 127), asm.JSet.Imm(asm.R7, 32, out))),
		rangeTwin("div", join(asm.Div.Imm(asm.R7, 100), asm.JGT.Imm(asm.R7, 8, out)), join(asm.Div.Imm(asm.R7, 100))),
		rangeTwin("jne", join(asm.JNE.Imm(asm.R7, 5, out)), join(asm.JEq.Imm(asm.R7, 5, out))),
		rangeTwin("swap", join(asm.HostTo(asm.BE, asm.R7, asm.Half), asm.JGT.Imm(asm.R7, 40, out)), join(asm.HostTo(asm.BE, asm.R7, asm.Half))),
		{name: "range neg", since: linux(6, 17),
			good: use(random2(), asm.And.Imm(asm.R7, 15), asm.Neg.Imm(asm.R7, 0), asm.Add.Imm(asm.R7, 16)),
			bad:  use(random2(), asm.And.Imm(asm.R7, 15), asm.Neg.Imm(asm.R7, 0))},
		{name: "range of two registers", since: linux(6, 8),
			good: use(random2(), asm.Mov.Reg(asm.R9, asm.R7), asm.And.Imm(asm.R9, 31), random2(), asm.JGT.Reg(asm.R7, asm.R9, out)),
			bad:  use(random2(), asm.Mov.Reg(asm.R9, asm.R7), asm.And.Imm(asm.R9, 31), random2(), asm.JLT.Reg(asm.R7, asm.R9, out))},
		{name: "range of a copy",
			good: use(random2(), asm.Mov.Reg(asm.R9, asm.R7), asm.JGT.Imm(asm.R9, 63, out)),
			bad:  use(random2(), asm.Mov.Reg(asm.R9, asm.R7), asm.Add.Imm(asm.R7, 1), asm.JGT.Imm(asm.R9, 63, out))},
		{name: "range of a sum", since: linux(6, 11),
			good: use(random2(), asm.Mov.Reg32(asm.R7, asm.R7), asm.Mov.Reg(asm.R9, asm.R7), asm.Add.Imm(asm.R7, 1), asm.JGT.Imm(asm.R9, 50, out)),
			bad:  use(random2(), asm.Mov.Reg32(asm.R7, asm.R7), asm.Mov.Reg(asm.R9, asm.R7), asm.Add.Imm(asm.R7, 14), asm.JGT.Imm(asm.R9, 50, out))},
		{name: "range through the stack",
			good: use(random2(), asm.And.Imm(asm.R7, 63), asm.StoreMem(asm.RFP, -16, asm.R7, asm.DWord), asm.LoadMem(asm.R7, asm.RFP, -16, asm.DWord)),
			bad:  use(random2(), asm.And.Imm(asm.R7, 63), asm.StoreMem(asm.RFP, -16, asm.R7, asm.DWord), put(asm.RFP, -12, 1, asm.Word), asm.LoadMem(asm.R7, asm.RFP, -16, asm.DWord))},
		{name: "range of four bytes through the stack", since: linux(5, 16),
			good: use(random2(), asm.And.Imm(asm.R7, 63), asm.StoreMem(asm.RFP, -16, asm.R7, asm.Word), asm.LoadMem(asm.R7, asm.RFP, -16, asm.Word)),
			bad:  use(random2(), asm.And.Imm(asm.R7, 63), asm.StoreMem(asm.RFP, -12, asm.R7, asm.Word), asm.LoadMem(asm.R7, asm.RFP, -12, asm.Word))},
		{name: "shift by too much", good: join(asm.Mov.Imm(asm.R0, 1), asm.LSh.Imm(asm.R0, 63), ret(0)), bad: join(asm.Mov.Imm(asm.R0, 1), asm.LSh.Imm(asm.R0, 64), ret(0))},
		{name: "division by zero", good: join(asm.Mov.Imm(asm.R0, 1), asm.Div.Imm(asm.R0, 2), ret(0)), bad: join(asm.Mov.Imm(asm.R0, 1), asm.Div.Imm(asm.R0, 0), ret(0))},
		{name: "sign extension", since: linux(6, 6),
			good: use(random2(), asm.And.Imm(asm.R7, 31), asm.Instruction{OpCode: asm.MovSX8.Op(asm.RegSource), Dst: asm.R7, Src: asm.R7}),
			bad:  use(random2(), asm.Instruction{OpCode: asm.MovSX8.Op(asm.RegSource), Dst: asm.R7, Src: asm.R7})},
	}
}

// random2 is random, with r8 kept.
func random2() asm.Instructions { return random() }

func pointerTwins() []twin {
	out := "out"
	return []twin{
		{name: "null", good: join(value(), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), leave()),
			bad: join(random(), asm.Mov.Reg(asm.R6, asm.R7), lookup("array"), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), ret(0))},
		{name: "null of a copy", good: join(random(), asm.Mov.Reg(asm.R6, asm.R7), lookup("array"), asm.Mov.Reg(asm.R8, asm.R0), asm.JEq.Imm(asm.R0, 0, out), asm.LoadMem(asm.R1, asm.R8, 0, asm.DWord), leave()),
			bad: join(random(), asm.Mov.Reg(asm.R6, asm.R7), lookup("array"), asm.Mov.Reg(asm.R8, asm.R0), asm.JNE.Imm(asm.R0, 0, out), asm.LoadMem(asm.R1, asm.R8, 0, asm.DWord), leave())},
		{name: "add to what may be null", good: join(value(), asm.Add.Imm(asm.R0, 8), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), leave()),
			bad: join(random(), asm.Mov.Reg(asm.R6, asm.R7), lookup("array"), asm.Add.Imm(asm.R0, 8), ret(0))},
		{name: "end of a value", good: join(value(), asm.LoadMem(asm.R1, asm.R0, 56, asm.DWord), leave()), bad: join(value(), asm.LoadMem(asm.R1, asm.R0, 57, asm.DWord), leave())},
		{name: "start of a value", good: join(value(), asm.Add.Imm(asm.R0, 4), asm.LoadMem(asm.R1, asm.R0, -4, asm.Word), leave()), bad: join(value(), asm.LoadMem(asm.R1, asm.R0, -1, asm.Byte), leave())},
		{name: "multiply a pointer", good: join(value(), asm.Mov.Imm(asm.R1, 2), asm.Mul.Imm(asm.R1, 3), leave()), bad: join(value(), asm.Mul.Imm(asm.R0, 3), leave())},
		{name: "add two pointers", good: join(value(), asm.Mov.Reg(asm.R1, asm.R0), asm.Sub.Reg(asm.R1, asm.R0), leave()), bad: join(value(), asm.Add.Reg(asm.R0, asm.R0), leave())},
		{name: "half of a pointer", good: join(value(), asm.Mov.Reg32(asm.R1, asm.R0), leave()), bad: join(value(), asm.Add.Imm32(asm.R0, 1), leave())},
		{name: "number as a pointer", good: join(value(), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), leave()), bad: join(value(), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord), leave())},
		{name: "value without lookup", good: join(asm.LoadMapValue(asm.R1, 0, 8).WithReference("one"), asm.LoadMem(asm.R0, asm.R1, 48, asm.DWord), ret(0)),
			bad: join(asm.LoadMapValue(asm.R1, 0, 8).WithReference("one"), asm.LoadMem(asm.R0, asm.R1, 56, asm.DWord), ret(0))},
		{name: "huge offset", good: join(value(), asm.Add.Imm(asm.R0, 1<<20), leave()), bad: join(value(), asm.Add.Imm(asm.R0, 1<<29), leave())},
		{name: "uninitialized", good: join(asm.Mov.Imm(asm.R3, 0), asm.Mov.Reg(asm.R0, asm.R3), asm.Return()), bad: join(asm.Mov.Reg(asm.R0, asm.R3), asm.Return())},
		{name: "clobbered by a call", good: join(asm.Mov.Imm(asm.R6, 0), asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R0, asm.R6), asm.Return()), bad: join(asm.Mov.Imm(asm.R1, 0), asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R0, asm.R1), asm.Return())},
		{name: "frame pointer", good: join(asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, 8), ret(0)), bad: join(asm.Add.Imm(asm.RFP, 8), ret(0))},
		{name: "map of maps",
			good: join(put(asm.RFP, -4, 0, asm.Word), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), mapAt(asm.R1, "outer"), asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, out),
				put(asm.RFP, -4, 1, asm.Word), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.Mov.Reg(asm.R1, asm.R0), asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, out), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), leave()),
			bad: join(put(asm.RFP, -4, 0, asm.Word), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), mapAt(asm.R1, "outer"), asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, out), put(asm.R0, 0, 1, asm.DWord), leave())},
		{name: "atomic", good: join(value(), asm.Mov.Imm(asm.R1, 1), asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 8), leave()), bad: join(asm.Mov.Imm(asm.R2, 1), asm.AddAtomic.Mem(asm.R1, asm.R2, asm.Word, 0), ret(0))},
		{name: "fetch", since: linux(5, 12), good: join(value(), asm.Mov.Imm(asm.R1, 1), asm.FetchAdd.Mem(asm.R0, asm.R1, asm.DWord, 8), asm.Mov.Reg(asm.R0, asm.R1), leave()),
			bad: join(value(), asm.Mov.Imm(asm.R1, 1), asm.FetchAdd.Mem(asm.R0, asm.R1, asm.DWord, 60), leave())},
		{name: "cmpxchg", since: linux(5, 12), good: join(value(), asm.Mov.Reg(asm.R8, asm.R0), asm.Mov.Imm(asm.R0, 0), asm.Mov.Imm(asm.R1, 1), asm.CmpXchg.Mem(asm.R8, asm.R1, asm.DWord, 8), leave()),
			bad: join(value(), asm.Mov.Reg(asm.R8, asm.R0), asm.Mov.Imm(asm.R0, 0), asm.CmpXchg.Mem(asm.R8, asm.R1, asm.DWord, 8), leave())},
	}
}

func stackTwins() []twin {
	somewhere := func(lo int32, then ...any) asm.Instructions {
		return join(append([]any{random(), asm.And.Imm(asm.R7, 15), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, lo), asm.Add.Reg(asm.R1, asm.R7)}, then...)...)
	}
	zero := join(put(asm.RFP, -8, 0, asm.DWord), put(asm.RFP, -16, 0, asm.DWord), put(asm.RFP, -24, 0, asm.DWord))
	return []twin{
		{name: "stack bounds", good: join(put(asm.RFP, -512, 1, asm.DWord), ret(0)), bad: join(put(asm.RFP, -520, 1, asm.DWord), ret(0))},
		{name: "above the stack", good: join(put(asm.RFP, -8, 1, asm.DWord), ret(0)), bad: join(put(asm.RFP, 0, 1, asm.DWord), ret(0))},
		{name: "stack never written", since: linux(6, 3), good: join(asm.LoadMem(asm.R0, asm.RFP, -8, asm.DWord), ret(0)), bad: join(asm.LoadMem(asm.R0, asm.RFP, -520, asm.DWord), ret(0))},
		{name: "stack written in part", since: linux(6, 3), good: join(put(asm.RFP, -8, 1, asm.Byte), asm.LoadMem(asm.R0, asm.RFP, -8, asm.DWord), ret(0)), bad: join(put(asm.RFP, 8, 1, asm.Byte), ret(0))},
		{name: "stack alignment", good: join(put(asm.RFP, -12, 1, asm.Word), ret(0)), bad: join(put(asm.RFP, -13, 1, asm.Word), ret(0))},
		{name: "spilled pointer", good: join(asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord), asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), ret(0)),
			bad: join(asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), put(asm.RFP, -4, 0, asm.Word), asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord), asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), ret(0))},
		{name: "part of a spilled pointer", good: join(asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord), ret(0)),
			bad: join(asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), asm.LoadMem(asm.R2, asm.RFP, -8, asm.Word), ret(0))},
		{name: "store a half pointer", good: join(asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), ret(0)), bad: join(asm.StoreMem(asm.RFP, -8, asm.R1, asm.Word), ret(0))},
		{name: "write somewhere", good: join(zero, somewhere(-24, put(asm.R1, 0, 1, asm.Byte)), ret(0)), bad: join(zero, somewhere(-8, put(asm.R1, 0, 1, asm.Byte)), ret(0))},
		{name: "read somewhere", good: join(zero, somewhere(-24, asm.LoadMem(asm.R0, asm.R1, 0, asm.Byte)), ret(0)), bad: join(zero, somewhere(-500, asm.Sub.Imm(asm.R1, 16), asm.LoadMem(asm.R0, asm.R1, 0, asm.Byte)), ret(0))},
		{name: "write somewhere loses a pointer",
			good: join(zero, asm.StoreMem(asm.RFP, -32, asm.R1, asm.DWord), random(), asm.And.Imm(asm.R7, 7), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -24), asm.Add.Reg(asm.R1, asm.R7), put(asm.R1, 0, 1, asm.Byte), asm.LoadMem(asm.R2, asm.RFP, -32, asm.DWord), asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), ret(0)),
			bad:  join(zero, asm.StoreMem(asm.RFP, -24, asm.R1, asm.DWord), random(), asm.And.Imm(asm.R7, 7), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -24), asm.Add.Reg(asm.R1, asm.R7), put(asm.R1, 0, 1, asm.Byte), asm.LoadMem(asm.R2, asm.RFP, -24, asm.DWord), asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), ret(0))},
		{name: "subtract from the stack", good: join(asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8), put(asm.R1, 0, 0, asm.DWord), ret(0)), bad: join(asm.Mov.Reg(asm.R1, asm.RFP), asm.Sub.Imm(asm.R1, 8), put(asm.R1, 0, 0, asm.DWord), ret(0))},
		{name: "zero on the stack", good: join(value(), put(asm.RFP, -16, 0, asm.DWord), asm.LoadMem(asm.R1, asm.RFP, -14, asm.Half), asm.Add.Reg(asm.R0, asm.R1), asm.LoadMem(asm.R1, asm.R0, 63, asm.Byte), leave()),
			bad: join(value(), put(asm.RFP, -16, 1, asm.DWord), asm.LoadMem(asm.R1, asm.RFP, -14, asm.Half), asm.Add.Reg(asm.R0, asm.R1), asm.LoadMem(asm.R1, asm.R0, 63, asm.Byte), leave())},
	}
}

// put stores a constant, also of eight bytes.
func put(at asm.Register, off int16, n int64, size asm.Size) asm.Instruction {
	return asm.Instruction{OpCode: asm.StoreImmOp(asm.Word)&^0x18 | asm.OpCode(size), Dst: at, Offset: off, Constant: n}
}
