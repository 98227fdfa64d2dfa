package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// runUser runs a script over a command in user space.
func runUser(t *testing.T, command, script string, more ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	words := append([]string{"skep", "--host=user", "-c", command, "-e", script}, more...)
	exit = runSkep(t, t.TempDir(), words, &out, &errs)
	return strings.Trim(out.String(), "\n"), withoutAttached(errs.String()), exit
}

const lives = `tracepoint:sched:sched_process_fork /comm == "work"/ { @forks++; } tracepoint:sched:sched_process_exit /comm == "work"/ { @exits++; }
	tracepoint:syscalls:sys_enter_exit_group { @ends++; } END { printf("%d %d\n", @exits - @forks, @forks); clear(@forks); clear(@exits); clear(@ends); }`

// TestUserForks follows many processes and many threads from their start to their end.
func TestUserForks(t *testing.T) {
	ktest.Oldest(t)
	if ktest.Emulated() {
		t.Skip("guests are slow: it starts thousands of processes")
	}
	forks, threads := 5000, 500
	for _, c := range []struct {
		work string
		n    int
	}{{"fork", forks}, {"thread", threads}} {
		out, errs, exit := runUser(t, fmt.Sprintf("%s %s %d", ktest.WorkPath(t), c.work, c.n), lives)
		var more, n int
		fmt.Sscanf(out, "%d %d", &more, &n)
		// The command itself has ended, too, but was not started by one that is seen; the runtime has a few threads of its own.
		if exit != 0 || errs != "" || more != 1 || n < c.n || n > c.n+30 {
			t.Errorf("%s: %q, exit code %d, %s; want 1 end more than the at least %d starts", c.work, out, exit, errs, c.n)
		}
	}
}

// TestUserExit ends as the command ends.
func TestUserExit(t *testing.T) {
	ktest.Oldest(t)
	for _, c := range []struct {
		options string
		exit    int
	}{{"-exit=7", 7}, {"-raise=9", 137}, {"-raise=15", 143}, {"-exit=0", 0}} {
		out, errs, exit := runUser(t, ktest.WorkPath(t)+" "+c.options+" getppid 1", `tracepoint:syscalls:sys_enter_getppid { @++; }`)
		if exit != c.exit || errs != "" || out != "@: 1" {
			t.Errorf("%s: exit code %d, want %d; %q, %s", c.options, exit, c.exit, out, errs)
		}
	}
	if out, _, exit := runUser(t, ktest.WorkPath(t)+" -exit=7 getppid 1", `tracepoint:syscalls:sys_enter_getppid { exit(3); }`); exit != 3 {
		t.Errorf("exit(3) gave the exit code %d: %s", exit, out)
	}
}

// TestUserKilled kills skep while it traces: a command ends with it, and a process that it has attached to goes on.
func TestUserKilled(t *testing.T) {
	ktest.Oldest(t)
	for _, events := range []string{"tracepoint:syscalls:sys_enter_*", "tracepoint:raw_syscalls:sys_enter", "tracepoint:sched:sched_process_exec"} {
		s := startSkep(t, "--host=user", "-c", "sleep 1000", "-e", events+` { @++; } interval:ms:10 { printf("%d\n", cpid); }`)
		var pid int
		if !s.lines.Scan() {
			t.Fatal("no output: ", s.stderr.String())
		}
		fmt.Sscan(s.lines.Text(), &pid)
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		s.end(os.Kill)
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10000); n != 1 {
			t.Errorf("%s: the command lives on 10 s after skep: %v", events, err)
		}
	}

	w := ktest.StartWork(t, "getppid", "100")
	s := startSkep(t, "--host=user", "-p", fmt.Sprint(w.PID), "-e", `tracepoint:syscalls:sys_enter_getppid { @++; }`)
	s.end(os.Kill)
	w.Run()
	w.End()
}

