package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// storm has processes end while their threads are making threads and processes: by a signal, by another program, and by themselves.
const storm = `#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *quick(void *a) { return a; }
static void *threads(void *a) { for (;;) { pthread_t t; if (pthread_create(&t, 0, quick, 0) == 0) pthread_detach(t); } }
static void *forks(void *a) { for (;;) { pid_t p = fork(); if (!p) _exit(0); waitpid(p, 0, 0); } }
static void *vforks(void *a) { for (;;) { pid_t p = vfork(); if (!p) _exit(0); waitpid(p, 0, 0); } }
int main(void) {
	for (int i = 0; i < 45; i++) {
		pid_t p = fork();
		if (!p) {
			pthread_t t;
			pthread_create(&t, 0, threads, 0);
			pthread_create(&t, 0, forks, 0);
			pthread_create(&t, 0, vforks, 0);
			usleep(rand() % 2000 + 20 * i);
			if (i % 3 == 0) kill(getpid(), SIGKILL);
			if (i % 3 == 1) execl("/bin/true", "true", (char *)0);
			_exit(3);
		}
		waitpid(p, 0, 0);
	}
	return 0;
}`

// TestUserKilledMaking counts starts and ends of tasks whose parents end before they can tell of them.
func TestUserKilledMaking(t *testing.T) {
	ktest.Oldest(t)
	program := buildC(t, storm)
	out, errs, exit := runUser(t, program, `tracepoint:sched:sched_process_fork { @starts++; } tracepoint:sched:sched_process_exit { @ends++; }
		END { printf("%d\n", @ends - @starts); clear(@starts); clear(@ends); }`)
	if exit != 0 || errs != "" || out != "1" { // nobody that is seen has started the command
		t.Errorf("exit code %d, %s ends more than starts, %s; want 1", exit, out, errs)
	}
}

