package user

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// early is a task that has ended before its parent told of it. parent is the parent's process.
type early struct {
	exitSeen bool
	parent   int
}

// born is the first stop of a task whose parent has told of it.
func (t *tracer) born(k *task, s stop) {
	k.phase = traced
	if k.inherit.valid {
		var regs unix.PtraceRegs
		if getRegs(k.tid, &regs) == nil {
			t.left(k, &regs, k.inherit.nr)
		}
	}
	t.stopped(k, s)
}

// adopt lets a task go on of which no parent will tell, or has told yet.
func (t *tracer) adopt(k *task, s stop) {
	pid, err := processOf(k.tid)
	if err != nil || pid == 0 {
		pid = k.tid
	}
	t.join(k, pid)
	k.phase, k.parent = traced, parentOf(k.tid)
	t.stopped(k, s)
}

// forked is a stop of a task that has made another one.
func (t *tracer) forked(k *task) {
	if message, err := eventMessage(k.tid); err == nil {
		var regs unix.PtraceRegs
		if getRegs(k.tid, &regs) == nil {
			t.tell(k, int(message), &regs, cloneFlags(k.tid, &regs))
		}
	}
	t.resume(k, 0) // if it was killed meanwhile, killedMaking tells
}

// killedMaking tells of the task that k has made last, if k is ended by a signal that came before it could tell. It stands behind the
// system call then, which has returned to nobody.
func (t *tracer) killedMaking(k *task) {
	var regs unix.PtraceRegs
	if getRegs(k.tid, &regs) != nil || !makesTask(&regs) {
		return
	}
	child := int(int64(callResult(&regs))) // in the task's own pid namespace, so that it may be another
	if child <= 0 || child == k.child {
		return
	}
	c := t.tasks[child]
	if _, ended := t.early[child]; ended || (c == nil || !c.told) && parentOf(child) == k.pid {
		t.tell(k, child, &regs, lateFlags(k, child, &regs))
	}
}

// tell deals with a new task, of which its parent tells now.
func (t *tracer) tell(k *task, child int, regs *unix.PtraceRegs, flags uint64) {
	k.child = child
	pid := child
	if flags&unix.CLONE_THREAD != 0 {
		pid = k.pid
	}
	if sink := t.session.opt.TrackProcesses; sink != nil && pid == child {
		sink.Fork(k.pid, pid)
	}
	e, ended := t.early[child]
	delete(t.early, child)
	if ended && parentOf(child) == 0 { // else the number has been given again
		c := &task{tid: child, pid: pid, exitSeen: true}
		t.processForked(k, c, regs)
		if !e.exitSeen {
			t.processExits(c, pid == child)
		}
		return
	}
	c := t.tasks[child]
	if c == nil {
		c = &task{tid: child}
		t.add(c)
	}
	c.told = true
	if c.process == nil { // else adopted
		t.join(c, pid)
		c.process.told = c.process.told || k.process != nil && k.process.told
	}
	c.process.sandboxed = c.process.sandboxed || k.sandboxed()
	t.inheritSpace(k, c, flags&unix.CLONE_VM != 0)
	nr := callNumber(regs)
	c.inherit = inherited{nr: nr, valid: t.session.hooks.wantsExit(nr)}
	t.processForked(k, c, regs)
	switch {
	case c.phase == traced: // adopted
	case c.pending.tid != 0:
		t.born(c, c.pending)
	default:
		c.phase = started
	}
}

// executed is a stop of a process that runs another program now. All its other threads are gone, and this one has the number of the first.
func (t *tracer) executed(k *task) {
	message, _ := eventMessage(k.tid)
	former := int(message)
	if former != 0 && former != k.tid {
		if f := t.tasks[former]; f != nil {
			k.inCall, k.nr = f.inCall, f.nr
			t.forget(former)
		}
	}
	k.exitSeen = false
	sandboxed := k.sandboxed()
	delete(t.processes, k.tid)
	t.join(k, k.tid)
	k.process.sandboxed = sandboxed
	if sink := t.session.opt.TrackProcesses; sink != nil {
		sink.Exec(k.pid, k.comm())
	}
	t.enterSpace(k)
	t.processExecuted(k, former)
	t.resume(k, 0)
}

// exiting is the last that a task does.
func (t *tracer) exiting(k *task) {
	if message, err := eventMessage(k.tid); err == nil {
		k.exitCode = int(message)
	}
	t.killedMaking(k)
	last := t.leave(k)
	if k.process != nil && k.process.told && (last || k.tid == k.pid) {
		t.tellMappings(k) // what it has mapped since; /proc shows them by the first thread, as long as that has them
	}
	if sink := t.session.opt.TrackProcesses; sink != nil && last {
		sink.Exit(k.pid)
	}
	t.processExits(k, last)
	if last {
		t.tellRest(k)
	}
}

// tellRest tells of the tasks that a process has made and of which it has not told by now: who made them was killed just then.
func (t *tracer) tellRest(k *task) {
	for _, c := range t.tasks {
		if c.phase == unborn && parentOf(c.tid) == k.pid {
			t.inheritSpace(k, c, false)
			t.processForked(k, c, nil)
			c.told = true
			t.adopt(c, c.pending)
		}
	}
	for tid, e := range t.early {
		if e.parent == k.pid {
			delete(t.early, tid)
			t.processForked(k, &task{tid: tid, exitSeen: true}, nil)
		}
	}
}

// gone is the end of a task.
func (t *tracer) gone(k *task, s stop) {
	if s.tid == t.command {
		t.mu.Lock()
		status := syscall.WaitStatus(s.status)
		t.status = &status
		t.mu.Unlock()
	}
	switch {
	case k == nil:
		return
	case !k.told:
		t.early[k.tid] = early{k.exitSeen, k.parent}
		if k.phase == traced && !k.exitSeen {
			t.leave(k)
		}
	case !k.exitSeen:
		k.exitCode = int(s.status)
		t.exiting(k)
	}
	t.forget(s.tid)
}

func (t *tracer) add(k *task) {
	t.mu.Lock()
	t.tasks[k.tid] = k
	t.mu.Unlock()
}

func (t *tracer) forget(tid int) {
	k := t.tasks[tid]
	if k == nil {
		return
	}
	t.mu.Lock()
	delete(t.tasks, tid)
	t.mu.Unlock()
	t.session.run.Lock() // if it has been killed, the notifier may still be at it
	defer t.session.run.Unlock()
	k.close()
}
