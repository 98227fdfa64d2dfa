package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// tracer is a skep that runs beside the test.
type tracer struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	early  []string // what it printed before its probes were attached
	stderr bytes.Buffer
}

// startSkep starts skep and waits until its probes are attached.
func startSkep(t *testing.T, args ...string) *tracer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &tracer{t: t, cmd: exec.Command(self, args...)}
	s.cmd.Args[0] = "skep"
	s.cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "__BPFTRACE_NOTIFY_PROBES_ATTACHED=1")
	s.cmd.Stderr = &s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	s.lines = bufio.NewScanner(out)
	for s.lines.Scan() {
		if s.lines.Text() == "__BPFTRACE_NOTIFY_PROBES_ATTACHED" {
			return s
		}
		s.early = append(s.early, s.lines.Text())
	}
	s.cmd.Wait()
	t.Fatalf("skep %q ended: %s", args, s.stderr.String())
	return nil
}

// end sends a signal, reads the rest of the output and waits for the process.
func (s *tracer) end(sig os.Signal) (output []string, exit int) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	return s.rest()
}

func (s *tracer) rest() (output []string, exit int) {
	s.t.Helper()
	for s.lines.Scan() {
		if line := s.lines.Text(); line != "" {
			output = append(output, line)
		}
	}
	var failed *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &failed) {
		s.t.Fatal(err)
	}
	dropMissed(&s.stderr)
	return output, s.cmd.ProcessState.ExitCode()
}

// TestPID traces one process among others that do the same.
func TestPID(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Uprobe)
	mine, other := ktest.StartWork(t, "call", "30"), ktest.StartWork(t, "call", "50")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, mine.Binary)
	if err != nil {
		t.Fatal(err)
	}
	s := startSkep(t, "-q", "-p", strconv.Itoa(mine.PID), "-e", fmt.Sprintf(
		`uprobe:%s:main.bee { @calls[pid] = count(); } uprobe:./%s:main.bee { @relative[pid] = count(); }
		tracepoint:syscalls:sys_enter_write { @writes[pid] = count(); }`, mine.Binary, relative))
	other.Run()
	mine.Run()
	mine.End() // ends skep, too
	got, exit := s.rest()
	want := []string{fmt.Sprintf("@calls[%d]: 30", mine.PID), fmt.Sprintf("@relative[%d]: 30", mine.PID), fmt.Sprintf("@writes[%d]: 1", mine.PID)}
	if d := cmp.Diff(want, got); d != "" || exit != 0 {
		t.Errorf("exit code %d, output (-want +got):\n%s\n%s", exit, d, s.stderr.String())
	}
}

// TestNothingLost sends from two processors as fast as they can. A ring that holds it all loses nothing, however late it is read; of a ring
// that does not, what came and what is reported lost are all.
func TestNothingLost(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.RawTracepoint)
	events := 60_000
	if ktest.Emulated() {
		events = 15_000
	}
	for _, test := range []struct {
		name  string
		pages int
	}{{"kept", 4096}, {"counted", 4}} {
		t.Run(test.name, func(t *testing.T) {
			a, b := ktest.StartWork(t, "-cpu=0", "getppid", fmt.Sprint(events)), ktest.StartWork(t, "-cpu=1", "getppid", fmt.Sprint(events))
			s := startSkep(t, "-q", "-e", fmt.Sprintf(`config = { perf_rb_pages = %d }
				tracepoint:syscalls:sys_enter_getppid /pid == %d || pid == %d/ { @n[pid]++; printf("%%d %%d %%s\n", pid, @n[pid], comm); }
				END { clear(@n); }`, test.pages, a.PID, b.PID))
			var both sync.WaitGroup
			both.Go(a.Run)
			both.Go(b.Run)
			go func() {
				both.Wait()
				s.cmd.Process.Signal(os.Interrupt)
			}()
			last, came := map[int]int{}, 0
			for s.lines.Scan() {
				var pid, n int
				var comm string
				if s.lines.Text() == "" {
					continue
				}
				if _, err := fmt.Sscanf(s.lines.Text(), "%d %d %s", &pid, &n, &comm); err != nil || n <= last[pid] || n > events || comm != "work" {
					t.Fatalf("%q follows number %d: %v", s.lines.Text(), last[pid], err)
				}
				last[pid] = n
				came++
			}
			if err := s.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			told := func(pattern string) (n int) {
				if m := regexp.MustCompile(pattern).FindStringSubmatch(s.stderr.String()); m != nil {
					n, _ = strconv.Atoi(m[1])
				}
				return n
			}
			lost, missed := told(`Total lost event count: (\d+)`), told(`up to (\d+) events were missed`) // that of other processes, too
			if came+lost > 2*events || came+lost+missed < 2*events || (test.name == "kept") != (lost == 0) {
				t.Errorf("%d events came and %d are reported lost, of %d; %s", came, lost, 2*events, s.stderr.String())
			}
		})
	}
}

