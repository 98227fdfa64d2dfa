package symbol

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// compile builds a program with a compiler of this machine; it skips without one.
func compile(t testing.TB, compiler, extension, source string, flags ...string) string {
	t.Helper()
	// Not by ktest, which would take these tests to guests, where no compiler is.
	if _, err := exec.LookPath(compiler); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "program"+extension), filepath.Join(dir, "program")
	write(t, in, source)
	run(t, compiler, append([]string{"-o", out, in}, flags...)...)
	return out
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// child is a process that has printed one line and waits for its input to end.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	line  string
	ended bool
}

func start(t testing.TB, name string, args ...string) *child {
	t.Helper()
	return startWith(t, nil, name, args...)
}

func startWith(t testing.TB, attr *syscall.SysProcAttr, name string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(name, args...)}
	c.cmd.SysProcAttr = attr
	c.cmd.Stderr = os.Stderr
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		if os.IsPermission(err) {
			t.Skipf("starting %s: %v", name, err)
		}
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	c.out = bufio.NewReader(out)
	c.next(t)
	return c
}

// next reads the next line that the child prints.
func (c *child) next(t testing.TB) {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %v", c.cmd, err)
	}
	c.line = strings.TrimSpace(line)
}

// stop ends the child and waits until it is gone.
func (c *child) stop() {
	if !c.ended {
		c.ended = true
		c.stdin.Close()
		c.cmd.Wait()
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// addresses are the hexadecimal numbers that the child printed.
func (c *child) addresses(t testing.TB) []uint64 {
	t.Helper()
	var out []uint64
	for _, f := range strings.Fields(c.line) {
		var v uint64
		if _, err := fmt.Sscanf(f, "0x%x", &v); err != nil {
			t.Fatalf("%q: %v", c.line, err)
		}
		out = append(out, v)
	}
	return out
}

func strs(symbols []Symbol) []string {
	out := make([]string, len(symbols))
	for i, s := range symbols {
		out[i] = s.String()
	}
	return out
}
