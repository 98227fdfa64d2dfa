// Command guest is the first process of a test kernel: it makes the machine usable, runs the planned programs with
// their output going straight to the host, and turns the machine off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/ktest/boot"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest is the first process of a test kernel, not for other use")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	powerOff()
}

func run() error {
	problems := prepare()
	text, err := os.ReadFile(boot.PlanPath)
	if err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	var plan boot.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	for _, path := range plan.Modules {
		if err := loadModule(path); err != nil {
			problems = append(problems, err)
		}
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, "guest:", p)
	}
	for _, variable := range plan.Env {
		name, value, _ := strings.Cut(variable, "=")
		os.Setenv(name, value)
	}
	if plan.Shell != "" {
		return shell(plan)
	}

	if alive, err := openPort(boot.AlivePort); err == nil {
		go keepAlive(alive)
	} else {
		return err
	}
	output, err := openPort(boot.OutputPort)
	if err != nil {
		return err
	}
	say := func(m boot.Mark) { output.Write(m.Line()) }
	say(boot.Mark{Kind: "booted", Text: release()})
	for _, p := range plan.Programs {
		say(boot.Mark{Kind: "start", Program: p.Name})
		code, timedOut := runProgram(p, output)
		say(boot.Mark{Kind: "exit", Program: p.Name, Code: code, TimedOut: timedOut})
	}
	say(boot.Mark{Kind: "done"})
	return nil
}

// openPort finds a channel to the host by its name; the driver makes it appear a moment after it is loaded.
func openPort(name string) (*os.File, error) {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, path := range names {
			b, err := os.ReadFile(path)
			if err != nil || strings.TrimSpace(string(b)) != name {
				continue
			}
			// Opened without O_NONBLOCK semantics: a file descriptor in the runtime's poller would make the
			// programs that inherit it see EAGAIN.
			fd, err := unix.Open("/dev/"+filepath.Base(filepath.Dir(path)), unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				return os.NewFile(uintptr(fd), name), nil
			}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("no channel %s to the host", name)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// keepAlive tells the host that processes still get to run.
func keepAlive(port *os.File) {
	for range time.Tick(time.Second) {
		port.Write([]byte("."))
	}
}

func release() string {
	var u unix.Utsname
	unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}

func powerOff() {
	// What is still on its way to the console would be lost.
	unix.IoctlSetInt(int(os.Stderr.Fd()), unix.TCSBRK, 1)
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	// Without ACPI power-off the host is waiting for a reset instead.
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}
