package user

import (
	"encoding/binary"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
	if info, err := getSiginfo(k.tid); b == nil || err != nil || info.code != breakSignal {
		return false
	}
	setAddress(&regs, b.addr)
	if b.removed {
		_ = setRegs(k.tid, &regs)
		t.resume(k, 0)
		return true
	}
	here := k.returning(b, b.addr, stackPointer(&regs), &regs)
	if k.space.again[here] {
		delete(k.space.again, here)
	} else {
		t.reached(k, b, here, &regs)
	}
	t.stepOver(k, b, &regs)
	return true
}

// reached runs what waits at a breakpoint.
func (t *tracer) reached(k *task, b *breakpoint, call returning, regs *unix.PtraceRegs) {
	s := k.space
	var hooks []hook
	for _, function := range slices.Backward(s.returns[call]) {
		if f := s.breaks[function]; f != nil {
			hooks = append(hooks, f.exit...)
		}
	}
	delete(s.returns, call)
	hooks = append(hooks, b.enter...)
	if len(hooks) > 0 {
		t.run(k, func(r *runner) { r.function(k, regs, hooks) })
	}
	if len(b.exit) == 0 || t.session.disabled.Load() {
		return
	}
	addr, stack, ok := returnsTo(k.tid, s.word, regs)
	if !ok {
		return
	}
	back, err := s.breakAt(addr)
	if err != nil {
		t.session.runner.say(saidBreak, "WARNING: a uretprobe is not seen: the instruction to which the function returns: "+err.Error())
		return
	}
	back.golang = back.golang || b.golang
	if len(s.returns) >= mostReturns {
		clear(s.returns)
	}
	call = k.returning(b, addr, stack, regs)
	// A function that begins where it has begun before has been left, with all that it has jumped to: by longjmp, by an exception, or, in Go,
	// to begin anew on a larger stack.
	functions := s.returns[call]
	if at := slices.Index(functions, b.addr); at >= 0 {
		functions = functions[:at]
	}
	s.returns[call] = append(functions[:len(functions):len(functions)], b.addr)
}

// returning names a call that returns to an address, with a stack. Go moves the stacks of its goroutines while functions run: there, the
// distance from the stack's end stays.
func (k *task) returning(b *breakpoint, addr, stack uint64, regs *unix.PtraceRegs) returning {
	if !b.golang {
		return returning{addr: addr, stack: stack}
	}
	const highAt = 8 // struct g begins with stack{lo, hi}
	var high [8]byte
	routine := goroutine(regs)
	if readMemory(k.tid, routine+highAt, high[:]) == nil {
		if distance := binary.NativeEndian.Uint64(high[:]) - stack; distance < mostGoStack {
			return returning{addr, distance, routine}
		}
	}
	return returning{addr: addr, stack: stack}
}

// mostGoStack is the size that Go allows a stack by itself.
const mostGoStack = 1 << 30

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
	// Something came before the instruction, or it has failed; it will be at the breakpoint again, in Go perhaps by another thread.
	if len(s.again) >= mostReturns { // of those that never came back
		clear(s.again)
	}
	s.again[k.returning(b, b.addr, stackPointer(regs), regs)] = true
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

// write stores a word of the program's in its memory.
func (s *space) write(addr, value uint64) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], value)
	_, err := s.memory.WriteAt(b[:s.word], int64(addr))
	return err
}
