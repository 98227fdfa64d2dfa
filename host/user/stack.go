package user

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// registers are those of the event's task in user mode; nil if it has none.
func (e *event) registers() *unix.PtraceRegs {
	if e.regs == nil && getRegs(e.task.tid, &e.asked) == nil { // it stands still, and this is its tracer; or it is skep, and there are none
		e.regs = &e.asked
	}
	return e.regs
}

// stack stores the frames of the user's stack by frame pointers, as the kernel follows them: each leads to the next and to the return
// address behind it.
func (e *event) stack(frames []uint64) int {
	if len(frames) == 0 || e.registers() == nil {
		return 0
	}
	ip, fp := userFrame(e.regs)
	frames[0] = ip
	n := 1
	for ; n < len(frames); n++ {
		var b [16]byte
		if e.read(fp, b[:]) != nil {
			break
		}
		fp, frames[n] = binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])
	}
	return n
}
