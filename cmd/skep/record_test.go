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

	"skep/internal/ktest"
)

// TestRecordings records the one-liners on both hosts: they print what they print without, and the same again when they are replayed by
// nobody in a folder where there is nothing else: no /proc, no /sys.
func TestRecordings(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint)
	ktest.Oldest(t)
	dir, self, _ := unprivilegedFolder(t)
	bare := bareRoot(t)
	for at := bare; at != os.TempDir() && at != "/"; at = filepath.Dir(at) { // who replays is nobody
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range oneLiners() {
		if strings.Contains(c.script, "dw_ustack") {
			continue // see TestRecordCopiedStacks
		}
		t.Run(c.name, func(t *testing.T) {
			ktest.Need(t, c.needs...)
			for _, host := range []string{"kernel", "user"} {
				if host == "user" && ktest.Emulated() {
					continue // what that host does is no matter of the running kernel
				}
				want := ""
				if host == "kernel" && !strings.Contains(c.script, "interval") {
					want = runOn(t, dir, self, 0, host, c)
				}
				file := filepath.Join(bare, "recording")
				recorded := runOn(t, dir, self, 0, host, c, "--record", file)
				if want != "" && want != recorded {
					t.Errorf("%s host: without recording (-), and with it (+):\n%s", host, cmp.Diff(want, recorded))
				}
				if diff := cmp.Diff(recorded, replayBare(t, bare)); diff != "" {
					t.Errorf("%s host: recorded (-) and replayed (+):\n%s", host, diff)
				}
			}
		})
	}
}

// TestRecordCopiedStacks refuses to record what pieces of stacks are needed for, before anything runs.
func TestRecordCopiedStacks(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	ktest.Oldest(t)
	for _, host := range []string{"kernel", "user"} {
		var out, errs bytes.Buffer
		file := filepath.Join(t.TempDir(), "recording")
		words := []string{"skep", "--host=" + host, "--record", file, "-c", "/bin/true", "-e", `tracepoint:syscalls:sys_enter_getppid { @[dw_ustack] = count(); }`}
		if exit := runSkep(t, t.TempDir(), words, &out, &errs); exit != 1 || !strings.Contains(errs.String(), "dw_ustack cannot be recorded: ustack can be") {
			t.Errorf("%s host: exit code %d: %s", host, exit, errs.String())
		}
	}
}

// TestRecordKernel records what only the kernel sees.
func TestRecordKernel(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint)
	dir := t.TempDir()
	for _, c := range []struct {
		name, script, want string // expression for the output
		needs              []ktest.Feature
	}{
		{"stacks", `rawtracepoint:sys_enter /tid == cpid && arg1 == 110/ { @[kstack(4), ustack(2), kstack(raw, 2)] = count(); }`, `: 40\n`, nil},
		{"memory", `rawtracepoint:sched_process_exec /comm == "work"/ { printf("%s %s\n", str(((struct linux_binprm *)arg2)->filename), curtask->real_parent->comm); }`,
			`/work .+\n`, []ktest.Feature{ktest.BTF}},
		{"loops", `tracepoint:syscalls:sys_enter_getppid /tid == cpid/ { @n[@i++ % 4] = nsecs > 0; if (@i == 40) { for ($kv : @n) { @sum += $kv.0 + (int64)$kv.1; } } }`, `@sum: 10\n`, []ktest.Feature{ktest.Release("5.13")}},
		{"functions", `kprobe:__x64_sys_getppid /tid == cpid/ { @[func, arg0 > 0] = count(); @s[kstack(2)] = count(); } kretprobe:__x64_sys_getppid /tid == cpid/ { @r[retval == ppid] = count(); }`,
			`@r\[true\]: 40\n`, []ktest.Feature{ktest.Kprobe}},
		{"globs", `kprobe:vfs_rea*,kprobe:vfs_statfs /tid == cpid/ { @ = count(); }`, `@: \d+\n`, []ktest.Feature{ktest.Kprobe}},
		{"clock", `profile:hz:97 { @[cpu, comm, usermode] = count(); } software:page-faults:1 /pid == cpid/ { @f[kstack(3)] = count(); }`, `@f\[`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ktest.Need(t, c.needs...)
			file := filepath.Join(dir, "recording")
			var out, errs bytes.Buffer
			words := []string{"skep", "-q", "--host=kernel", "--record", file, "-c", ktest.WorkPath(t) + " getppid 40", "-e", c.script}
			exit := 0
			unlessMissed(func() (missed bool) {
				out.Reset()
				errs.Reset()
				exit, missed = runSkepMissing(t, dir, words, &out, &errs)
				return missed
			})
			if exit != 0 || errs.Len() > 0 {
				t.Fatalf("exit code %d: %s", exit, errs.String())
			}
			if !regexp.MustCompile(c.want).MatchString(out.String()) {
				t.Errorf("%s, want %s", out.String(), c.want)
			}
			if again, errs, exit := replayed(t, file); exit != 0 || errs != "" || again != strings.Trim(out.String(), "\n") {
				t.Errorf("exit code %d, recorded (-) and replayed (+):\n%s\n%s", exit, cmp.Diff(strings.Trim(out.String(), "\n"), again), errs)
			}
		})
	}
}

