package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"

	"skep/vm/code"
	"skep/vm/helper"
	"skep/vm/metadata"
)

// A linker turns the instructions of one program into slots without references.
type linker struct {
	*loader
	name    string
	symbols map[string]int // slots
	out     *code.Program
	calls   map[code.Call]int
	starts  []int // of functions whose address is taken
	sources []source
}

// source is the line of a program's text that begins at a slot.
type source struct {
	slot int
	text string
}

// link resolves every reference of the instructions, which it may change.
func (l *loader) link(name string, insns asm.Instructions) (*code.Program, []source, error) {
	k := &linker{loader: l, name: name, symbols: map[string]int{}, out: &code.Program{Name: name}, calls: map[code.Call]int{}}
	if len(insns) == 0 {
		return nil, nil, errors.New("it has no instructions")
	}
	slot := 0
	for i := range insns {
		if s := insns[i].Symbol(); s != "" {
			if _, twice := k.symbols[s]; twice {
				return nil, nil, fmt.Errorf("symbol %s is defined twice", s)
			}
			k.symbols[s] = slot
		}
		if src := insns[i].Source(); src != nil {
			k.sources = append(k.sources, source{slot, src.String()})
		}
		slot += slots(&insns[i])
	}
	for i := range insns {
		if err := k.instruction(&insns[i]); err != nil {
			return nil, nil, fmt.Errorf("instruction %d (%v): %w", len(k.out.Insns), insns[i], err)
		}
	}
	if err := k.findFuncs(); err != nil {
		return nil, nil, err
	}
	return k.out, k.sources, nil
}

func slots(in *asm.Instruction) int {
	if in.OpCode.IsDWordLoad() {
		return 2
	}
	return 1
}

// findFuncs finds the functions of the instructions, which are complete.
func (k *linker) findFuncs() error {
	for _, slot := range k.starts {
		if slot >= len(k.out.Insns) {
			return fmt.Errorf("it takes the address of instruction %d, where it has none", slot)
		}
	}
	k.out.Funcs = code.FindFuncs(k.out.Insns, k.starts...)
	k.nameFuncs()
	return nil
}

func (k *linker) nameFuncs() {
	names := map[int]string{}
	for name, slot := range k.symbols {
		if old, twice := names[slot]; !twice || name < old {
			names[slot] = name
		}
	}
	for i := range k.out.Funcs {
		k.out.Funcs[i].Name = names[k.out.Funcs[i].Start]
	}
	if k.out.Funcs[0].Name == "" {
		k.out.Funcs[0].Name = k.name
	}
}

func (k *linker) instruction(in *asm.Instruction) error {
	at := len(k.out.Insns)
	switch {
	case in.OpCode.IsDWordLoad():
		value, err := k.immediate(in, at)
		if err != nil {
			return err
		}
		k.out.Insns = append(k.out.Insns, code.Insn{Op: code.LoadImm64, Regs: uint8(in.Dst) & 15, Imm: int32(uint32(value))},
			code.Insn{Imm: int32(value >> 32)})
		return nil
	case in.OpCode.JumpOp() == asm.Call && in.OpCode.Class() == asm.JumpClass:
		return k.call(in, at)
	case in.Reference() != "" && in.OpCode.Class().IsJump():
		to, ok := k.symbols[in.Reference()]
		if !ok {
			return fmt.Errorf("there is no %s to jump to", in.Reference())
		}
		distance := int64(to - at - 1)
		if in.OpCode.JumpOp() == asm.Ja && in.OpCode.Class() == asm.Jump32Class {
			in.Constant = distance
		} else if in.Offset = int16(distance); int64(in.Offset) != distance {
			return fmt.Errorf("%s is too far away to jump to", in.Reference())
		}
	}
	return k.plain(in)
}

// plain encodes an instruction that needs nothing else.
func (k *linker) plain(in *asm.Instruction) error {
	var b bytes.Buffer
	if _, err := in.Marshal(&b, nativeOrder()); err != nil {
		return err
	}
	k.out.Insns = append(k.out.Insns, decodeSlots(b.Bytes(), nativeOrder())...)
	return nil
}

