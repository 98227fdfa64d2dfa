package ktest

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// A Workload is a running work command (see package work), held before its job until the test has attached what it
// wants to see.
type Workload struct {
	PID    int
	TID    int    // of the thread that does the job
	Binary string // the file it runs, with main.bee to probe

	t     testing.TB
	cmd   *exec.Cmd
	hold  io.WriteCloser
	lines *bufio.Scanner
	once  sync.Once
}

// StartWork starts a workload with the work command's arguments, such as "open", "3", "/etc/passwd", and returns when
// it waits to begin. It ends with the test at the latest.
func StartWork(t testing.TB, args ...string) *Workload {
	t.Helper()
	path, err := workPath()
	if err != nil {
		t.Fatal(err)
	}
	w := &Workload{Binary: path, t: t, cmd: exec.Command(path, append([]string{"-wait", "-hold"}, args...)...)}
	w.cmd.Stderr = os.Stderr
	w.cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1") // no signals of the runtime's that interrupt system calls
	if w.hold, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.End)
	w.lines = bufio.NewScanner(out)
	if !w.lines.Scan() {
		t.Fatalf("work %s did not start", strings.Join(args, " "))
	}
	if _, err := fmt.Sscanf(w.lines.Text(), "ready %d %d", &w.PID, &w.TID); err != nil {
		t.Fatalf("work said %q: %v", w.lines.Text(), err)
	}
	return w
}

// Run lets the workload do its job and waits until it is done; the process stays until [Workload.End].
func (w *Workload) Run() {
	w.t.Helper()
	if _, err := io.WriteString(w.hold, "\n"); err != nil {
		w.t.Fatal(err)
	}
	if !w.lines.Scan() || w.lines.Text() != "done" {
		w.t.Fatalf("work did not do its job: %q", w.lines.Text())
	}
}

// End lets the process end, and waits for it.
func (w *Workload) End() {
	w.once.Do(func() {
		w.hold.Close()
		var exit *exec.ExitError
		if err := w.cmd.Wait(); err != nil && !errors.As(err, &exit) {
			w.t.Error(err)
		}
	})
}

// workPath is the command that the matrix brought along, or else one that is built now.
func workPath() (string, error) {
	if path := os.Getenv("SKEP_WORK"); path != "" {
		return path, nil
	}
	return buildWork()
}

var buildWork = sync.OnceValues(func() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	// Checkouts do not share it: the one may be newer than the other.
	_, source, _, _ := runtime.Caller(0)
	dir = filepath.Join(dir, "skep", fmt.Sprintf("work-%08x", crc32.ChecksumIEEE([]byte(source))))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Built aside and renamed, since other tests may be running the one that is there.
	staging, err := os.MkdirTemp(dir, "staging-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(staging)
	cmd := exec.Command("go", "build", "-o", filepath.Join(staging, "work"), "skep/internal/ktest/work")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building work: %w: %s", err, out)
	}
	path := filepath.Join(dir, "work")
	return path, os.Rename(filepath.Join(staging, "work"), path)
})

// WorkPath returns the path of the work command, for tests whose program starts it.
func WorkPath(t testing.TB) string {
	t.Helper()
	path, err := workPath()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
