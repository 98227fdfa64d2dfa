//go:build (linux || darwin) && (amd64 || arm64)

package jit

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/vm/engine"
	"skep/vm/memory"
)

// A state is what machine code and Go tell each other. It lies in Go's heap, where nothing moves, and is kept alive by its thread;
// machine code writes no pointers of Go into it. enter_*.s knows the offsets up to addr.
type state struct {
	pc   uint64 // where machine code is entered
	sp   uint64 // of the machine's stack, while machine code does not run
	goSP uint64 // what Go wants to get back
	goBP uint64 // on arm64, the link register
	regs [11]uint64
	fuel int64
	addr uint64 // of the memory access that is looked up

	exit   uint64 // why machine code was left, in the lowest byte; above, the row of Calls or the slot of a legacy load
	limit  uint64 // what r10 is in the deepest frame
	loops  uint64 // address of the thread's Loops
	tail   uint64 // where a tail call goes
	cpu    uint64
	reads  [windows]window
	writes [windows]window
}

// rowShift is where in exit the number is that belongs to the reason.
const rowShift = 8

// Why machine code is left.
const (
	exitDone = iota
	exitCall
	exitFuel
	exitAccess
	exitPacket
	exitDepth
	exitReturn
	exitPending // Go only: after a helper that wants more
)

// windows is how many regions machine code remembers, for reading and for writing. It looks at the first one inline.
const windows = 4

// A window is memory that may be accessed: what lies at most a limit past the base. The limits are for accesses of 1, 2, 4 and 8
// bytes. All regions have at least 8.
type window struct {
	base   uint64
	limits [4]uint64
}

func newWindow(base, size uint64) window {
	return window{base, [4]uint64{size - 1, size - 2, size - 4, size - 8}}
}

const (
	offPC     = int32(unsafe.Offsetof(state{}.pc))
	offSP     = int32(unsafe.Offsetof(state{}.sp))
	offGoSP   = int32(unsafe.Offsetof(state{}.goSP))
	offGoBP   = int32(unsafe.Offsetof(state{}.goBP))
	offRegs   = int32(unsafe.Offsetof(state{}.regs))
	offFuel   = int32(unsafe.Offsetof(state{}.fuel))
	offAddr   = int32(unsafe.Offsetof(state{}.addr))
	offExit   = int32(unsafe.Offsetof(state{}.exit))
	offLimit  = int32(unsafe.Offsetof(state{}.limit))
	offLoops  = int32(unsafe.Offsetof(state{}.loops))
	offTail   = int32(unsafe.Offsetof(state{}.tail))
	offCPU    = int32(unsafe.Offsetof(state{}.cpu))
	offReads  = int32(unsafe.Offsetof(state{}.reads))
	offWrites = int32(unsafe.Offsetof(state{}.writes))

	windowBytes = int32(unsafe.Sizeof(window{}))
	offLimits   = int32(unsafe.Offsetof(window{}.limits))
)

// A native is what a thread has for machine code.
type native struct {
	state
	stack   uint64        // the top of the machine's stack
	running int           // runs that call each other back
	images  []*Image      // of the outermost run: where machine code may come from
	space   *memory.Space // that the windows are of
	removed uint64
	reached uint64 // of the stack
}

// machineStack is enough: functions of programs save at most 80 bytes each, as tail calls do. What is not used costs nothing.
const machineStack = (engine.StackSize/engine.FrameSize*80 + engine.MaxTailCalls*80 + 8191) &^ 4095

// nativeOf returns what the thread has, made at its first run.
func nativeOf(t *engine.Thread) (*native, error) {
	if n, ok := t.Native.(*native); ok {
		return n, nil
	}
	guard := unix.Getpagesize()
	size := max(machineStack, guard)
	// A guard page below and one above.
	mem, err := unix.Mmap(-1, 0, size+2*guard, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("allocating a machine stack: %w", err)
	}
	if err := unix.Mprotect(mem[guard:guard+size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		_ = unix.Munmap(mem)
		return nil, fmt.Errorf("allocating a machine stack: %w", err)
	}
	n := &native{stack: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) + uint64(guard+size)}
	t.Native = n
	runtime.AddCleanup(n, func(mem []byte) { _ = unix.Munmap(mem) }, mem)
	return n, nil
}

// push puts a return address onto the machine's stack.
func (n *native) push(addr uint64) {
	n.sp -= stackSlot
	// The stack is mapped memory, of which less is used than there is.
	*(*uint64)(unsafe.Add(unsafe.Pointer(nil), int(n.sp))) = addr
}

// reset lets the windows show the stack only, or everything for a thread that trusts its code.
func (n *native) reset(t *engine.Thread) {
	w := newWindow(0, ^uint64(0))
	if t.Space != nil {
		n.removed, n.reached = t.Space.Removed(), t.Reached()
		w = newWindow(t.Stack.Base(), n.reached)
	}
	n.space = t.Space
	for i := range windows {
		n.reads[i], n.writes[i] = w, w
	}
}

// refresh is called when regions may have been removed, or the program may use more of the stack.
func (n *native) refresh(t *engine.Thread) {
	if n.space != t.Space || t.Space != nil && (t.Space.Removed() != n.removed || t.Reached() != n.reached) {
		n.reset(t)
	}
}
