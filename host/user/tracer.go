package user

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer is the thread that ptrace knows as the tracer of all processes of a session. Its fields belong to that thread, except where
// said otherwise.
type tracer struct {
	session *session
	command int           // pid of the command of -c, 0 for none
	tasks   map[int]*task // changed by add and forget, under mu, since the notifier reads it
	// processes are those of the tasks, by pid. early are tasks that have ended before their parent told of them.
	processes map[int]*process
	early     map[int]early
	every     bool // all system calls stop, since they are asked for or there is no filter
	filter    bool // the processes have a filter that needs a tracer

	asked chan func() // what other goroutines want the thread to do
	ended chan struct{}
	tid   int // of the thread
	// closing says that the thread is to end when there are no tasks.
	closing bool
	waited  time.Duration // for breakpoints of others
	// notifier, if not nil, deals with the starts of some system calls.
	notifier *notifier

	mu     sync.Mutex          // nothing else is locked under it
	status *syscall.WaitStatus // of the command, once it has ended; under mu
	// signalledAt is when the command got a signal last, in nanoseconds since 1970; 0 if it has not.
	signalledAt [lastSignal + 1]atomic.Int64
}

// lastSignal is the highest number of a signal.
const lastSignal = 64

// trace begins to follow the processes of the session, and returns when they are traced.
func (s *session) trace() error {
	if s.opt.Child == 0 && s.opt.PID == 0 {
		return errors.New("the user-space host sees a command that it starts (-c) or a process that it attaches to (-p): give one of them")
	}
	t := &tracer{
		session: s, command: s.opt.Child, tasks: map[int]*task{}, processes: map[int]*process{}, early: map[int]early{}, asked: make(chan func()), ended: make(chan struct{}),
		every: s.hooks.everyCall() || (s.hooks.syscalls() || len(s.hooks.targets) > 0) && s.opt.Child == 0,
	}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		defer close(t.ended)
		t.tid = unix.Gettid()
		err := t.begin()
		ready <- err
		if err == nil {
			t.loop()
		}
	}()
	if err := <-ready; err != nil {
		return err
	}
	s.tracer = t
	return nil
}

func (t *tracer) begin() error {
	if err := prepareBell(); err != nil {
		return err
	}
	if t.command != 0 {
		return t.startCommand()
	}
	return t.attach(t.session.opt.PID)
}

// loop handles stops until it is told to end and nothing is traced any more.
func (t *tracer) loop() {
	for {
		if len(t.tasks) == 0 {
			if t.closing {
				return
			}
			(<-t.asked)()
			continue
		}
		select {
		case f := <-t.asked:
			f()
			continue
		default:
		}
		s, err := wait(true)
		switch err {
		case nil:
			t.handle(s)
		case unix.ECHILD: // what has ended was reaped by another part of this process
			for tid := range t.tasks {
				t.forget(tid)
			}
		}
	}
}

// bell is the signal that interrupts the thread's waiting. Go has a handler for it, which does nothing if nobody wants to be told.
const bell = unix.Signal(63)

// kernelSigaction is struct sigaction as rt_sigaction(2) has it.
type kernelSigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	noChildStop = 0x1        // SA_NOCLDSTOP
	restart     = 0x10000000 // SA_RESTART
)

// prepareBell makes the signal interrupt system calls of this thread instead of restarting them, and each stop of a tracee be told by wait4
// alone: a SIGCHLD for each would wake another thread, for nothing.
func prepareBell() error {
	var set unix.Sigset_t
	set.Val[0] = 1 << (bell - 1)
	err := unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil) // whoever started skep may have blocked it
	if err == nil {
		err = changeFlags(bell, func(flags uintptr) uintptr { return flags &^ restart })
	}
	if err == nil {
		err = changeFlags(unix.SIGCHLD, func(flags uintptr) uintptr { return flags | noChildStop })
	}
	if err != nil {
		return fmt.Errorf("preparing signals: %w", err)
	}
	return nil
}

// changeFlags changes the flags with which a signal is handled.
func changeFlags(signal unix.Signal, change func(uintptr) uintptr) error {
	var act kernelSigaction
	call := func(set, get *kernelSigaction) error {
		_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 8, 0, 0)
		if e != 0 {
			return e
		}
		return nil
	}
	if err := call(nil, &act); err != nil {
		return err
	}
	act.flags = change(act.flags)
	return call(&act, nil)
}

