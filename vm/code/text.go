package code

import (
	"fmt"
	"strings"
)

// Text is the instruction at the slot in the notation of the kernel and of LLVM.
func Text(p *Program, slot int) string {
	in := p.Insns[slot]
	var wide uint64
	symbol := ""
	switch in.Op {
	case LoadImm64:
		if slot+1 < len(p.Insns) {
			wide = uint64(uint32(in.Imm)) | uint64(uint32(p.Insns[slot+1].Imm))<<32
		}
		if to, ok := FuncSlot(wide); ok {
			if i := p.FuncAt(to); i >= 0 {
				symbol = p.Funcs[i].Name
			}
		}
	case CallOp:
		if in.Src() == CallLocal {
			if i := p.FuncAt(in.Target(slot)); i >= 0 {
				symbol = p.Funcs[i].Name
			}
		} else if in.Imm >= 0 && int(in.Imm) < len(p.Calls) {
			c := p.Calls[in.Imm]
			symbol = c.Name
			if c.ID >= 0 {
				symbol = fmt.Sprintf("bpf_%s#%d", c.Name, c.ID)
				if strings.HasPrefix(c.Name, "helper ") { // one that is not known
					symbol = fmt.Sprintf("helper#%d", c.ID)
				}
			}
		}
	}
	return in.Text(slot, wide, symbol)
}

// Text is the instruction in the notation of the kernel and of LLVM, at a slot from which jumps count. An immediate load has its value in
// wide. The symbol, if there is one, is what a call or an immediate load means.
func (i Insn) Text(slot int, wide uint64, symbol string) string {
	switch i.Class() {
	case ClassALU, ClassALU64:
		return i.arithmeticText()
	case ClassJMP, ClassJMP32:
		return i.jumpText(slot, symbol)
	}
	return i.accessText(wide, symbol)
}

// register is a register's name, as the upper half of it counts or not.
func register(n uint8, wide bool) string {
	if wide {
		return fmt.Sprintf("r%d", n)
	}
	return fmt.Sprintf("w%d", n)
}

func (i Insn) unknown() string {
	return fmt.Sprintf("(%02x) regs %#02x off %d imm %#x", i.Op, i.Regs, i.Off, uint32(i.Imm))
}

var arithmeticSigns = map[uint8]string{
	ADD: "+=", SUB: "-=", MUL: "*=", DIV: "/=", OR: "|=", AND: "&=", LSH: "<<=", RSH: ">>=", MOD: "%=", XOR: "^=", MOV: "=", ARSH: "s>>=",
}

func (i Insn) arithmeticText() string {
	wide := i.Class() == ClassALU64
	dst := register(i.Dst(), wide)
	switch i.Alu() {
	case NEG:
		return dst + " = -" + dst
	case END:
		name := "le"
		switch {
		case wide:
			name = "bswap"
		case i.Op&SrcReg != 0:
			name = "be"
		}
		r := register(i.Dst(), true)
		return fmt.Sprintf("%s = %s%d %s", r, name, i.Imm, r)
	}
	sign, known := arithmeticSigns[i.Alu()]
	if !known {
		return i.unknown()
	}
	src := fmt.Sprint(i.Imm)
	if i.Op&SrcReg != 0 {
		src = register(i.Src(), wide)
	}
	switch {
	case (i.Alu() == DIV || i.Alu() == MOD) && i.Off == 1:
		sign = "s" + sign
	case i.Alu() == MOV && i.Off != 0:
		src = fmt.Sprintf("(s%d)%s", i.Off, src)
	}
	return dst + " " + sign + " " + src
}

var jumpSigns = map[uint8]string{
	JEQ: "==", JGT: ">", JGE: ">=", JSET: "&", JNE: "!=", JSGT: "s>", JSGE: "s>=", JLT: "<", JLE: "<=", JSLT: "s<", JSLE: "s<=",
}

