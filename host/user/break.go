package user

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelSignal is the si_code of the SIGTRAP of a breakpoint.
const kernelSignal = 0x80

// breakHit deals with a task that may have reached a breakpoint: false if SIGTRAP is the task's own.
func (t *tracer) breakHit(k *task) bool {
	if k.space == nil {
		return false
	}
	var regs unix.PtraceRegs
	if getRegs(k.tid, &regs) != nil {
		return false
	}
	b := k.space.breaks[breakAddress(&regs)]
	if info, err := getSiginfo(k.tid); b == nil || err != nil || info.code != kernelSignal {
		return false
	}
	setAddress(&regs, b.addr)
	if b.removed {
		_ = setRegs(k.tid, &regs)
		t.resume(k, 0)
		return true
	}
	if k.again != b.addr {
		t.reached(k, b, &regs)
	}
	k.again = 0
	t.stepOver(k, b, &regs)
	return true
}

// reached runs what waits at a breakpoint.
func (t *tracer) reached(k *task, b *breakpoint, regs *unix.PtraceRegs) {
	s, stack := k.space, stackPointer(regs)
	call := returning{b.addr, stack}
	hooks := s.returns[call]
	delete(s.returns, call)
	hooks = append(hooks[:len(hooks):len(hooks)], b.enter...)
	if len(hooks) > 0 {
		t.run(k, func(r *runner) { r.function(k, regs, hooks) })
	}
	if len(b.exit) == 0 || len(s.returns) >= mostReturns || t.session.disabled.Load() {
		return
	}
	var to [8]byte
	if readMemory(k.tid, stack, to[:]) != nil {
		return
	}
	addr := binary.NativeEndian.Uint64(to[:])
	if _, err := s.breakAt(addr); err != nil {
		t.session.runner.say(saidBreak, "WARNING: a uretprobe is not seen: the instruction to which the function returns: "+err.Error())
		return
	}
	call = returning{addr, stack + 8}
	s.returns[call] = append(s.returns[call], b.exit...)
}

// stepOver has a task do the instruction of a breakpoint and go on behind it, while the breakpoint stays for all others: by doing what it
// does, or in another place.
func (t *tracer) stepOver(k *task, b *breakpoint, regs *unix.PtraceRegs) {
	if b.original.emulate(regs, k.space.write) {
		_ = setRegs(k.tid, regs)
		t.resume(k, 0)
		return
	}
	s := k.space
	var saved [maxInstruction]byte
	if _, err := s.memory.ReadAt(saved[:], int64(s.slot)); err != nil {
		t.resume(k, syscall.SIGTRAP)
		return
	}
	code := b.original.moved
	_, _ = s.memory.WriteAt(code[:], int64(s.slot))
	setAddress(regs, s.slot)
	giveBack := b.original.lend(regs, b.addr)
	_ = setRegs(k.tid, regs)
	stop, alive := singleStep(k.tid, s.slot)
	_, _ = s.memory.WriteAt(saved[:], int64(s.slot))
	if !alive {
		t.gone(k, stop)
		return
	}
	if getRegs(k.tid, regs) != nil {
		return
	}
	at := address(regs)
	done := stop.event() == 0 && stop.status.StopSignal() == syscall.SIGTRAP && at != s.slot
	if at >= s.slot && at <= s.slot+maxInstruction {
		setAddress(regs, at-s.slot+b.addr)
	}
	giveBack(regs)
	_ = setRegs(k.tid, regs)
	if done {
		if b.original.calls {
			_ = s.write(stackPointer(regs), b.addr+uint64(b.original.length))
		}
		t.resume(k, 0)
		return
	}
	// Something came before the instruction, or it has failed; it will be at the breakpoint again.
	k.again = b.addr
	t.stopped(k, stop)
}

// singleStep does one instruction at an address, all rounds of one that repeats itself.
func singleStep(tid int, addr uint64) (s stop, alive bool) {
	for {
		_ = ptrace(unix.PTRACE_SINGLESTEP, tid, 0, 0) // if it is being killed, the next that is heard of it is its end
		s.tid = tid
		for {
			_, _, e := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(tid), uintptr(unsafe.Pointer(&s.status)), unix.WALL, 0, 0, 0)
			if e == unix.EINTR {
				continue
			}
			if e != 0 {
				return s, false
			}
			break
		}
		if !s.status.Stopped() {
			return s, false
		}
		var regs unix.PtraceRegs
		if s.event() != 0 || s.status.StopSignal() != syscall.SIGTRAP || getRegs(tid, &regs) != nil || address(&regs) != addr {
			return s, true
		}
	}
}

// write stores a word in the task's memory.
func (s *space) write(addr, value uint64) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], value)
	_, err := s.memory.WriteAt(b[:], int64(addr))
	return err
}
