package replay

import (
	"errors"
	"testing"

	"skep/probe"
	"skep/recording"
	"skep/vm/maps"
)

func TestRead(t *testing.T) {
	event := &recording.Event{Results: []recording.Result{
		{Kind: recording.ReadUser, Addr: 1000, Data: []byte("first")},
		{Kind: recording.ReadUser, Addr: 1000, Data: []byte("again")},
		{Kind: recording.ReadUser, Addr: 1005, Data: []byte("behind")},
		{Kind: recording.ReadUser, Addr: 2000, Errno: 14, Value: 8},
		{Kind: recording.ReadKernel, Addr: 3000, Data: []byte("kernel")},
	}}
	for _, c := range []struct {
		name string
		kind recording.Kind
		addr uint64
		size int
		want string // what all reads of the case give
		err  error
	}{
		{name: "the same", addr: 1000, size: 5, want: "first"},
		{name: "a part", addr: 1001, size: 3, want: "irs"},
		{name: "two together", addr: 1003, size: 6, want: "stbehi"},
		{name: "too much", addr: 1003, size: 9, err: maps.Errno(61)},
		{name: "failed then", addr: 2000, size: 8, err: maps.Errno(14)},
		{name: "a part that failed then", addr: 2004, size: 1, err: maps.Errno(14)},
		{name: "nobody has read it", addr: 4000, size: 1, err: maps.Errno(61)},
		{name: "other memory", addr: 3000, size: 6, err: maps.Errno(61)},
		{name: "the kernel's", kind: recording.ReadKernel, addr: 3000, size: 6, want: "kernel"},
		{name: "around the end", addr: ^uint64(0), size: 4, err: maps.Errno(61)},
	} {
		var p playing
		p.set(event, hook{})
		to := make([]byte, c.size)
		if err := p.read(c.kind, c.addr, to); !errors.Is(err, c.err) || err == nil && string(to) != c.want {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, to, err, c.want, c.err)
		}
	}
	// Memory that was read twice is given in that order, and the last reads again.
	var p playing
	p.set(event, hook{})
	got := ""
	for range 3 {
		to := make([]byte, 5)
		if err := p.read(recording.ReadUser, 1000, to); err != nil {
			t.Fatal(err)
		}
		got += string(to) + " "
	}
	if got != "first again first " {
		t.Errorf("read %q", got)
	}
}

func TestCatalog(t *testing.T) {
	r := &recording.Reader{Header: recording.Header{Probes: []recording.Probe{
		{Point: probe.Point{Kind: probe.Tracepoint, Name: "tracepoint:syscalls:sys_enter_openat"}},
		{Point: probe.Point{Kind: probe.Tracepoint, Name: "tracepoint:syscalls:sys_enter_openat"}},
		{Point: probe.Point{Kind: probe.Tracepoint, Name: "tracepoint:sched:sched_switch"}},
		{Point: probe.Point{Kind: probe.Uprobe, Name: "uprobe:/usr/bin/bash:main", Binary: "/usr/bin/bash"}},
		{Point: probe.Point{Kind: probe.Profile, Name: "profile:hz:99"}},
	}}}
	c := NewCatalog(r)
	for _, test := range []struct {
		pattern string
		points  int
		hint    string // of the error, if there are none
	}{
		{"tracepoint:syscalls:sys_enter_openat", 1, ""},
		{"t:*:*", 2, ""},
		{"tracepoint:sched:sched_swit*", 1, ""},
		{"uprobe:/usr/bin/bash:main", 1, ""},
		{"u:bash:ma*", 1, ""},
		{"profile:hz:99", 1, ""},
		{"interval:s:1", 1, ""},
		{"profile:hz:49", 0, "did you mean profile:hz:99?"},
		{"uprobe:/bin/sh:main", 0, "did you mean uprobe:/usr/bin/bash:main?"},
		{"software:page-faults:1", 0, "the recording has tracepoint:syscalls:sys_enter_openat, tracepoint:sched:sched_switch, uprobe:/usr/bin/bash:main, profile:hz:99"},
	} {
		points, err := c.Expand(test.pattern, probe.ExpandOptions{})
		if len(points) != test.points || (err == nil) != (test.points > 0) {
			t.Errorf("%s: %v, %v", test.pattern, points, err)
		}
		var failed *probe.Error
		if err != nil && (!errors.As(err, &failed) || failed.Hint != test.hint) {
			t.Errorf("%s: %v, want the hint %q", test.pattern, err, test.hint)
		}
	}
}

func TestAnswers(t *testing.T) {
	asking := &Asking{}
	n := 0
	ask := func() string { n++; return "bee" }
	for range 2 {
		if got := asking.Answer("user", "7", ask); got != "bee" {
			t.Errorf("asked: %q", got)
		}
	}
	if n != 2 || len(asking.waiting) != 1 {
		t.Errorf("asked %d times, %d answers to write", n, len(asking.waiting))
	}
	asked := NewAsked([]recording.Answer{{About: "cat", Question: "/x", Text: "1"}, {About: "cat", Question: "/x", Text: "2"}})
	got := ""
	for range 3 {
		got += asked.Answer("cat", "/x", nil)
	}
	if got != "122" || asked.Answer("user", "8", nil) != "" || asked.Missing != 1 {
		t.Errorf("answers %q, %d missing", got, asked.Missing)
	}
}
