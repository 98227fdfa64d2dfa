package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// cleaner tells of the signals that it gets, and ends in order, which takes its time.
const cleaner = `#!/bin/sh
exec 2>/dev/null
trap 'got="$got INT"' INT
trap 'got="$got TERM"' TERM
echo ready
until [ "$got" ]; do sleep 0.01; done
for i in 1 2 3 4 5; do sleep 0.1; done
echo cleaned$got
exit 7
`

// interrupting is skep with a command that has told that it is ready.
type interrupting struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr bytes.Buffer
	typed  *os.File // what is written here is typed on its terminal
}

// startInterrupting starts skep with a command, which is a script of the shell, as the first of a process group, on a terminal if typed is set.
func startInterrupting(t *testing.T, host, command string, typed bool) *interrupting {
	t.Helper()
	file := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(file, []byte(command), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := `BEGIN { @ = 1; } interval:s:1000 { exit(); }`
	if host == "user" {
		script += ` tracepoint:syscalls:sys_enter_getppid { @a = 3; clear(@a); }`
	}
	s := &interrupting{t: t, cmd: exec.Command(self, "-q", "--host="+host, "-c", file, "-e", script)}
	s.cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1")
	s.cmd.Stderr = &s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if typed {
		s.typed, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Skip("no terminals: ", err)
		}
		t.Cleanup(func() { s.typed.Close() })
		number, err := unix.IoctlGetInt(int(s.typed.Fd()), unix.TIOCGPTN)
		if err == nil {
			err = unix.IoctlSetPointerInt(int(s.typed.Fd()), unix.TIOCSPTLCK, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer terminal.Close()
		s.cmd.Stdin, s.cmd.SysProcAttr.Setctty = terminal, true
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	s.lines = bufio.NewScanner(out)
	s.await("ready")
	return s
}

// await reads lines up to one.
func (s *interrupting) await(line string) {
	s.t.Helper()
	for s.lines.Scan() {
		if s.lines.Text() == line {
			return
		}
	}
	s.t.Fatalf("there was no line %q: %s", line, s.stderr.String())
}

func (s *interrupting) types(keys string) {
	if _, err := s.typed.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// signal sends a signal to a process, or a group if its number is negative.
func (s *interrupting) signal(pid int, signal unix.Signal) {
	if err := unix.Kill(pid, signal); err != nil {
		s.t.Fatal(err)
	}
}

const controlC = "\x03"

// TestInterruptCommand interrupts skep in all ways while a command runs, which is to end in its own way, and whose exit status is skep's.
func TestInterruptCommand(t *testing.T) {
	ktest.Need(t, ktest.Root)
	ktest.Oldest(t)
	for _, host := range []string{"user", "kernel"} {
		for _, c := range []struct {
			name, command string
			typed         bool
			end           func(s *interrupting)
			want          string // lines before the results
			exit          int
		}{
			{"alone", cleaner, false, func(s *interrupting) { s.signal(s.cmd.Process.Pid, unix.SIGINT) }, "cleaned TERM\n", 7},
			{"terminal", cleaner, true, func(s *interrupting) { s.types(controlC) }, "cleaned INT\n", 7},
			{"group", cleaner, false, func(s *interrupting) { s.signal(-s.cmd.Process.Pid, unix.SIGINT) }, "cleaned INT\n", 7},
			{"group, SIGTERM", cleaner, false, func(s *interrupting) { s.signal(-s.cmd.Process.Pid, unix.SIGTERM) }, "cleaned TERM\n", 7},
			{"ends by the signal", "#!/bin/sh\nexec 2>/dev/null\necho ready\nexec sleep 1000\n", true, func(s *interrupting) { s.types(controlC) }, "", 130},
			{"twice", "#!/bin/sh\nexec 2>/dev/null\ntrap 'sleep 0.2; echo INT' INT\necho ready\nwhile :; do sleep 0.01; done\n", true, func(s *interrupting) {
				s.types(controlC)
				s.await("INT")
				s.types(controlC)
			}, "", 143},
			{"never", "#!/bin/sh\nexec 2>/dev/null\ntrap '' TERM\necho ready\nwhile :; do sleep 0.1; done\n", false, func(s *interrupting) { s.signal(s.cmd.Process.Pid, unix.SIGTERM) }, "", 137},
		} {
			t.Run(host+", "+c.name, func(t *testing.T) {
				s := startInterrupting(t, host, c.command, c.typed)
				c.end(s)
				var lines []string
				for s.lines.Scan() {
					if line := s.lines.Text(); line != "" && line != "INT" {
						lines = append(lines, line)
					}
				}
				_ = s.cmd.Wait()
				want := c.want
				if (host == "kernel" || ktest.Emulated()) && strings.HasPrefix(c.name, "group") {
					want = strings.TrimSuffix(want, "\n") + "( TERM)?\n" // who does not trace, or does so too slowly, does not know who else has got the signal, and says again that it is time to end
				}
				if got := strings.Join(lines, "\n"); !regexp.MustCompile("^" + want + "@: 1$").MatchString(got) {
					t.Errorf("it printed %q, want %q and the results", got, want)
				}
				if exit := s.cmd.ProcessState.ExitCode(); exit != c.exit || s.stderr.Len() > 0 {
					t.Errorf("exit code %d, want %d; %s", exit, c.exit, s.stderr.String())
				}
			})
		}
	}
}
