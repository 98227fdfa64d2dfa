package user

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// auditArch is the architecture as seccomp filters see it.
const auditArch = unix.AUDIT_ARCH_X86_64

// ptRegsSize is the size of the kernel's struct pt_regs, with which the registers of ptrace begin.
const ptRegsSize = 168

// kernelRegsSize is how far from the top of a task's kernel stack it begins.
const kernelRegsSize = 168

func copyRegs(to []byte, regs *unix.PtraceRegs) {
	copy(to, unsafe.Slice((*byte)(unsafe.Pointer(regs)), ptRegsSize))
}

// callNumber is the system call that the task is in, callResult what it returns at its end.
func callNumber(regs *unix.PtraceRegs) int    { return int(int64(regs.Orig_rax)) }
func callResult(regs *unix.PtraceRegs) uint64 { return regs.Rax }

func callArgs(regs *unix.PtraceRegs) [6]uint64 {
	return [6]uint64{regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9}
}

// foreignArgs are those of a system call of 32-bit programs.
func foreignArgs(regs *unix.PtraceRegs) [6]uint64 {
	return [6]uint64{regs.Rbx, regs.Rcx, regs.Rdx, regs.Rsi, regs.Rdi, regs.Rbp}
}

func getRegs(tid int, regs *unix.PtraceRegs) error {
	return ptrace(unix.PTRACE_GETREGS, tid, 0, uintptr(unsafe.Pointer(regs)))
}

func setRegs(tid int, regs *unix.PtraceRegs) error {
	return ptrace(unix.PTRACE_SETREGS, tid, 0, uintptr(unsafe.Pointer(regs)))
}

// setCall makes another system call of the one at whose start a task has stopped. Here its number is one of the registers.
func setCall(int, int) error { return nil }

// endOf makes registers at the end of a system call tell its number, if nr is one: one that was refused has none. The return from a handler of signals
// has none for the kernel's programs either.
func endOf(regs *unix.PtraceRegs, nr int) {
	if nr >= 0 && callNumber(regs) == -1 && nr != unix.SYS_RT_SIGRETURN {
		regs.Orig_rax = uint64(nr)
	}
}

// compat reports whether the task runs 32-bit code.
func compat(regs *unix.PtraceRegs) bool { return regs.Cs == 0x23 }

// userFrame gives the instruction pointer and the frame pointer.
func userFrame(regs *unix.PtraceRegs) (ip, fp uint64) { return regs.Rip, regs.Rbp }

// becomeCall makes a task that has stopped at the start of a system call do another one instead.
func becomeCall(regs *unix.PtraceRegs, nr int, args ...uint64) {
	regs.Orig_rax, regs.Rax = uint64(nr), uint64(nr)
	for i, to := range []*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx, &regs.R10} {
		*to = 0
		if i < len(args) {
			*to = args[i]
		}
	}
}

// failCall has the system call at whose start a task has stopped fail instead of being made, together with setCall.
func failCall(regs *unix.PtraceRegs, errno unix.Errno) {
	regs.Orig_rax, regs.Rax = ^uint64(0), -uint64(errno)
}

// again makes a task that has stopped at the end of a system call make the one of the registers, as they were at its start.
func again(start unix.PtraceRegs) *unix.PtraceRegs {
	start.Rax = start.Orig_rax
	start.Rip -= syscallSize
	return &start
}

// syscallSize is the length of the instruction syscall.
const syscallSize = 2

func stackPointer(regs *unix.PtraceRegs) uint64 { return regs.Rsp }

// making is the system call that a task is in as far as such ones make tasks, and its first argument: those of 32-bit programs have other
// numbers and registers.
func making(regs *unix.PtraceRegs) (nr int, first *uint64) {
	nr, first = callNumber(regs), &regs.Rdi
	if compat(regs) {
		const fork, vfork, clone = 2, 190, 120
		first = &regs.Rbx
		switch nr {
		case fork:
			nr = unix.SYS_FORK
		case vfork:
			nr = unix.SYS_VFORK
		case clone:
			nr = unix.SYS_CLONE
		case unix.SYS_CLONE3: // the same
		default:
			nr = -1
		}
	}
	return nr, first
}

// makesTask reports whether the system call that a task is in makes another one.
func makesTask(regs *unix.PtraceRegs) bool {
	switch nr, _ := making(regs); nr {
	case unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_CLONE, unix.SYS_CLONE3:
		return true
	}
	return false
}

// cloneFlags are those with which the system call that a task is in makes another one.
func cloneFlags(tid int, regs *unix.PtraceRegs) uint64 {
	switch nr, first := making(regs); nr {
	case unix.SYS_VFORK:
		return unix.CLONE_VM | unix.CLONE_VFORK
	case unix.SYS_FORK:
		return 0
	case unix.SYS_CLONE3:
		var b [8]byte
		if readMemory(tid, *first, b[:]) != nil {
			return 0
		}
		return binary.NativeEndian.Uint64(b[:])
	default:
		return *first
	}
}

// lateFlags is cloneFlags behind the system call.
func lateFlags(k *task, _ int, regs *unix.PtraceRegs) uint64 { return cloneFlags(k.tid, regs) }

// notifiedRegs sets the registers that a notification tells of.
func notifiedRegs(regs *unix.PtraceRegs, n *notification) {
	*regs = unix.PtraceRegs{
		Orig_rax: uint64(n.nr), Rax: ^uint64(unix.ENOSYS) + 1, Rip: n.ip, Rcx: n.ip, Cs: 0x33, Ss: 0x2b,
		Rdi: n.args[0], Rsi: n.args[1], Rdx: n.args[2], R10: n.args[3], R8: n.args[4], R9: n.args[5],
	}
}

// inNotification reports whether bytes of pt_regs are among them.
func inNotification(at, n int) bool {
	const r10, flags = 56, 144
	return at >= r10 && at+n <= flags
}
