package symbol

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracee is a thread that is stopped.
type tracee struct {
	tid  int
	mem  *os.File
	regs Registers
	buf  []byte
}

// seize takes over the main thread of a process that stops itself.
func seize(t testing.TB, pid int) *tracee {
	t.Helper()
	waitForStop(t, pid)
	return attach(t, pid, pid)
}

func waitForStop(t testing.TB, pid int) {
	t.Helper()
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
		if err == nil && status.Stopped() {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatalf("waiting for %d to stop: %v, status %#x", pid, err, status)
		}
	}
}

// attach stops a thread; the test has to stay on its own thread, as ptrace wants.
func attach(t testing.TB, pid, tid int) *tracee {
	t.Helper()
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	if machine == 0 {
		t.Skipf("no registers of %s", runtime.GOARCH)
	}
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := unix.PtraceAttach(tid); err != nil {
		t.Fatalf("attaching to %d: %v", tid, err)
	}
	tr := &tracee{tid: tid, buf: make([]byte, 32<<10), regs: Registers{Machine: machine}}
	t.Cleanup(func() {
		unix.Kill(pid, unix.SIGKILL) // else it would stay stopped
		if unix.PtraceDetach(tid) != nil && tid != pid {
			unix.Wait4(tid, nil, unix.WALL, nil) // it has ended, and the process waits for us to see that
		}
	})
	for s := unix.Signal(0); s != unix.SIGSTOP; {
		s = tr.wait(t)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	tr.mem = mem
	tr.read(t)
	return tr
}

// wait waits until the thread stops, and returns the signal that it stopped for.
func (tr *tracee) wait(t testing.TB) unix.Signal {
	t.Helper()
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(tr.tid, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("waiting for %d: %v, status %#x", tr.tid, err, status)
		}
		return status.StopSignal()
	}
}

// read reads the registers.
func (tr *tracee) read(t testing.TB) {
	t.Helper()
	var b [34 * 8]byte
	const prstatus = 1
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(tr.tid), prstatus, uintptr(unsafe.Pointer(&v)), 0, 0)
	if e != 0 {
		t.Fatal(e)
	}
	var err error
	if tr.regs, err = KernelRegisters(tr.regs.Machine, b[:v.Len]); err != nil {
		t.Fatal(err)
	}
}

// step runs one instruction, after a signal if it is not 0, and returns the signal that comes next, if any.
func (tr *tracee) step(t testing.TB, signal unix.Signal) unix.Signal {
	t.Helper()
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SINGLESTEP, uintptr(tr.tid), 0, uintptr(signal), 0, 0)
	if e != 0 {
		t.Fatal(e)
	}
	s := tr.wait(t)
	tr.read(t)
	if s == unix.SIGTRAP {
		return 0
	}
	return s
}

func (tr *tracee) ip() uint64 { return tr.regs.Value[architectureOf(tr.regs.Machine).ip] }
func (tr *tracee) sp() uint64 { return tr.regs.Value[architectureOf(tr.regs.Machine).sp] }

// stack copies up to n bytes from the stack pointer on.
func (tr *tracee) stack(n int) UserStack {
	got, _ := tr.mem.ReadAt(tr.buf[:n], int64(tr.sp()))
	return UserStack{Addr: tr.sp(), Bytes: tr.buf[:got]}
}
