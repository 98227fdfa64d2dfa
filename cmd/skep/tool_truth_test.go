package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// What BCC's tools are known to get wrong.

// execlProgram forks, and executes with arguments of which the child has touched none: the kernel has not mapped their pages yet.
const execlProgram = `
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
	char c;
	write(1, "ready\n", 6);
	read(0, &c, 1);
	for (int i = 0; i < 20; i++) {
		if (fork() == 0) {
			execl("/bin/true", "/bin/true", "a literal", "and another", (char *)0);
			_exit(1);
		}
		wait(0);
	}
	if (fork() == 0) {
		execl("/no/such/file", "no", "none", (char *)0);
		_exit(1);
	}
	wait(0);
	write(1, "done\n", 5);
	read(0, &c, 1);
	return 0;
}
`

func TestExecsnoopLiterals(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.TracepointBTF)
	ktest.Oldest(t)
	program := talkTo(t, buildC(t, execlProgram))
	program.hear("ready")
	s := startSkep(t, "execsnoop", "-x", "-P", program.pid())
	program.say("\n")
	program.hear("done")
	output, exit := s.end(syscall.SIGINT)
	got := regexp.MustCompile(`(?m)^(\S+ +)\d+ +\d+ +`).ReplaceAllString(strings.Join(append(s.early, output...), "\n")+"\n", "$1")
	want := "PCOMM            PID     PPID    RET ARGS\n" + strings.Repeat("true               0 /bin/true a literal and another\n", 20) +
		"program           -2 /no/such/file none\n"
	want = strings.ReplaceAll(want, "true               0", "true             0")
	want = strings.ReplaceAll(want, "program           -2", "program          -2")
	if d := cmp.Diff(want, got); d != "" || exit != 0 {
		t.Errorf("exit code %d (-want +got)\n%s", exit, d)
	}
}

func TestExecsnoopFortyArguments(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	var args []string
	for i := range 40 {
		args = append(args, fmt.Sprintf("argument-%d", i))
	}
	line := "true             CHILD PID 0 /bin/true " + strings.Join(args, " ")
	for _, run := range []toolRun{
		{nil, append([]string{"exec", "1", "/bin/true"}, args...), line},
		{[]string{"--max-args", "20"}, append([]string{"exec", "1", "/bin/true"}, args...), "true             CHILD PID 0 /bin/true " + strings.Join(args[:19], " ") + " ..."},
	} {
		run.want = "PCOMM            PID     PPID    RET ARGS\n" + run.want
		run.check(t, "execsnoop", "-P", syscall.SIGINT)
	}
}

// count reads a tool's output to its end, beside what happens, and counts the lines that contain a text.
func (s *tracer) count(text string) <-chan int {
	n := make(chan int, 1)
	go func() {
		seen := 0
		for s.lines.Scan() {
			if strings.Contains(s.lines.Text(), text) {
				seen++
			}
		}
		n <- seen
	}()
	return n
}

// lostIn is what a tool says at its end about events that were lost.
func lostIn(t *testing.T, stderr string) (lost int) {
	t.Helper()
	if m := regexp.MustCompile(`WARNING: Total lost event count: (\d+)\n`).FindStringSubmatch(stderr); m != nil {
		var err error
		if lost, err = strconv.Atoi(m[1]); err != nil {
			t.Fatal(err)
		}
	} else if stderr != "" {
		t.Errorf("stderr: %s", stderr)
	}
	return lost
}

// TestOpensnoopLosses opens 100,000 files a second: none is lost, unless the machine has no time for the reader, and it is known how many then.
func TestOpensnoopLosses(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	const opens, attempts = 100_000, 5
	n := opens
	if ktest.Emulated() {
		n = 1000
	}
	for attempt := 1; ; attempt++ {
		w := ktest.StartWork(t, "pace", strconv.Itoa(n), "100000", "/etc/passwd")
		s := startSkep(t, "opensnoop", "-p", strconv.Itoa(w.PID))
		counted := s.count("/etc/passwd")
		w.Run()
		seen, lost := endCounted(t, s, counted)
		if seen+lost != n {
			t.Fatalf("%d seen and %d lost are not %d", seen, lost, n)
		}
		if lost == 0 {
			break
		}
		if attempt == attempts {
			t.Fatalf("%d of %d were lost, and some in each of %d attempts", lost, n, attempts)
		}
	}
	if ktest.Emulated() {
		return
	}
	// A reader that does not come loses what the buffer cannot hold, and knows how many.
	w := ktest.StartWork(t, "open", strconv.Itoa(opens), "/etc/passwd")
	s := startSkep(t, "opensnoop", "-p", strconv.Itoa(w.PID), "-b", "64")
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	counted := s.count("/etc/passwd")
	w.Run()
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if seen, lost := endCounted(t, s, counted); seen+lost != opens || seen == 0 || seen > 64*4096/40 { // of more than 40 bytes each
		t.Errorf("%d seen and %d lost are not %d", seen, lost, opens)
	}
}

