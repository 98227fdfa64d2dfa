package user

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// All calls here are for the tracer's thread alone: the kernel knows tracers by thread.

func ptrace(request int, tid int, addr, data uintptr) error {
	for {
		_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
		switch e {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return e
	}
}

// traceOptions are what a tracee stops for besides signals and, if asked, system calls.
const traceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE |
	unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_TRACESECCOMP

func seize(tid int, options uintptr) error { return ptrace(unix.PTRACE_SEIZE, tid, 0, options) }
func interrupt(tid int) error              { return ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0) }
func listen(tid int) error                 { return ptrace(unix.PTRACE_LISTEN, tid, 0, 0) }

func detach(tid int, signal unix.Signal) error {
	return ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(signal))
}

// resume lets a tracee go on, to the next end or start of a system call if syscall is set.
func resume(tid int, syscall bool, signal unix.Signal) error {
	request := unix.PTRACE_CONT
	if syscall {
		request = unix.PTRACE_SYSCALL
	}
	return ptrace(request, tid, 0, uintptr(signal))
}

func eventMessage(tid int) (uint64, error) {
	var message uint64
	err := ptrace(unix.PTRACE_GETEVENTMSG, tid, 0, uintptr(unsafe.Pointer(&message)))
	return message, err
}

// callArch tells whether a tracee that was let go on to a system call stands at the start of one, and of which architecture that is, as
// seccomp filters see it.
func callArch(tid int) (arch uint32, starts bool) {
	var about struct { // the beginning of struct ptrace_syscall_info
		op   uint8
		_    [3]byte
		arch uint32
		_    [80]byte
	}
	const entry = 1 // PTRACE_SYSCALL_INFO_ENTRY
	err := ptrace(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(about), uintptr(unsafe.Pointer(&about)))
	return about.arch, err == nil && about.op == entry
}

// siginfo is the start of siginfo_t.
type siginfo struct {
	signo, errno, code int32
	_                  [116]byte
}

func getSiginfo(tid int) (siginfo, error) {
	var info siginfo
	err := ptrace(unix.PTRACE_GETSIGINFO, tid, 0, uintptr(unsafe.Pointer(&info)))
	return info, err
}

// stop is what wait4 tells of a tracee.
type stop struct {
	tid    int
	status unix.WaitStatus
}

// event is the PTRACE_EVENT_… of a stop, 0 if it is none. WaitStatus knows only those that come with SIGTRAP.
func (s stop) event() int { return int(s.status) >> 16 }

// wait waits for the next stop of any tracee. tid is 0 if none has stopped and block is not set.
func wait(block bool) (stop, error) {
	flags := unix.WALL | unix.WNOTHREAD
	var s stop
	if !block {
		r, _, e := unix.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&s.status)), uintptr(flags|unix.WNOHANG), 0, 0, 0)
		if e != 0 {
			return stop{}, e
		}
		s.tid = int(r)
		return s, nil
	}
	r, _, e := unix.Syscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&s.status)), uintptr(flags), 0, 0, 0)
	if e != 0 {
		return stop{}, e
	}
	s.tid = int(r)
	return s, nil
}

// readMemory copies memory of a process. It is an error if not all can be read.
func readMemory(pid int, addr uint64, to []byte) error {
	if len(to) == 0 {
		return nil
	}
	local := unix.Iovec{Base: &to[0], Len: uint64(len(to))}
	remote := unix.RemoteIovec{Base: uintptr(addr), Len: len(to)}
	n, _, e := unix.RawSyscall6(unix.SYS_PROCESS_VM_READV, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	if e != 0 {
		return e
	}
	if int(n) != len(to) {
		return unix.EFAULT
	}
	return nil
}

func writeMemory(pid int, addr uint64, from []byte) error {
	local := unix.Iovec{Base: &from[0], Len: uint64(len(from))}
	remote := unix.RemoteIovec{Base: uintptr(addr), Len: len(from)}
	n, _, e := unix.RawSyscall6(unix.SYS_PROCESS_VM_WRITEV, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	if e != 0 {
		return e
	}
	if int(n) != len(from) {
		return unix.EFAULT
	}
	return nil
}
