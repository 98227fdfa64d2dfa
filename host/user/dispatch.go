package user

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// run runs f, which runs programs for a task, unless the session has been told to stop.
func (t *tracer) run(k *task, f func(r *runner)) {
	s := t.session
	if p := k.process; s.opt.TrackProcesses != nil && p != nil && !p.told {
		t.tellMappings(k)
	}
	s.run.Lock()
	defer s.run.Unlock()
	if !s.disabled.Load() {
		f(s.runner)
	}
}

// syscallStop is the start or the end of a system call, of a task that was let go on to it.
func (t *tracer) syscallStop(k *task) {
	if t.every || k.sandboxed() {
		if arch, starts := callArch(k.tid); starts {
			k.foreign = arch != auditArch
			if t.every {
				t.entered(k)
			} else { // the filters come next
				t.resume(k, 0)
			}
			return
		}
	}
	var regs unix.PtraceRegs
	if getRegs(k.tid, &regs) == nil {
		nr := -1
		if k.inCall {
			nr = k.nr
		}
		t.left(k, &regs, nr)
	}
	t.resume(k, 0)
}

// isOthers reports whether a task has stopped for a filter that is not ours.
func (t *tracer) isOthers(k *task) bool {
	if t.filter && !k.sandboxed() {
		return false
	}
	message, err := eventMessage(k.tid)
	return err == nil && (!t.filter || message != ourFilter)
}

// refuseCall has a system call fail as it does without a tracer, if a filter asks for one.
func (t *tracer) refuseCall(k *task) {
	var regs unix.PtraceRegs
	if getRegs(k.tid, &regs) == nil {
		k.nr = callNumber(&regs)
		k.inCall = t.session.hooks.wantsExit(k.nr)
		failCall(&regs, unix.ENOSYS)
		_ = setRegs(k.tid, &regs)
		_ = setCall(k.tid, -1)
	}
	t.resume(k, 0)
}

// keepTraced has the task that the system call makes be traced, whatever the one that makes it wants: it has our filter and our breakpoints.
func keepTraced(k *task, regs *unix.PtraceRegs) {
	nr, first := making(regs)
	if nr != unix.SYS_CLONE && nr != unix.SYS_CLONE3 {
		return
	}
	flags := cloneFlags(k.tid, regs)
	if flags&unix.CLONE_UNTRACED == 0 {
		return
	}
	flags &^= unix.CLONE_UNTRACED
	if nr == unix.SYS_CLONE {
		*first = flags
		_ = setRegs(k.tid, regs)
		return
	}
	_ = writeMemory(k.tid, *first, binary.NativeEndian.AppendUint64(nil, flags))
}

// entered is the start of a system call.
func (t *tracer) entered(k *task) {
	var regs unix.PtraceRegs
	if getRegs(k.tid, &regs) != nil {
		k.inCall = false
		t.resume(k, 0)
		return
	}
	defer t.resume(k, 0)
	defer keepTraced(k, &regs) // when programs have seen what was asked for
	if t.session.disabled.Load() && (k.space == nil || t.closing) {
		k.inCall = false
		return
	}
	k.nr = callNumber(&regs)
	h := &t.session.hooks
	if k.stub && k.nr == unix.SYS_READ {
		// It began before the tracing, and has only been begun again.
		k.stub = false
	} else if enter := h.enter[k.nr]; len(enter) > 0 && !k.foreign || len(h.anyEnter) > 0 {
		t.run(k, func(r *runner) {
			if len(enter) > 0 && !k.foreign {
				r.syscall(k, &regs, uint64(k.nr), enter)
			}
			if len(h.anyEnter) > 0 {
				r.tracepoint(k, &regs, h.anyEnter, func(record []byte) { fillEnter(record, k, &regs) })
			}
		})
	}
	if k.foreign {
		k.maps, k.inCall = false, len(h.anyExit) > 0
		return
	}
	if k.nr == unix.SYS_SECCOMP || k.nr == unix.SYS_PRCTL && callArgs(&regs)[0] == unix.PR_SET_SECCOMP {
		k.process.sandboxed = true
	}
	k.maps = k.space != nil && k.nr == unix.SYS_MMAP && callArgs(&regs)[2]&unix.PROT_EXEC != 0
	k.inCall = k.maps || h.wantsExit(k.nr)
}