// replayBare replays the recording in a folder that holds nothing but it and skep.
func replayBare(t *testing.T, bare string) string {
	t.Helper()
	file := filepath.Join(bare, "recording")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/skep", "replay", "/recording", "-q")
	cmd.Dir = "/"
	cmd.Env = []string{"SKEP_TEST_MAIN=1", "NO_COLOR=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: bare, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("replay: %v\n%s", err, errs.String())
	}
	return out.String()
}

// recordWork gives a recording of a script over the work command in user space.
func recordWork(t *testing.T, script string, work ...string) (file, out string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "recording")
	out, errs, exit := runUser(t, strings.Join(append([]string{ktest.WorkPath(t)}, work...), " "), script, "--record", file)
	if exit != 0 || errs != "" {
		t.Fatalf("exit code %d: %s", exit, errs)
	}
	return file, out
}

// replayed runs skep replay.
func replayed(t *testing.T, words ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = runSkep(t, t.TempDir(), append([]string{"skep", "replay"}, words...), &out, &errs)
	return strings.Trim(out.String(), "\n"), withoutAttached(errs.String()), exit
}

// TestReplayOthers runs other scripts on a recording: what was recorded is there, what was not is told of, with its place.
func TestReplayOthers(t *testing.T) {
	ktest.Oldest(t)
	const recorded = `BEGIN { printf("go\n"); } tracepoint:syscalls:sys_enter_openat /strncmp(str(args.filename), "/etc/", 5) == 0/ { @[str(args.filename)] = count(); }`
	file, out := recordWork(t, recorded, "open", "3", "/etc/passwd")
	if want := "go\n\n\n@[/etc/passwd]: 3"; out != want {
		t.Fatalf("recorded %q, want %q", out, want)
	}
	const passwd = `/str(args.filename) == "/etc/passwd"/`
	for _, c := range []struct {
		name, script string
		want         string
		errs         string // part of it; "" for none
		exit         int
	}{
		{name: "again", want: "go\n\n\n@[/etc/passwd]: 3"},
		{name: "parts", script: `t:syscalls:sys_enter_op* ` + passwd + ` { @[probe, str(args.filename, 6)] = count(); }`,
			want: "@[tracepoint:syscalls:sys_enter_openat, /etc/]: 3"},
		{name: "task", script: `tracepoint:syscalls:sys_enter_openat ` + passwd + ` { @[comm, pid == tid, uid, ppid > 0] = count(); }`, want: "@[work, true, 0, true]: 3"},
		{name: "probes", script: `tracepoint:syscalls:sys_enter_openat ` + passwd + ` { @a++; } tracepoint:syscalls:sys_enter_openat ` + passwd + ` { @b++; }`,
			want: "@a: 3\n@b: 3"},
		{name: "time", script: `tracepoint:syscalls:sys_enter_openat { @a = nsecs; } interval:us:1 { @t++; } END { printf("%d", @t > 10 && @a > 0); clear(@t); clear(@a); }`, want: "1"},
		{name: "exit", script: `tracepoint:syscalls:sys_enter_openat ` + passwd + ` { printf("x\n"); exit(4); }`, want: "x", exit: 4},
		{name: "memory", script: `tracepoint:syscalls:sys_enter_openat ` + passwd + ` { @ = *(uint64*)uptr(args.filename + 4096); }`, want: "@: 0",
			errs: "1:82-117: WARNING: the recording does not have what is read here: nobody read it then"},
		{name: "stack", script: `tracepoint:syscalls:sys_enter_openat ` + passwd + ` { @[ustack] = count(); }`, want: "@[\n]: 3",
			errs: "WARNING: 3 stacks were asked for that are not in the recording: they are empty"},
		{name: "other probe", script: `tracepoint:syscalls:sys_enter_openat2 { }`, exit: 1,
			errs: "tracepoint:syscalls:sys_enter_openat2 is not in the recording"},
		{name: "kernel", script: `kprobe:vfs_read { }`, exit: 1, errs: "HINT: the recording has begin, tracepoint:syscalls:sys_enter_openat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			words := []string{file}
			if c.script != "" {
				words = append(words, "-e", c.script)
			}
			out, errs, exit := replayed(t, words...)
			if out != c.want || exit != c.exit {
				t.Errorf("exit code %d, want %d; output %q, want %q\n%s", exit, c.exit, out, c.want, errs)
			}
			if c.errs == "" && errs != "" || !strings.Contains(errs, c.errs) {
				t.Errorf("messages %q, want %q", errs, c.errs)
			}
		})
	}
	out, _, _ = replayed(t, file, "--info")
	for _, want := range []string{"host user", "         1  begin", recorded} {
		if !strings.Contains(out, want) {
			t.Errorf("--info has no %q: %s", want, out)
		}
	}
}

