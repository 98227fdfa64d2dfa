package user

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// startCommand traces the stub that is to become the command, and gives it a filter of system calls.
func (t *tracer) startCommand() error {
	pid := t.command
	fail := func(err error) error { return fmt.Errorf("tracing the command: %w", err) }
	hooks := &t.session.hooks
	t.filter = (hooks.syscalls() || len(hooks.targets) > 0) && !t.every
	options := uintptr(traceOptions)
	if t.filter || len(hooks.targets) > 0 {
		options |= unix.PTRACE_O_EXITKILL // without a tracer, its system calls would fail, or a breakpoint end it
	}
	if err := seize(pid, options); err != nil {
		return fail(explainAttach(pid, err))
	}
	k := &task{tid: pid, phase: traced, told: true, stub: true}
	t.join(k, pid)
	t.add(k)
	if !hooks.syscalls() && !t.filter {
		return nil
	}
	if err := interrupt(pid); err != nil {
		return fail(err)
	}
	s, err := waitFor(pid)
	if err != nil {
		return fail(err)
	}
	if !t.filter {
		t.stopped(k, s)
		return nil
	}
	if err := t.installFilter(k, s); err != nil {
		return fail(fmt.Errorf("choosing system calls by a filter: %w", err))
	}
	return nil
}

// waitFor waits for the next stop of the only task.
func waitFor(tid int) (stop, error) {
	for {
		s, err := wait(true)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return s, err
		case s.tid == tid && !s.status.Stopped():
			return s, errors.New("it has ended")
		case s.tid == tid:
			return s, nil
		}
	}
}

// installFilter has the stub, which has stopped, make system calls in place of the read at which it waits, and lets it go on to that.
func (t *tracer) installFilter(k *task, s stop) error {
	start, err := untilRead(k.tid, s)
	if err != nil {
		return err
	}
	notify := canTakeFiles(k.tid)
	result, err := t.injectFilter(k.tid, start, notify)
	if err == nil && result < 0 && result != -int64(unix.EACCES) && notify { // an older kernel, or somebody listens already
		notify = false
		result, err = t.injectFilter(k.tid, start, notify)
	}
	if err == nil && result == -int64(unix.EACCES) {
		// Without the right to give filters to privileged programs, none can become privileged: being traced, they could not anyway.
		if result, err = t.inject(k.tid, start, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err == nil && result == 0 {
			result, err = t.injectFilter(k.tid, start, notify)
		}
	}
	if err == nil && result < 0 && notify { // the same, after the right
		result, err = t.injectFilter(k.tid, start, false)
	}
	switch {
	case err != nil:
		return err
	case result < 0:
		return unix.Errno(-result)
	case result > 0: // it is a descriptor, which the command will not have
		file, err := takeFile(k.tid, int(result))
		if err != nil {
			return err
		}
		t.listen(file)
	}
	// It stands at the start of the read, before which the kernel has not looked at the filter yet.
	return resume(k.tid, false, 0)
}

// injectFilter has a task install the filter, with which it gets a descriptor to listen at if notify is set and there is a use for it.
func (t *tracer) injectFilter(tid int, start *unix.PtraceRegs, notify bool) (int64, error) {
	s := t.session
	var flags uint64
	var notified []int
	if notify {
		if notified = s.notified(); len(notified) > 0 {
			flags = filterListens
		}
	}
	filter := filterProgram(auditArch, s.hooks.numbers(), notified, len(s.hooks.targets) > 0)
	// The stub needs no more of its stack than the few bytes below the pointer.
	at := (stackPointer(start) - filterDepth) &^ 15
	if err := writeMemory(tid, at, encodeFilter(filter, at)); err != nil {
		return 0, fmt.Errorf("writing it: %w", err)
	}
	return t.inject(tid, start, unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, at)
}

// filterDepth is more than the longest filter has bytes.
const filterDepth = 16 << 10

// untilRead lets the stub go on to the start of its read, and gives the registers there.
func untilRead(tid int, s stop) (*unix.PtraceRegs, error) {
	for {
		signal := s.status.StopSignal()
		if signal == syscall.SIGTRAP|0x80 {
			var regs unix.PtraceRegs
			if err := getRegs(tid, &regs); err != nil {
				return nil, err
			}
			if message, err := eventMessage(tid); err != nil {
				return nil, err
			} else if message == unix.PTRACE_EVENTMSG_SYSCALL_ENTRY && callNumber(&regs) == unix.SYS_READ {
				return &regs, nil
			}
		}
		if signal == syscall.SIGTRAP|0x80 || s.event() != 0 {
			signal = 0
		}
		if err := resume(tid, true, signal); err != nil {
			return nil, err
		}
		var err error
		if s, err = waitFor(tid); err != nil {
			return nil, err
		}
	}
}

// inject makes a task at the start of a system call make another one first, and stand there again. It gives what that returns.
func (t *tracer) inject(tid int, start *unix.PtraceRegs, nr int, args ...uint64) (int64, error) {
	regs := *start
	becomeCall(&regs, nr, args...)
	if err := setRegs(tid, &regs); err != nil {
		return 0, err
	}
	if err := setCall(tid, nr); err != nil {
		return 0, err
	}
	if err := syscallStep(tid); err != nil {
		return 0, err
	}
	if err := getRegs(tid, &regs); err != nil {
		return 0, err
	}
	result := int64(callResult(&regs))
	if err := setRegs(tid, again(*start)); err != nil {
		return 0, err
	}
	return result, syscallStep(tid)
}

// syscallStep goes from one end of a system call to the next.
func syscallStep(tid int) error {
	signal := unix.Signal(0)
	for {
		if err := resume(tid, true, signal); err != nil {
			return err
		}
		s, err := waitFor(tid)
		if err != nil {
			return err
		}
		if signal = s.status.StopSignal(); signal == syscall.SIGTRAP|0x80 {
			return nil
		}
		if s.event() != 0 {
			signal = 0
		}
	}
}

// attach traces all threads of a process that runs already.
func (t *tracer) attach(pid int) error {
	if pid == os.Getpid() {
		return errors.New("skep cannot trace itself")
	}
	options := uintptr(traceOptions)
	if len(t.session.hooks.targets) > 0 {
		options |= unix.PTRACE_O_EXITKILL // a breakpoint that nobody handles would end it, too
	}
	for again := true; again; {
		again = false
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return fmt.Errorf("there is no process %d", pid)
		}
		for _, entry := range threads {
			tid, err := strconv.Atoi(entry.Name())
			if err != nil || t.tasks[tid] != nil {
				continue
			}
			if err := seize(tid, options); err != nil {
				if errors.Is(err, unix.ESRCH) && tid != pid {
					continue // it has ended
				}
				// Another may have been followed here by the one that started it.
				if traced, e := tracerOf(tid); e == nil && traced == os.Getpid() {
					continue
				}
				t.release()
				return fmt.Errorf("tracing process %d: %w", pid, explainAttach(pid, err))
			}
			again = true
			k := &task{tid: tid, phase: traced, told: true}
			t.join(k, pid)
			t.add(k)
			if t.every {
				_ = k.interrupt(false)
			}
		}
	}
	// A thread that is not traced yet would end the process at a breakpoint.
	var first *task
	for _, k := range t.tasks {
		if first == nil {
			first = k
			t.enterSpace(k)
		}
		t.inheritSpace(first, k, true)
	}
	return nil
}

