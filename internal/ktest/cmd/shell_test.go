package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/ktest/archive"
	"skep/internal/ktest/boot"
)

// TestShell types into a guest's terminal what a person would.
func TestShell(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	_, err := archive.Fetch(t.Context(), archive.Cache(), "5.10", false, os.Stderr)
	if err = errors.Join(err, boot.CheckEmulator(t.Context())); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	self := filepath.Join(t.TempDir(), "ktest")
	if out, err := exec.Command("go", "build", "-o", self, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	person, terminal := openTerminal(t)
	// Its end closes the terminal, so that a guest that says nothing more ends the test with what it said.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "shell", "-kernel", "5.10")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()

	var seen strings.Builder
	expect := func(text string) {
		t.Helper()
		from := seen.Len()
		buf := make([]byte, 4096)
		for !strings.Contains(seen.String()[from:], text) {
			n, err := person.Read(buf)
			// Both the guest's terminal and the host's put carriage returns before a new line.
			seen.Write(bytes.ReplaceAll(buf[:n], []byte("\r"), nil))
			if err != nil {
				t.Fatalf("no %q before the end (%v) of\n%s", text, err, seen.String())
			}
		}
	}
	expect("bash 5.10 ~# ")
	fmt.Fprint(person, "uname -r; stty size; echo $((6*7))\r")
	expect("42\nbash 5.10 ~# ")
	for _, want := range []string{"\n5.10.0-", "\n33 101\n"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("no %q in\n%s", want, seen.String())
		}
	}
	// Until the command has the terminal, the key may end nothing.
	fmt.Fprint(person, "sh -c 'echo go; exec sleep 1000'\r")
	expect("\ngo\n")
	fmt.Fprint(person, "\x03")
	expect("bash 5.10 ~# ")
	fmt.Fprint(person, "exit\r")
	expect("Power down")
	go io.Copy(io.Discard, person) // the emulator waits until its last words are read
	if err := cmd.Wait(); err != nil {
		t.Errorf("leaving the shell: %v\n%s", err, seen.String())
	}
}

// openTerminal gives the two ends of a terminal of 33 rows and 101 columns.
func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 101}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, terminal
}
