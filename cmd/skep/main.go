// Command skep runs eBPF programs: bpftrace scripts, and tools made of them.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"skep/app/tools"
	"skep/host/kernel"
)

// version is set by the build.
var version = "devel"

// command is one subcommand. A command line that begins with none of their names is that of bpftrace.
type command struct {
	name, about string
	run         func(env *environment, args []string) int
}

func commands() []command {
	return []command{
		{"help", "show this help, or the manual of a tool", runHelp},
		{"tools", "list the ready-made tools", runTools},
		{"links", "make a link for each tool in a folder", runLinks},
		{"completion", "print the completion for bash, zsh or fish", runCompletion},
		{"vm", "run eBPF programs in user space", runVM},
		{"replay", "run a script on recorded events", runReplay},
		{"disasm", "show eBPF instructions as text", runDisasm},
		{"verify", "tell which kernels will load a program, and why not", runVerify},
		{"version", "show the version", runVersion},
	}
}

// environment is what a command may use of its surroundings.
type environment struct {
	stdin  io.Reader
	stdout *output
	stderr *os.File
	name   string // under which the program was called
}

// output is standard output. That a part of it could not be written is not forgotten, whoever wrote it.
type output struct {
	file *os.File
	err  error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// Watch implements [trace.Watched]. What is written to a pipe that nobody reads ends this process by SIGPIPE, as it does other programs.
func (o *output) Watch() error {
	gone := false
	if c, err := o.file.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) {
			pipe := []unix.PollFd{{Fd: int32(fd)}}
			n, err := unix.Poll(pipe, 0)
			gone = n == 1 && err == nil && pipe[0].Revents&unix.POLLERR != 0
		})
	}
	if !gone {
		return nil
	}
	_, err := o.Write([]byte{'\n'})
	return err
}

func main() {
	// This binary also runs as a kind of process of its own.
	if kernel.ReaperMain() {
		return
	}
	runtime.LockOSThread() // for mainThread
	endOnQuit()
	env := &environment{os.Stdin, &output{file: os.Stdout}, os.Stderr, filepath.Base(os.Args[0])}
	code := run(env, os.Args[1:])
	if code == 0 && env.stdout.err != nil {
		code = fail(env, fmt.Errorf("writing the output: %w", env.stdout.err))
	}
	os.Exit(code)
}

// mainThread is a way to have functions called by the main goroutine, which main has bound to the process's first thread: what is sent on
// the channel.
func mainThread() (call func(func()), calls <-chan func()) {
	c := make(chan func())
	return func(f func()) {
		done := make(chan struct{})
		c <- func() {
			f()
			close(done)
		}
		<-done
	}, c
}

// endOnQuit makes SIGQUIT end the program at once, as it ends others; Go's own answer is pages about its goroutines.
func endOnQuit() {
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		os.Exit(128 + int(syscall.SIGQUIT))
	}()
}

func run(env *environment, args []string) int {
	if tool, ok := tools.Called(env.name); ok {
		return runTool(env, tool, args)
	}
	if len(args) > 0 && env.name != "bpftrace" {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(env, args[1:])
			}
		}
		if tools.Exists(args[0]) {
			return runTool(env, args[0], args[1:])
		}
	}
	return runTrace(env, args)
}

func runHelp(env *environment, args []string) int {
	if len(args) > 0 {
		return showManual(env, args[0])
	}
	_, _ = io.WriteString(env.stdout, usage)
	return 0
}

func runVersion(env *environment, _ []string) int {
	v := strings.TrimPrefix(version, "v")
	if env.name == "bpftrace" {
		// Harnesses read the version of the language from this line.
		fmt.Fprintf(env.stdout, "bpftrace v0.27.1 (skep v%s)\n", v)
		return 0
	}
	fmt.Fprintf(env.stdout, "skep v%s\n", v)
	return 0
}

// fail prints an error as all of skep's errors look, and returns the exit code.
func fail(env *environment, err error) int {
	var shown errShown
	if !errors.As(err, &shown) {
		fmt.Fprintf(env.stderr, "ERROR: %v\n", err)
	}
	return 1
}

// errShown is an error that has been printed already, as diagnostics are.
type errShown struct{}

func (errShown) Error() string { return "see above" }