func tracerOf(tid int) (int, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return 0, err
	}
	return statusField(text, "TracerPid"), nil
}

// capabilities are those that a process may use.
func capabilities(status []byte) (set uint64) {
	if _, rest, ok := bytes.Cut(status, []byte("\nCapPrm:\t")); ok {
		fmt.Sscanf(string(rest[:min(len(rest), 16)]), "%x", &set)
	}
	return set
}

// explainAttach says why a process cannot be traced.
func explainAttach(pid int, err error) error {
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("there is no process %d", pid)
	}
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	text, e := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if e != nil {
		return err
	}
	if tracer := statusField(text, "TracerPid"); tracer != 0 {
		return fmt.Errorf("process %d traces it already, and a process has one tracer only", tracer)
	}
	if uid := statusField(text, "Uid"); uid != os.Geteuid() && os.Geteuid() != 0 {
		return fmt.Errorf("it belongs to user %d, and this is user %d: it takes CAP_SYS_PTRACE", uid, os.Geteuid())
	}
	if own, e := os.ReadFile("/proc/self/status"); e == nil {
		if more := capabilities(text) &^ capabilities(own); more != 0 && capabilities(own)&(1<<unix.CAP_SYS_PTRACE) == 0 {
			return errors.New("it has capabilities that skep has not: it takes CAP_SYS_PTRACE")
		}
	}
	var file unix.Stat_t // of a process that hides its memory, it is root's
	if e := unix.Stat("/proc/"+strconv.Itoa(pid)+"/maps", &file); e == nil && int(file.Uid) != statusField(text, "Uid") {
		return errors.New("it has forbidden it (PR_SET_DUMPABLE), or executes a file that it may not read: it takes CAP_SYS_PTRACE")
	}
	scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	switch strings.TrimSpace(string(scope)) {
	case "1":
		return errors.New("kernel.yama.ptrace_scope is 1: only a process's ancestors may trace it; start it with -c, run as root, or sysctl kernel.yama.ptrace_scope=0")
	case "2":
		return errors.New("kernel.yama.ptrace_scope is 2: it takes CAP_SYS_PTRACE")
	case "3":
		return errors.New("kernel.yama.ptrace_scope is 3: nobody may trace until the next boot")
	}
	return fmt.Errorf("it does not let itself be traced (it has had more rights, a security module forbids it, or ptrace(2) is filtered): %w", err)
}