// left is the end of a system call; nr is -1 if its start was not seen.
func (t *tracer) left(k *task, regs *unix.PtraceRegs, nr int) {
	k.inCall = false
	endOf(regs, nr)
	if k.maps && k.space != nil && !t.closing {
		t.placeBreaks(k)
	}
	k.maps = false
	h := &t.session.hooks
	exit := h.exit[callNumber(regs)]
	if k.foreign || compat(regs) { // the kernel has no tracepoints of these by name
		exit = nil
	}
	if len(exit) == 0 && len(h.anyExit) == 0 {
		return
	}
	t.run(k, func(r *runner) {
		if len(exit) > 0 {
			r.syscall(k, regs, callResult(regs), exit)
		}
		if len(h.anyExit) > 0 {
			r.tracepoint(k, regs, h.anyExit, func(record []byte) { fillExit(record, k, regs) })
		}
	})
}

// happened runs the programs of a tracepoint that is known by name.
func (t *tracer) happened(name string, k *task, regs *unix.PtraceRegs, values func() map[string]any) {
	hooks := t.session.hooks.events[name]
	if len(hooks) == 0 {
		return
	}
	t.run(k, func(r *runner) {
		r.tracepoint(k, regs, hooks, func(record []byte) { fill(record, tracepoints()[name], k, values()) })
	})
}

func (t *tracer) processForked(k, child *task, regs *unix.PtraceRegs) {
	t.happened("sched:sched_process_fork", k, regs, func() map[string]any {
		name := k.comm()
		child.name = name
		return map[string]any{"parent_comm": name, "parent_pid": k.tid, "child_comm": child.comm(), "child_pid": child.tid}
	})
}

func (t *tracer) processExecuted(k *task, former int) {
	t.happened("sched:sched_process_exec", k, nil, func() map[string]any {
		return map[string]any{"filename": executed(k.tid), "pid": k.tid, "old_pid": former}
	})
}

func (t *tracer) processExits(k *task, last bool) {
	t.happened("sched:sched_process_exit", k, nil, func() map[string]any {
		return map[string]any{"comm": k.comm(), "pid": k.tid, "prio": k.priority(), "group_dead": boolWord(last)}
	})
}

// signalled is a signal that is about to be delivered.
func (t *tracer) signalled(k *task, signal unix.Signal) {
	const name = "signal:signal_deliver"
	if len(t.session.hooks.events[name]) == 0 || undelivered(k.tid, signal) {
		return
	}
	info, err := getSiginfo(k.tid)
	if err != nil {
		return // it has been stopped, and not by this signal
	}
	t.happened(name, k, nil, func() map[string]any {
		return map[string]any{"sig": int(info.signo), "errno": int(info.errno), "code": int(info.code)}
	})
}

func boolWord(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sample has the tasks that are running stop, to be looked at. Those that wait are left alone: some system calls would notice.
func (t *tracer) sample(h hook) {
	for _, k := range t.tasks {
		if k.phase == traced && !k.exitSeen && k.running() && k.interrupt(true) == nil {
			k.samples = append(k.samples, h)
		}
	}
}

// sampled is a stop that may have been asked for by sample.
func (t *tracer) sampled(k *task) {
	hooks := k.samples
	if len(hooks) == 0 {
		return
	}
	k.samples = nil
	var regs unix.PtraceRegs
	if getRegs(k.tid, &regs) == nil {
		t.run(k, func(r *runner) { r.sample(k, &regs, hooks) })
	}
}
