package ir

import (
	"github.com/cilium/ebpf/asm"

	"skep/internal/diag"
)

// Object is a compiled module.
type Object struct {
	Instructions asm.Instructions // the entry function first; symbols and, where there are several functions, BTF function infos set
	// Spans has the place in the script of each raw instruction (a 64-bit load counts as two), as the kernel's
	// verifier numbers them.
	Spans       []diag.Span
	ScratchSize int // bytes of per-CPU scratch memory that it wants, 0 for none
	StackDepth  int // bytes of stack of its deepest call chain
}

// Options of Compile.
type Options struct {
	Target *Target
	// ScratchMap names the per-CPU array map that holds scratch memory, and ScratchIndex this program's element in it.
	ScratchMap   string
	ScratchIndex uint32
	// Claim, if not nil, says that several runs of the program can be under way on one CPU.
	Claim *Claim
	// ZeroMap names an array map of zero bytes of size ZeroSize that OpZero may copy from.
	ZeroMap  string
	ZeroSize int
	// Dump, if not nil, is given the text of each stage: "ir", each pass's name if Verbose, "ir-opt", "asm".
	Dump    func(stage, text string)
	Verbose bool // show each pass too
	Check   bool // check the module after each pass
}
