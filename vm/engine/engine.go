// Package engine is what the interpreter and the JIT share: a thread of execution, its helpers, its budget and its faults.
package engine

import (
	"errors"
	"sync/atomic"

	"skep/vm/code"
	"skep/vm/memory"
)

const (
	FrameSize    = 512     // of one function's stack frame
	MaxFrames    = 8       // how deep functions of a program may call each other
	MaxTailCalls = 33      // in a run
	MaxLoops     = 8 << 20 // how often may_goto goes on, in a run
)

// StackSize is room for all frames that a run may have: a tail call replaces a function, whose callers stay, by a program that has
// MaxFrames of its own.
const StackSize = (MaxFrames + MaxTailCalls*(MaxFrames-1)) * FrameSize

// A Helper is what a call leaves the program for. It may run the program's functions by [Thread.Call], and end the program with
// [Thread.Fail].
type Helper func(t *Thread, a *[5]uint64) uint64

// Args are what a function begins with in r1 to r5. It is a struct, and not an array, because Go passes those in registers.
type Args struct{ R1, R2, R3, R4, R5 uint64 }

// An Image is a program prepared by an engine. It may run in many threads at once.
type Image interface {
	// Run runs the function that begins at the slot with r1 to r5, on the thread's stack from its Depth on. An error is a *Fault.
	Run(t *Thread, slot int, args Args) (r0 uint64, err error)
	// Close frees the image, which runs no more.
	Close() error
}

// A Thread runs one program at a time, like a CPU. Its fields are set before Run by who owns it. It is not copied.
type Thread struct {
	CPU   int
	Stack *memory.Block // StackSize, or MaxFrames frames at least; the frame at depth d ends, and r10 points, at base + (d+1)*FrameSize
	Depth int           // of the frame that runs next; engines set it around calls of helpers, for functions they call back
	// Space is what unverified code may touch, the stack included; nil trusts the code. Engines remember regions: one that is removed
	// while a program runs must stay mapped until the program has come back from a helper or ended.
	Space *memory.Space
	// Budget is how many instructions may still be run. Engines count at jumps backward, by their distance, and at calls, by the length
	// of the function: a program runs no more than the budget and its own length.
	Budget int64
	// Stop ends the program soon: after a helper, or within some 100,000 instructions.
	Stop atomic.Bool
	// Packet is asked by the legacy loads of packets: bytes at an offset, which may be negative, as a number (the first byte is the
	// highest). If there are none, the function ends with 0.
	Packet func(t *Thread, skb uint64, off int32, size int) (value uint64, ok bool)
	// Probe is asked by the interpreter for a load from memory that the program was not given, where the kernel would let a program follow
	// pointers of its own: the number that is there, if it may be read.
	Probe func(t *Thread, addr uint64, size int) (value uint64, ok bool)
	// Watch is called by the interpreter before each instruction, if it is not nil: with the program, the slot, the depth of the frame and
	// its registers, which it must not change.
	Watch func(p *code.Program, slot, depth int, r *[11]uint64)
	// Tail is set by [Thread.TailCall]: the running function's frame is left, and the image runs from its entry in its place, with the
	// same r1.
	Tail      Image
	TailCalls int    // taken in this run
	Loops     uint32 // how often may_goto may still go on
	Machine   any    // whatever the helpers need
	Native    any    // what the JIT keeps with the thread
	Left      int64  // of the interpreter's slice, while a helper runs

	args  [StackSize/FrameSize + 1][5]uint64
	image Image
	left  *int64 // of the slice of the run that has called a helper
	fault error
	wants bool // a helper has set Tail or fault
	reach int  // how many frames code that is not trusted may use
	more  int  // frames besides MaxFrames that the run has, for tail calls from functions
}

// Frames is how many frames the run may use: more than MaxFrames after tail calls from functions that others have called.
func (t *Thread) Frames() int { return MaxFrames + t.more }

// grow gives a run more frames, or the next one none but MaxFrames, and zeros where they were. The regions of the stack change with it.
func (t *Thread) grow(more int) {
	if more == 0 {
		clear(t.Stack.Bytes()[MaxFrames*FrameSize : t.Frames()*FrameSize])
	}
	t.more = more
	if t.Space == nil {
		return
	}
	if r, ok := t.Space.Find(t.Stack.Base(), FrameSize); ok {
		t.Space.Remove(r.Base)
		r.Size = uint64(t.Frames() * FrameSize)
		t.Space.Add(r)
	}
}

