package ir

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Listing returns the instructions as text, one a line, numbered as the kernel numbers them.
func (o *Object) Listing() string {
	var w strings.Builder
	iter := o.Instructions.Iterate()
	for iter.Next() {
		if name := iter.Ins.Symbol(); name != "" {
			fmt.Fprintf(&w, "%s:\n", name)
		} else if f := btf.FuncMetadata(iter.Ins); f != nil {
			fmt.Fprintf(&w, "%s:\n", f.Name)
		}
		fmt.Fprintf(&w, "%4d  %s\n", iter.Offset, assembly(*iter.Ins, int(iter.Offset)))
	}
	return w.String()
}

func aluSign(o asm.ALUOp) string {
	switch o {
	case asm.Add:
		return "+="
	case asm.Sub:
		return "-="
	case asm.Mul:
		return "*="
	case asm.Div:
		return "/="
	case asm.SDiv:
		return "s/="
	case asm.Mod:
		return "%="
	case asm.SMod:
		return "s%="
	case asm.And:
		return "&="
	case asm.Or:
		return "|="
	case asm.Xor:
		return "^="
	case asm.LSh:
		return "<<="
	case asm.RSh:
		return ">>="
	case asm.ArSh:
		return "s>>="
	}
	return "="
}

func jumpSign(o asm.JumpOp) string {
	switch o {
	case asm.JEq:
		return "=="
	case asm.JNE:
		return "!="
	case asm.JGT:
		return ">"
	case asm.JGE:
		return ">="
	case asm.JLT:
		return "<"
	case asm.JLE:
		return "<="
	case asm.JSGT:
		return "s>"
	case asm.JSGE:
		return "s>="
	case asm.JSLT:
		return "s<"
	case asm.JSLE:
		return "s<="
	}
	return "&"
}

// assembly writes an instruction as the kernel's verifier does.
func assembly(i asm.Instruction, at int) string {
	return strings.ReplaceAll(assemblyText(i, at), "rfp", "r10")
}

func assemblyText(i asm.Instruction, at int) string {
	op := i.OpCode
	mem := func(r asm.Register) string {
		return fmt.Sprintf("*(u%d *)(%s %+d)", 8*op.Size().Sizeof(), r, i.Offset)
	}
	switch class := op.Class(); class {
	case asm.LdClass:
		switch {
		case i.Src == asm.PseudoMapFD:
			return fmt.Sprintf("%s = map %s", i.Dst, i.Reference())
		case i.Src == asm.PseudoMapValue:
			return fmt.Sprintf("%s = value %s+%d", i.Dst, i.Reference(), uint64(i.Constant)>>32)
		case i.Src == asm.PseudoFunc:
			return fmt.Sprintf("%s = func %s", i.Dst, i.Reference())
		}
		return fmt.Sprintf("%s = %#x ll", i.Dst, uint64(i.Constant))
	case asm.LdXClass:
		text := mem(i.Src)
		if op.Mode() == asm.MemSXMode {
			text = strings.Replace(text, "u", "s", 1)
		}
		return fmt.Sprintf("%s = %s", i.Dst, text)
	case asm.StClass:
		return fmt.Sprintf("%s = %d", mem(i.Dst), i.Constant)
	case asm.StXClass:
		if op.Mode() == asm.AtomicMode {
			return fmt.Sprintf("lock %s %s %s", op.AtomicOp(), mem(i.Dst), i.Src)
		}
		return fmt.Sprintf("%s = %s", mem(i.Dst), i.Src)
	case asm.JumpClass, asm.Jump32Class:
		return jumpText(i, at)
	}
	dst, src := i.Dst.String(), i.Src.String()
	if op.Class() == asm.ALUClass && op.ALUOp() != asm.Swap {
		dst, src = strings.Replace(dst, "r", "w", 1), strings.Replace(src, "r", "w", 1)
	}
	switch o := op.ALUOp(); o {
	case asm.Neg:
		return fmt.Sprintf("%s = -%s", dst, dst)
	case asm.Swap:
		return fmt.Sprintf("%s = be%d %s", dst, i.Constant, dst)
	case asm.MovSX8:
		return fmt.Sprintf("%s = (s8)%s", dst, src)
	case asm.MovSX16:
		return fmt.Sprintf("%s = (s16)%s", dst, src)
	case asm.MovSX32:
		return fmt.Sprintf("%s = (s32)%s", dst, src)
	default:
		if op.Source() == asm.ImmSource {
			return fmt.Sprintf("%s %s %d", dst, aluSign(o), i.Constant)
		}
		return fmt.Sprintf("%s %s %s", dst, aluSign(o), src)
	}
}

func jumpText(i asm.Instruction, at int) string {
	switch i.OpCode.JumpOp() {
	case asm.Exit:
		return "exit"
	case asm.Call:
		if i.IsFunctionCall() {
			return "call " + i.Reference()
		}
		return "call " + asm.BuiltinFunc(i.Constant).String()
	case asm.Ja:
		return fmt.Sprintf("goto %d", at+1+int(i.Offset))
	}
	dst, src := i.Dst.String(), i.Src.String()
	if i.OpCode.Class() == asm.Jump32Class {
		dst, src = strings.Replace(dst, "r", "w", 1), strings.Replace(src, "r", "w", 1)
	}
	if i.OpCode.Source() == asm.ImmSource {
		src = fmt.Sprint(i.Constant)
	}
	return fmt.Sprintf("if %s %s %s goto %d", dst, jumpSign(i.OpCode.JumpOp()), src, at+1+int(i.Offset))
}
