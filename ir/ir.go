// Package ir is a small SSA form of eBPF programs: it is built by the front ends, optimised by passes, given registers and
// turned into instructions.
//
// A [Module] holds the functions of one program: the entry function first, then static subprograms and callbacks.
// A [Func] is a graph of [Block]s of [Value]s. Every value is 64 bits wide: integers of fewer bits are kept extended by
// the front end with OpZExt and OpSExt (passes drop those that change nothing). Comparisons give 0 or 1.
//
// What the kernel's verifier must be able to follow is said by the operations themselves: OpBound for the range of a
// length or an index, pointers by their Type, so that no pass breaks the proof.
//
// [Compile] runs the stages, each in files of its name:
//
//	build, vars     a front end makes the values; variables become phis
//	pass, pass_*    optimisation, and what the target lacks is replaced (pass_legal)
//	frame, scratch  slots get their place on the stack or in per-CPU memory
//	select          values become instructions of registers without number
//	reuse, color, spill, track   registers of the machine
//	layout, emit    order of the blocks, jumps, asm.Instructions
package ir

import (
	"skep/internal/diag"
)

// Type tells scalars from pointers that the verifier knows.
type Type uint8

const (
	Void          Type = iota
	Scalar             // any 64 bits; kernel and user addresses too
	Pointer            // to the stack, scratch memory, a map value, the context: known to the verifier, may be dereferenced
	MaybeNull          // result of a map look-up or a helper that may be NULL: becomes Pointer in the branch where it is not zero
	MapHandle          // result of OpMap; only an argument of helpers
	FuncHandle         // result of OpFuncAddr; only an argument of helpers
	KernelPointer      // BTF-typed pointer (tp_btf, fentry, current_task_btf): loads may be direct
)

// pointer reports whether memory may be accessed through values of the type.
func (t Type) pointer() bool { return t == Pointer || t == MaybeNull || t == KernelPointer }

// Op is an operation.
type Op uint8

const (
	OpInvalid Op = iota

	OpConst // Aux
	OpParam // parameter number Aux of the function: 0 is the context in the entry function
	OpPhi   // one argument per predecessor, in the order of Block.Preds

	// Arithmetic of two arguments, 64 bits. OpShl.. shift by Args[1]&63.
	OpAdd
	OpSub
	OpMul
	OpUDiv // x/0 is 0, as in eBPF
	OpSDiv
	OpUMod // x%0 is x
	OpSMod
	OpAnd
	OpOr
	OpXor
	OpShl
	OpShr
	OpSar
	OpNeg  // one argument
	OpZExt // from the low Aux bits: 8, 16, 32, or any number for bit fields
	OpSExt // from the low Aux bits
	OpSwap // byte swap of the low Aux bits (16, 32, 64), result zero-extended

	// Comparisons of two arguments; the result is 0 or 1.
	OpEq
	OpNe
	OpULt
	OpULe
	OpSLt
	OpSLe

	// OpBound limits its argument to [0, Aux], by a sequence that every kernel's verifier understands; a larger
	// (or negative) value becomes Aux when Clamp is the AuxSym, otherwise it is masked (Aux+1 is then a power of two).
	// It is placed right before its use and never merged or moved.
	OpBound

	// Memory. Args[0] is the address, Aux a constant offset added to it, Size the width in bytes.
	OpLoad      // zero-extended; KernelPointer and Pointer addresses only
	OpLoadS     // sign-extended
	OpStore     // Args[1] is the value
	OpZero      // zero Aux2 bytes at Args[0]+Aux (multiple stores, or a copy from a zero map for large ones)
	OpCopy      // copy Aux2 bytes from Args[1] to Args[0] (+Aux on both is not applied)
	OpAtomicAdd // *(Args[0]+Aux) += Args[1], no result
	OpFetchAdd  // the same, result is the old value (needs the target's FetchAtomics; otherwise load, then add)
	OpAtomicOr  // no result
	OpXchg      // Args[1] in, old value out
	OpCmpXchg   // Args[1] expected, Args[2] new, old value out

	OpSlot     // address of Slot: memory of the function, see NewSlot
	OpMap      // Sym names a map of the collection
	OpMapValue // address of byte Aux in the value of the array map Sym (a direct map value, such as global data)
	OpFuncAddr // Sym names a function of the module, for callbacks
	OpCall     // helper number Aux with Args; CallFlags in Aux2
	OpCallFunc // function Sym of the module with Args

	// Terminators: the last value of a block.
	OpJump   // to Succs[0]
	OpIf     // Args[0] != 0: Succs[0], else Succs[1]
	OpReturn // Args[0], or 0
)

// Likely marks for OpIf in Aux: which way is expected, for block layout.
const (
	LikelyUnknown = 0
	LikelyThen    = 1
	LikelyElse    = -1
)

// Flags of OpCall in Aux2.
const (
	Pure        = 1 << iota // same arguments, same result within one run: may be merged or dropped (get_current_pid_tgid, …)
	Droppable               // may be dropped if the result is unused, but not merged (ktime)
	ReadsMemory             // of its pointer arguments only
)

// Module is one eBPF program.
type Module struct {
	Name  string
	Funcs []*Func // the entry function first
}

// Func is a function of a module.
type Func struct {
	Name     string
	Module   *Module
	Params   []Type
	Callback bool     // called by the kernel (bpf_loop, for_each_map_elem); otherwise by OpCallFunc, or the entry
	Blocks   []*Block // Blocks[0] is the entry; the order is the order of emission
	Slots    []*Slot

	nextValue, nextBlock int
	vars                 ssaVars
	constants            []*Value // made by the pass that runs, not yet in the entry
}

// Block is a straight run of values; the last is its terminator.
type Block struct {
	ID           int
	Func         *Func
	Values       []*Value
	Preds, Succs []*Block
	sealed       bool
}

// Value is one operation and its result.
type Value struct {
	ID    int
	Op    Op
	Type  Type
	Size  int // width of a memory access in bytes
	Args  []*Value
	Aux   int64
	Aux2  int64
	Sym   string
	Slot  *Slot
	Block *Block
	Span  diag.Span // of the script
	Note  string    // shown behind the value in prints: the name of a variable or field
}

// Where says in which memory a slot lies.
type Where uint8

const (
	Auto    Where = iota // on the stack if it is small and there is room, else in scratch memory
	Stack                // on the stack: for context structs of callbacks, keys of small maps
	Scratch              // per-CPU scratch memory: for big values and for variable offsets
)

// Slot is memory of one function, of a size known at compile time. Slots whose lifetimes do not meet share memory. Its
// content is undefined at first: on the stack it must be written before it is read.
type Slot struct {
	Name  string
	Size  int
	Align int // 1, 2, 4 or 8
	Where Where
	Whole bool // live in the whole function (its address escapes to places that liveness cannot see)

	index, offset int
	onStack       bool
}
