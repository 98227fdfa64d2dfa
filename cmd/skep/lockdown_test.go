package main

import (
	"bytes"
	"strings"
	"testing"

	"skep/internal/ktest"
)

// TestLockdown asks a kernel that forbids to read its memory for this and that: what reads none works, for what does the error names
// the reason.
func TestLockdown(t *testing.T) {
	ktest.Need(t, ktest.Option("lockdown=confidentiality"), ktest.Root)
	for _, test := range []struct {
		script string
		works  bool
	}{
		{`BEGIN { printf("hi\n"); exit(); }`, true},
		{`tracepoint:syscalls:sys_enter_getppid { @ = count(); }`, true},
		{`rawtracepoint:sched_switch { @ = count(); }`, true},
		{`fentry:vfs_read { @ = count(); }`, true},
		{`uprobe:` + ktest.WorkPath(t) + `:main.bee { @ = count(); }`, true},
		{`tracepoint:syscalls:sys_enter_getppid { @[dw_ustack] = count(); }`, true},
		{`tracepoint:syscalls:sys_enter_openat { printf("%s\n", str(args.filename)); }`, true},
		{`tracepoint:sched:sched_switch { @ = count(); }`, false},
		{`tracepoint:sched:sched_* { @ = count(); }`, false},
		{`kprobe:vfs_read { @ = count(); }`, false},
		{`profile:hz:99 { @[kstack] = count(); }`, false},
		// The kernel follows typed pointers by itself.
		{`BEGIN { print(((struct task_struct *)curtask)->pid); exit(); }`, true},
		{`BEGIN { print(*(uint64*)kaddr("jiffies_64")); exit(); }`, false},
	} {
		var stdout, stderr bytes.Buffer
		code := runSkep(t, t.TempDir(), []string{"skep", "-c", ktest.WorkPath(t) + " getppid 1", "-e", test.script}, &stdout, &stderr)
		t.Logf("%s\nexit code %d\n%s%s", test.script, code, stdout.String(), stderr.String())
		switch {
		case test.works && code != 0:
			t.Errorf("%s: does not work", test.script)
		case !test.works && (code != 1 || !strings.Contains(stderr.String(), "lockdown=confidentiality")):
			t.Errorf("%s: the reason is not named", test.script)
		}
	}
}
