// Package disasm shows eBPF programs as text, as they are in files: with the names of what they refer to and the lines they come from.
package disasm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/vm/code"
	"skep/vm/helper"
)

// Bytes writes bare instructions of this computer's byte order, one a line with its slot.
func Bytes(w io.Writer, b []byte) error {
	if len(b)%8 != 0 {
		return fmt.Errorf("%d bytes are not instructions, of 8 bytes each", len(b))
	}
	var out strings.Builder
	insns := decode(b)
	for at := 0; at < len(insns); at++ {
		in := insns[at]
		wide := uint64(uint32(in.Imm)) // half of it, if the rest is missing
		slot := at
		symbol := ""
		switch {
		case in.Op == code.LoadImm64 && at+1 < len(insns):
			wide |= uint64(uint32(insns[at+1].Imm)) << 32
			symbol = pseudo(in.Src(), wide, slot, "")
			at++
		case in.Op == code.CallOp && in.Src() == code.CallHelper:
			symbol = helperName(in.Imm)
		}
		line(&out, slot, in.Text(slot, wide, symbol), "")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func decode(b []byte) []code.Insn {
	insns := make([]code.Insn, 0, len(b)/8)
	big := binary.NativeEndian.Uint16([]byte{0, 1}) == 1
	for ; len(b) >= 8; b = b[8:] {
		regs := b[1]
		if big {
			regs = regs<<4 | regs>>4
		}
		insns = append(insns, code.Insn{
			Op: b[0], Regs: regs, Off: int16(binary.NativeEndian.Uint16(b[2:])), Imm: int32(binary.NativeEndian.Uint32(b[4:])),
		})
	}
	return insns
}

// line writes an instruction, with what there is to say about it behind it.
func line(w io.Writer, slot int, text, remark string) {
	if remark != "" {
		fmt.Fprintf(w, "%6d: %-44s ; %s\n", slot, text, remark)
		return
	}
	fmt.Fprintf(w, "%6d: %s\n", slot, text)
}

func helperName(number int32) string {
	if h := helper.ByNumber(number); h != nil {
		return fmt.Sprintf("bpf_%s#%d", h.Name, number)
	}
	return fmt.Sprintf("helper#%d", number)
}

// Program writes a program of an object with its functions, source lines and relocations.
func Program(w io.Writer, p *ebpf.ProgramSpec) error {
	var out strings.Builder
	order := p.ByteOrder
	if order == nil {
		order = binary.LittleEndian
	}
	symbols := map[string]int{}
	slot := 0
	for i := range p.Instructions {
		if s := p.Instructions[i].Symbol(); s != "" {
			symbols[s] = slot
		}
		slot += width(&p.Instructions[i])
	}
	slot = 0
	for i := range p.Instructions {
		in := &p.Instructions[i]
		if s := in.Symbol(); s != "" {
			fmt.Fprintf(&out, "%s:\n", s)
		}
		if l, ok := in.Source().(*btf.Line); ok {
			fmt.Fprintf(&out, "      ; %s:%d  %s\n", l.FileName(), l.LineNumber(), strings.TrimSpace(l.Line()))
		} else if src := in.Source(); src != nil {
			fmt.Fprintf(&out, "      ; %s\n", strings.TrimSpace(src.String()))
		}
		text, err := instruction(in, slot, symbols, order)
		if err != nil {
			return fmt.Errorf("instruction %d: %w", slot, err)
		}
		remark := ""
		if r := btf.CORERelocationMetadata(in); r != nil {
			remark = r.String()
		}
		line(&out, slot, text, remark)
		slot += width(in)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func width(in *asm.Instruction) int {
	if in.OpCode.IsDWordLoad() {
		return 2
	}
	return 1
}

func instruction(in *asm.Instruction, slot int, symbols map[string]int, order binary.ByteOrder) (string, error) {
	ref := in.Reference()
	switch {
	case in.OpCode.IsDWordLoad():
		wide := uint64(in.Constant)
		symbol := pseudo(uint8(in.Src), wide, slot, ref)
		return code.Insn{Op: code.LoadImm64, Regs: uint8(in.Dst) & 15}.Text(slot, wide, symbol), nil
	case in.OpCode.Class() == asm.JumpClass && in.OpCode.JumpOp() == asm.Call:
		return call(in, slot, symbols, ref), nil
	}
	x := *in
	if to, known := symbols[ref]; known && ref != "" && x.OpCode.Class().IsJump() {
		if x.OpCode.Class() == asm.Jump32Class && x.OpCode.JumpOp() == asm.Ja {
			x.Constant = int64(to - slot - 1)
		} else {
			x.Offset = int16(to - slot - 1)
		}
	}
	var b bytes.Buffer
	if _, err := x.Marshal(&b, order); err != nil {
		return "", err
	}
	raw := b.Bytes()
	i := code.Insn{Op: raw[0], Regs: raw[1], Off: int16(order.Uint16(raw[2:])), Imm: int32(order.Uint32(raw[4:]))}
	if order == binary.BigEndian {
		i.Regs = i.Regs<<4 | i.Regs>>4
	}
	return i.Text(slot, 0, ""), nil
}

func call(in *asm.Instruction, slot int, symbols map[string]int, ref string) string {
	i := code.Insn{Op: code.CallOp, Regs: uint8(in.Src) << 4, Imm: int32(uint32(in.Constant))}
	switch {
	case in.Src == asm.PseudoCall:
		if to, known := symbols[ref]; known {
			i.Imm = int32(to - slot - 1)
		}
	case in.Src == 0:
		ref = helperName(i.Imm)
	}
	return i.Text(slot, 0, ref)
}

// pseudo is what an immediate load is of, by its source register; nothing for a plain number.
func pseudo(src uint8, wide uint64, slot int, ref string) string {
	name := ref
	if name == "" {
		name = fmt.Sprintf("#%d", uint32(wide))
	}
	switch src {
	case 1, 5:
		return "map[" + name + "]"
	case 2, 6:
		if ref == "" && wide == 0 {
			name = ".kconfig"
		}
		return fmt.Sprintf("map[%s][0]+%d", name, wide>>32)
	case 3:
		return "variable[" + name + "]"
	case 4:
		if ref == "" {
			name = fmt.Sprintf("<%d>", slot+1+int(int32(uint32(wide))))
		}
		return "function " + name
	}
	return ref
}
