package probe

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeTracefs makes a directory with the files of tracefs that expansion reads.
func fakeTracefs(t *testing.T) *Tracefs {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"events/sched/sched_switch/format":     schedSwitch,
		"events/sched/sched_switch/id":         "314\n",
		"events/sched/sched_process_exec/id":   "315\n",
		"events/sched/sched_process_exit/id":   "316\n",
		"events/raw_syscalls/sys_enter/id":     "22\n",
		"events/syscalls/sys_enter_openat/id":  "600\n",
		"events/syscalls/sys_enter_openat2/id": "602\n",
		"events/syscalls/sys_exit_openat/id":   "601\n",
		"events/ftrace/sched_switch/id":        "1\n",
		"events/enable":                        "0\n",
		"available_filter_functions":           "vfs_read\nvfs_readv\nvfs_write\next4_sync_file [ext4]\nvfs_read\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return OpenTracefs(dir)
}

const schedSwitch = `name: sched_switch
ID: 314
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t prev_pid;	offset:24;	size:4;	signed:1;
	field:long prev_state;	offset:32;	size:8;	signed:1;
	field:__data_loc char[] name;	offset:40;	size:4;	signed:0;
	field:const char * filename;	offset:48;	size:8;	signed:0;
	field:__u8 saddr[sizeof(struct sockaddr_in6)];	offset:56;	size:28;	signed:0;

print fmt: "prev_comm=%s", REC->prev_comm
`

