package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/ktest/boot"
)

// leftBehind is the exit status of a program that left processes running, however it ended itself; a test binary's own is 1 or 2.
const leftBehind = 3

// runProgram waits for the program, ends what it left running, and gives its exit status.
func runProgram(p boot.Program, output *os.File) (code int, timedOut bool) {
	cmd := exec.Command(p.Argv[0], p.Argv[1:]...)
	cmd.Dir = p.Dir
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(output, "starting %s: %v\n", p.Argv[0], err)
		return 127, false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err, timedOut := waitFor(ended, cmd.Process, p.Timeout)
	left := ""
	if !timedOut && p.Linger > 0 {
		left = leftRunning(p.Linger)
	}
	// All other processes are descendants of the program, of which nothing may disturb the next one.
	unix.Kill(-1, unix.SIGKILL)
	reap()

	var exit *exec.ExitError
	switch {
	case left != "":
		fmt.Fprintf(output, "it left processes running: %s\n", left)
		return leftBehind, false
	case err == nil:
		return 0, timedOut
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), timedOut
		}
		return exit.ExitCode(), timedOut
	default:
		fmt.Fprintf(output, "waiting for %s: %v\n", p.Argv[0], err)
		return 127, timedOut
	}
}

func waitFor(ended <-chan error, process *os.Process, limit time.Duration) (err error, timedOut bool) {
	if limit <= 0 {
		return <-ended, false
	}
	select {
	case err := <-ended:
		return err, false
	case <-time.After(limit):
	}
	process.Signal(syscall.SIGQUIT) // a Go program prints its stacks
	select {
	case err := <-ended:
		return err, true
	case <-time.After(5 * time.Second):
	}
	// With all others, since one that traces the program can keep it from ending.
	unix.Kill(-1, unix.SIGKILL)
	select {
	case err := <-ended:
		return err, true
	case <-time.After(10 * time.Second):
	}
	// It is stuck in the kernel. What keeps it there is worth more on the console than the rest of this boot.
	fmt.Fprintln(os.Stderr, "guest: a program cannot be killed")
	for _, command := range []string{"w", "c"} { // the stacks of what is blocked, then a panic
		os.WriteFile("/proc/sysrq-trigger", []byte(command), 0)
	}
	return <-ended, true
}

// leftRunning waits for all other processes to end, and names those that do not in time.
func leftRunning(limit time.Duration) string {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		for {
			if pid, _ := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 {
				break
			}
		}
		var left []string
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, line := range lines {
			pid := filepath.Base(filepath.Dir(line))
			// Threads of the kernel have no command line.
			if text, err := os.ReadFile(line); err == nil && len(text) > 0 && pid != "1" {
				left = append(left, pid+" "+strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " ")))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, ", ")
		}
	}
}

// reap collects the orphans that the first process inherits.
func reap() {
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// shell runs a program with the console as its terminal until the person leaves it.
func shell(plan boot.Plan) error {
	console, err := os.OpenFile("/dev/ttyS0", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening the console: %w", err)
	}
	if plan.Rows > 0 && plan.Columns > 0 {
		size := &unix.Winsize{Row: uint16(plan.Rows), Col: uint16(plan.Columns)}
		if err := unix.IoctlSetWinsize(int(console.Fd()), unix.TIOCSWINSZ, size); err != nil {
			fmt.Fprintln(os.Stderr, "guest: terminal size:", err)
		}
	}
	cmd := exec.Command(plan.Shell)
	cmd.Dir = "/root"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = console, console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running %s: %w", plan.Shell, err)
	}
	return nil
}
