package user

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Programs find the parent of a process, its leader and their names behind the address of a task_struct. There is none here that could
// be read: an address stands for a task, and reads at the offsets of a few members are answered from /proc.
//
//	63     44 43                  16 15        0
//	 taskBase    number of the task    offset
const (
	taskBase    = 0xfffea << 44
	taskShift   = 16
	taskNumbers = 1<<22 - 1 // PID_MAX_LIMIT
)

// signalStruct stands for a signal_struct, in which all is 0: what ends all threads of a process is told as the exit code of each.
const (
	signalStruct     = 0xfffec << 44
	signalStructSize = 16 << 10
)

// startTime is when a task began, in nanoseconds of CLOCK_MONOTONIC, as exactly as /proc tells.
func startTime(tid int) uint64 {
	const tick = 10_000_000 // ns: USER_HZ is 100 on all architectures
	var boot, monotonic unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic) != nil {
		return 0
	}
	t := task{tid: tid}
	return uint64(int64(t.statField(22))*tick - (boot.Nano() - monotonic.Nano()))
}

// The kernel keeps the registers of user mode at the top of a task's kernel stack, where programs read them that copy a stack. There is
// none here either: userStack stands for that of the task of the event.
const (
	userStack     = 0xfffeb << 44
	userStackSize = 16 << 10
)

// readStack answers a read in that stack: all, or a part, of the registers.
func (e *event) readStack(addr uint64, to []byte) error {
	at := int(addr-userStack) - (userStackSize - kernelRegsSize)
	user := e.registers()
	if user == nil || at < 0 || at+len(to) > ptRegsSize {
		return unix.EFAULT
	}
	var regs [ptRegsSize]byte
	copyRegs(regs[:], user)
	copy(to, regs[at:])
	return nil
}

func taskAddress(tid int) uint64 { return taskBase | uint64(tid)<<taskShift }

// readTask answers a read in a task_struct: all of one of the members that are known.
func (e *event) readTask(h *Host, addr uint64, to []byte) error {
	if addr>>44 != taskBase>>44 || h.Types == nil {
		return unix.EFAULT
	}
	tid, offset := int(addr>>taskShift&taskNumbers), int64(addr&(1<<taskShift-1))
	types, err := h.Types()
	if err != nil {
		return err
	}
	found, err := types.Struct("task_struct")
	if err != nil {
		return err
	}
	s, ok := found.(*btf.Struct)
	if !ok {
		return unix.EFAULT
	}
	for _, m := range s.Members {
		if int64(m.Offset/8) == offset && m.BitfieldSize == 0 {
			return e.readTaskMember(tid, m.Name, to)
		}
	}
	return unix.EFAULT
}

func (e *event) readTaskMember(tid int, member string, to []byte) error {
	number := func(n uint64) error {
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], n)
		if len(to) > len(b) {
			return unix.EFAULT
		}
		copy(to, b[:])
		return nil
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil && tid != 0 {
		return unix.EFAULT
	}
	switch member {
	case "pid":
		return number(uint64(tid))
	case "tgid":
		return number(uint64(statusField(status, "Tgid")))
	case "group_leader":
		return number(taskAddress(statusField(status, "Tgid")))
	case "real_parent", "parent":
		return number(taskAddress(statusField(status, "PPid")))
	case "stack":
		return number(userStack)
	case "start_time":
		return number(startTime(tid))
	case "exit_code": // of the one that exits; that of a process which exits as a whole is its first thread's, too
		if tid != e.task.tid && tid != e.task.pid {
			return unix.EFAULT
		}
		return number(uint64(e.task.exitCode))
	case "signal":
		return number(signalStruct)
	case "comm":
		clear(to)
		name, _, _ := strings.Cut(strings.TrimPrefix(string(status), "Name:\t"), "\n")
		copy(to[:max(min(len(to), 16)-1, 0)], name)
		return nil
	}
	return unix.EFAULT
}
