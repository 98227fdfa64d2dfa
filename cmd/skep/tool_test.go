package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// toolRun is a tool beside a workload of its own.
type toolRun struct {
	args []string // of the tool; a flag and the workload's process are added
	work []string // DIR is a folder of the test's own, WORK the workload's program
	want string   // lines; DIR, WORK, and PID (of the workload) stand for what they are, CHILD for another process
}

func (r toolRun) check(t *testing.T, tool, pidFlag string, sig os.Signal) {
	t.Helper()
	dir := t.TempDir()
	var work []string
	for _, w := range r.work {
		work = append(work, strings.NewReplacer("DIR", dir, "WORK", ktest.WorkPath(t)).Replace(w))
	}
	w := ktest.StartWork(t, work...)
	s := startSkep(t, append([]string{tool, pidFlag, strconv.Itoa(w.PID)}, r.args...)...)
	w.Run()
	w.End()
	output, exit := s.end(sig)
	pid := regexp.MustCompile(`\b` + strconv.Itoa(w.PID) + `\b *`)
	child := regexp.MustCompile(`^([a-z0-9]+ +)\d+ +PID +`) // of execsnoop
	var got []string
	for _, line := range append(s.early, output...) {
		// A program without a path is called like its descriptor before Linux 6.14, and then like its file: that of busybox, perhaps.
		line = regexp.MustCompile(`^(3   |busybox) +`).ReplaceAllString(line, "true             ")
		line = strings.NewReplacer(dir, "DIR", w.Binary, "WORK").Replace(line)
		got = append(got, child.ReplaceAllString(pid.ReplaceAllString(line, "PID "), "${1}CHILD PID "))
	}
	if d := cmp.Diff(strings.Split(strings.TrimSpace(r.want), "\n"), got); d != "" || exit != 0 {
		t.Errorf("%s %q: exit code %d (-want +got)\n%s\n%s", tool, r.args, exit, d, s.stderr.String())
	}
}

func TestOpensnoop(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the workload opens files in all ways of amd64")
	}
	ways := []string{"-comm=ways", "opens", "DIR"}
	t.Run("all", func(t *testing.T) {
		toolRun{nil, ways, `
PID    COMM               FD ERR PATH
PID ways                3   0 DIR/sub
PID ways                6   0 created
PID ways                7   0 created
PID ways                8   0 made
PID ways                9   0 sub/made2
PID ways               -1   2 missing
PID ways               -1   2 a\nb\x1b[1m\xff
PID ways               -1  17 made
`}.check(t, "opensnoop", "-p", syscall.SIGINT)
	})
	t.Run("extended", func(t *testing.T) {
		toolRun{[]string{"-eFU"}, ways, `
UID    PID    COMM               FD ERR FLAGS    MODE PATH
0      PID ways                3   0 00200000 n/a  DIR/sub
0      PID ways                6   0 00001101 0600 DIR/created
0      PID ways                7   0 00002001 n/a  DIR/created
0      PID ways                8   0 00000301 0644 DIR/sub/made
0      PID ways                9   0 00000102 0640 DIR/sub/made2
0      PID ways               -1   2 00000002 n/a  DIR/missing
0      PID ways               -1   2 00000000 n/a  DIR/a\nb\x1b[1m\xff
0      PID ways               -1  17 00000300 0000 DIR/sub/made
`}.check(t, "opensnoop", "-p", syscall.SIGTERM)
	})
	t.Run("some", func(t *testing.T) {
		toolRun{[]string{"-x", "-f", "O_EXCL", "-f", "O_RDWR", "-n", "way"}, ways, `
PID    COMM               FD ERR PATH
PID ways               -1   2 missing
PID ways               -1  17 made
`}.check(t, "opensnoop", "-p", syscall.SIGINT)
	})
	t.Run("read only, as JSON", func(t *testing.T) {
		toolRun{[]string{"-f", "O_RDONLY", "--json", "-F"}, ways, `
{"pid":PID ,"comm":"ways","fd":3,"err":0,"path":"DIR/sub"}
{"pid":PID ,"comm":"ways","fd":-1,"err":2,"path":"DIR/a\nb\u001b[1m\ufffd"}
{"pid":PID ,"comm":"ways","fd":-1,"err":17,"path":"DIR/sub/made"}
`}.check(t, "opensnoop", "-p", syscall.SIGINT)
	})
	t.Run("nothing", func(t *testing.T) {
		toolRun{[]string{"-n", "nobody"}, ways, `
PID    COMM               FD ERR PATH
`}.check(t, "opensnoop", "-p", syscall.SIGINT)
	})
	t.Run("32 bits", func(t *testing.T) {
		if exec.Command(ktest.WorkPath(t), "open32", "/").Run() != nil {
			t.Skip("this kernel does not run 32-bit programs")
		}
		toolRun{nil, []string{"-comm=old", "open32", "/proc"}, `
PID    COMM               FD ERR PATH
PID old                 3   0 /proc
`}.check(t, "opensnoop", "-p", syscall.SIGINT)
	})
}

