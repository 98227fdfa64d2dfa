package user

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"skep/probe"
)

// Catalog is what can be probed without the kernel's help. It needs no tracefs.
type Catalog struct {
	*probe.Catalog
}

// NeedsKernel is what the messages say of kinds of probes that this host does not have.
const NeedsKernel = "need the kernel: the user-space host has none"

// NewCatalog returns the catalog of this host, which takes the kernel's types from another one.
func NewCatalog() *Catalog {
	return &Catalog{&probe.Catalog{Tracefs: probe.NoTracefs(errors.New("the user-space host has the tracepoints " + tracepointNames() + " only; the others need the kernel"))}}
}

func tracepointNames() string {
	return "syscalls:*, " + strings.Join(slices.Sorted(maps.Keys(tracepoints())), ", ")
}

// Expand gives the points of a pattern. Those that only the kernel sees are an error that says so.
func (c *Catalog) Expand(pattern string, opt probe.ExpandOptions) ([]probe.Point, error) {
	kind, ok := probe.KindOf(pattern)
	if !ok {
		return c.Catalog.Expand(pattern, opt)
	}
	opt.KeepsStacks = true
	switch kind {
	case probe.Begin, probe.End, probe.SelfSignal, probe.Interval, probe.Profile, probe.Uprobe, probe.Uretprobe:
		return c.Catalog.Expand(pattern, opt)
	case probe.Tracepoint:
		return c.expandTracepoint(pattern, opt)
	}
	e := &probe.Error{Pattern: pattern, To: len(pattern), Message: fmt.Sprintf("%s probes %s", kind, NeedsKernel)}
	e.Hint = "run as root, or with CAP_BPF and CAP_PERFMON, and with --host=kernel"
	return nil, e
}

func (c *Catalog) expandTracepoint(pattern string, opt probe.ExpandOptions) (points []probe.Point, err error) {
	parts := strings.Split(pattern, ":")
	if len(parts) != 3 {
		return c.Catalog.Expand(pattern, opt)
	}
	for _, name := range slices.Sorted(maps.Keys(tracepoints())) {
		category, event, _ := strings.Cut(name, ":")
		if probe.Glob(parts[1], category) && probe.Glob(parts[2], event) {
			points = append(points, probe.Point{Kind: probe.Tracepoint, Name: "tracepoint:" + name, Category: category, Event: event, PID: opt.PID})
		}
	}
	if !probe.Glob(parts[1], "syscalls") {
		if len(points) == 0 {
			return c.Catalog.Expand(pattern, opt) // which says what there is
		}
		return points, nil
	}
	calls, err := c.Catalog.Expand(parts[0]+":syscalls:"+parts[2], opt)
	if err != nil && parts[1] == "syscalls" {
		return nil, &probe.Error{Pattern: pattern, To: len(pattern), Message: "there is no system call of which this is the start (sys_enter_…) or the end (sys_exit_…)"}
	}
	if err != nil && len(points) > 0 {
		return points, nil
	}
	return append(points, calls...), err
}

// Format gives the record of a tracepoint.
func (c *Catalog) Format(category, event string) (*probe.Format, error) {
	if f := tracepoints()[category+":"+event]; f != nil {
		return f, nil
	}
	return c.Catalog.Format(category, event)
}
