package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// oneLiner is a script that must print the same on every host for the same work. Its work is an argument list of the work command.
type oneLiner struct {
	name, script string
	work         []string
	root         bool // shows who runs it
	needs        []ktest.Feature
}

func oneLiners() []oneLiner {
	open := []string{"open", "3", "/etc/passwd", "/no/such/file"}
	return []oneLiner{
		{name: "files opened", script: `tracepoint:syscalls:sys_enter_openat /tid == cpid/ { // the kernel cannot read names that are not in memory yet
			if (strncmp(str(args->filename), "/etc/", 5) == 0 || strncmp(str(args->filename), "/no/", 4) == 0) { printf("%s %s\n", comm, str(args->filename)); } }`,
			work: open},
		{name: "results", script: `tracepoint:syscalls:sys_exit_openat /tid == cpid/ { @[args.ret < 0 ? args.ret : 0] = count(); }`, work: open},
		{name: "bytes read", script: `tracepoint:syscalls:sys_exit_read /tid == cpid && args.ret == 512/ { @bytes = hist(args->ret); }`,
			work: []string{"read", "100", "512", "/dev/zero"}},
		{name: "linear", script: `tracepoint:syscalls:sys_exit_write /tid == cpid/ { @b = lhist(args.ret, 0, 200, 20); @s = stats(args.ret); @a = avg(args.ret); @m = max(args.ret); }`,
			work: []string{"write", "7", "123", "/dev/null"}},
		{name: "text written", script: `tracepoint:syscalls:sys_enter_write /tid == cpid/ { printf("%d %d\n", args.count, strlen(str(args.buf, args.count))); @[buf(args.buf, 4)] = count(); }`,
			work: []string{"write", "2", "5", "/dev/null"}},
		{name: "by number", script: `tracepoint:raw_syscalls:sys_enter /tid == cpid && args.id == 110/ { @[args.id] = count(); }`, work: []string{"getppid", "50"}},
		{name: "by result", script: `tracepoint:raw_syscalls:sys_exit /tid == cpid && args.id == 257/ { @[args.id, args.ret > 0] = count(); }`, work: open},
		{name: "fused", script: `tracepoint:syscalls:sys_enter_getp*,tracepoint:syscalls:sys_enter_openat /tid == cpid/ { @[probe] = count(); }`, work: []string{"getppid", "9"}},
		{name: "pairs", script: `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @start[tid] = nsecs; } tracepoint:syscalls:sys_exit_getppid /@start[tid]/ {
			@n = count(); if (nsecs - @start[tid] > 10000000000) { @slow = count(); } delete(@start[tid]); }`, work: []string{"getppid", "20"}},
		{name: "execs", script: `tracepoint:sched:sched_process_exec /ppid == cpid/ { printf("%s %s %d\n", comm, str(args.filename), args.pid == pid); }`,
			work: []string{"exec", "3", "/bin/true"}},
		{name: "exits", script: `tracepoint:sched:sched_process_exit /comm == "true" && ppid == cpid/ { @[args.comm, args.prio] = count(); }`,
			work: []string{"exec", "4", "/bin/true"}},
		{name: "forks", script: `tracepoint:sched:sched_process_fork /pid == cpid/ { @[str(args.parent_comm)]++; } END { print(@["work"] > 2); clear(@); }`,
			work: []string{"exec", "4", "/bin/true"}},
		{name: "children", script: `tracepoint:syscalls:sys_enter_openat /ppid == cpid/ { printf("%s %s %s\n", comm, pcomm, str(args.filename)); }`,
			work: []string{"exec", "2", "/bin/true"}},
		{name: "signals", script: `tracepoint:signal:signal_deliver /pid == cpid && args.sig == 15/ { printf("%d %d %d\n", args.sig, args.code, args.errno); }`,
			work: []string{"-raise=15", "getppid", "1"}},
		{name: "names", script: `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @[comm] = count(); }`, work: []string{"-comm=bee", "getppid", "5"}},
		{name: "stacks", script: `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @[ustack] = count(); }`, work: []string{"getppid", "5"}},
		{name: "formats", script: `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { $t = (1, "two", comm); printf("%-6s|%4d|%x|%c|%s|%r|%s\n", comm, 42, 255, 65, $t.1, buf("ab\x01", 3), ntop(0x0100007f));
			printf("%d %d %d %d %s\n", rand % 10 < 10, cgroup > 0, nsecs > 0, elapsed > 0, probe); print((pid == tid, ppid > 0, strncmp(comm, "work", 4), strlen(comm)));
			print($t); @c[comm, tid == pid] = count(); }`, work: []string{"getppid", "2"}},
		{name: "walks", script: `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @c[comm, tid == pid] = count(); for ($kv : @c) { print($kv.0); } }`,
			work: []string{"getppid", "2"}, needs: []ktest.Feature{ktest.Release("5.13")}},
		{name: "aggregations", script: `tracepoint:syscalls:sys_enter_write /tid == cpid && args.count == 100/ { @n++; @h = hist(@n); @l = lhist(@n, 0, 60, 10); @a[@n % 3] = avg(@n); @s[comm] = stats(@n);
			@m = max(@n); @i = min(@n); @t = (@n, comm); if (@n % 10 == 0) { clear(@i); } for ($i : 0..5) { if ($i == 3) { break; } @w = $i; } }`,
			work: []string{"write", "50", "100", "/dev/null"}},
		{name: "copied stacks", script: `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @[dw_ustack(6)] = count(); }`, work: []string{"getppid", "5"}},
		// Not of sched_process_exit: before Linux 6.16, the process has no memory any more there.
		{name: "stacks of others", script: `tracepoint:signal:signal_deliver /pid == cpid && args.sig == 15/ { print(ustack(1)); }`,
			work: []string{"-raise=15", "getppid", "1"}},
		{name: "who", script: `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @[uid, gid, username, cgroup, cpu] = count(); }`,
			work: []string{"-cpu=1", "getppid", "5"}, root: true},
		{name: "clocks", script: `interval:ms:10 { @++; if (elapsed > 50000000) { exit(); } } END { printf("%d\n", @ > 0); clear(@); }`,
			work: []string{"nanosleep", "100", "10000"}},
		{name: "samples", script: `profile:hz:99 /pid == cpid/ { @[comm, usermode]++; } END { printf("%d\n", @["work", 1] > 0); clear(@); }`,
			work: []string{"spin", "500"}},
		{name: "functions", script: `uprobe:$WORK:main.bee { printf("%s %d %d\n", func, reg("ax"), reg("bx")); @[ustack(2)] = count(); }`, work: []string{"call", "4"}},
		{name: "control", script: `BEGIN { @x = 1; } tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @x++; if (@x == 4) { printf("%d\n", @x); delete(@x); } } END { printf("%d\n", @x); }`,
			work: []string{"getppid", "7"}},
	}
}