// TestOpensnoopCommand runs a command, and shows where in its code files are opened.
func TestOpensnoopCommand(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	other := ktest.StartWork(t, "open", "1", "/no/such/other")
	s := startSkep(t, "opensnoop", "-c", "--exec", ktest.WorkPath(t), "-comm=a b", "open", "2", "/no/such/file")
	other.Run()
	output, exit := s.rest()
	text := strings.Join(append(s.early, output...), "\n") + "\n"
	want := regexp.MustCompile(`(?m)^(\d+) +a b +-1   2 /no/such/file\n(\t\S+\n)+?\tmain\.newJob\S+\+0x[0-9a-f]+\n(\t\S+\n)+?\tmain\.main\+0x[0-9a-f]+\n`)
	if n := len(want.FindAllString(text, -1)); n != 2 || strings.Contains(text, "other") || exit != 0 || s.stderr.Len() > 0 {
		t.Errorf("%d files were opened, exit code %d\n%s%s", n, exit, text, s.stderr.String())
	}
}

func TestExecsnoop(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.TracepointBTF)
	ktest.Oldest(t)
	header := "PCOMM            PID     PPID    RET ARGS\n"
	for _, how := range []struct{ name, file string }{
		{"execve", "/bin/true"}, {"thread", "/bin/true"}, {"execveat", "/dev/fd/3/true"}, {"fexecve", "/dev/fd/3"},
	} {
		t.Run(how.name, func(t *testing.T) {
			toolRun{nil, []string{"exec", "1", "WORK", "become", how.name, "/bin/true", "a b", "", "c\nd"}, header +
				"work             CHILD PID 0 WORK become " + how.name + ` /bin/true a b  c\nd` + "\n" +
				"true             CHILD PID 0 " + how.file + ` a b  c\nd`}.check(t, "execsnoop", "-P", syscall.SIGINT)
		})
	}
	t.Run("long", func(t *testing.T) {
		long := strings.Repeat("x", 300)
		args := strings.Repeat(long+" ", 26)
		toolRun{nil, append([]string{"exec", "1", "/bin/true"}, strings.Fields(args)...), header +
			"true             CHILD PID 0 /bin/true " + args}.check(t, "execsnoop", "-P", syscall.SIGINT)
		toolRun{[]string{"--max-args", "2"}, append([]string{"exec", "1", "/bin/true"}, strings.Fields(args)...), header +
			"true             CHILD PID 0 /bin/true " + long + " ..."}.check(t, "execsnoop", "-P", syscall.SIGTERM)
	})
	t.Run("failed", func(t *testing.T) {
		work := []string{"exec", "1", "WORK", "become", "fail", "/no/such", "a\"b", ""}
		toolRun{[]string{"-x", "-q"}, work, header +
			`work             CHILD PID 0 "WORK" "become" "fail" "/no/such" "a\"b" ""` + "\n" +
			`work             CHILD PID -2 "/no/such" "a\"b" ""`}.check(t, "execsnoop", "-P", syscall.SIGINT)
		toolRun{[]string{"-x", "--line", "^/no"}, work, header +
			`work             CHILD PID -2 /no/such a"b ` + "\n"}.check(t, "execsnoop", "-P", syscall.SIGINT)
	})
	t.Run("script", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "hello")
		if err := os.WriteFile(script, []byte("#!/bin/sh -e\n:\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		toolRun{nil, []string{"exec", "1", script, "one", "two"}, header +
			"hello            CHILD PID 0 " + script + " one two"}.check(t, "execsnoop", "-P", syscall.SIGINT)
	})
}

// TestToolMistakes: messages name what the user has written, not lines of a script that is not the user's; -v shows these.
func TestToolMistakes(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.BTF, ktest.Uprobe)
	ktest.Oldest(t)
	for _, test := range []struct{ args, want string }{
		{"opensnoop -b 0", "ERROR: opensnoop: -b/--buffer-pages: perf_rb_pages must be a number from 1 to 16777216, not \"0\"\n"},
		{"opensnoop -v -b 0", "opensnoop.bt:69:56-68: ERROR: perf_rb_pages must be a number from 1 to 16777216, not \"0\"\n" +
			"config = { print_maps_on_exit = false; perf_rb_pages = $buffer_pages }\n" + strings.Repeat(" ", 55) + strings.Repeat("~", 13) + "\n"},
		{"bashreadline -s /no/such", "ERROR: bashreadline: -s/--shared: there is no file /no/such\n"},
		{"argdist -C t:sched:none():int:1", "ERROR: argdist: t:sched:none():int:1: there is no tracepoint sched:none\n"},
		{"memleak -O /no/such -c true", "ERROR: there is none of the hooks that memleak can use\nHINT: it looked for\nuprobe:/no/such:malloc: there is no file /no/such\n"},
	} {
		var out, errs bytes.Buffer
		exit := runSkep(t, t.TempDir(), append([]string{"skep"}, strings.Fields(test.args)...), &out, &errs)
		if d := cmp.Diff(test.want, errs.String()); d != "" || exit != 1 || out.Len() > 0 {
			t.Errorf("%s: exit code %d: %s (-want +got)\n%s", test.args, exit, out.String(), d)
		}
	}
}