// endCounted ends a tool whose output is counted.
func endCounted(t *testing.T, s *tracer, counted <-chan int) (seen, lost int) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	seen = <-counted
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, s.stderr.String())
	}
	dropMissed(&s.stderr)
	// The message on the way tells of the same.
	return seen, lostIn(t, regexp.MustCompile(`(?m)^(Lost \d+ events|HINT: .*)\n`).ReplaceAllString(s.stderr.String(), ""))
}

// TestToolsAreQuiet: no tool opens, looks at or executes anything for an event that it shows, so that none can see itself.
func TestToolsAreQuiet(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF, ktest.Tracepoint)
	ktest.Oldest(t)
	for _, test := range []struct{ tool, work string }{
		{"opensnoop -T -e -U", "open 500 /etc/passwd"},
		{"opensnoop -F -x", "open 500 no/such/file"},
		{"execsnoop -T -t", "exec 20 /bin/true"},
		{"statsnoop -t", "stat 500 /etc/passwd"},
		{"killsnoop", "kill 500"},
		{"tcpconnect -t", "-network connect 200 127.0.0.1 80"},
		{"exitsnoop -t", "exec 20 /bin/true"},
	} {
		t.Run(test.tool, func(t *testing.T) {
			w := ktest.StartWork(t, strings.Fields(test.work)...)
			s := startSkep(t, strings.Fields(test.tool)...) // of the whole machine
			counted := s.count(fmt.Sprintf(" %d ", s.cmd.Process.Pid))
			watcher := startSkep(t, "-q", "-e", fmt.Sprintf(
				`tracepoint:syscalls:sys_enter_open*, tracepoint:syscalls:sys_enter_*stat*, tracepoint:syscalls:sys_enter_exec*, tracepoint:syscalls:sys_enter_connect
				/pid == %d/ { @did[probe] = count(); }`, s.cmd.Process.Pid))
			w.Run()
			quiet, exit := watcher.end(syscall.SIGINT)
			if text := strings.Join(quiet, "\n"); exit != 0 || strings.Contains(text, "@did") {
				t.Errorf("exit code %d, and the tool did:\n%s%s", exit, text, watcher.stderr.String())
			}
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if n := <-counted; n != 0 {
				t.Errorf("the tool saw itself %d times", n)
			}
			if err := s.cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, s.stderr.String())
			}
		})
		if ktest.Emulated() {
			break
		}
	}
}

// TestToolsEnd: SIGINT and SIGTERM both print what has been summed up.
func TestToolsEnd(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF, ktest.Perf)
	ktest.Oldest(t)
	for _, test := range []struct{ tool, work, want string }{
		{"tcpconnect -c -p $PID", "-network connect 3 127.0.0.1 80", `(?m)^127\.0\.0\.1 .* 80 +3 *$`},
		{"profile -f -p $PID", "spin 500", `(?m)^work;.*main\.spin \d+$`},
		{"runqlat -p $PID", "nanosleep 20 1000", `(?m)^ +\d+ -> \d+ +: \d+`},
		{"cpudist -O -p $PID", "nanosleep 20 1000", `(?m)^ +\d+ -> \d+ +: \d+`},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(fmt.Sprintf("%s, %v", test.tool, sig), func(t *testing.T) {
				w := ktest.StartWork(t, strings.Fields(test.work)...)
				s := startSkep(t, strings.Fields(strings.ReplaceAll(test.tool, "$PID", strconv.Itoa(w.PID)))...)
				w.Run()
				output, exit := s.end(sig)
				if text := strings.Join(output, "\n") + "\n"; !regexp.MustCompile(test.want).MatchString(text) || exit != 0 {
					t.Errorf("exit code %d\n%s%s", exit, text, s.stderr.String())
				}
			})
		}
		if ktest.Emulated() {
			break
		}
	}
}

// TestReaderGoesAway: a tool whose output nobody reads any longer ends, whether it has something to say or not.
func TestReaderGoesAway(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	for _, quiet := range []bool{false, true} {
		t.Run(fmt.Sprintf("quiet=%t", quiet), func(t *testing.T) { readerGoesAway(t, quiet) })
	}
}

func readerGoesAway(t *testing.T, quiet bool) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	tool := exec.Command(self, "opensnoop", "-n", "reader-test")
	tool.Args[0] = "skep"
	tool.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "__BPFTRACE_NOTIFY_PROBES_ATTACHED=1")
	tool.Stdout = write
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	defer tool.Process.Kill()
	write.Close()
	lines := bufio.NewScanner(read)
	until := func(text string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the tool has ended without %q", text)
	}
	until("PROBES_ATTACHED")
	if !quiet {
		work := exec.Command(ktest.WorkPath(t), "-comm=reader-test", "pace", "1000000000", "1000", "/etc/passwd")
		if err := work.Start(); err != nil {
			t.Fatal(err)
		}
		defer work.Wait()
		defer work.Process.Kill()
		until("/etc/passwd")
	}
	read.Close()
	var exit *exec.ExitError
	if err := tool.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 141 {
		t.Errorf("the tool ended with %v, not with 141 as other programs", err)
	}
}