// TestRecordTasks keeps other tasks out of a recording of the kernel whose script is not about them.
func TestRecordTasks(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint)
	ktest.Oldest(t)
	file := filepath.Join(t.TempDir(), "recording")
	for _, c := range []struct{ predicate, want string }{
		{`tid == cpid && comm == "work" && args.flags >= 0`, "@[true]"},
		{`args.flags >= 0 && tid == cpid`, "@[false]"}, // what comes first may have an effect
	} {
		script := `tracepoint:syscalls:sys_enter_openat /` + c.predicate + `/ { @ = count(); }`
		var out, errs bytes.Buffer
		words := []string{"skep", "-q", "--host=kernel", "--record", file, "-c", ktest.WorkPath(t) + " exec 3 " + ktest.WorkPath(t) + " open 1 /etc/passwd", "-e", script} // children open files, too
		if exit := runSkep(t, t.TempDir(), words, &out, &errs); exit != 0 {
			t.Fatalf("exit code %d: %s", exit, errs.String())
		}
		again, _, _ := replayed(t, file, "-q", "-e", `tracepoint:syscalls:sys_enter_openat { @[tid == cpid] = count(); }`)
		if !strings.Contains(again, c.want) || c.want == "@[true]" && strings.Contains(again, "false") {
			t.Errorf("%s: %s, want %s", c.predicate, again, c.want)
		}
	}
}

// TestRecordProcess records one process, of which a replay shows no other, either.
func TestRecordProcess(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.RawTracepoint)
	ktest.Oldest(t)
	for _, host := range []string{"kernel", "user"} {
		file := filepath.Join(t.TempDir(), "recording")
		w := ktest.StartWork(t, "exec", "3", "/bin/true")
		s := startSkep(t, "--host="+host, "--record", file, "-p", fmt.Sprint(w.PID), "-e", `tracepoint:syscalls:sys_enter_* { @[comm, pid == `+fmt.Sprint(w.PID)+`] = count(); }`)
		w.Run()
		out, exit := s.end(os.Interrupt)
		again, errs, exitAgain := replayed(t, file)
		if want := strings.Join(out, "\n"); want == "" || again != want || strings.Contains(want, "false") || exit != 0 || exitAgain != 0 || errs != "" {
			t.Errorf("%s host: exit codes %d and %d, recorded %q (-) and replayed (+): %s\n%s", host, exit, exitAgain, want, cmp.Diff(want, again), errs)
		}
	}
}