func nativeOrder() binary.ByteOrder {
	if sameOrder(binary.BigEndian) {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// decodeSlots reads instructions as files have them. A rest that is shorter than a slot is left out.
func decodeSlots(b []byte, order binary.ByteOrder) []code.Insn {
	insns := make([]code.Insn, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		regs := b[1]
		if order == binary.BigEndian {
			regs = regs<<4 | regs>>4
		}
		insns = append(insns, code.Insn{Op: b[0], Regs: regs, Off: int16(order.Uint16(b[2:])), Imm: int32(order.Uint32(b[4:]))})
	}
	return insns
}

func (k *linker) call(in *asm.Instruction, at int) error {
	var c code.Call
	switch {
	case in.Src == asm.PseudoCall:
		distance := in.Constant
		if ref := in.Reference(); ref != "" {
			to, ok := k.symbols[ref]
			if !ok {
				return fmt.Errorf("function %s is not defined", ref)
			}
			distance = int64(to - at - 1)
		}
		k.out.Insns = append(k.out.Insns, code.Insn{Op: code.CallOp, Regs: code.CallLocal << 4, Imm: int32(distance)})
		return nil
	case in.Src == asm.PseudoKfuncCall:
		c = code.Call{Name: in.Reference(), ID: -1}
		if c.Name == "" {
			c.Name = fmt.Sprintf("kernel function %d", in.Constant)
		}
	case in.Src == 0:
		c = helperCall(int32(uint32(in.Constant)))
	default:
		return errors.New("a call of a kind that is not known")
	}
	k.out.Insns = append(k.out.Insns, code.Insn{Op: code.CallOp, Regs: uint8(in.Src) << 4, Imm: int32(k.callIndex(c))})
	return nil
}

func helperCall(number int32) code.Call {
	// The library keeps the operating system in the upper four bits, and Linux is 0.
	c := code.Call{Name: fmt.Sprintf("helper %d", number), ID: number}
	if h := helper.ByNumber(number); h != nil {
		c.Name, c.Args = h.Name, h.NumArgs()
	}
	return c
}

func (k *linker) callIndex(c code.Call) int {
	i, known := k.calls[c]
	if !known {
		i = len(k.out.Calls)
		k.calls[c] = i
		k.out.Calls = append(k.out.Calls, c)
	}
	return i
}

// Sources of immediate loads that cilium/ebpf has no names for.
const (
	pseudoBTFID       = 3
	pseudoMapIndex    = 5
	pseudoMapIndexVal = 6
)

// immediate is the value of a 64-bit immediate load.
func (k *linker) immediate(in *asm.Instruction, at int) (uint64, error) {
	if offset, ok := metadata.KconfigOffset(in); ok {
		m, err := k.kconfigMap()
		if err != nil {
			return 0, err
		}
		return k.mapValue(m, offset)
	}
	ref := in.Reference()
	switch in.Src {
	case 0, pseudoBTFID:
		if ref == "" {
			if in.Src != 0 {
				return 0, errors.New("a variable of the kernel without a name")
			}
			return uint64(in.Constant), nil
		}
		return k.kernelSymbol(in, ref)
	case asm.PseudoFunc:
		slot := at + 1 + int(int32(in.Constant))
		if ref != "" {
			to, ok := k.symbols[ref]
			if !ok {
				return 0, fmt.Errorf("function %s is not defined", ref)
			}
			slot = to
		}
		if slot < 0 {
			return 0, errors.New("the function is before the program")
		}
		k.starts = append(k.starts, slot)
		return code.FuncAddress(slot), nil
	case asm.PseudoMapFD, pseudoMapIndex:
		m, err := k.mapOf(in)
		if err != nil {
			return 0, err
		}
		return m.Handle(), nil
	case asm.PseudoMapValue, pseudoMapIndexVal:
		m, err := k.mapOf(in)
		if err != nil {
			return 0, err
		}
		return k.mapValue(m, uint32(uint64(in.Constant)>>32))
	}
	return 0, fmt.Errorf("an immediate load of kind %d is not known", in.Src)
}

// kernelSymbol is the address of something that the program declares as the kernel's. A weak one may be missing.
func (k *linker) kernelSymbol(in *asm.Instruction, name string) (uint64, error) {
	if find := k.machine.options.Host.KernelSymbol; find != nil {
		if addr, ok := find(name); ok {
			return addr, nil
		}
	}
	if metadata.Weak(in) {
		return 0, nil
	}
	return 0, fmt.Errorf("the host has no kernel symbol %s", name)
}

// sortedCalls lists what the program calls that is not eBPF, for messages.
func sortedCalls(p *code.Program) []string {
	var names []string
	for _, c := range p.Calls {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}
