package kernel

import (
	"strings"
	"testing"

	"skep/internal/ktest"
	"skep/ir"
	"skep/probe"
)

// TestUsable asks for what every kernel has, and for what none has; whether it can be attached to is another question.
func TestUsable(t *testing.T) {
	ktest.Need(t, ktest.Root)
	h := New()
	fentry, kprobe := h.Has(ir.FentryProg), h.Has(ir.KprobeHooks)
	for _, c := range []struct {
		name  string
		point probe.Point
		want  bool
	}{
		{"tracepoint", probe.Point{Kind: probe.RawTracepoint, Event: "sched_switch"}, true},
		{"no tracepoint", probe.Point{Kind: probe.RawTracepoint, Event: "no_such_event"}, false},
		{"fentry", probe.Point{Kind: probe.Fentry, Function: "vfs_read", Module: "vmlinux"}, fentry},
		{"no fentry", probe.Point{Kind: probe.Fexit, Function: "no_such_function", Module: "vmlinux"}, false},
		{"kprobe", probe.Point{Kind: probe.Kprobe, Function: "vfs_read"}, kprobe},
		{"no kprobe", probe.Point{Kind: probe.Kprobe, Function: "no_such_function"}, false},
		{"timer", probe.Point{Kind: probe.Interval}, true},
	} {
		err := h.Usable(c.point)
		if (err == nil) != c.want {
			t.Errorf("%s: %v, want usable %t", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the reason has several lines: %q", c.name, err)
		}
	}
}