// TestNotify waits for the attachment of a skep whose output goes to a file, as harnesses do.
func TestNotify(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	file := filepath.Join(t.TempDir(), "out")
	s := startSkep(t, "-o", file, "-e", `interval:s:100 { } END { printf("done\n"); }`)
	lines, exit := s.end(os.Interrupt)
	out, err := os.ReadFile(file)
	if d := cmp.Diff("done", string(bytes.TrimSpace(out))); err != nil || d != "" || exit != 0 || len(lines) != 0 {
		t.Errorf("%v, output %q, %v, file (-want +got):\n%s\n%s", s.cmd.ProcessState, lines, err, d, s.stderr.String())
	}
}

// TestSecondSignal interrupts a skep that cannot end in order, since nobody reads what it prints.
func TestSecondSignal(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Perf)
	s := startSkep(t, "-q", "-e", `BEGIN { unroll(100) { printf("`+strings.Repeat("x", 2000)+`\n"); } } interval:s:100 { }`)
	ended := make(chan error)
	go func() { ended <- s.cmd.Wait() }()
	for again := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-ended:
			if exit := s.cmd.ProcessState.ExitCode(); exit != 130 || s.stderr.Len() > 0 {
				t.Errorf("exit code %d, messages %q", exit, s.stderr.String())
			}
			return
		case <-again.C:
			s.cmd.Process.Signal(os.Interrupt)
		}
	}
}

// TestSlowVerifier has a loop of more rounds than the verifier follows: it takes seconds, the user is told so, and need not wait.
func TestSlowVerifier(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-e", "BEGIN { $i = 0; while ($i < 10000000) { $i++; } }")
	cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "SKEP_TEST_SLOW_LOAD=50ms")
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := false
	var interrupted time.Time
	for lines := bufio.NewScanner(messages); lines.Scan(); {
		if told = strings.HasPrefix(lines.Text(), "The kernel's verifier is still checking"); told {
			interrupted = time.Now()
			cmd.Process.Signal(os.Interrupt)
			break
		}
	}
	cmd.Wait()
	if took := time.Since(interrupted); !told || took > 5*time.Second || cmd.ProcessState.Exited() {
		t.Errorf("told %t, ended after %v: %v", told, took, cmd.ProcessState)
	}
}

// TestPIDNamespaces names the code of processes in namespaces of process ids: in one below skep's own, with skep in one, and both.
func TestPIDNamespaces(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Uprobe, ktest.BTF)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const contained = "unshare -p -f -m --mount-proc"
	if out, err := exec.Command("sh", "-c", contained+" true").CombinedOutput(); err != nil {
		t.Skipf("%s: %v, %s", contained, err, out)
	}
	script := fmt.Sprintf(`uprobe:%s:main.bee { printf("%%d %%d %%s %%s%%s\n", pid > 0, tid > 0, usym(reg("ip")), func, ustack(2)); }`, ktest.WorkPath(t))
	for name, test := range map[string]struct{ skep, work string }{
		"process":          {"", contained + " "},
		"skep":             {contained + " ", ""},
		"process and skep": {contained + " ", contained + " "},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", test.skep+`"$0" "$@"`, self, "-q", "-c", test.work+ktest.WorkPath(t)+" call 1", "-e", script)
			cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1")
			out, err := cmd.CombinedOutput()
			lines := strings.Fields(string(out))
			want := []string{"1", "1", "main.bee", "main.bee", "main.bee+0", "main.newJob"}
			if len(lines) == len(want) {
				lines[5], _, _ = strings.Cut(lines[5], ".func")
			}
			if d := cmp.Diff(want, lines); d != "" || err != nil {
				t.Errorf("%v, output %q, words (-want +got):\n%s", err, out, d)
			}
		})
	}
}

