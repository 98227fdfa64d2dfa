package user

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notifier answers for system calls of which the programs want the start only. Instead of stopping the task for its tracer, the filter has
// it wait for an answer to a notification, which wakes the two in turn on one CPU: that takes a fraction of the time. A notification has
// the arguments, but not the other registers.
type notifier struct {
	tracer *tracer
	file   int // of the filter
	ended  chan struct{}
	tid    int // of its thread
	stop   atomic.Bool
	regs   unix.PtraceRegs
}

// Of seccomp_unotify(2). The ioctl numbers are _IOWR('!', 0, struct seccomp_notif), _IOWR('!', 1, struct seccomp_notif_resp) and
// _IOW('!', 4, u64).
const (
	filterListens = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | 1<<5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
	notifyReceive = 0xc0502100
	notifyAnswer  = 0xc0182101
	notifySync    = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS, Linux 6.6
	syncWakeUp    = 1          // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
	notifyGoOn    = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

// notification is struct seccomp_notif, answer struct seccomp_notif_resp.
type notification struct {
	id         uint64
	tid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type answer struct {
	id     uint64
	value  int64
	errno  int32
	doThis uint32
}

// notified are the system calls for which notifications suffice: nobody waits for their end, the tracer has nothing to do there, and no program asks for what only the
// registers tell. That is what stacks begin with, and the mappings to name addresses are told by the tracer's thread.
func (s *session) notified() (numbers []int) {
	if s.opt.TrackProcesses != nil || s.hooks.everyCall() {
		return nil
	}
	for nr, enter := range s.hooks.enter {
		if s.hooks.wantsExit(nr) || nr == unix.SYS_MMAP && len(s.hooks.targets) > 0 || slices.Contains(watched, nr) {
			continue
		}
		plain := true
		for _, h := range enter {
			for _, call := range h.program.Calls() {
				plain = plain && call != "get_stack" && call != "get_stackid"
			}
		}
		if plain {
			numbers = append(numbers, nr)
		}
	}
	return numbers
}

// watched are system calls at whose start the tracer has something to do, whatever programs want.
var watched = []int{unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_SECCOMP, unix.SYS_PRCTL}

// takeFile gives a descriptor of a traced process's file.
func takeFile(pid, file int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(process)
	return unix.PidfdGetfd(process, file, 0)
}

// canTakeFiles reports whether takeFile works: sandboxes may forbid it where they allow to trace.
func canTakeFiles(pid int) bool {
	file, err := takeFile(pid, 0)
	if err == nil {
		unix.Close(file)
	}
	return err == nil || errors.Is(err, unix.EBADF)
}

// listen begins to answer.
func (t *tracer) listen(file int) {
	on := uint64(syncWakeUp)
	_, _, _ = unix.RawSyscall(unix.SYS_IOCTL, uintptr(file), notifySync, uintptr(on)) // older kernels wake as they do
	n := &notifier{tracer: t, file: file, ended: make(chan struct{})}
	t.notifier = n
	started := make(chan struct{})
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		defer close(n.ended)
		n.tid = unix.Gettid()
		close(started)
		n.loop()
	}()
	<-started
}

func (n *notifier) loop() {
	var got notification
	for !n.stop.Load() {
		got = notification{} // the kernel wants zeros
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(n.file), notifyReceive, uintptr(unsafe.Pointer(&got)))
		switch e {
		case 0:
		case unix.EINTR, unix.ENOENT: // of ENOENT, the task has been killed meanwhile
			continue
		default:
			return
		}
		n.entered(&got)
		reply := answer{id: got.id, doThis: notifyGoOn}
		// That the task is not there any more is no matter.
		_, _, _ = unix.RawSyscall(unix.SYS_IOCTL, uintptr(n.file), notifyAnswer, uintptr(unsafe.Pointer(&reply)))
	}
}

// entered runs the programs for the start of a system call.
func (n *notifier) entered(got *notification) {
	t := n.tracer
	t.mu.Lock()
	k := t.tasks[int(got.tid)]
	t.mu.Unlock()
	if k == nil { // a child that a 32-bit program has kept from being traced
		pid, _ := processOf(int(got.tid))
		k = &task{tid: int(got.tid), pid: pid}
		defer k.close()
	}
	nr := int(got.nr)
	if k.stub && nr == unix.SYS_READ {
		k.stub = false // as in tracer.entered
		return
	}
	notifiedRegs(&n.regs, got)
	t.run(k, func(r *runner) {
		r.event.partial = true
		r.syscall(k, &n.regs, uint64(nr), t.session.hooks.enter[nr])
		r.event.partial = false
	})
}

// close ends the thread. Nothing is left that could notify it.
func (n *notifier) close() {
	n.stop.Store(true)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		_ = unix.Tgkill(os.Getpid(), n.tid, bell)
		select {
		case <-n.ended:
			unix.Close(n.file)
			return
		case <-again.C:
		}
	}
}