// TestUserAttach traces a process that runs already, which is stopped and goes on meanwhile as its parent wants it, and goes on alone
// afterwards.
func TestUserAttach(t *testing.T) {
	ktest.Oldest(t)
	w := ktest.StartWork(t, "getppid", "100")
	s := startSkep(t, "--host=user", "-p", fmt.Sprint(w.PID), "-e", `tracepoint:syscalls:sys_enter_getppid { @++; }`)
	for _, step := range []struct {
		signal unix.Signal
		want   int
		seen   func(unix.WaitStatus) bool
	}{
		{unix.SIGSTOP, unix.WUNTRACED, func(s unix.WaitStatus) bool { return s.Stopped() && s.StopSignal() == syscall.SIGSTOP }},
		{unix.SIGCONT, unix.WCONTINUED, unix.WaitStatus.Continued},
	} {
		if err := unix.Kill(w.PID, step.signal); err != nil {
			t.Fatal(err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(w.PID, &status, step.want, nil); err != nil || !step.seen(status) {
			t.Errorf("after %v its parent saw %#x: %v", step.signal, status, err)
		}
	}
	w.Run()
	if out, exit := s.end(os.Interrupt); exit != 0 || strings.Join(out, "\n") != "@: 100" {
		t.Errorf("exit code %d, %q, %s", exit, out, s.stderr.String())
	}
	w.End()
}

// TestUserThreadExecutes has a thread that is not the first run another program, in the place of all.
func TestUserThreadExecutes(t *testing.T) {
	ktest.Oldest(t)
	out, errs, exit := runUser(t, ktest.WorkPath(t)+" become thread /bin/true",
		`tracepoint:sched:sched_process_exec /comm == "true"/ { printf("%d %d\n", pid == cpid, args.old_pid != args.pid); } tracepoint:sched:sched_process_exit /comm == "true"/ { printf("%d\n", tid == cpid); }`)
	if exit != 0 || errs != "" || out != "1 1\n1" {
		t.Errorf("exit code %d, %q, %s", exit, out, errs)
	}
}

// TestUserLeftBehind is a command that leaves a process, whose system calls must work until its end.
func TestUserLeftBehind(t *testing.T) {
	ktest.Oldest(t)
	file := filepath.Join(t.TempDir(), "made")
	script := filepath.Join(t.TempDir(), "daemon")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n(sleep 0.7; echo made >"+file+") &\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, errs, exit := runUser(t, script, `tracepoint:syscalls:sys_enter_openat { @++; }`)
	if text, err := os.ReadFile(file); exit != 0 || err != nil || string(text) != "made\n" {
		t.Errorf("exit code %d, the file has %q: %v", exit, text, err)
	}
	if !strings.Contains(errs, "left behind") {
		t.Errorf("it did not say what it waits for: %q", errs)
	}
}

// TestUserRefuses asks for what only the kernel has.
func TestUserRefuses(t *testing.T) {
	ktest.Oldest(t)
	for _, c := range []struct{ script, want string }{
		{`kprobe:vfs_read { @++; }`, `kprobe probes need the kernel: the user-space host has none`},
		{`software:page-faults:1 { @++; }`, `software probes need the kernel`},
		{`rawtracepoint:sched_switch { @++; }`, `rawtracepoint probes need the kernel`},
		{`rawtracepoint:sched_switch { @[tid] = (nsecs, args.x); } END { printf("%s\n", @[0].0); }`, `^[^\n]*rawtracepoint probes need the kernel`},
		{`tracepoint:block:block_rq_issue { @++; }`, `the others need the kernel`},
		{`tracepoint:syscalls:sys_enter_nosuch { @++; }`, `there is no system call of which this is the start`},
		{`tracepoint:signal:signal_deliver { print(args.sa_flags); }`, `sa_flags`},
		{`tracepoint:syscalls:sys_enter_getppid { print(path(curtask)); }`, `ERROR`},
	} {
		_, errs, exit := runUser(t, "true", c.script)
		if exit != 1 || !regexp.MustCompile(c.want).MatchString(errs) {
			t.Errorf("%s: exit code %d, %s", c.script, exit, errs)
		}
	}
	if _, errs, exit := runUser(t, "true", `tracepoint:syscalls:sys_enter_getppid { @[kstack] = count(); }`); exit != 0 || errs != "" {
		t.Errorf("exit code %d, %s", exit, errs)
	}
	if _, errs, exit := runUser(t, ktest.WorkPath(t)+" getppid 3", `tracepoint:syscalls:sys_enter_getppid { @[kstack] = count(); }`); exit != 0 ||
		errs != "WARNING: kernel stacks are empty: only the kernel has them\n" {
		t.Errorf("exit code %d, %s", exit, errs)
	}
}

// TestUserForeign has the system calls of a 32-bit program, and one of those by a 64-bit program, which have other numbers.
func TestUserForeign(t *testing.T) {
	ktest.Oldest(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("this processor has no such programs")
	}
	source := `static long call(long nr, long a, long b) { long r; asm volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b) : "memory"); return r; }
void _start(void) { for (int i = 0; i < 3; i++) call(20, i, 5); call(1, 37, 0); }`
	const script = `tracepoint:raw_syscalls:sys_enter /args.id == 20/ { @enter = sum(args.args[0] + 10 * args.args[1]); } tracepoint:raw_syscalls:sys_exit /args.id == 20/ { @pid[args.ret == pid]++; }
		tracepoint:syscalls:sys_enter_writev,tracepoint:syscalls:sys_exit_writev { @named++; }`
	for _, bits := range []string{"-m32", "-m64"} {
		program := buildC(t, source, bits, "-fno-pic", "-nostdlib", "-static", "-no-pie")
		out, errs, exit := runUser(t, program, script)
		if want := "@enter: 153\n@pid[true]: 3"; exit != 37 || errs != "" || out != want {
			t.Errorf("%s: exit code %d, %s\n%s", bits, exit, errs, cmp.Diff(want, out))
		}
	}
}

// TestUserListsMembers lists what the programs of tracepoints may read.
func TestUserListsMembers(t *testing.T) {
	ktest.Oldest(t)
	for pattern, want := range map[string]string{
		"sched:*exec":                "tracepoint:sched:sched_process_exec\n    __data_loc char[] filename\n    pid_t pid\n    pid_t old_pid\n",
		"signal:signal_deliver":      "tracepoint:signal:signal_deliver\n    int sig\n    int errno\n    int code\n",
		"syscalls:sys_enter_getppid": "tracepoint:syscalls:sys_enter_getppid\n    int __syscall_nr\n",
	} {
		var out, errs bytes.Buffer
		exit := runSkep(t, t.TempDir(), []string{"skep", "--host=user", "-l", "-v", "tracepoint:" + pattern}, &out, &errs)
		if exit != 0 || errs.String() != "" || out.String() != want {
			t.Errorf("%s: exit code %d, %s\n%s", pattern, exit, errs.String(), cmp.Diff(want, out.String()))
		}
	}
}

// TestUserNothingToTrace has neither a command nor a process.
func TestUserNothingToTrace(t *testing.T) {
	ktest.Oldest(t)
	var out, errs bytes.Buffer
	exit := runSkep(t, t.TempDir(), []string{"skep", "--host=user", "-e", `tracepoint:syscalls:sys_enter_read { @++; }`}, &out, &errs)
	if exit != 1 || !strings.Contains(errs.String(), "give one of them") {
		t.Errorf("exit code %d, %s", exit, errs.String())
	}
}

// TestUnprivileged is the default of a user without rights.
func TestUnprivileged(t *testing.T) {
	ktest.Need(t, ktest.Root)
	ktest.Oldest(t)
	dir, self, work := unprivilegedFolder(t)
	run := func(args ...string) (string, string, int) {
		cmd := exec.CommandContext(t.Context(), self, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "HOME="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return strings.Trim(out.String(), "\n"), withoutAttached(errs.String()), cmd.ProcessState.ExitCode()
	}
	const script = `tracepoint:syscalls:sys_enter_getppid { @[uid]++; }`
	out, errs, exit := run("-c", work+" getppid 3", "-e", script)
	if want := "tracing " + work + " and its children in user space; system-wide probes need CAP_BPF\n"; out != "@[65534]: 3" || errs != want || exit != 0 {
		t.Errorf("-c: %q, exit code %d, %s", out, exit, errs)
	}
	// What is about no process needs no rights, and nothing is said.
	if out, errs, exit := run("-e", `BEGIN { printf("%d\n", 6 * 7); @a[comm] = 1; } interval:ms:1 { exit(); }`); out != "42\n\n\n@a[skep]: 1" || errs != "" || exit != 0 {
		t.Errorf("BEGIN alone: %q, exit code %d, %s", out, exit, errs)
	}
	if out, errs, exit := run("--host=user", "-l", "tracepoint:sched:*"); out != "tracepoint:sched:sched_process_exec\ntracepoint:sched:sched_process_exit\ntracepoint:sched:sched_process_fork" || exit != 0 {
		t.Errorf("-l: %q, exit code %d, %s", out, exit, errs)
	}
	// Ready-made tools, too.
	if out, errs, exit := run("opensnoop", "--exec", work, "open", "1", "/etc/passwd"); exit != 0 || !regexp.MustCompile(`(?m)^\d+ +work +\d+ +0 /etc/passwd$`).MatchString(out) {
		t.Errorf("opensnoop: %q, exit code %d, %s", out, exit, errs)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-e", script}, "or trace a command (-c) or a process (-p), which needs no rights"},
		{[]string{"--host=kernel", "-c", work + " getppid 3", "-e", script}, "loading programs needs CAP_BPF: run as root, or with CAP_BPF and CAP_PERFMON\n"},
		{[]string{"-p", fmt.Sprint(os.Getpid()), "-e", script}, "it belongs to user 0, and this is user 65534: it takes CAP_SYS_PTRACE"},
	} {
		if _, errs, exit := run(c.args...); exit != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit code %d, %s", c.args, exit, errs)
		}
	}
}

const functions = `#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) long add(long a, long b) { return a + b; }
__attribute__((noinline)) long fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static void *many(void *unused) { long s = 0; for (int i = 0; i < 200; i++) s += add(i, 1); return (void *)s; }
int main(void) {
	pthread_t t[20];
	long s = fib(12);
	for (int i = 0; i < 20; i++) pthread_create(&t[i], 0, many, 0);
	for (int i = 0; i < 20; i++) { void *r; pthread_join(t[i], &r); s += (long)r; }
	for (int i = 0; i < 20; i++) {
		int status = 0;
		pid_t p = fork();
		if (!p) _exit(add(i, 1));
		waitpid(p, &status, 0);
		s += WEXITSTATUS(status);
	}
	fprintf(stderr, "%ld\n", s);
	return 0;
}`

// TestUserFunctions probes functions that many threads and processes call at the same time, and that call themselves.
func TestUserFunctions(t *testing.T) {
	ktest.Oldest(t)
	ktest.NeedTool(t, "gcc")
	program := buildC(t, functions, "-lpthread")
	out, errs, exit := runUser(t, program, strings.ReplaceAll(`uprobe:$:add { @e = count(); @a = sum(arg0); } uretprobe:$:add { @r = count(); @s = sum(retval); }
		uprobe:$:fib { @f = count(); } uretprobe:$:fib { @g = count(); @h = sum(retval); }`, "$", program))
	const want = "@a: 398190\n@e: 4020\n@f: 465\n@g: 465\n@h: 1308\n@r: 4020\n@s: 402210"
	if exit != 0 || errs != "402354\n" || out != want {
		t.Errorf("exit code %d, %s, %s; want %s", exit, errs, out, want)
	}
}

// TestUserFunctions32 probes the functions of a program of 32 bits, at instructions that are others in 64 bits, and one without frame.
func TestUserFunctions32(t *testing.T) {
	ktest.Oldest(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("this processor has no such programs")
	}
	program := buildC(t, `static int call(int nr, int a, int b, int c) { int r; asm volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory"); return r; }
__attribute__((noinline)) int pushes(int n) { asm volatile("" ::: "memory"); return n + 1; }
int increments(int n);
asm(".type increments, @function; increments: mov 4(%esp), %eax; inc %eax; call 1f; 1: pop %ecx; sub $1b, %ecx; add %ecx, %eax; ret; .size increments, .-increments");
__attribute__((noinline)) int recurs(int n) { return n < 2 ? n : recurs(n - 1) + recurs(n - 2); }
void _start(void) {
	int sum = 0;
	for (int i = 0; i < 5; i++) sum += pushes(i) + increments(i);
	sum += recurs(10);
	if (!call(2, 0, 0, 0)) call(1, pushes(41), 0, 0);
	int status = 0;
	call(7, -1, (int)&status, 0);
	call(1, sum == 85 && status == 42 << 8 ? 37 : 1, 0, 0);
}`, "-m32", "-fno-pic", "-nostdlib", "-static", "-no-pie")
	script := strings.ReplaceAll(`uprobe:$:pushes { @p++; } uretprobe:$:pushes { @p_sum = sum(reg("ax")); } uprobe:$:increments,uprobe:$:increments+4,uprobe:$:increments+5,uprobe:$:increments+10 { @i[probe]++; }
		uretprobe:$:increments { @i_sum = sum(reg("ax")); } uretprobe:$:recurs { @r++; } tracepoint:sched:sched_process_exec { printf("%s\n", str(args.filename)); }`, "$", program)
	out, errs, exit := runUser(t, program, script)
	want := strings.ReplaceAll("$\n\n\n@i[uprobe:$:increments]: 5\n@i[uprobe:$:increments+4]: 5\n@i[uprobe:$:increments+5]: 5\n@i[uprobe:$:increments+10]: 5\n@i_sum: 15\n@p: 6\n@p_sum: 57\n@r: 177", "$", program)
	if exit != 37 || errs != "" || out != want {
		t.Errorf("exit code %d, %s\n%s", exit, errs, cmp.Diff(want, out))
	}
}

// TestUserFunctionsLeft probes functions that are left without returning, and one that ends by jumping to another.
func TestUserFunctionsLeft(t *testing.T) {
	ktest.Oldest(t)
	program := buildC(t, `#include <setjmp.h>
jmp_buf out;
__attribute__((noinline)) int leaps(int n) { if (n & 1) longjmp(out, 1); return n; }
__attribute__((noinline)) int last(int n) { volatile int m = n; return m + 1; }
__attribute__((noinline, optimize("O2"))) int jumps(int n) { return last(n + 1); }
int main(void) {
	volatile int sum = 0;
	for (volatile int i = 0; i < 10; i++) if (!setjmp(out)) sum += leaps(i);
	for (volatile int i = 0; i < 3; i++) sum += jumps(i);
	return sum;
}`)
	out, errs, exit := runUser(t, program, strings.ReplaceAll(`uprobe:$:leaps { @e = count(); } uretprobe:$:leaps { @r = count(); @s = sum(retval); }
		uretprobe:$:jumps { @j = count(); @js = sum(retval); } uretprobe:$:last { @l = count(); @ls = sum(retval); }`, "$", program))
	if want := "@e: 10\n@j: 3\n@js: 9\n@l: 3\n@ls: 9\n@r: 5\n@s: 20"; exit != 29 || errs != "" || out != want {
		t.Errorf("exit code %d, %s\n%s", exit, errs, cmp.Diff(want, out))
	}
}

// TestUserFunctionsAfterKernel traces a function in user space just when the kernel has been told to trace it no more: its breakpoint is still
// there.
func TestUserFunctionsAfterKernel(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Work, ktest.Uprobe)
	ktest.Oldest(t)
	if ktest.Emulated() {
		t.Skip("guests are slow: the kernel may take longer than is waited for")
	}
	w := ktest.StartWork(t, "call", "1000")
	script := "uprobe:" + w.Binary + ":main.bee { @++; }"
	s := startSkep(t, "--host=kernel", "-p", fmt.Sprint(w.PID), "-e", script)
	s.end(os.Interrupt)
	s = startSkep(t, "--host=user", "-p", fmt.Sprint(w.PID), "-e", script)
	w.Run()
	if out, exit := s.end(os.Interrupt); exit != 0 || strings.Join(out, "\n") != "@: 1000" {
		t.Errorf("exit code %d, %q, %s", exit, out, s.stderr.String())
	}
	w.End()
}

// TestUserFunctionsDetached takes the breakpoints out of a process that goes on.
func TestUserFunctionsDetached(t *testing.T) {
	ktest.Oldest(t)
	w := ktest.StartWork(t, "call", "1000")
	for range 2 {
		s := startSkep(t, "--host=user", "-p", fmt.Sprint(w.PID), "-e", "uprobe:"+w.Binary+":main.bee { @++; } interval:ms:1 { @i++; if (@i > 5) { clear(@i); exit(); } }")
		if out, exit := s.rest(); exit != 0 {
			t.Errorf("exit code %d, %q, %s", exit, out, s.stderr.String())
		}
	}
	s := startSkep(t, "--host=user", "-p", fmt.Sprint(w.PID), "-e", "uprobe:"+w.Binary+":main.bee { @++; }")
	w.Run()
	if out, exit := s.end(os.Interrupt); exit != 0 || strings.Join(out, "\n") != "@: 1000" {
		t.Errorf("exit code %d, %q, %s", exit, out, s.stderr.String())
	}
	w.End()
}

const goFunctions = `package main

import "os"

//go:noinline
func deep(n int) int {
	var pad [600]byte
	pad[n%600] = 1
	if n == 0 {
		return 0
	}
	return deep(n-1) + int(pad[n%600])
}

func main() {
	sum, done := 0, make(chan int)
	for range 20 {
		go func() { done <- deep(100) }()
	}
	for range 20 {
		sum += <-done
	}
	if sum != 2000 {
		os.Exit(1)
	}
}`

// TestUserGoFunctions sees functions of Go return, whose stacks are moved meanwhile.
func TestUserGoFunctions(t *testing.T) {
	ktest.Oldest(t)
	ktest.NeedTool(t, "go")
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(goFunctions), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, errs, exit := runUser(t, program, strings.ReplaceAll(`uretprobe:$:main.deep { @n = count(); @sum = sum(retval); }`, "$", program))
	if exit != 0 || errs != "" || out != "@n: 2020\n@sum: 101000" {
		t.Errorf("exit code %d, %s, %s; want 2020 returns of 101000 in all", exit, errs, out)
	}
}