// attachedNow lists the programs and links that the kernel has, and the probes that tracefs keeps.
func attachedNow(t *testing.T) []string {
	t.Helper()
	var all []string
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id = next
		all = append(all, fmt.Sprintf("program %d", id))
	}
	links := new(link.Iterator)
	defer links.Close()
	for links.Next() {
		all = append(all, fmt.Sprintf("link %d", links.ID))
	}
	// Before Linux 5.8 there is no such list; the programs say it all there.
	for _, file := range []string{"kprobe_events", "uprobe_events"} {
		if text, err := os.ReadFile(filepath.Join("/sys/kernel/tracing", file)); err == nil {
			for line := range strings.Lines(string(text)) {
				all = append(all, file+" "+strings.TrimSpace(line))
			}
		}
	}
	return all
}

// TestNothingLeft ends skep in every way and looks what is left in the kernel.
func TestNothingLeft(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Uprobe, ktest.Perf, ktest.RawTracepoint)
	script := `BEGIN { @ = 1; } END { @ = 2; } interval:s:100 { } profile:hz:10 { @p = count(); } software:faults:1000 { @f = count(); } ` +
		`tracepoint:syscalls:sys_enter_getppid, tracepoint:syscalls:sys_exit_getppid, rawtracepoint:sched_process_exit { @t = count(); } ` +
		`uprobe:` + ktest.WorkPath(t) + `:main.bee { @u = count(); }`
	for feature, probe := range map[ktest.Feature]string{
		ktest.Tracepoint: "tracepoint:sched:sched_process_exec { @e[args.filename] = count(); }",
		ktest.Kprobe:     "kprobe:vfs_mkdir, kprobe:vfs_rm* { @k = count(); } kretprobe:vfs_mkdir { @r = count(); }",
		ktest.Fentry:     "fentry:vfs_mkdir, fexit:vfs_mkdir { @m = count(); }",
	} {
		if ktest.Has(feature) {
			script += " " + probe
		}
	}
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		exit   int
	}{
		{"interrupted", unix.SIGINT, 0},
		{"terminated", unix.SIGTERM, 0},
		{"quit", unix.SIGQUIT, 131},
		{"killed", unix.SIGKILL, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := attachedNow(t)
			s := startSkep(t, "-q", "-e", script)
			if during := attachedNow(t); len(during) < len(before)+5 {
				t.Fatalf("only %d things attached", len(during)-len(before))
			}
			started := time.Now()
			_, exit := s.end(test.signal)
			took := time.Since(started)
			if exit != test.exit || s.stderr.Len() > 0 {
				t.Errorf("exit code %d, want %d; %s", exit, test.exit, s.stderr.String())
			}
			t.Logf("ended in %v", took)
			// What the kernel takes long to release is released in the background.
			var left []string
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				left = slices.DeleteFunc(attachedNow(t), func(s string) bool { return slices.Contains(before, s) })
				if len(left) == 0 {
					return
				}
			}
			t.Errorf("still there: %q", left)
		})
	}
}

// TestFewFiles: without files to attach probes by, the run ends with one error, not with a warning for each probe.
func TestFewFiles(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `ulimit -n 30 && exec "$0" -q -e 'tracepoint:sched:* { @[probe] = count(); }'`, self)
	cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if want := "ERROR: too many open files; raise the limit of open files (ulimit -n)\n"; string(out) != want || err == nil {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
}

// TestChildEnds: the command of -c ends with skep, even if skep is killed.
func TestChildEnds(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	s := startSkep(t, "-q", "-c", "sleep 1000", "-e", `BEGIN { printf("%d\n", cpid); } interval:s:1000 { }`)
	line := ""
	if len(s.early) > 0 {
		line = s.early[0]
	} else if s.lines.Scan() {
		line = s.lines.Text()
	}
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	s.end(syscall.SIGKILL)
	deadline := time.Now().Add(20 * time.Second)
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return // gone, or waiting for its new parent
		}
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("the command still runs: %s", stat)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestInterruptedBacklog: when skep is told to end, the maps that it was asked to print a thousand times a second do not keep it.
func TestInterruptedBacklog(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	if ktest.Emulated() {
		t.Skip("it takes a fast machine to tell")
	}
	s := startSkep(t, "-q", "-e", `BEGIN { for ($i : 0..4000) { @m[$i] = $i; } } interval:us:100 { print(@m); @last = elapsed; }`)
	go func() {
		time.Sleep(2 * time.Second)
		s.cmd.Process.Signal(syscall.SIGINT)
	}()
	start := time.Now()
	lines, exit := s.rest()
	took := time.Since(start)
	if exit != 0 || took > 10*time.Second || len(lines) < 4001 || !strings.Contains(s.stderr.String(), "prints of maps were left out") {
		t.Errorf("exit code %d after %v, %d lines: %s", exit, took, len(lines), s.stderr.String())
	}
}