// TestReplayAnswers replays what was asked of the machine: parameters, commands, files and times are those of the recording.
func TestReplayAnswers(t *testing.T) {
	ktest.Oldest(t)
	dir := t.TempDir()
	file, other := filepath.Join(dir, "recording"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := `BEGIN { printf("%s %s\n", str($1), getopt("x", "none")); cat("` + other + `"); system("cat ` + other + `; echo more >> ` + other + `"); time("%H:%M:%S\n"); }`
	words := []string{"skep", "--host=user", "--record", file, "--unsafe", "-c", "/bin/true", "-e", script, "arg", "--", "--x=named"}
	var out, errs bytes.Buffer
	if exit := runSkep(t, dir, words, &out, &errs); exit != 0 || !strings.HasPrefix(out.String(), "arg named\nbefore\nbefore\n") {
		t.Fatalf("exit code %d: %s%s", exit, out.String(), errs.String())
	}
	if again, errs, exit := replayed(t, file); again != strings.Trim(out.String(), "\n") || exit != 0 || errs != "" {
		t.Errorf("exit code %d, %q, want %q; %s", exit, again, out.String(), errs)
	}
	if text, err := os.ReadFile(other); string(text) != "before\nmore\n" || err != nil {
		t.Errorf("the command has run again: %q, %v", text, err)
	}
	const unknown = "WARNING: system() runs nothing in a replay, and the recording does not have what this said: echo x"
	if out, errs, _ := replayed(t, file, "-e", `BEGIN { system("echo x"); printf("%s\n", str($1)); }`, "own"); out != "own" || !strings.Contains(errs, unknown) {
		t.Errorf("%q, %s", out, errs)
	}
}

// TestRecordingKilled kills skep while it records: the file can be read up to then.
func TestRecordingKilled(t *testing.T) {
	ktest.Oldest(t)
	file := filepath.Join(t.TempDir(), "recording")
	s := startSkep(t, "--host=user", "--record", file, "-c", "sleep 1000", "-e",
		`tracepoint:syscalls:sys_enter_execve { @n++; } interval:ms:10 { @n++; printf("%d\n", @n); if (@n == 100) { printf("enough\n"); } }`)
	for s.lines.Scan() && s.lines.Text() != "enough" {
	}
	s.end(os.Kill)
	out, errs, exit := replayed(t, file)
	if n := strings.Count(out, "\n"); n < 50 || exit != 0 || !strings.Contains(errs, "WARNING: the recording is not complete: ") {
		t.Errorf("exit code %d, %d lines; %s", exit, n, errs)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, exit = replayed(t, file); exit != 1 || !strings.Contains(errs, ": a block is damaged: ") {
		t.Errorf("damaged: exit code %d, %s", exit, errs)
	}
}

// TestOldRecordings replays a file that an earlier skep has made: what it says does not change.
func TestOldRecordings(t *testing.T) {
	ktest.Oldest(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the file is of amd64")
	}
	const file = "testdata/recordings/version1.rec"
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ script, want string }{
		{"", "begin\n" + strings.Repeat("work ends\n", 5) + "end\n\n\n@[work, root, \n        internal/runtime/syscall/linux.Syscall6+14\n]: 3\n@fds[true]: 8"},
		{`tracepoint:sched:* { @[probe, args.prio, args.group_dead] = count(); }`, "@[tracepoint:sched:sched_process_exit, 120, true]: 1\n@[tracepoint:sched:sched_process_exit, 120, false]: 4"},
		{`tracepoint:syscalls:sys_exit_openat { @t[tid] = nsecs; } END { printf("%s %d\n", strftime("%Y-%m-%d %H:%M:%S", nsecs), len(@t)); clear(@t); }`, "2026-11-30 22:16:17 1"},
		{`tracepoint:syscalls:sys_enter_openat { @[ppid > 0, pcomm, gid, cpu < 2, args.flags & 3] = count(); }`, "@[true, skep5, 0, true, 0]: 8"},
	} {
		words := []string{path, "-q"}
		if c.script != "" {
			words = append(words, "-e", c.script)
		}
		if out, errs, exit := replayed(t, words...); out != c.want || errs != "" || exit != 0 {
			t.Errorf("%s: exit code %d, %q, want %q; %s", c.script, exit, out, c.want, errs)
		}
	}
}

// TestRecordRefused says what cannot be recorded.
func TestRecordRefused(t *testing.T) {
	ktest.Need(t, ktest.Root)
	ktest.Oldest(t)
	file := filepath.Join(t.TempDir(), "recording")
	for _, c := range []struct{ words, want string }{
		{"replay " + file, "opening the recording: "},
		{"replay /etc/passwd", "/etc/passwd: at byte 0: this is not a recording of skep"},
		{"replay", "usage: skep replay FILE"},
		{"--host=kernel --record " + file + " -e fentry:vfs_read{}", "ERROR: fentry cannot be recorded"},
		{"--test --record " + file + " -e test:a{}", "--test and --bench have no events to record"},
	} {
		var out, errs bytes.Buffer
		if exit := runSkep(t, t.TempDir(), append([]string{"skep"}, strings.Fields(c.words)...), &out, &errs); exit == 0 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: exit code %d, %s; want %s", c.words, exit, errs.String(), c.want)
		}
	}
}
