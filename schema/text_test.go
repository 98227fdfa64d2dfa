package schema

import "testing"

func TestTarget(t *testing.T) {
	for name, want := range map[string]string{
		"begin": "begin", "kprobe:vfs_read": "vfs_read", "kprobe:xfs:xfs_open": "xfs_open", "fexit:vfs_read": "vfs_read",
		"uprobe:/bin/x:main.bee": "main.bee", "uretprobe:/bin/x:ns::f(int)": "ns::f(int)", "tracepoint:sched:sched_switch": "sched:sched_switch",
		"rawtracepoint:sched_switch": "sched_switch", "interval:s:1": "s:1",
	} {
		if got := Target(name); got != want {
			t.Errorf("the target of %s is %s, want %s", name, got, want)
		}
	}
}
