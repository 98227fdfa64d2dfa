package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// liveColumn runs the packages on the machine's own kernel, each in a mount namespace with the kernel's file systems.
func (w *workspace) liveColumn(ctx context.Context, kernel string, packages []Package) {
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		w.mu.Lock()
		w.outcome.Releases[kernel] = strings.TrimSpace(string(b))
		w.mu.Unlock()
	}
	for _, p := range packages {
		if p.Binary == "" || ctx.Err() != nil {
			continue
		}
		output, code, note := w.runLive(ctx, kernel, p)
		results := w.convert(kernel, p.Path, output, code, note)
		w.record(kernel, results)
		w.progress(kernel, p.Path, results)
	}
}

func (w *workspace) runLive(ctx context.Context, kernel string, p Package) (output []byte, code int, note string) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout+10*time.Second)
	defer cancel()
	// A process cannot move all its threads to another namespace, so that this very program starts once more, moves
	// and becomes the test.
	self, err := os.Executable()
	if err != nil {
		return nil, 1, err.Error()
	}
	cmd := exec.CommandContext(ctx, self, append([]string{LiveCommand, p.Binary}, w.testArgs()...)...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), w.environment(kernel, filepath.Dir(w.commands.Work))...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// The tests do not outlive this process, of which the thread that starts them stands for the whole.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error {
		note = "the tests were killed after their time was over\n"
		if errors.Is(ctx.Err(), context.Canceled) {
			note = "interrupted\n"
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = 10 * time.Second // for what a test left running with its output open
	err = cmd.Run()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.Bytes(), 0, note
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return out.Bytes(), 128 + int(status.Signal()), note
		}
		return out.Bytes(), exit.ExitCode(), note
	default:
		return out.Bytes(), 1, note + err.Error() + "\n"
	}
}

// LiveCommand is the first argument with which the program must call [BecomeLive].
const LiveCommand = "become-live"

// BecomeLive replaces this process by argv in a mount namespace that has the file systems which tests of the kernel
// read. Without the privileges for that the tests run without them, and say what they miss.
func BecomeLive(argv []string) error {
	// Namespaces and the death signal belong to the thread, and the one that executes has to be the same.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("asking for the parent's death: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err == nil {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("making mounts private: %w", err)
		}
		for _, m := range []struct{ target, kind string }{
			{"/sys/kernel/tracing", "tracefs"},
			{"/sys/kernel/debug", "debugfs"},
			{"/sys/fs/bpf", "bpf"},
			{"/sys/fs/cgroup", "cgroup2"},
		} {
			if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
				fmt.Fprintf(os.Stderr, "mounting %s: %v\n", m.target, err)
			}
		}
	}
	return unix.Exec(argv[0], argv, os.Environ())
}
