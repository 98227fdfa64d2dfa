package kernel

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// reaperName is the argument that makes this program a reaper: it owns descriptors that the kernel takes long to close, and closes
// them by its end, while the user has the prompt back.
const reaperName = "skep-reaper"

// canReap is set by ReaperMain: a program that does not call it would run its own main as the reaper.
var canReap bool

// ReaperMain reports whether this process was started to close descriptors, and is done with it: main returns then. It must
// be called first in main; a program that does not call it waits itself when it releases what the kernel takes long to close.
func ReaperMain() bool {
	if len(os.Args) != 1 || os.Args[0] != reaperName {
		canReap = true
		return false
	}
	// The parent keeps the other end of descriptor 0 until it has closed its copies: ours must be the last, or the
	// parent would be the one that waits.
	var b [1]byte
	for {
		_, err := unix.Read(0, b[:])
		if err != unix.EINTR {
			break
		}
	}
	return true
}

// release closes descriptors without waiting for the kernel to let go of what they stand for.
func release(fds []int) {
	if len(fds) == 0 {
		return
	}
	if !canReap || startReaper(fds) != nil {
		go closeAll(fds)
	}
}

// startReaper hands the descriptors to a new process and closes ours.
func startReaper(fds []int) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[1])
	defer unix.Close(pipe[0])
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	// With the terminal's output it would keep a pipeline waiting; in our session, Ctrl-C would end it.
	files := []uintptr{uintptr(pipe[0]), uintptr(null), uintptr(null)}
	for _, fd := range fds {
		files = append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{reaperName}, &syscall.ProcAttr{
		Dir: "/", Env: []string{"GOMAXPROCS=1"}, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	closeAll(fds)
	go syscall.Wait4(pid, nil, 0, nil)
	return nil
}
