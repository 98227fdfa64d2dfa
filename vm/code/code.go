// Package code is eBPF programs as the machine's engines run them: 8-byte slots with every reference resolved.
package code

import (
	"cmp"
	"slices"
)

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
// map values and functions (see [FuncAddress]) have become addresses. A call of a helper (source 0) or kernel function (source 2) has
// in Imm the index of its row in Calls; one of a subprogram (source 1) has the distance in slots, as in the file.
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
	Args int   // how many arguments it takes, so that verified code passes no others; 0 if that is not known
	// Array is set where the call is known to look up a key in an array map: then trusted machine code does that without leaving.
	// Calls of other maps need rows of their own.
	Array *Array
}

// An Array is the values of an array map.
type Array struct {
	Base    uint64 // address of the first
	Stride  uint32 // bytes from one to the next
	Entries uint32
	CPU     uint32 // bytes from the values of a CPU to those of the next one, if each has its own
}

// FuncAt returns the index of the subprogram that begins at the slot, -1 if none does.
func (p *Program) FuncAt(slot int) int {
	if i := p.FuncOf(slot); i >= 0 && p.Funcs[i].Start == slot {
		return i
	}
	return -1
}

// FuncOf returns the index of the subprogram that has the slot, -1 if none has.
func (p *Program) FuncOf(slot int) int {
	i, _ := slices.BinarySearchFunc(p.Funcs, slot+1, func(f Func, slot int) int { return cmp.Compare(f.Start, slot) })
	if i--; i >= 0 && slot < p.Funcs[i].End {
		return i
	}
	return -1
}

// funcBase is where functions seem to be, for programs: at addresses where no memory is.
const funcBase = 0xfff0_0000_0000_0000

// FuncAddress is the address of the function at the slot, as programs have it in registers.
func FuncAddress(slot int) uint64 { return funcBase + uint64(slot)*8 }

// FuncSlot is the slot of the function at the address, if it is one of a function.
func FuncSlot(addr uint64) (int, bool) {
	slot := (addr - funcBase) / 8
	return int(slot), addr >= funcBase && addr%8 == 0 && slot < maxSlots
}

// FindFuncs splits instructions into functions: the entry, the targets of calls, and those that begin at the other starts.
func FindFuncs(insns []Insn, others ...int) []Func {
	starts := append([]int{0}, others...)
	for at := 0; at < len(insns); at++ {
		switch in := insns[at]; {
		case in.Op == LoadImm64:
			at++
		case in.Op == CallOp && in.Src() == CallLocal:
			starts = append(starts, in.Target(at))
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	starts = slices.DeleteFunc(starts, func(s int) bool { return s < 0 || s >= len(insns) })
	funcs := make([]Func, len(starts))
	for i, start := range starts {
		funcs[i] = Func{Start: start, End: len(insns), Stack: 512}
		if i > 0 {
			funcs[i-1].End = start
		}
	}
	return funcs
}