// TestUserLife runs a program that tells what it sees of signals, stops, children and their ends, alone and traced in all the ways that
// there are to stop it.
func TestUserLife(t *testing.T) {
	ktest.Oldest(t)
	source, err := os.ReadFile(filepath.Join("testdata", "user", "life.c"))
	if err != nil {
		t.Fatal(err)
	}
	program := buildC(t, string(source))
	run := func(words ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if cmd.ProcessState == nil || ctx.Err() != nil {
			t.Fatalf("%q: %v\n%s%s", words, err, out, errs.String())
		}
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		code := status.ExitStatus()
		if ok && status.Signaled() {
			code = 128 + int(status.Signal())
		}
		return fmt.Sprintf("%s%sexit code %d", out, errs.String(), code)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := run(program)
	for _, script := range []string{
		`tracepoint:syscalls:sys_enter_openat { @++; }`,
		`tracepoint:syscalls:sys_enter_* { @++; }`,
		`tracepoint:syscalls:sys_exit_* { @++; }`,
		`tracepoint:raw_syscalls:sys_enter { @++; }`,
		`tracepoint:sched:sched_process_exit { @++; }`,
		`profile:hz:499 { @[ustack]++; } tracepoint:signal:signal_deliver { @s++; } tracepoint:syscalls:sys_enter_rt_sigaction { @r++; }`,
		strings.ReplaceAll(`uprobe:$:note,uprobe:$:leap,uprobe:$:reap,uretprobe:$:reap,uprobe:$:light { @++; }`, "$", program),
	} {
		if diff := cmp.Diff(want, run(self, "-q", "-o", "maps", "--host=user", "-c", program, "-e", script)); diff != "" {
			t.Errorf("%s: alone (-) and traced (+) it sees:\n%s", script, diff)
		}
	}
}

// TestUserUntraced has processes that are not to be traced, by both system calls that can ask for that.
func TestUserUntraced(t *testing.T) {
	ktest.Oldest(t)
	program := buildC(t, `#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) int light(int n) { return n; }
static int ends(long child) {
	int status;
	if (child == 0) _exit(light(syscall(SYS_getppid) == 0 ? 8 : 7));
	return waitpid(child, &status, 0) == child && status == 7 << 8;
}
int main(void) {
	struct clone_args a = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
	light(1);
	if (!ends(syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0))) return 1;
	return ends(syscall(SYS_clone3, &a, sizeof a)) ? 9 : 2;
}`)
	for script, want := range map[string]string{
		`uprobe:$:light { @++; }`:                        "@: 3",
		`tracepoint:syscalls:sys_enter_getppid { @++; }`: "@: 2",
		`tracepoint:syscalls:sys_enter_clone,tracepoint:syscalls:sys_enter_clone3,tracepoint:syscalls:sys_exit_getppid { @++; }`: "@: 4",
		`tracepoint:raw_syscalls:sys_enter { if (args.id == 110) { @++; } }`:                                                     "@: 2",
	} {
		out, errs, exit := runUser(t, program, strings.ReplaceAll(script, "$", program))
		if exit != 9 || errs != "" || out != want {
			t.Errorf("%s: exit code %d, %q, %s; want %s", script, exit, out, errs, want)
		}
	}
}

// TestUserUndisturbed has a program wait in ways that only signals end, while its children end, which it ignores; while it is attached to,
// too.
func TestUserUndisturbed(t *testing.T) {
	ktest.Oldest(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("elsewhere it is disturbed: see docs/differences.md")
	}
	program := buildC(t, `#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
int main(int n, char **v) {
	int p[2], q[2], e = epoll_create1(0);
	pipe(p);
	pipe(q);
	struct epoll_event add = {.events = EPOLLIN}, got;
	epoll_ctl(e, EPOLL_CTL_ADD, p[0], &add);
	signal(SIGUSR1, SIG_IGN);
	if (fork() == 0) {
		for (int i = 0; i < 20; i++) {
			kill(getppid(), SIGCHLD);
			kill(getppid(), SIGUSR1);
			usleep(2000);
		}
		char line[8];
		if (n > 1) read(0, line, 1);
		write(p[1], "x", 1);
		_exit(0);
	}
	if (n > 1) write(1, "waits\n", 6);
	return epoll_wait(e, &got, 1, -1) == 1 ? 5 : 6;
}`)
	for _, script := range []string{`tracepoint:sched:sched_process_exec { @++; }`, `tracepoint:raw_syscalls:sys_enter { @++; }`, `profile:hz:999 { @++; }`} {
		if _, errs, exit := runUser(t, program, script); exit != 5 || errs != "" {
			t.Errorf("%s: exit code %d, %s", script, exit, errs)
		}
	}
	app := exec.Command(program, "attached")
	in, err := app.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := app.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	bufio.NewScanner(out).Scan()
	for range 3 {
		s := startSkep(t, "--host=user", "-p", fmt.Sprint(app.Process.Pid), "-e", `tracepoint:syscalls:sys_enter_getppid { @++; }`)
		if _, exit := s.end(os.Interrupt); exit != 0 {
			t.Errorf("exit code %d, %s", exit, s.stderr.String())
		}
	}
	in.Close()
	if _ = app.Wait(); app.ProcessState.ExitCode() != 5 {
		t.Errorf("attached: exit code %d", app.ProcessState.ExitCode())
	}
}

// TestUserSandboxes has a program deny system calls by a filter of its own, which end nevertheless, also those of its child.
func TestUserSandboxes(t *testing.T) {
	ktest.Oldest(t)
	program := buildC(t, `#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgrp, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 5),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog p = {sizeof f / sizeof *f, f};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p)) return 1;
	pid_t child = fork();
	if (syscall(SYS_getppid) != -1 || errno != 77) return 2;
	if (syscall(SYS_getpgrp) != -1 || errno != ENOSYS) return 3;
	if (syscall(SYS_getuid) < 0) return 4;
	int status;
	return child ? waitpid(child, &status, 0) == child && status == 9 << 8 ? 9 : 5 : 9;
}`)
	for script, want := range map[string]string{
		`tracepoint:syscalls:sys_exit_getppid,tracepoint:syscalls:sys_exit_getpgrp,tracepoint:syscalls:sys_exit_getuid { @[probe, args.ret < 0 ? args.ret : 0]++; }`: "@[tracepoint:syscalls:sys_exit_getppid, -77]: 2\n@[tracepoint:syscalls:sys_exit_getpgrp, -38]: 2\n@[tracepoint:syscalls:sys_exit_getuid, 0]: 2",
		`tracepoint:syscalls:sys_enter_getuid,tracepoint:syscalls:sys_enter_prctl { @[probe]++; }`:                                                                   "@[tracepoint:syscalls:sys_enter_prctl]: 1\n@[tracepoint:syscalls:sys_enter_getuid]: 2",
		`tracepoint:raw_syscalls:sys_exit /args.id == 110 || args.id == 111/ { @[args.id, args.ret]++; }`:                                                            "@[110, -77]: 2\n@[111, -38]: 2",
	} {
		out, errs, exit := runUser(t, program, script)
		if exit != 9 || errs != "" || out != want {
			t.Errorf("%s: exit code %d, %s\n%s", script, exit, errs, cmp.Diff(want, out))
		}
	}
}

// TestUserServer traces a server of several processes, which answers, starts its workers anew, and ends in order.
func TestUserServer(t *testing.T) {
	ktest.Oldest(t)
	ktest.NeedTool(t, "nginx")
	dir, err := os.MkdirTemp("", "skep-server-") // its workers are of another user, who must come here
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket, conf := filepath.Join(dir, "socket"), filepath.Join(dir, "conf")
	text := strings.ReplaceAll(`daemon off; worker_processes 3; pid DIR/pid; error_log DIR/errors;
		events { worker_connections 64; }
		http { access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fast; uwsgi_temp_path DIR/uwsgi;
		scgi_temp_path DIR/scgi; server { listen unix:DIR/socket; location / { return 200 "hello\n"; } location /file { alias DIR/conf; } } }`, "DIR", dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	binary, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatal(err)
	}
	s := startSkep(t, "--host=user", "-c", binary+" -c "+conf, "-e", `tracepoint:syscalls:sys_enter_openat /str(args.filename) == "`+conf+`"/ { @opened++; }
		tracepoint:syscalls:sys_exit_accept4 /args.ret >= 0/ { @accepted++; } END { printf("%d\n", @accepted >= 200); clear(@accepted); clear(@opened); }`)
	get := func(path string) (string, error) {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}, Timeout: 30 * time.Second}
		answer, err := client.Get("http://server" + path)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}
	for deadline := time.Now().Add(30 * time.Second); ; { // it has no way to tell that it listens
		if _, err := get("/"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	var master int
	fmt.Sscan(string(pid), &master)
	for i := range 200 {
		if i == 100 {
			if err := unix.Kill(master, unix.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		if body, err := get("/file"); err != nil || body != text {
			t.Fatalf("answer %d: %q, %v", i, body, err)
		}
	}
	if err := unix.Kill(master, unix.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if out, exit := s.rest(); exit != 0 || strings.Join(out, "") != "1" {
		t.Errorf("exit code %d, %q, %s", exit, out, s.stderr.String())
	}
	if log, err := os.ReadFile(filepath.Join(dir, "errors")); err != nil || bytes.Contains(log, []byte("[alert]")) || bytes.Contains(log, []byte("[emerg]")) {
		t.Errorf("its log: %s, %v", log, err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has left its socket behind: %v", err)
	}
}

// TestUserUnwound follows stacks without frame pointers.
func TestUserUnwound(t *testing.T) {
	ktest.Oldest(t)
	program := buildC(t, `#include <unistd.h>
__attribute__((noinline)) int inner(int n) { volatile char b[64] = {n}; getppid(); return b[0] + n; }
__attribute__((noinline)) int middle(int n) { return inner(n + 1) * 3; }
__attribute__((noinline)) int outer(int n) { return middle(n + 1) + 7; }
int main(int n, char **unused) { return outer(n) != 7 + 3 * 6; }`, "-O2", "-fomit-frame-pointer")
	for _, event := range []string{"tracepoint:syscalls:sys_enter_getppid", "uprobe:" + program + ":inner", "tracepoint:syscalls:sys_exit_getppid"} {
		out, errs, exit := runUser(t, program, event+` { print(dw_ustack); }`)
		at := -1
		for _, function := range []string{"inner+", "middle+", "outer+", "main+"} {
			next := strings.Index(out, function)
			if next <= at {
				t.Errorf("%s: %s is not where it should be", event, function)
			}
			at = next
		}
		if exit != 0 || errs != "" || t.Failed() {
			t.Errorf("%s: exit code %d, %s\n%s", event, exit, errs, out)
		}
	}
}

// TestUserKilledWithBreakpoints kills skep again and again while a process that it has attached to is at its breakpoints all the time: the
// process goes on.
func TestUserKilledWithBreakpoints(t *testing.T) {
	ktest.Oldest(t)
	program := buildC(t, `#include <stdio.h>
#include <pthread.h>
__attribute__((noinline)) long twice(long n) { volatile long m = n; return 2 * m; }
static void *other(void *unused) { for (long i = 0;; i++) twice(i); }
int main(void) {
	pthread_t t;
	pthread_create(&t, 0, other, 0);
	for (long i = 0;; i++) {
		if (twice(i) != 2 * i) return 1;
		if (i % 500 == 0 && printf("%ld\n", i) && fflush(stdout)) return 2;
	}
}`)
	app := exec.Command(program)
	out, err := app.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if state := ended(app.Process.Pid); state != "" {
			t.Errorf("the process has ended: %s", state)
		}
		app.Process.Kill()
		app.Wait()
	}()
	lines := bufio.NewScanner(out)
	goesOn := func(rounds int) {
		t.Helper()
		for range rounds {
			if !lines.Scan() {
				t.FailNow()
			}
		}
	}
	rounds := 10
	if ktest.Emulated() {
		rounds = 2
	}
	for i := range rounds {
		s := startSkep(t, "--host=user", "-p", fmt.Sprint(app.Process.Pid), "-e", strings.ReplaceAll(`uprobe:$:twice { @++; } uretprobe:$:twice { @r++; }`, "$", program))
		goesOn(1 + i%3)
		s.end(os.Kill)
		// Its tracer, which is another process, lets go soon.
		for traced := true; traced; {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", app.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			traced = !bytes.Contains(text, []byte("\nTracerPid:\t0\n"))
			goesOn(1)
		}
		goesOn(20)
	}
}

// ended tells how a child has ended, "" if it has not.
func ended(pid int) string {
	var status unix.WaitStatus
	if got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); got != pid {
		if err != nil {
			return err.Error()
		}
		return ""
	}
	return fmt.Sprintf("status %#x", uint32(status))
}

// TestUserSandboxed traces where notifications cannot be had: no descriptor can be taken from another process, as in many containers, or
// the kernel does not know them. System calls stop the process then.
func TestUserSandboxed(t *testing.T) {
	ktest.Need(t, ktest.Root)
	ktest.Oldest(t)
	launcher := buildC(t, `#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int n, char **v) {
	struct sock_filter f[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, atoi(v[1])},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 3, atoi(v[2])},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, 24}, // the second argument
		{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EINVAL},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
	struct sock_fprog p = {8, f};
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) || setgid(65534) || setuid(65534)) return 99;
	execv(v[3], v + 3);
	return 98;
}`)
	dir, self, work := unprivilegedFolder(t)
	for name, numbers := range map[string][2]int{"no pidfd_getfd": {unix.SYS_PIDFD_GETFD, -1}, "no flags of seccomp": {-1, unix.SYS_SECCOMP}} {
		cmd := exec.CommandContext(t.Context(), launcher, fmt.Sprint(numbers[0]), fmt.Sprint(numbers[1]),
			self, "-q", "-c", work+" getppid 50", "-e", `tracepoint:syscalls:sys_enter_getppid { @[comm]++; }`)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "HOME="+dir)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil || strings.TrimSpace(string(out)) != "@[work]: 50" || !strings.Contains(errs.String(), "in user space; system-wide probes need") {
			t.Errorf("%s: %q, %v, %s", name, out, err, errs.String())
		}
	}
}

// TestUnprivilegedExitsnoop has a tool of raw tracepoints show how a process ends, without rights.
func TestUnprivilegedExitsnoop(t *testing.T) {
	ktest.Need(t, ktest.Root)
	ktest.Oldest(t)
	dir, self, _ := unprivilegedFolder(t)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for _, c := range []struct{ end, want string }{{"exit 7", "code 7"}, {"kill -9 $$", "signal 9 (KILL)"}, {"exit 0", "0"}} {
		app := exec.Command("sh", "-c", "read x; "+c.end)
		app.SysProcAttr, app.Dir = nobody, dir
		gate, err := app.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := app.Start(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, "exitsnoop", "-p", fmt.Sprint(app.Process.Pid))
		cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "__BPFTRACE_NOTIFY_PROBES_ATTACHED=1")
		cmd.SysProcAttr, cmd.Dir = nobody, dir
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "__BPFTRACE") {
				gate.Close()
				_ = app.Wait()
			} else if fields := strings.Fields(lines.Text()); len(fields) > 5 && fields[0] == "sh" {
				got = append(got, strings.Join(fields[5:], " "))
				_ = cmd.Process.Signal(os.Interrupt)
			}
		}
		if err := cmd.Wait(); err != nil || cmp.Diff([]string{c.want}, got) != "" {
			t.Errorf("%s: %q, want %q; %v, %s", c.end, got, c.want, err, errs.String())
		}
	}
}

