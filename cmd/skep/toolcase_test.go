package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/ktest"
)

// TestToolCase runs the cases of testdata/tools/*.txtar: ready-made tools beside a workload. A case is an archive:
//
//	-- needs --      hooks of the kernel, a line each, by ktest's names
//	-- run --        a line each: the tool with its flags, a |, the workload's arguments; $NETNS is its network namespace, $WORK the
//	                 workload's program
//	-- stdout --     the whole standard output, as in TestKernel; $PID is the last workload's process
//	-- stderr --     the same for standard error
//	-- run more --   more of these, and what they print: left out in guests, which are slow
//	-- stdout more --
//
// The workload begins when the tool is attached, and the tool gets SIGINT when it has ended.
func TestToolCase(t *testing.T) {
	files, err := filepath.Glob("testdata/tools/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			if ktest.Emulated() && name != "start" && archive.Files[0].Name != "needs" {
				t.Skip("guests are slow: the live kernel runs this, and guests begin with each tool")
			}
			if name != "start" && name != "kernel_functions" {
				ktest.Edges(t)
			}
			runToolCase(t, archive)
		})
	}
}

func runToolCase(t *testing.T, archive *txtar.Archive) {
	sections := map[string]string{}
	for _, f := range archive.Files {
		sections[f.Name] = string(f.Data)
	}
	needs := []ktest.Feature{ktest.Root, ktest.RingBuf, ktest.Work}
	for line := range strings.Lines(sections["needs"]) {
		needs = append(needs, ktest.Feature(strings.TrimSpace(line)))
	}
	ktest.Need(t, needs...)
	runToolLines(t, sections["run"], sections["stdout"], sections["stderr"])
	if !ktest.Emulated() {
		runToolLines(t, sections["run more"], sections["stdout more"], "")
	}
}

func runToolLines(t *testing.T, lines, wantStdout, wantStderr string) {
	t.Helper()
	var stdout, stderr strings.Builder
	pid := ""
	for line := range strings.Lines(lines) {
		tool, job, _ := strings.Cut(line, " | ")
		var out, errs string
		unlessMissed(func() (missed bool) {
			pid, out, errs, missed = traceJob(t, tool, job)
			return missed
		})
		stdout.WriteString(out)
		stderr.WriteString(errs)
	}
	with := strings.NewReplacer("$PID", pid, "$WORK", ktest.WorkPath(t))
	compareText(t, "stdout", with.Replace(wantStdout), stdout.String())
	compareText(t, "stderr", wantStderr, stderr.String())
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", stdout.String(), stderr.String())
	}
}

// traceJob runs a tool while the workload, whose process is pid, does its job.
func traceJob(t *testing.T, tool, job string) (pid, stdout, stderr string, missed bool) {
	t.Helper()
	jobWords, err1 := splitWords(strings.TrimSpace(job))
	work := ktest.StartWork(t, jobWords...)
	pid = strconv.Itoa(work.PID)
	netns, err2 := os.Stat("/proc/" + pid + "/ns/net")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	inode := strconv.FormatUint(netns.Sys().(*syscall.Stat_t).Ino, 10)
	words, err := splitWords(strings.TrimSpace(strings.NewReplacer("$PID", pid, "$NETNS", inode, "$WORK", work.Binary).Replace(tool)))
	if err != nil {
		t.Fatalf("%q: %v", tool, err)
	}
	s := startSkep(t, words...)
	var out strings.Builder
	for _, line := range s.early {
		out.WriteString(line + "\n")
	}
	work.Run()
	work.End()
	missed = s.finish(&out)
	return pid, out.String(), s.stderr.String(), missed
}

// finish interrupts the tool, and reads the rest of its output. It reports whether the tool said that events were missed.
func (s *tracer) finish(out *strings.Builder) (missed bool) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
	for s.lines.Scan() {
		out.WriteString(s.lines.Text() + "\n")
	}
	var failed *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &failed) {
		s.t.Fatal(err)
	}
	missed = dropMissed(&s.stderr)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("%q: exit code %d", s.cmd.Args[1:], code)
	}
	return missed
}