// ask has the thread do something soon, and returns when it has begun, or when done is closed: false if it never will.
func (t *tracer) ask(f func(), done <-chan struct{}) bool {
	again := time.NewTicker(time.Millisecond) // a signal that comes just before the thread waits is lost
	defer again.Stop()
	for {
		_ = unix.Tgkill(os.Getpid(), t.tid, bell)
		select {
		case t.asked <- f:
			return true
		case <-t.ended:
			return false
		case <-done:
			return false
		case <-again.C:
		}
	}
}

// handle deals with a stop.
func (t *tracer) handle(s stop) {
	k := t.tasks[s.tid]
	exits := s.event() == unix.PTRACE_EVENT_EXIT
	switch {
	case s.status.Exited() || s.status.Signaled():
		t.gone(k, s)
	case !s.status.Stopped():
	case k == nil && !exits:
		t.add(&task{tid: s.tid, phase: unborn, pending: s}) // it waits until its parent has told of it
	case k == nil || k.phase == unborn:
		// It was killed before it did anything, and its parent may have been, too, before it could tell.
		k = &task{tid: s.tid}
		t.add(k)
		t.adopt(k, s)
	case k.phase == started:
		t.born(k, s)
	default:
		t.stopped(k, s)
	}
}

func (t *tracer) stopped(k *task, s stop) {
	signal := s.status.StopSignal()
	switch event := s.event(); {
	case event == unix.PTRACE_EVENT_SECCOMP && t.isOthers(k):
		t.refuseCall(k)
	case event == unix.PTRACE_EVENT_SECCOMP:
		t.entered(k)
	case signal == syscall.SIGTRAP|0x80:
		t.syscallStop(k)
	case event == unix.PTRACE_EVENT_FORK, event == unix.PTRACE_EVENT_VFORK, event == unix.PTRACE_EVENT_CLONE:
		t.forked(k)
	case event == unix.PTRACE_EVENT_EXEC:
		t.executed(k)
	case event == unix.PTRACE_EVENT_EXIT:
		t.exiting(k)
		t.resume(k, 0)
	case event == unix.PTRACE_EVENT_STOP && signal != syscall.SIGTRAP:
		// The process has been stopped as by a shell's job control, and stays so until SIGCONT.
		_ = listen(k.tid)
	case event != 0:
		t.sampled(k)
		if k.asked {
			k.asked = false
			restartCall(k.tid, k.ran, 0)
		}
		t.resume(k, 0)
	case signal == syscall.SIGTRAP && t.breakHit(k):
	default:
		if k.pid == t.command {
			t.signalledAt[signal].Store(time.Now().UnixNano())
		}
		t.signalled(k, signal)
		restartCall(k.tid, false, signal)
		t.resume(k, signal)
	}
}

// resume lets a task go on. That it cannot means that it has been killed, of which wait will tell.
func (t *tracer) resume(k *task, signal unix.Signal) {
	denied := len(t.session.hooks.exit) > 0 && k.sandboxed() // they end all the same, which is to be seen
	_ = resume(k.tid, t.every || k.inCall || denied, signal)
}

// commandStatus may be called from any goroutine.
func (t *tracer) commandStatus() (syscall.WaitStatus, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status == nil {
		return 0, false
	}
	return *t.status, true
}

// close lets go of all that is traced. What has a filter cannot be let go: its system calls would fail without a tracer. So it is
// followed to its end.
func (t *tracer) close() {
	defer func() {
		if t.notifier != nil {
			t.notifier.close()
		}
	}()
	if !t.ask(func() { t.closing = true; t.release() }, nil) {
		return
	}
	if t.filter {
		select {
		case <-t.ended:
			return
		case <-time.After(closePatience):
		}
		if notice := t.session.opt.Notice; notice != nil {
			notice("skep waits for the processes that the command has left behind: their system calls need it (Ctrl-C ends them with skep)")
		}
	}
	<-t.ended
}

// closePatience is how long processes that are about to end are waited for in silence.
const closePatience = 300 * time.Millisecond
