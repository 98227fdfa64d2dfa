package engine

import (
	"errors"
	"fmt"

	"skep/vm/memory"
)

// Why engines end programs.
var (
	ErrStopped = errors.New("the program was stopped")
	ErrBudget  = errors.New("the budget of instructions is used up")
	ErrDepth   = fmt.Errorf("more than %d functions call each other", MaxFrames)
	ErrReturn  = errors.New("the function that does not return has returned")
	ErrPacket  = errors.New("a packet is loaded and there is none")
	ErrSlot    = errors.New("no function begins there")
	ErrStack   = fmt.Errorf("the thread has no stack of %d bytes", MaxFrames*FrameSize)
)

// A Fault tells why a program was ended.
type Fault struct {
	Program string
	Slot    int // of the instruction
	Regs    [11]uint64
	Reason  string
	Err     error // an Err of this package, a *BadAccess or what a helper failed with
}

func (f *Fault) Error() string {
	return fmt.Sprintf("program %s ended at instruction %d: %s", f.Program, f.Slot, f.Reason)
}

func (f *Fault) Unwrap() error { return f.Err }

// NewFault is the fault of a program that ends at a slot for a reason. One that comes from a function it has called back stays as it is.
func NewFault(program string, slot int, regs [11]uint64, err error) *Fault {
	if f, ok := err.(*Fault); ok {
		return f
	}
	return &Fault{program, slot, regs, err.Error(), err}
}

// A BadAccess is an access to memory that the program was not given.
type BadAccess struct {
	Addr   uint64
	Size   int
	Write  bool
	Region memory.Region // the last one that begins at or before the address, if there is one
	// Aligned is false for an atomic access whose address is no multiple of its size, which is what is wrong then.
	Aligned bool
}

func (e *BadAccess) Error() string {
	does := "reading"
	if e.Write {
		does = "writing"
	}
	text := fmt.Sprintf("%s %d bytes at %#x", does, e.Size, e.Addr)
	r := e.Region
	switch past := e.Addr - r.Base; {
	case !e.Aligned:
		return text + ", which are not aligned"
	case r.Size == 0:
		return text + ", where the program has no memory"
	case past < r.Size && uint64(e.Size) <= r.Size-past:
		return text + fmt.Sprintf(", in %s, which is read-only", r.Name)
	case past < r.Size:
		return text + fmt.Sprintf(", of which the program has only %d, the end of %s", r.Size-past, r.Name)
	default:
		return text + fmt.Sprintf(", %d bytes past the end of %s, where the program has no memory", past-r.Size, r.Name)
	}
}

// Access tells whether the program may access memory, and in which region it is. Only the alignment of atomic accesses matters.
func (t *Thread) Access(addr uint64, size int, write, atomic bool) (memory.Region, error) {
	if atomic && addr%uint64(size) != 0 {
		return memory.Region{}, &BadAccess{Addr: addr, Size: size, Write: write}
	}
	if t.Space == nil {
		if -addr < uint64(size) {
			return memory.Region{}, &BadAccess{Addr: addr, Size: size, Write: write, Aligned: true}
		}
		return memory.Region{Size: ^uint64(0)}, nil
	}
	r, ok := t.Region(addr, uint64(size))
	if !ok || write && r.ReadOnly {
		r, _ := t.Space.Before(addr)
		if r.Base == t.Stack.Base() {
			r.Size = min(r.Size, t.Reached())
		}
		return r, &BadAccess{Addr: addr, Size: size, Write: write, Region: r, Aligned: true}
	}
	return r, nil
}
