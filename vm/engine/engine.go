// Package engine is what the interpreter and the JIT share: a thread of execution, its helpers, its budget and its faults.
package engine

import (
	"fmt"
	"sync/atomic"

	"skep/vm/memory"
)

// FrameSize is the size of one function's stack frame; MaxFrames is how deep functions may call each other.
const (
	FrameSize    = 512
	MaxFrames    = 8
	MaxTailCalls = 33
)

// A Helper is what a call leaves the program for. It may run the program's functions by [Thread.Call], and end the program with
// [Thread.Fail].
type Helper func(t *Thread, a *[5]uint64) uint64

// An Image is a program prepared by an engine. It may run in many threads at once.
type Image interface {
	// Run runs the function that begins at the slot with r1 to r5, on the thread's stack from its Depth on. An error is a *Fault.
	Run(t *Thread, slot int, args [5]uint64) (r0 uint64, err error)
	// Close frees the image, which runs no more.
	Close() error
}

// A Thread runs one program at a time, like a CPU. Its fields are set before Run by who owns it.
type Thread struct {
	CPU   int
	Stack *memory.Block // MaxFrames frames; the frame at depth d ends, and r10 points, at base + (d+1)*FrameSize
	Depth int           // of the frame that runs next; engines set it around calls of helpers, for functions they call back
	Space *memory.Space // what unverified code may touch, the stack included; nil trusts the code
	// Budget is the number of instructions (the interpreter) or backward jumps and calls (the JIT) that may still be run.
	Budget int64
	// Stop ends the program at its next backward jump or call.
	Stop atomic.Bool
	// Tail is set by the helper of tail calls: the engine leaves all frames of the program and Run continues there, with the same r1.
	Tail      Image
	TailCalls int
	Machine   any // whatever the helpers need

	image Image
	fault error
}

// A Fault tells why a program was ended.
type Fault struct {
	Program string
	Slot    int // of the instruction
	Regs    [11]uint64
	Reason  string
	Err     error // of a helper, or nil
}

func (f *Fault) Error() string {
	return fmt.Sprintf("program %s ended at instruction %d: %s", f.Program, f.Slot, f.Reason)
}

func (f *Fault) Unwrap() error { return f.Err }