// TestUserAttachRefused has the exact reasons why a process cannot be attached to.
func TestUserAttachRefused(t *testing.T) {
	ktest.Need(t, ktest.Root)
	ktest.Oldest(t)
	dir, self, _ := unprivilegedFolder(t)
	hidden := buildC(t, `#include <sys/prctl.h>
#include <unistd.h>
int main(void) { char b; prctl(PR_SET_DUMPABLE, 0); write(1, "x", 1); return read(0, &b, 1); }`)
	copyFile(t, hidden, filepath.Join(dir, "hidden"))
	app := exec.Command(filepath.Join(dir, "hidden"))
	app.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	gate, err := app.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	ready, err := app.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer app.Wait()
	defer gate.Close()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	traced := ktest.StartWork(t, "getppid", "1")
	s := startSkep(t, "--host=user", "-p", fmt.Sprint(traced.PID), "-e", `tracepoint:syscalls:sys_enter_getppid { @++; }`)
	for _, c := range []struct {
		uid  uint32
		pid  int
		want string
	}{
		{65534, app.Process.Pid, "it has forbidden it (PR_SET_DUMPABLE)"},
		{65534, os.Getpid(), "it belongs to user 0, and this is user 65534"},
		{0, traced.PID, "traces it already, and a process has one tracer only"},
	} {
		cmd := exec.CommandContext(t.Context(), self, "--host=user", "-p", fmt.Sprint(c.pid), "-e", `tracepoint:syscalls:sys_enter_getppid { @++; }`)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("process %d for user %d: %s, want %s", c.pid, c.uid, out, c.want)
		}
	}
	traced.Run()
	if out, exit := s.end(os.Interrupt); exit != 0 || strings.Join(out, "") != "@: 1" {
		t.Errorf("exit code %d, %q, %s", exit, out, s.stderr.String())
	}
	traced.End()
}
