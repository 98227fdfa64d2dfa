package replay

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"skep/internal/diag"
	"skep/probe"
	"skep/recording"
)

// Catalog is what can be probed in a recording: what was recorded, and what needs no event of it.
type Catalog struct {
	reader *recording.Reader
	own    *probe.Catalog
	types  *probe.Types
	err    error
}

// NewCatalog returns the catalog of a recording.
func NewCatalog(r *recording.Reader) *Catalog {
	c := &Catalog{reader: r, own: &probe.Catalog{Tracefs: probe.NoTracefs(errors.New("a recording has only what was recorded"))}}
	if len(r.Types) == 0 {
		c.err = errors.New("the recording has none of the kernel's types")
	} else if c.types, c.err = probe.NewTypes(r.Types); c.err != nil {
		c.err = fmt.Errorf("the kernel's types in the recording: %w", c.err)
	}
	return c
}

// Expand gives the recorded points that a pattern means.
func (c *Catalog) Expand(pattern string, opt probe.ExpandOptions) ([]probe.Point, error) {
	kind, ok := probe.KindOf(pattern)
	if !ok {
		return c.own.Expand(pattern, opt)
	}
	switch kind {
	case probe.Begin, probe.End, probe.Interval:
		return c.own.Expand(pattern, opt)
	}
	_, rest, _ := strings.Cut(pattern, ":")
	var points []probe.Point
	seen := map[string]bool{}
	for _, p := range c.reader.Header.Probes {
		if p.Point.Kind == kind && !seen[p.Point.Name] && means(rest, &p.Point) {
			seen[p.Point.Name] = true
			points = append(points, p.Point)
		}
	}
	if len(points) > 0 {
		return points, nil
	}
	e := &probe.Error{Pattern: pattern, To: len(pattern), Message: pattern + " is not in the recording", Err: probe.ErrNoMatch}
	e.Hint = c.hint(pattern)
	return nil, e
}

// means reports whether the part of a pattern behind the provider means a point.
func means(rest string, p *probe.Point) bool {
	_, name, _ := strings.Cut(p.Name, ":")
	if probe.Glob(rest, name) {
		return true
	}
	if p.Binary == "" {
		return false
	}
	// The file may have been named in another way.
	file, function, ok := cutLast(rest)
	_, place, okPlace := cutLast(name)
	return ok && okPlace && probe.Glob(function, place) && calls(file, p.Binary)
}

// calls reports whether a script may have called a file so: by the end of its path, or as a library, libc or c.
func calls(file, path string) bool {
	if file == path || strings.HasSuffix(path, "/"+file) {
		return true
	}
	library := path[strings.LastIndexByte(path, '/')+1:]
	return !strings.ContainsAny(file, "/.") && (strings.HasPrefix(library, file+".so") || strings.HasPrefix(library, "lib"+file+".so"))
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// mostNamed is how many points an error names.
const mostNamed = 5

func (c *Catalog) hint(pattern string) string {
	var names []string
	seen := map[string]bool{}
	for _, p := range c.reader.Header.Probes {
		if !seen[p.Point.Name] {
			seen[p.Point.Name] = true
			names = append(names, p.Point.Name)
		}
	}
	if near := diag.Nearest(pattern, names); near != "" {
		return "did you mean " + near + "?"
	}
	more := ""
	if len(names) > mostNamed {
		more = fmt.Sprintf(" and %d more", len(names)-mostNamed)
		names = names[:mostNamed]
	}
	return "the recording has " + strings.Join(names, ", ") + more
}

// Format gives the record of a recorded tracepoint.
func (c *Catalog) Format(category, event string) (*probe.Format, error) {
	if f := c.reader.Header.Formats[category+":"+event]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("the recording does not describe tracepoint %s:%s", category, event)
}

// Types gives those of the kernel's types that the recorded script, or replays, need.
func (c *Catalog) Types() (*probe.Types, error) { return c.types, c.err }

// Signature gives the prototype of a function, if the recorded script has asked for it.
func (c *Catalog) Signature(p probe.Point) (*btf.FuncProto, error) {
	if c.err != nil {
		return nil, c.err
	}
	if p.Kind != probe.RawTracepoint {
		return c.types.Func(p.Function)
	}
	if proto, ok := c.types.RawTracepoint(p.Event); ok {
		return proto, nil
	}
	return nil, fmt.Errorf("the recording does not have the arguments of the raw tracepoint %s", p.Event)
}
