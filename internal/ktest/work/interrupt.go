package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// restartFlag is SA_RESTART: the kernel begins a call again that a handler has interrupted.
const restartFlag = 0x10000000

// handleSignal has the runtime handle a signal in one of the two ways that there are: calls that it interrupts are begun again, or end
// with EINTR.
func handleSignal(number unix.Signal, restart bool) error {
	signal.Notify(make(chan os.Signal, 1), number)
	// The kernel's struct of amd64, arm64 and others: handler, flags, restorer, mask.
	var action [4]uint64
	if _, _, err := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(number), 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0); err != 0 {
		return fmt.Errorf("reading the handler: %w", err)
	}
	action[1] &^= restartFlag
	if restart {
		action[1] |= restartFlag
	}
	if _, _, err := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(number), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); err != 0 {
		return fmt.Errorf("changing the handler: %w", err)
	}
	return nil
}

// interrupt makes a call that waits, sends its thread a signal, and, if the call is to begin again, has it end by release.
func interrupt(how string, call func() error, release func() error) error {
	restart := how == "restart"
	if !restart && how != "eintr" {
		return fmt.Errorf("%q is neither restart nor eintr", how)
	}
	if err := handleSignal(unix.SIGUSR1, restart); err != nil {
		return err
	}
	thread := unix.Gettid()
	released := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		released <- func() error {
			if err := waitUntilAsleep(thread); err != nil {
				return err
			}
			if err := unix.Tgkill(os.Getpid(), thread, unix.SIGUSR1); err != nil {
				return err
			}
			if !restart {
				return nil
			}
			return release()
		}()
	}()
	err := call()
	if !restart && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("the call was not interrupted: %w", err)
	}
	if !restart {
		err = nil
	}
	return errors.Join(err, <-released)
}

// waitUntilAsleep waits until a thread of this process waits in a system call.
func waitUntilAsleep(thread int) error {
	for {
		// The state stands behind the name, which stands in brackets.
		text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", thread))
		if err != nil {
			return err
		}
		if _, rest, _ := strings.Cut(string(text), ") "); strings.HasPrefix(rest, "S") {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// interruptConnect has a signal interrupt a connect to a listener whose queue is full, until there is room in it.
func interruptConnect(how string) error {
	listener, first, address, err := listenFull()
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	defer unix.Close(first)
	second, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(second)
	return interrupt(how, func() error { return unix.Connect(second, address) }, func() error {
		accepted, _, err := unix.Accept(listener)
		if err != nil {
			return err
		}
		return unix.Close(accepted)
	})
}

// interruptOpen has a signal interrupt the opening of a pipe that nobody writes to, until somebody does.
func interruptOpen(how, dir string) error {
	name := fmt.Sprintf("%s/skep-pipe-%d", dir, os.Getpid())
	if err := unix.Mkfifo(name, 0o600); err != nil {
		return err
	}
	defer unix.Unlink(name)
	return interrupt(how, func() error {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}, func() error {
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	})
}
