package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndsWithMake kills a make in the middle of a run: neither the run nor what it has started may stay.
func TestEndsWithMake(t *testing.T) {
	self := filepath.Join(t.TempDir(), "ktest")
	if out, err := exec.Command("go", "build", "-o", self, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	// A package that says when its tests run on the live kernel, and whose tests do not end.
	module := t.TempDir()
	started := filepath.Join(module, "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":                       "module skep\n",
		"README.md":                    "",
		"internal/ktest/ktest.go":      "package ktest\n",
		"internal/ktest/guest/main.go": "package main\n\nfunc main() {}\n",
		"internal/ktest/work/main.go":  "package main\n\nfunc main() {}\n",
		"cmd/skep/main.go":             "package main\n\nfunc main() {}\n",
		"x/x_test.go": `package x

import (
	"os"
	"strconv"
	"testing"
	_ "skep/internal/ktest"
)

func TestForever(t *testing.T) {
	if err := os.WriteFile("../started", []byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		t.Fatal(err)
	}
	select {}
}
`,
	} {
		path := filepath.Join(module, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	parent := filepath.Join(t.TempDir(), "make")
	if err := os.Symlink(shell, parent); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(parent, "-c", self+` run -kernel live -run TestForever ./x >output 2>&1; true`)
	cmd.Dir = module
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(started, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		output, _ := os.ReadFile(filepath.Join(module, "output"))
		t.Fatalf("%v; the run says\n%s", err, output)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	deadline := time.Now().Add(time.Minute)
	for syscall.Kill(pid, 0) == nil {
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			output, _ := os.ReadFile(filepath.Join(module, "output"))
			t.Fatalf("the test is still running, and the run says\n%s", output)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
