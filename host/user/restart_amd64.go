package user

import "golang.org/x/sys/unix"

// restartCall makes a task begin its system call again if that has failed with EINTR, and only because of the tracer: for no signal, or one that
// the task ignores. The kernel does so with most system calls; these are others. One that waits for a time is left alone, since it would wait longer, unless it has only just begun.
func restartCall(tid int, begun bool, signal unix.Signal) {
	var regs unix.PtraceRegs
	if getRegs(tid, &regs) != nil || compat(&regs) || int64(callResult(&regs)) != -int64(unix.EINTR) {
		return
	}
	args := callArgs(&regs)
	endless := false
	switch callNumber(&regs) {
	case unix.SYS_EPOLL_WAIT, unix.SYS_EPOLL_PWAIT:
		endless = int32(args[3]) < 0
	case unix.SYS_EPOLL_PWAIT2, unix.SYS_SEMTIMEDOP:
		endless = args[3] == 0
	case unix.SYS_RT_SIGTIMEDWAIT:
		endless = args[2] == 0
	case unix.SYS_IO_GETEVENTS:
		endless = args[4] == 0
	case unix.SYS_SEMOP:
		endless = true
	default:
		return
	}
	if (endless || begun) && !disturbed(tid, signal) {
		_ = setRegs(tid, again(regs))
	}
}
