// Package code is eBPF programs as the machine's engines run them: 8-byte slots with every reference resolved.
package code

// An Insn is one slot of 8 bytes. A 64-bit immediate load takes two, of which the second holds the upper half in Imm.
type Insn struct {
	Op   uint8
	Regs uint8 // destination in the lower four bits, source in the upper
	Off  int16
	Imm  int32
}

// Dst is the destination register.
func (i Insn) Dst() uint8 { return i.Regs & 15 }

// Src is the source register, or what a call or an immediate load is of.
func (i Insn) Src() uint8 { return i.Regs >> 4 }

// A Program is one program with its subprograms, one after the other, the entry first. Immediate loads have a source of 0: maps,
// map values and functions have become addresses. A call of a helper (source 0) or kernel function (source 2) has in Imm the index of
// its row in Calls; one of a subprogram (source 1) has the distance in slots, as in the file.
type Program struct {
	Name  string
	Insns []Insn
	Funcs []Func
	Calls []Call
}

// A Func is a subprogram: the slots from Start up to End.
type Func struct {
	Name       string
	Start, End int
	Stack      int // bytes of its frame, at most 512
}

// A Call is something that programs call and that is not eBPF.
type Call struct {
	Name string
	ID   int32 // the helper's number; of kernel functions, -1
}

// FuncAt returns the index of the subprogram that begins at the slot, -1 if none does.
func (p *Program) FuncAt(slot int) int {
	for i, f := range p.Funcs {
		if f.Start == slot {
			return i
		}
	}
	return -1
}
