package user

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// release takes out the breakpoints, and detaches from all tasks that can be without a tracer.
func (t *tracer) release() {
	codes := t.removeBreaks()
	if t.filter {
		return
	}
	t.every = false
	for tid, k := range t.tasks {
		if k.phase == unborn { // it stands still already, and no other stop will come
			codes.putBack(tid)
			_ = detach(tid, 0)
			t.forget(tid)
			continue
		}
		_ = interrupt(tid)
	}
	for len(t.tasks) > 0 {
		s, err := wait(true)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			break
		}
		k := t.tasks[s.tid]
		if !s.status.Stopped() {
			t.gone(k, s)
			continue
		}
		if k == nil || k.space == nil {
			codes.putBack(s.tid) // it is a copy of one that had breakpoints
		}
		if s.event() == unix.PTRACE_EVENT_STOP && codes.pending(s.tid) {
			// It was interrupted just when it had reached a breakpoint: without a tracer, the signal would end it.
			_ = resume(s.tid, false, 0)
			continue
		}
		signal := s.status.StopSignal()
		switch event := s.event(); {
		case event == unix.PTRACE_EVENT_FORK, event == unix.PTRACE_EVENT_VFORK, event == unix.PTRACE_EVENT_CLONE:
			// Its child is traced, too, and will stop by itself, if it has not done so.
			if child, err := eventMessage(s.tid); err == nil && t.tasks[int(child)] == nil {
				t.add(&task{tid: int(child)})
			}
			signal = 0
		case event != 0, signal == syscall.SIGTRAP|0x80:
			signal = 0
		case signal == syscall.SIGTRAP && codes.rewind(s.tid):
			signal = 0
		}
		restartCall(s.tid, false, signal)
		_ = detach(s.tid, signal)
		t.forget(s.tid)
	}
	for tid := range t.tasks {
		t.forget(tid)
	}
}

// codes are what breakpoints have taken the place of, by address.
type codes map[uint64]breakBytes

// breakBytes are as many bytes as a breakpoint has.
type breakBytes [breakSize]byte

// removeBreaks removes the breakpoints of all processes that are known. Tasks that have just reached one are still to be told of.
func (t *tracer) removeBreaks() codes {
	all := codes{}
	for _, k := range t.tasks {
		if k.space == nil {
			continue
		}
		for addr, b := range k.space.breaks {
			all[addr] = breakBytes(b.original.code[:breakSize])
		}
		k.space.removeBreaks()
	}
	return all
}

// putBack removes breakpoints from the memory of a task.
func (c codes) putBack(tid int) {
	if len(c) == 0 {
		return
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", tid), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer memory.Close()
	for addr, code := range c {
		var now breakBytes
		if _, err := memory.ReadAt(now[:], int64(addr)); err == nil && now == breakCode() {
			_, _ = memory.WriteAt(code[:], int64(addr))
		}
	}
}

// pending reports whether a task is still to be told of a breakpoint.
func (c codes) pending(tid int) bool {
	if len(c) == 0 {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	return err == nil && signals(status, "SigPnd").has(unix.SIGTRAP)
}

// rewind has a task that was at a breakpoint, which is removed, begin again with the instruction that was under it.
func (c codes) rewind(tid int) bool {
	var regs unix.PtraceRegs
	if getRegs(tid, &regs) != nil {
		return false
	}
	if _, was := c[breakAddress(&regs)]; !was {
		return false
	}
	setAddress(&regs, breakAddress(&regs))
	return setRegs(tid, &regs) == nil
}
