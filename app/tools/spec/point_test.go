package spec

import (
	"strings"
	"testing"
)

func TestPoint(t *testing.T) {
	for _, c := range []struct{ text, entry, back string }{
		{"vfs_read", "kprobe:vfs_read", "kretprobe:vfs_read"},
		{"vfs_*", "kprobe:vfs_*", "kretprobe:vfs_*"},
		{"p::vfs_read", "kprobe:vfs_read", "kretprobe:vfs_read"},
		{":vfs_read", "kprobe:vfs_read", "kretprobe:vfs_read"},
		{"r::vfs_read", "kretprobe:vfs_read", "kretprobe:vfs_read"},
		{"c:malloc", "uprobe:c:malloc", "uretprobe:c:malloc"},
		{":c:malloc", "uprobe:c:malloc", "uretprobe:c:malloc"},
		{"p:c:malloc", "uprobe:c:malloc", "uretprobe:c:malloc"},
		{"p:malloc", "uprobe:p:malloc", "uretprobe:p:malloc"}, // two pieces are library and function
		{"r:bash:readline", "uretprobe:bash:readline", "uretprobe:bash:readline"},
		{"p:/a-b/c.so.6:f+16", "uprobe:/a-b/c.so.6:f+16", "uretprobe:/a-b/c.so.6:f+16"},
		{"p:/usr/bin/x:std::foo<int, 2>*", "", ""},
		{"p:/usr/bin/x:ns::foo(int)", `uprobe:/usr/bin/x:"ns::foo(int)"`, `uretprobe:/usr/bin/x:"ns::foo(int)"`},
		{"p:/a,b:f", `uprobe:"/a,b":f`, `uretprobe:"/a,b":f`},
		{"t:sched:sched_*", "tracepoint:sched:sched_*", ""},
		{"u:/usr/bin/x:begin", "usdt:/usr/bin/x:begin", ""},
		{"u:/usr/bin/x:some:*", "usdt:/usr/bin/x:some:*", ""},
		{"p::f}", `kprobe:"f}"`, `kretprobe:"f}"`},
		{"", "", ""}, {"p::", "", ""}, {"t:sched", "", ""}, {"t::x", "", ""}, {"u:x", "", ""},
		{"f g", "", ""}, {`f"`, "", ""}, {"$1", "", ""}, {"f\n", "", ""}, {`f\`, "", ""}, {"f;", "", ""},
	} {
		p, err := ParsePoint(c.text)
		if (err == nil) != (c.entry != "") {
			t.Errorf("%q: %v", c.text, err)
		} else if err == nil && (p.Entry() != c.entry || p.Return() != c.back) {
			t.Errorf("%q is %s and %s, want %s and %s", c.text, p.Entry(), p.Return(), c.entry, c.back)
		}
	}
}

func TestRegexp(t *testing.T) {
	for text, want := range map[string]string{
		"^vfs_.*":            "kprobe:vfs_*",
		"vfs_read":           "kprobe:vfs_read*",
		"^vfs_read$":         "kprobe:vfs_read",
		"p:c:^str.$":         "uprobe:c:str?",
		"t:block:^block_rq_": "tracepoint:block:block_rq_*",
		"tcp_[sr].+":         "kprobe:tcp_[r-s]?*",
		"tcp_(send)[0-9]$":   "kprobe:tcp_send[0-9]",
		"a|b":                "kprobe:[a-b]*",
		"send|recv":          `kprobe:"send*|recv*"`,
		"^vfs_(read|write)$": `kprobe:"vfs_read|vfs_write"`,
		"^(a$|b.*c|d?e)":     `kprobe:"a|b*c*|e*|de*"`,
		"p:c:m?alloc$":       `uprobe:c:"alloc|malloc"`,
		"(a$)b":              "cannot be made a pattern",
		"(ab|cd)*":           "cannot be made a pattern",
		"(ab?c?){5}":         "cannot be made a pattern",
		`a\|b`:               "cannot be made a pattern",
		"x(":                 "no regular expression",
		"a*":                 "cannot be made a pattern",
		"$x":                 "cannot be made a pattern",
		"(?i)x":              "cannot be made a pattern",
		`f"`:                 `'"' cannot be part of a probe`,
	} {
		p, err := ParseRegexp(text)
		if err == nil && p.Entry() != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %s, %v, want %s", text, p.Entry(), err, want)
		}
	}
}
