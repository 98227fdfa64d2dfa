package trace

import (
	"bytes"
	"context"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"skep/lang/bpftrace/lower"
)

func comm(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestChild runs a command that leaves a file: it must not be there before the probes are attached, and be there when the
// run has ended by itself.
func TestChild(t *testing.T) {
	file := filepath.Join(t.TempDir(), "made")
	child, err := StartChild("touch", file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript()
	s.session.attach = func() {
		if got := s.session.state[lower.StateCpid/8]; got != uint64(child.PID()) {
			t.Errorf("state says that the child is %d, it is %d", got, child.PID())
		}
		if comm(t, child.PID()) == "touch" {
			t.Error("the command runs before the probes are attached")
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("the command has run before the probes are attached")
		}
	}
	if got := s.play(t, Options{Child: child}); got.Exit != 0 {
		t.Errorf("exit code %d", got.Exit)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the command has not run:", err)
	}
}

// TestChildEnds has a command that would go on after the script.
func TestChildEnds(t *testing.T) {
	child, err := StartChild("sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	newScript().play(t, Options{Child: child, Signals: signals})
	if !child.ended.Load() {
		t.Error("the command still runs")
	}
}

// TestChildCannotRun has a file that is executable by its mode only.
func TestChildCannotRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nonsense")
	if err := os.WriteFile(file, []byte("\x7fnothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	child, err := StartChild(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript()
	exit, err := Run(context.Background(), s.session, s.unit(), Options{
		Child: child, Output: io.Discard, Errors: io.Discard, Signals: make(chan os.Signal), Symbols: &fakeSymbols{}})
	if want := "running " + file + ": exec format error"; exit != 1 || err == nil || err.Error() != want {
		t.Errorf("exit code %d, error %v, want %s", exit, err, want)
	}
}

// TestStubs looks at the stubs of other processors, too, as far as that can be done without them.
func TestStubs(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		text, err := stubFile(arch)
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		code := file.Progs[0]
		if file.Machine != machine || file.Entry-code.Vaddr != 176 || code.Filesz != uint64(len(text)) || machine == elf.EM_AARCH64 && len(text)%4 != 0 {
			t.Errorf("%s: %+v", arch, file.FileHeader)
		}
	}
}

// TestChildNeverReleased is the end of a child whose script could not be loaded.
func TestChildNeverReleased(t *testing.T) {
	child, err := StartChild("sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	child.Stop()
	<-child.done
}

func TestNoSuchCommand(t *testing.T) {
	for command, want := range map[string]string{
		"/no/such/command x": "/no/such/command does not exist or is not executable",
		"  ":                 "the command of -c is empty",
	} {
		if _, err := StartChild(strings.Fields(command)...); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", command, err, want)
		}
	}
}

// TestPID ends with the process that it watches.
func TestPID(t *testing.T) {
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := newScript()
	s.session.attach = func() {
		stdin.Close()
		go cmd.Wait()
	}
	s.play(t, Options{PID: cmd.Process.Pid})
}

func TestNoSuchPID(t *testing.T) {
	s := newScript()
	s.session.attach = func() { t.Error("attached to watch a process that is not there") }
	exit, err := Run(context.Background(), s.session, s.unit(), Options{
		PID: 1 << 30, Output: io.Discard, Errors: &bytes.Buffer{}, Signals: make(chan os.Signal), Symbols: &fakeSymbols{}})
	if exit != 1 || err == nil {
		t.Errorf("exit %d, error %v", exit, err)
	}
}