// Call runs, for a helper, the function of the running program that begins at the slot. After an error the helper returns at once: the
// program ends with that error.
func (t *Thread) Call(slot int, args [5]uint64) (r0 uint64, err error) {
	if t.image == nil {
		return 0, errors.New("no program runs")
	}
	left := t.left
	t.lend(left)
	if r0, err = t.image.Run(t, slot, argsOf(&args)); err != nil {
		t.Fail(err)
	}
	*left = t.Slice()
	return r0, err
}

func argsOf(a *[5]uint64) Args { return Args{a[0], a[1], a[2], a[3], a[4]} }

// Fail ends the running program for a reason when the helper that calls it returns.
func (t *Thread) Fail(err error) { t.fault, t.wants = err, true }

// TailCall makes the program go on in another one when the helper returns, and tells whether it does: the number of tail calls in a run
// is limited. The other program's functions may call each other as deep as those of this one.
func (t *Thread) TailCall(to Image) bool {
	if t.TailCalls >= MaxTailCalls {
		return false
	}
	t.TailCalls++
	t.Tail, t.wants = to, true
	// Depth is the frame behind that of the function which is replaced.
	if more := min(t.Depth-1, len(t.Stack.Bytes())/FrameSize-MaxFrames); more > t.more {
		t.grow(more)
	}
	return true
}

// Reset makes the thread fit for another run after a helper has panicked. After other ends of programs it is.
func (t *Thread) Reset() {
	t.Depth, t.Tail, t.image, t.left, t.fault, t.wants = 0, nil, nil, nil, nil, false
	t.Stop.Store(false)
	if t.more > 0 {
		t.grow(0)
	}
}

// Running is the image whose function has called the helper.
func (t *Thread) Running() Image { return t.image }

// What follows is for engines.

// sliceLength is how many instructions are run between looks at Stop and at what the garbage collector wants: with a cache miss in each,
// less than 20 ms.
const sliceLength = 128 << 10

// An Outer is the run that a run interrupts, if there is one.
type Outer struct {
	image Image
	left  *int64
}

// None tells whether nothing is interrupted.
func (o Outer) None() bool { return o.image == nil }

// Begin says that the image runs on the thread, and where what is left of its slice is while a helper runs. What it returns is for End.
func (t *Thread) Begin(image Image, left *int64) Outer {
	outer := Outer{t.image, t.left}
	t.image, t.left = image, left
	if outer.None() {
		t.TailCalls, t.Loops = 0, MaxLoops
		if t.wants { // set by who is no helper
			t.Tail, t.fault, t.wants = nil, nil, false
		}
	}
	return outer
}

// Continue says that after a tail call, or the return from one, another image runs, whose functions helpers call back.
func (t *Thread) Continue(image Image) { t.image = image }

// End says that the image that was begun has ended.
func (t *Thread) End(outer Outer) { t.image, t.left = outer.image, outer.left }

// Shrink is called after End if the run had more than MaxFrames, and takes back the others once nothing runs any more. It is not in End
// to keep that small enough to be inlined.
func (t *Thread) Shrink() {
	if t.image == nil {
		t.grow(0)
	}
}

// lend puts what is left of a slice back, for a run that interrupts.
func (t *Thread) lend(left *int64) {
	t.Budget += *left
	*left = 0
}

// RunInstead runs, for an engine, another one's program in the place of the running function.
func (t *Thread) RunInstead(image Image, left *int64, args [5]uint64) (r0 uint64, err error) {
	t.lend(left)
	r0, err = image.Run(t, 0, argsOf(&args))
	*left = t.Slice()
	return r0, err
}

// Slice takes from the budget what may be run until Refill is asked.
func (t *Thread) Slice() int64 {
	n := min(t.Budget, sliceLength)
	t.Budget -= n
	return n
}

// Refill is asked when less than nothing is left of a slice. It returns the next slice, or why there is none.
func (t *Thread) Refill(left int64) (int64, error) {
	t.Budget += left
	switch {
	case t.Stop.Load():
		return 0, ErrStopped
	case t.Budget < 0:
		return 0, ErrBudget
	}
	return t.Slice(), nil
}

// Args is where a helper that is called finds its arguments. Depth has been set.
func (t *Thread) Args() *[5]uint64 { return &t.args[t.Depth] }

// Pending tells whether a helper that has returned wants more than that the program goes on: a tail call, or its end.
func (t *Thread) Pending() bool { return t.wants || t.Stop.Load() }

// TakeTail returns the program of a pending tail call and why the program must end, if it must.
func (t *Thread) TakeTail() (tail Image, err error) {
	tail, t.Tail, t.wants = t.Tail, nil, false
	if t.fault != nil {
		err, t.fault = t.fault, nil
	} else if t.Stop.Load() {
		err = ErrStopped
	}
	return tail, err
}
