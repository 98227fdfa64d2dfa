package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"skep/host"
)

// Child is the command of -c. It is started early, so that its process id is known, but runs nothing of the command until it is
// released: until then the process is a stub that waits and then executes the command, and does nothing else that a probe could see.
type Child struct {
	process *os.Process
	command string
	gate    *os.File // closing it unwritten ends the process before the command starts
	status  *os.File // from which the stub tells that the command cannot be run
	done    chan struct{}
	hurry   chan struct{} // asks not to wait any longer for the command to end
	asked   time.Time     // when the user wanted it to end last; of who handles signals
	// released says that the command has been let go, killed that it has been sent SIGKILL.
	released, killed, ended atomic.Bool
	failure                 error            // once done: why the command could not be run
	state                   *os.ProcessState // once done: how it ended; nil if its tracer has found that out
}

const childName = "skep: child"

// StartChild starts a command with its arguments as a process that waits.
func StartChild(words ...string) (*Child, error) {
	if len(words) == 0 {
		return nil, errors.New("the command of -c is empty")
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return nil, fmt.Errorf("%s does not exist or is not executable", words[0])
	}
	c := &Child{command: words[0], done: make(chan struct{}), hurry: make(chan struct{}, 1)}
	if err := c.start(append([]string{childName, path}, words...)); err != nil {
		return nil, fmt.Errorf("starting %s: %w", words[0], err)
	}
	go c.wait()
	return c, nil
}

func (c *Child) start(args []string) error {
	stub, err := openStub()
	if err != nil {
		return err
	}
	defer stub.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	status, told, err := os.Pipe()
	if err != nil {
		write.Close()
		return err
	}
	defer told.Close()
	c.gate, c.status = write, status
	started := make(chan struct{})
	go func() {
		// The command is told to end (SIGTERM) when the thread that started it does, which is to be when skep does, by SIGKILL too.
		runtime.LockOSThread()
		c.process, err = os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", stub.Fd()), args, &os.ProcAttr{
			Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, stubGate: read, stubStatus: told},
			Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM},
		})
		close(started)
		if err == nil {
			<-c.done
		}
	}()
	<-started
	if err != nil {
		write.Close()
		status.Close()
	}
	if errors.Is(err, fs.ErrNotExist) { // the stub itself is there
		return errors.New("-c needs /proc, which is not mounted")
	}
	return err
}

// wait waits for the end of the command, or of the stub that could not run it.
func (c *Child) wait() {
	// A tracer in this process must be told of its stops, which waiting for the process would take away. Its end is no such thing.
	_ = waitPID(c.process.Pid)
	c.state, _ = c.process.Wait()
	var result [4]byte
	if n, _ := c.status.Read(result[:]); n == len(result) {
		c.failure = fmt.Errorf("running %s: %w", c.command, syscall.Errno(-int32(binary.NativeEndian.Uint32(result[:]))))
	}
	c.status.Close()
	c.ended.Store(true)
	close(c.done)
}

// PID is the process id of the command.
func (c *Child) PID() int { return c.process.Pid }

// childStart is how long the process may take to come to its gate; where it takes longer, what it does before may be seen.
const childStart = time.Second

// settle waits until the process sleeps at its gate, so that probes attached from now on see nothing of the stub but the execution of
// the command. Usually it has been there for long.
func (c *Child) settle() {
	path := fmt.Sprintf("/proc/%d/stat", c.PID())
	for deadline := time.Now().Add(childStart); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		stat, err := os.ReadFile(path)
		// The state follows the name, which stands in parentheses and may have any in itself.
		if name := bytes.LastIndexByte(stat, ')'); err != nil || bytes.HasPrefix(stat[name+1:], []byte(" S")) {
			return
		}
	}
}

// release lets the command start.
func (c *Child) release() error {
	c.released.Store(true)
	_, err := c.gate.Write([]byte{1})
	c.gate.Close()
	if err != nil && !c.ended.Load() {
		return fmt.Errorf("starting the command: %w", err)
	}
	return nil
}

// end ends the command if it still runs.
func (c *Child) end() {
	c.gate.Close()
	if c.ended.Load() {
		return
	}
	c.terminate()
	<-c.done
}

// Stop ends a child that no run has taken over.
func (c *Child) Stop() { c.end() }

// tracerPatience is how long a tracer may take to say how the command has ended, after it has.
const tracerPatience = 2 * time.Second

// exitStatus is how the command has ended, as shells say it. ok is false if that is not known, or it was never run.
func (c *Child) exitStatus(session host.Session) (code int, ok bool) {
	if !c.ended.Load() || c.failure != nil {
		return 0, false
	}
	var status syscall.WaitStatus
	if tracer, is := session.(host.Command); is {
		// Who of the two is told of the end is chance, and a tracer that was may not have got to it yet.
		deadline := time.Now().Add(tracerPatience)
		for status, ok = tracer.ExitStatus(); !ok && c.state == nil && time.Now().Before(deadline); status, ok = tracer.ExitStatus() {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if !ok && c.state != nil {
		status, ok = c.state.Sys().(syscall.WaitStatus)
	}
	switch {
	case !ok:
		return 0, false
	case status.Signaled():
		return 128 + int(status.Signal()), true
	}
	return status.ExitStatus(), true
}

// waitPID returns when a process has ended, and leaves it to be waited for.
func waitPID(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("watching process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); err != unix.EINTR {
			return err
		}
	}
}

// watchPID calls f when a process ends. The goroutine that waits ends with the process of the tracer.
func watchPID(pid int, f func()) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("watching process %d: %w", pid, err)
	}
	go func() {
		defer unix.Close(fd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err != unix.EINTR {
				break
			}
		}
		f()
	}()
	return nil
}
