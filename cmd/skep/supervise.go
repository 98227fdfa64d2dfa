package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"skep/host/kernel"
)

// superviseMark tells skep that its parent is skep, which waits for it.
const superviseMark = "SKEP_SUPERVISED"

// needsSupervisor reports whether the script traces, in user space, a process that is not skep's own.
func (t *tracing) needsSupervisor() bool {
	if t.child != nil || t.followed() == 0 || t.explainOnly || t.dryRun || t.compileOnly() {
		return false
	}
	switch t.host {
	case "kernel":
		return false
	case "user":
		return true
	}
	return kernel.Privileges() != nil
}

// supervise runs skep as a child that traces, and returns its exit code. A tracer that is killed (SIGKILL) cannot take its breakpoints
// out of a process that was there before it, and the first of them would end that. So what people see, and kill, is another process than
// the tracer, which is told of its end and lets go in order. typed says that a script may be read from a terminal, supervised that this is
// the tracer.
func supervise(env *environment, typed bool) (exit int, supervised bool) {
	if os.Getenv(superviseMark) != "" {
		os.Unsetenv(superviseMark)
		signal.Ignore(syscall.SIGTTOU) // it writes to a terminal from the background
		return 0, true
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: os.Args, Env: append(os.Environ(), superviseMark+"=1"), Stdin: os.Stdin, Stdout: env.stdout.file, Stderr: env.stderr,
		// Of its own group, so that what is sent to ours, by a terminal or by timeout(1), does not end it; unless it is to read a script there.
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: !typed},
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	done := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // it is told of the end of the thread that has started it
		err := cmd.Start()
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fail(env, fmt.Errorf("starting the tracer: %w", err)), false
	}
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have ended
		case <-done:
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return 128 + int(status.Signal()), false
			}
			return cmd.ProcessState.ExitCode(), false
		}
	}
}