func TestParseFormat(t *testing.T) {
	got, err := ParseFormat(schedSwitch)
	if err != nil {
		t.Fatal(err)
	}
	want := &Format{ID: 314, Print: `"prev_comm=%s", REC->prev_comm`, Fields: []FormatField{
		{Name: "prev_comm", Type: "char", Array: 16, Offset: 8, Size: 16},
		{Name: "prev_pid", Type: "pid_t", Offset: 24, Size: 4, Signed: true},
		{Name: "prev_state", Type: "long", Offset: 32, Size: 8, Signed: true},
		{Name: "name", Type: "__data_loc char[]", Offset: 40, Size: 4},
		{Name: "filename", Type: "const char *", Offset: 48, Size: 8},
		{Name: "saddr", Type: "__u8", Array: -1, Offset: 56, Size: 28},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestExpand(t *testing.T) {
	c := &Catalog{Tracefs: fakeTracefs(t)}
	for _, test := range []struct {
		pattern string
		want    []Point
	}{
		{"BEGIN", []Point{{Kind: Begin, Name: "begin"}}},
		{"end", []Point{{Kind: End, Name: "end"}}},
		{"self:signal:usr1", []Point{{Kind: SelfSignal, Name: "self:signal:SIGUSR1", Signal: 10}}},
		{"t:sched:sched_switch", []Point{{Kind: Tracepoint, Name: "tracepoint:sched:sched_switch", Category: "sched", Event: "sched_switch"}}},
		{"tracepoint:s*:*_ex??", []Point{
			{Kind: Tracepoint, Name: "tracepoint:sched:sched_process_exec", Category: "sched", Event: "sched_process_exec"},
			{Kind: Tracepoint, Name: "tracepoint:sched:sched_process_exit", Category: "sched", Event: "sched_process_exit"},
		}},
		{"tracepoint:syscalls:sys_enter_*", []Point{
			{Kind: Tracepoint, Name: "tracepoint:syscalls:sys_enter_openat", Category: "syscalls", Event: "sys_enter_openat"},
			{Kind: Tracepoint, Name: "tracepoint:syscalls:sys_enter_openat2", Category: "syscalls", Event: "sys_enter_openat2"},
		}},
		{"rt:sched_switch", []Point{{Kind: RawTracepoint, Name: "rawtracepoint:sched_switch", Event: "sched_switch"}}},
		{"rawtracepoint:vmlinux:sched_switch", []Point{{Kind: RawTracepoint, Name: "rawtracepoint:vmlinux:sched_switch", Event: "sched_switch"}}},
		{"rawtracepoint:sched_sw*", []Point{{Kind: RawTracepoint, Name: "rawtracepoint:sched_switch", Event: "sched_switch"}}},
		{"kprobe:vfs_read", []Point{{Kind: Kprobe, Name: "kprobe:vfs_read", Function: "vfs_read"}}},
		{"k:vfs_read+0x10", []Point{{Kind: Kprobe, Name: "kprobe:vfs_read+0x10", Function: "vfs_read", Offset: 16}}},
		{"kprobe:0xffffffff81000000", []Point{{Kind: Kprobe, Name: "kprobe:0xffffffff81000000", Address: 0xffffffff81000000}}},
		{"kretprobe:vfs_r*", []Point{
			{Kind: Kretprobe, Name: "kretprobe:vfs_read", Function: "vfs_read"},
			{Kind: Kretprobe, Name: "kretprobe:vfs_readv", Function: "vfs_readv"},
		}},
		{"kprobe:ext4:*", []Point{{Kind: Kprobe, Name: "kprobe:ext4:ext4_sync_file", Function: "ext4_sync_file", Module: "ext4"}}},
		{"profile:hz:99", []Point{{Kind: Profile, Name: "profile:hz:99", Frequency: 99}}},
		{"interval:s:1", []Point{{Kind: Interval, Name: "interval:s:1", Period: time.Second}}},
		{"i:10ms", []Point{{Kind: Interval, Name: "interval:us:10000", Period: 10 * time.Millisecond}}},
		{"interval:1000000", []Point{{Kind: Interval, Name: "interval:us:1000", Period: time.Millisecond}}},
		{"software:faults:1e3", []Point{{Kind: Software, Name: "software:faults:1000", Software: 2, Count: 1000}}},
		{"s:cs", []Point{{Kind: Software, Name: "software:cs:", Software: 3, Count: 1000}}},
	} {
		got, err := c.Expand(test.pattern, ExpandOptions{})
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s: %s", test.pattern, d)
		}
	}
}

func TestExpandErrors(t *testing.T) {
	c := &Catalog{Tracefs: fakeTracefs(t)}
	for _, test := range []struct {
		pattern, at, message, hint string
		noMatch                    bool
	}{
		{"tracepiont:a:b", "tracepiont", `there is no probe type "tracepiont"`, `did you mean "tracepoint"?`, false},
		{"hardware:cache-misses:1", "hardware", "hardware probes are not supported yet", "", false},
		{"usdt:/bin/x:y", "/bin/x", "there is no file /bin/x", "", true},
		{"tracepoint:sched:sched_swich", "tracepoint:sched:sched_swich", "there is no tracepoint sched:sched_swich", "did you mean tracepoint:sched:sched_switch?", true},
		{"tracepoint:shed:sched_switch", "tracepoint:shed:sched_switch", "there is no tracepoint shed:sched_switch", "did you mean tracepoint:sched:sched_switch?", true},
		{"rawtracepoint:sched_swich", "sched_swich", "there is no raw tracepoint sched_swich", "did you mean rawtracepoint:sched_switch?", true},
		{"tracepoint:syscalls:sys_enter", "tracepoint:syscalls:sys_enter", "there is no tracepoint syscalls:sys_enter", "did you mean tracepoint:raw_syscalls:sys_enter?", true},
		{"tracepoint:sched_switch", "tracepoint:sched_switch", "tracepoint:sched_switch is not a complete probe", "did you mean tracepoint:sched:sched_switch?", false},
		{"tracepoint:../sched:x", "tracepoint:../sched:x", "there is no tracepoint ../sched:x", "", true},
		{"interval:x:1", "x", `"x" is not a unit of time: write hz, s, ms or us`, "", false},
		{"interval:s:0", "0", `interval wants a positive whole number, not "0"`, "", false},
		{"interval:s:99999999999999999", "99999999999999999", "99999999999999999 is too long", "", false},
		{"software:page-fault", "page-fault", "there is no software event page-fault", "did you mean software:page-faults?", true},
		{"kprobe:vfs_read+x", "vfs_read+x", `the offset "x" is not a number`, "", false},
		{"kprobe:zzz*", "zzz*", "there is no kernel function zzz*", "", true},
		{"BEGIN:x", "x", "begin takes nothing after it", "", false},
	} {
		_, err := c.Expand(test.pattern, ExpandOptions{})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: no *Error but %v", test.pattern, err)
			continue
		}
		if got := test.pattern[e.From:e.To]; got != test.at || e.Message != test.message || e.Hint != test.hint || errors.Is(err, ErrNoMatch) != test.noMatch {
			t.Errorf("%s: at %q, %q, hint %q, no match: %t", test.pattern, got, e.Message, e.Hint, errors.Is(err, ErrNoMatch))
		}
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false}, {"a*b*c", "aXbXbc", true}, {"?", "", false}, {"?b", "ab", true},
		{"[ab]x", "bx", true}, {"[a-c]x", "dx", false}, {"[!a]x", "bx", true}, {"[x", "[x", true}, {"", "a", false},
		{"a|b*", "a", true}, {"a|b*", "bx", true}, {"a|b*", "ax", false}, {"a*|", "", true}, {"?|xy", "xy", true},
	} {
		if got := Glob(test.pattern, test.name); got != test.want {
			t.Errorf("Glob(%q, %q) = %t", test.pattern, test.name, got)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?[c-d]", "axxbzc")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 100 || len(name) > 100 {
			return
		}
		Glob(pattern, name)
		if !HasWildcard(name) && !Glob(name, name) {
			t.Errorf("%q does not match itself", name)
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, p := range []string{"kprobe:vfs_read+1", `uprobe:"/bin/sh":x`, "interval:s:1", "t:sched:*"} {
		f.Add(p)
	}
	c := &Catalog{Tracefs: OpenTracefs(f.TempDir())}
	f.Fuzz(func(t *testing.T, pattern string) {
		if strings.HasPrefix(pattern, "k") || strings.HasPrefix(pattern, "f") || len(pattern) > 200 {
			return // these read the functions of the running kernel
		}
		points, err := c.Expand(pattern, ExpandOptions{Max: 100})
		if err == nil && len(points) == 0 {
			t.Errorf("%q: neither points nor error", pattern)
		}
	})
}

// TestSyscalls checks the table against well-known numbers and the running kernel's tracepoints.
func TestSyscalls(t *testing.T) {
	for name, want := range map[string]int{"read": 0, "openat": 257, "newfstat": 5, "sendfile64": 40, "clone3": 435} {
		if nr, ok := SyscallNumber(name); !ok || nr != want {
			t.Errorf("SyscallNumber(%s) = %d, %t", name, nr, ok)
		}
	}
	for want, nr := range map[string]int{"read": 0, "openat": 257, "fstat": 5, "sendfile": 40, "umount2": 166} {
		if got, ok := SyscallName(nr); !ok || got != want {
			t.Errorf("SyscallName(%d) = %s, %t", nr, got, ok)
		}
	}
	real := &Tracefs{}
	events, err := real.List("events/syscalls")
	if err != nil {
		t.Skip("needs root for tracefs: ", err)
	}
	for _, ev := range events {
		name, ok := strings.CutPrefix(ev, "sys_enter_")
		if !ok {
			continue
		}
		if _, ok := SyscallNumber(name); !ok {
			t.Errorf("no number for %s", ev)
		}
		want, err := (&Catalog{}).Format("syscalls", ev)
		if err != nil {
			t.Fatal(err)
		}
		fields := slices.DeleteFunc(slices.Clone(want.Fields), func(f FormatField) bool {
			return strings.HasPrefix(f.Type, "__data_loc") // what an argument points to, as Linux 7 records it
		})
		if got, ok := builtinFormat(ev); ok && len(got.Fields) != len(fields) {
			t.Errorf("%s: %d fields in the table, %d in the kernel", ev, len(got.Fields), len(fields))
		}
	}
}