func (i Insn) jumpText(slot int, symbol string) string {
	target := func(distance int) string { return fmt.Sprintf("%+d <%d>", distance, slot+1+distance) }
	switch i.Op {
	case Exit:
		return "exit"
	case CallOp:
		switch {
		case symbol != "" && i.Src() == CallLocal:
			return fmt.Sprintf("call %s <%d>", symbol, i.Target(slot))
		case symbol != "":
			return "call " + symbol
		case i.Src() == CallLocal:
			return "call pc" + target(int(i.Imm))
		case i.Src() == CallKfunc:
			return fmt.Sprintf("call kernel-function#%d", i.Imm)
		}
		return fmt.Sprintf("call %d", i.Imm)
	case ClassJMP | CALL | SrcReg:
		return "callx " + register(i.Dst(), true)
	case Goto:
		return "goto " + target(int(i.Off))
	case GotoLong:
		return "gotol " + target(int(i.Imm))
	case MayGoto:
		return "may_goto " + target(int(i.Off))
	case ClassJMP | JA | SrcReg:
		return "gotox " + register(i.Dst(), true)
	}
	sign, known := jumpSigns[i.Alu()]
	if !known {
		return i.unknown()
	}
	wide := i.Class() == ClassJMP
	src := fmt.Sprint(i.Imm)
	if i.Op&SrcReg != 0 {
		src = register(i.Src(), wide)
	}
	return fmt.Sprintf("if %s %s %s goto %s", register(i.Dst(), wide), sign, src, target(int(i.Off)))
}

func (i Insn) accessText(wide uint64, symbol string) string {
	bits := i.Bytes() * 8
	at := func(r uint8) string {
		sign, off := '+', int(i.Off)
		if off < 0 {
			sign, off = '-', -off
		}
		return fmt.Sprintf("(r%d %c %d)", r, sign, off)
	}
	dst := register(i.Dst(), bits == 64)
	switch i.Class() | i.Mode() {
	case ClassLD | ModeIMM:
		if i.Op != LoadImm64 {
			return i.unknown()
		}
		if symbol != "" {
			return fmt.Sprintf("r%d = %s ll", i.Dst(), symbol)
		}
		return fmt.Sprintf("r%d = %#x ll", i.Dst(), wide)
	case ClassLD | ModeABS:
		return fmt.Sprintf("r0 = *(u%d *)skb[%d]", bits, i.Imm)
	case ClassLD | ModeIND:
		return fmt.Sprintf("r0 = *(u%d *)skb[r%d + %d]", bits, i.Src(), i.Imm)
	case ClassLDX | ModeMEM:
		return fmt.Sprintf("r%d = *(u%d *)%s", i.Dst(), bits, at(i.Src()))
	case ClassLDX | ModeMEMSX:
		return fmt.Sprintf("r%d = *(s%d *)%s", i.Dst(), bits, at(i.Src()))
	case ClassST | ModeMEM:
		return fmt.Sprintf("*(u%d *)%s = %d", bits, at(i.Dst()), i.Imm)
	case ClassSTX | ModeMEM:
		return fmt.Sprintf("*(u%d *)%s = r%d", bits, at(i.Dst()), i.Src())
	case ClassSTX | ModeATOMIC:
		return i.atomicText(bits, dst, at)
	}
	return i.unknown()
}

func (i Insn) atomicText(bits int, dst string, at func(uint8) string) string {
	src := register(i.Src(), bits == 64)
	place := strings.Trim(at(i.Dst()), "()")
	names := map[int32]string{ADD: "add", OR: "or", AND: "and", XOR: "xor"}
	switch name, fetch := names[i.Imm&^AtomicFetch], i.Imm&AtomicFetch != 0; {
	case i.Imm == AtomicXchg:
		return fmt.Sprintf("%s = xchg_%d(%s, %s)", src, bits, place, src)
	case i.Imm == AtomicCmp:
		r0 := register(0, bits == 64)
		return fmt.Sprintf("%s = cmpxchg_%d(%s, %s, %s)", r0, bits, place, r0, src)
	case i.Imm == AtomicLoad:
		return fmt.Sprintf("%s = load_acquire((u%d *)%s)", dst, bits, at(i.Src()))
	case i.Imm == AtomicStore:
		return fmt.Sprintf("store_release((u%d *)%s, %s)", bits, at(i.Dst()), src)
	case name == "":
		return i.unknown()
	case fetch:
		return fmt.Sprintf("%s = atomic_fetch_%s((u%d *)%s, %s)", src, name, bits, at(i.Dst()), src)
	default:
		return fmt.Sprintf("lock *(u%d *)%s %s %s", bits, at(i.Dst()), arithmeticSigns[uint8(i.Imm)], src)
	}
}
