package symbol

import (
	"strings"
	"time"
)

// UnwindError says why a stack was not followed to its outermost frame. The last address is where it ended.
type UnwindError uint8

const (
	unwindOn UnwindError = iota
	// UnwindStackShort: the next frame lies outside the copied piece of the stack.
	UnwindStackShort
	// UnwindNoTable: the code has no call frame information, and the frame pointer leads nowhere.
	UnwindNoTable
	// UnwindUnmapped: the address is in no code that the process is known to have mapped.
	UnwindUnmapped
	// UnwindUnknownRegister: a register is needed that was not given or not saved.
	UnwindUnknownRegister
	// UnwindInward: the next frame would not lie further out; stack or tables are corrupt.
	UnwindInward
	// UnwindBadTable: an expression in the call frame information is broken.
	UnwindBadTable
	// UnwindMachine: stacks of that machine, or of a process that runs code for another one, are not understood.
	UnwindMachine

	unwindDone
)

func (e UnwindError) Error() string {
	switch e {
	case UnwindStackShort:
		return "the stack goes on behind the copied piece"
	case UnwindNoTable:
		return "no call frame information, and no frame pointer"
	case UnwindUnmapped:
		return "not an address of mapped code"
	case UnwindUnknownRegister:
		return "a register that is needed is not known"
	case UnwindInward:
		return "the next frame is not further out"
	case UnwindBadTable:
		return "broken call frame information"
	case UnwindMachine:
		return "unknown machine"
	}
	return "end of the stack"
}

// MaxUnwound is the largest number of frames that are unwound.
const MaxUnwound = 4096

// Unwind appends the stack of a thread of process pid to dst, innermost first: at most limit addresses, as bpf_get_stack
// gives them and [Processes.Symbols] names them. The first is where the thread was, the others are what calls return to
// (after a signal: where it came). Code needs no frame pointers; it is unwound by its .eh_frame or .debug_frame, or else by
// the frame pointer.
//
// The error is nil if the stack ended or the limit was reached, else an [UnwindError]; the addresses before are good. If
// all code has been seen before, nothing is allocated.
func (p *Processes) Unwind(dst []uint64, pid int, regs *Registers, stack UserStack, limit int) ([]uint64, error) {
	arch := architectureOf(regs.Machine)
	if arch == nil {
		return dst, UnwindMachine
	}
	if need := uint64(1)<<arch.ip | 1<<arch.sp; regs.Known&need != need {
		return dst, UnwindUnknownRegister
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.process(pid)
	old := time.Now().Add(-rereadAfter)
	p.verify(q, old)
	if p.walk == nil {
		p.walk = new(frameWalk)
	}
	w := p.walk
	w.start(arch, regs, stack)
	limit = min(limit, MaxUnwound)
	end := unwindOn
	for n := 0; n < limit && end == unwindOn; n++ {
		dst = append(dst, w.ip())
		if n+1 < limit {
			end = p.unwindOne(q, w, old)
		}
	}
	w.stack.Bytes = nil
	p.objects.trim()
	if end != unwindOn && end != unwindDone {
		return dst, end
	}
	return dst, nil
}

// unwindOne goes to the caller's frame.
func (p *Processes) unwindOne(q *process, w *frameWalk, old time.Time) UnwindError {
	place := w.place()
	r := p.find(q, place, q.read.Before(old))
	if r == nil || !r.mayHoldCode() {
		return UnwindUnmapped
	}
	if r.file != nil {
		if o := p.objects.object(r.file, q, r); o != nil {
			if o.im.machine != w.arch.machine {
				return UnwindMachine
			}
			if vaddr, ok := o.im.vaddr(place - r.start + r.off); ok {
				if o.frames == nil {
					o.frames = o.im.callFrames()
				}
				row, fresh := o.frames.row(vaddr, &w.scratch)
				if fresh {
					p.objects.account(r.file)
				}
				if row != nil {
					return w.byRow(row, &o.frames.expressions, place-vaddr)
				}
			}
		}
	}
	saved, err := w.byFramePointer()
	if err != unwindOn {
		return err
	}
	if r := p.find(q, saved.ip-1, q.read.Before(old)); r == nil || !r.mayHoldCode() {
		return UnwindNoTable
	}
	w.enter(saved)
	return unwindOn
}

// mayHoldCode tells mappings that are kept because of their names only.
func (r *region) mayHoldCode() bool {
	return r.file == nil || !strings.HasPrefix(r.file.id.path, "[stack") && r.file.id.path != "[heap]"
}
