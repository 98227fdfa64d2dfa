package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// talker is a program with which a test talks line by line.
type talker struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// talkTo starts a program; what it says on standard error is shown.
func talkTo(t *testing.T, args ...string) *talker {
	t.Helper()
	p := &talker{t: t, cmd: exec.Command(args[0], args[1:]...)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	p.lines = bufio.NewScanner(out)
	return p
}

func (p *talker) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		p.t.Fatal(err)
	}
}

// line reads one, such as that the program is ready.
func (p *talker) line() {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("%s has ended and said nothing", p.cmd.Path)
	}
}

// hear reads up to a line.
func (p *talker) hear(line string) {
	p.t.Helper()
	for p.lines.Scan() {
		if p.lines.Text() == line {
			return
		}
	}
	p.t.Fatalf("%s has ended and not said %q", p.cmd.Path, line)
}

// end reads the rest, and waits until the program has ended well.
func (p *talker) end() {
	p.t.Helper()
	for p.lines.Scan() {
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("%s: %v", p.cmd.Path, err)
	}
}

func (p *talker) pid() string { return strconv.Itoa(p.cmd.Process.Pid) }

// buildC compiles a program for tools that watch libraries of C.
func buildC(t *testing.T, source string, libraries ...string) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("guests have no compiler: the live kernel runs this")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "program.c"), filepath.Join(dir, "program")
	if err := os.WriteFile(in, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("gcc", append([]string{"-w", "-O0", "-fno-builtin", "-pthread", "-Wl,--copy-dt-needed-entries", "-o", out, in}, libraries...)...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, text)
	}
	return out
}