// TestHosts runs the same scripts on the kernel and in user space, there also without privileges, and compares what they print.
func TestHosts(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint)
	ktest.Oldest(t)
	dir, self, _ := unprivilegedFolder(t)
	for _, c := range oneLiners() {
		t.Run(c.name, func(t *testing.T) {
			ktest.Need(t, c.needs...)
			want := runOn(t, dir, self, 0, "kernel", c)
			if diff := cmp.Diff(want, runOn(t, dir, self, 0, "user", c)); diff != "" {
				t.Errorf("the kernel (-) and the user-space host (+) differ:\n%s", diff)
			}
			if c.root {
				return
			}
			if diff := cmp.Diff(want, runOn(t, dir, self, 65534, "user", c)); diff != "" {
				t.Errorf("the kernel (-) and the user-space host without privileges (+) differ:\n%s", diff)
			}
		})
	}
}

// unprivilegedFolder has copies of this test and of the work command where every user can run them.
func unprivilegedFolder(t *testing.T) (dir, self, work string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "skep-hosts-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, work = filepath.Join(dir, "skep"), filepath.Join(dir, "user", "work")
	copyFile(t, path, self)
	// The kernel takes some time to remove its breakpoints, so that the other host has a file of its own.
	for _, host := range []string{"kernel", "user"} {
		if err := os.Mkdir(filepath.Join(dir, host), 0o755); err != nil {
			t.Fatal(err)
		}
		copyFile(t, ktest.WorkPath(t), filepath.Join(dir, host, "work"))
	}
	return dir, self, work
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// runOn gives the output of a script on a host, run by a user.
func runOn(t *testing.T, dir, self string, uid uint32, host string, c oneLiner, more ...string) (out string) {
	t.Helper()
	unlessMissed(func() (missed bool) {
		out, missed = runOnce(t, dir, self, uid, host, c, more...)
		return missed
	})
	if out == "" {
		t.Errorf("%s host: no output", host)
	}
	return out
}

func runOnce(t *testing.T, dir, self string, uid uint32, host string, c oneLiner, more ...string) (output string, missed bool) {
	t.Helper()
	work := filepath.Join(dir, host, "work")
	command := strings.Join(append([]string{work}, c.work...), " ")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	words := append([]string{"-q", "--host=" + host, "-c", command, "-e", strings.ReplaceAll(c.script, "$WORK", work)}, more...)
	cmd := exec.CommandContext(ctx, self, words...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SKEP_TEST_MAIN=1", "NO_COLOR=1", "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: uid == 0}}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() < 128 {
		t.Fatalf("%s host: %v\n%s", host, err, errs.String())
	}
	missed = dropMissed(&errs)
	if errs.Len() > 0 {
		t.Errorf("%s host: %s", host, errs.String())
	}
	return out.String(), missed
}
