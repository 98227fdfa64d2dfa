package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"skep/host/kernel"
	"skep/internal/ktest"
)

// TestMain lets the test binary be skep itself, as a process of its own: its start, its signals and its end are tested too.
func TestMain(m *testing.M) {
	if kernel.ReaperMain() {
		return // made by skep of itself, with an environment of its own
	}
	if os.Getenv("SKEP_TEST_MAIN") != "" {
		if early, err := time.ParseDuration(os.Getenv("SKEP_TEST_SLOW_LOAD")); err == nil {
			slowLoad = early
		}
		main()
		return
	}
	closeOnExec()
	os.Exit(m.Run())
}

// closeOnExec keeps what this process has inherited from those that it starts, whose descriptors are compared.
func closeOnExec() {
	open, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// TestKernel runs the cases of testdata/kernel/*.txtar on the running kernel. A case is an archive:
//
//	-- needs --      hooks of the kernel, a line each, by ktest's names
//	-- lacks --      hooks that the kernel must not have
//	-- run --        a command line per line; the first word is skep, or bpftrace for that name
//	-- NAME --       any other file is put into the folder in which it runs; $WORK is the workload command, here and above
//	-- stdout --     the whole standard output; a line that begins with ~ is a regular expression for a line
//	-- stderr --     the same for standard error; messages about attached probes are left out
//	-- exit --       exit code, 0 if absent
//	-- live --       why guests leave it out
func TestKernel(t *testing.T) {
	files, err := filepath.Glob("testdata/kernel/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCase(t, archive) })
	}
}

func runCase(t *testing.T, archive *txtar.Archive) {
	sections, files := map[string]string{}, map[string]string{}
	for _, f := range archive.Files {
		switch f.Name {
		case "live":
			if ktest.Emulated() {
				t.Skip("guests are slow: ", strings.TrimSpace(string(f.Data)))
			}
		case "needs", "lacks", "run", "stdout", "stderr", "exit":
			sections[f.Name] = string(f.Data)
		default:
			files[f.Name] = string(f.Data)
		}
	}
	needs := []ktest.Feature{ktest.Root, ktest.RingBuf}
	for line := range strings.Lines(sections["needs"]) {
		needs = append(needs, ktest.Feature(strings.TrimSpace(line)))
	}
	ktest.Need(t, needs...)
	if strings.TrimSpace(strings.ReplaceAll(sections["needs"], string(ktest.Work), "")) == "" {
		ktest.Oldest(t)
	}
	for line := range strings.Lines(sections["lacks"]) {
		if ktest.Has(ktest.Feature(strings.TrimSpace(line))) {
			t.Skipf("the kernel has %s", line)
		}
	}
	withWork := func(text string) string {
		if strings.Contains(text, "$WORK") {
			text = strings.ReplaceAll(text, "$WORK", ktest.WorkPath(t))
		}
		return text
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(withWork(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	code := 0
	for line := range strings.Lines(sections["run"]) {
		words, err := splitWords(withWork(strings.TrimSpace(line)))
		if err != nil || len(words) == 0 {
			t.Fatalf("%q: %v", line, err)
		}
		code = runSkep(t, dir, words, &stdout, &stderr)
	}
	want := strings.TrimSpace(sections["exit"])
	if want == "" {
		want = "0"
	}
	if got := fmt.Sprint(code); got != want {
		t.Errorf("exit code %s, want %s", got, want)
	}
	compareText(t, "stdout", sections["stdout"], stdout.String())
	compareText(t, "stderr", sections["stderr"], withoutAttached(stderr.String()))
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", stdout.String(), stderr.String())
	}
}

// runSkep runs the test binary as skep and returns its exit code.
func runSkep(t *testing.T, dir string, words []string, stdout, stderr *bytes.Buffer) int {
	t.Helper()
	exit, _ := runSkepMissing(t, dir, words, stdout, stderr)
	return exit
}

// runSkepMissing reports as well whether skep said that events were missed.
func runSkepMissing(t *testing.T, dir string, words []string, stdout, stderr *bytes.Buffer) (code int, missed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	limit := time.Minute
	if ktest.Emulated() {
		limit *= 5
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, words[1:]...)
	cmd.Args[0] = words[0]
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, stderr
	cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	missed = dropMissed(stderr)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Errorf("%q did not end", words)
	}
	return cmd.ProcessState.ExitCode(), missed
}

var missedLine = regexp.MustCompile(`(?m)^WARNING: up to \d+ events were missed, .*\n`)

// dropMissed leaves out what is said of events that the kernel has passed over: the newest kernels interrupt programs, in guests often and for
// events of all processes. It reports whether that was said.
func dropMissed(stderr *bytes.Buffer) bool {
	if !ktest.Emulated() {
		return false
	}
	text := missedLine.ReplaceAll(stderr.Bytes(), nil)
	missed := len(text) < stderr.Len()
	stderr.Reset()
	stderr.Write(text)
	return missed
}

// unlessMissed runs f, and again for as long as it says that the kernel has passed over events, which may have been the test's; three times at most.
func unlessMissed(f func() (missed bool)) {
	for range 3 {
		if !f() {
			return
		}
	}
}

// splitWords splits a command line at blanks outside of single quotes.
func splitWords(line string) ([]string, error) {
	var words []string
	for line != "" {
		line = strings.TrimLeft(line, " ")
		word := ""
		for line != "" && line[0] != ' ' {
			if line[0] != '\'' {
				word, line = word+line[:1], line[1:]
				continue
			}
			quoted, rest, ok := strings.Cut(line[1:], "'")
			if !ok {
				return nil, errors.New("a quote is not closed")
			}
			word, line = word+quoted, rest
		}
		words = append(words, word)
	}
	return words, nil
}

// What is said of attached probes, and of slow verifiers, as in guests.
var attachedLine = regexp.MustCompile(`(?m)^(Attached \d+ probes?|The kernel's verifier is still checking .*)\n`)

func withoutAttached(s string) string { return attachedLine.ReplaceAllString(s, "") }

// compareText compares line by line; a line of want that begins with ~ is a regular expression. Empty lines at the start
// and end do not count.
func compareText(t *testing.T, what, want, got string) {
	t.Helper()
	w, g := strings.Split(strings.Trim(want, "\n"), "\n"), strings.Split(strings.Trim(got, "\n"), "\n")
	if len(w) == len(g) {
		for i, line := range w {
			if pattern, ok := strings.CutPrefix(line, "~"); ok {
				re, err := regexp.Compile("^(?:" + pattern + ")$")
				if err != nil {
					t.Fatal(err)
				}
				if re.MatchString(g[i]) {
					w[i] = g[i]
				}
			}
		}
	}
	if d := cmp.Diff(w, g); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
