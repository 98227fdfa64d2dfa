package user

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// auditArch is the architecture as seccomp filters see it.
const auditArch = unix.AUDIT_ARCH_AARCH64

// ptRegsSize is the size of the kernel's struct pt_regs: the registers of ptrace, then what the kernel keeps of a system call.
//
//	0        248  256  264      272       280                  336
//	x0 … x30 sp   pc   pstate   orig_x0   number (4 bytes) …
const ptRegsSize = 336

// kernelRegsSize is how far from the top of a task's kernel stack it begins.
const kernelRegsSize = ptRegsSize

const (
	userRegsSize = 272
	origAt       = userRegsSize
	numberAt     = 280
)

func copyRegs(to []byte, regs *unix.PtraceRegs) {
	copy(to, unsafe.Slice((*byte)(unsafe.Pointer(regs)), userRegsSize))
	if len(to) >= ptRegsSize {
		binary.NativeEndian.PutUint64(to[origAt:], regs.Regs[0])
		binary.NativeEndian.PutUint32(to[numberAt:], uint32(regs.Regs[8]))
	}
}

// callNumber is the system call that the task is in, callResult what it returns at its end.
func callNumber(regs *unix.PtraceRegs) int    { return int(int32(regs.Regs[8])) }
func callResult(regs *unix.PtraceRegs) uint64 { return regs.Regs[0] }

// callArgs are right at the start of the call: the result takes the place of the first.
func callArgs(regs *unix.PtraceRegs) [6]uint64 { return [6]uint64(regs.Regs[:6]) }

// foreignArgs are those of a system call of 32-bit programs, whose registers are the lower ones.
func foreignArgs(regs *unix.PtraceRegs) [6]uint64 { return callArgs(regs) }

// Register sets as core files have them.
const (
	setStatus     = 1     // NT_PRSTATUS
	setSystemCall = 0x404 // NT_ARM_SYSTEM_CALL
)

func registerSet(request, tid int, set uintptr, at unsafe.Pointer, size uint64) error {
	v := unix.Iovec{Base: (*byte)(at), Len: size}
	return ptrace(request, tid, set, uintptr(unsafe.Pointer(&v)))
}

func getRegs(tid int, regs *unix.PtraceRegs) error {
	return registerSet(unix.PTRACE_GETREGSET, tid, setStatus, unsafe.Pointer(regs), userRegsSize)
}

func setRegs(tid int, regs *unix.PtraceRegs) error {
	return registerSet(unix.PTRACE_SETREGSET, tid, setStatus, unsafe.Pointer(regs), userRegsSize)
}

// setCall makes another system call of the one at whose start a task has stopped.
func setCall(tid, nr int) error {
	number := int32(nr)
	return registerSet(unix.PTRACE_SETREGSET, tid, setSystemCall, unsafe.Pointer(&number), 4)
}

// endOf makes registers at the end of a system call tell its number, if nr is one: execve clears it.
func endOf(regs *unix.PtraceRegs, nr int) {
	if nr >= 0 {
		regs.Regs[8] = uint64(nr)
	}
}

// compat reports whether the task runs 32-bit code.
func compat(regs *unix.PtraceRegs) bool { return regs.Pstate&0x10 != 0 }

// userFrame gives the instruction pointer and the frame pointer.
func userFrame(regs *unix.PtraceRegs) (ip, fp uint64) { return regs.Pc, regs.Regs[29] }

// becomeCall makes a task that has stopped at the start of a system call do another one instead, together with setCall.
func becomeCall(regs *unix.PtraceRegs, nr int, args ...uint64) {
	clear(regs.Regs[:4])
	copy(regs.Regs[:4], args)
	regs.Regs[8] = uint64(nr)
}

// failCall has the system call at whose start a task has stopped fail instead of being made, together with setCall.
func failCall(regs *unix.PtraceRegs, errno unix.Errno) { regs.Regs[0] = -uint64(errno) }

// again makes a task that has stopped at the end of a system call make the one of the registers, as they were at its start.
func again(start unix.PtraceRegs) *unix.PtraceRegs {
	start.Pc -= syscallSize
	return &start
}

// restartCall does nothing: the result has taken the place of the first argument.
func restartCall(int, bool, unix.Signal) {}

// syscallSize is the length of the instruction svc.
const syscallSize = 4

func stackPointer(regs *unix.PtraceRegs) uint64 { return regs.Sp }

// making is the system call that a task is in, and its first argument.
func making(regs *unix.PtraceRegs) (nr int, first *uint64) { return callNumber(regs), &regs.Regs[0] }

// makesTask reports whether the system call that a task is in makes another one.
func makesTask(regs *unix.PtraceRegs) bool {
	nr := callNumber(regs)
	return nr == unix.SYS_CLONE || nr == unix.SYS_CLONE3
}

// cloneFlags are those with which the system call that a task is in makes another one.
func cloneFlags(tid int, regs *unix.PtraceRegs) uint64 {
	if callNumber(regs) != unix.SYS_CLONE3 {
		return regs.Regs[0]
	}
	var b [8]byte
	if readMemory(tid, regs.Regs[0], b[:]) != nil {
		return 0
	}
	return binary.NativeEndian.Uint64(b[:])
}

// lateFlags is cloneFlags behind the system call, as far as the child tells.
func lateFlags(k *task, child int, _ *unix.PtraceRegs) uint64 {
	if pid, err := processOf(child); err == nil && pid == k.pid {
		return unix.CLONE_THREAD | unix.CLONE_VM
	}
	return 0
}

// notifiedRegs sets the registers that a notification tells of.
func notifiedRegs(regs *unix.PtraceRegs, n *notification) {
	*regs = unix.PtraceRegs{Pc: n.ip}
	copy(regs.Regs[:], n.args[:])
	regs.Regs[8] = uint64(n.nr)
}

// inNotification reports whether bytes of pt_regs are among them.
func inNotification(at, n int) bool {
	const arguments, number, pc = 6 * 8, 8 * 8, 256
	return at+n <= arguments || at >= number && at+n <= number+8 || at >= pc && at+n <= ptRegsSize
}
