package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/diag"
)

// expansion is the work of turning one pattern into points.
type expansion struct {
	c       *Catalog
	opt     ExpandOptions
	pattern string
	parts   []part // of the pattern, separated by colons outside of quotes
	points  []Point
}

// part is a piece of a pattern without its quotes.
type part struct {
	text     string
	from, to int
}

// Expand gives the concrete points of a pattern such as "kprobe:vfs_*". The error is an *Error.
func (c *Catalog) Expand(pattern string, opt ExpandOptions) ([]Point, error) {
	e := &expansion{c: c, opt: opt, pattern: pattern, parts: splitPattern(pattern)}
	p, ok := findProvider(e.parts[0].text)
	if !ok {
		err := e.errorf(0, "there is no probe type %q", e.parts[0].text)
		if near := diag.Nearest(e.parts[0].text, providerNames()); near != "" {
			err.Hint = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, err
	}
	if p.expand == nil {
		return nil, e.errorf(0, "%s probes are not supported yet", p.name)
	}
	if err := p.expand(e, p.kind); err != nil {
		var known *Error
		if !errors.As(err, &known) {
			return nil, e.wrap(err)
		}
		return nil, err
	}
	return e.points, nil
}

// splitPattern cuts at colons that are not in double quotes and drops the quotes.
func splitPattern(s string) []part {
	var parts []part
	var b strings.Builder
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ':' && !quoted:
			parts = append(parts, part{b.String(), start, i})
			b.Reset()
			start = i + 1
		default:
			b.WriteByte(s[i])
		}
	}
	return append(parts, part{b.String(), start, len(s)})
}

// errorf makes an error about part i of the pattern (the whole pattern if i < 0).
func (e *expansion) errorf(i int, format string, args ...any) *Error {
	err := &Error{Pattern: e.pattern, To: len(e.pattern), Message: fmt.Sprintf(format, args...)}
	if i >= 0 && i < len(e.parts) {
		err.From, err.To = e.parts[i].from, e.parts[i].to
	}
	return err
}

func (e *expansion) wrap(err error) *Error {
	w := e.errorf(-1, "%v", err)
	if errors.Is(err, fs.ErrPermission) {
		w.Hint = "run as root"
	}
	w.Err = err
	return w
}

func (e *expansion) usage(kind Kind) *Error {
	err := e.errorf(-1, "%s is not a complete probe", e.pattern)
	for _, p := range providers() {
		if p.kind == kind && p.expand != nil {
			err.Hint = "write " + p.usage
		}
	}
	return err
}

func (e *expansion) noMatch(i int, what string, near string) *Error {
	err := e.errorf(i, "there is no %s", what)
	err.Err = ErrNoMatch
	if near != "" {
		err.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	return err
}

// add appends a point and reports whether there may be more.
func (e *expansion) add(p Point) bool {
	p.PID = e.opt.PID
	e.points = append(e.points, p)
	return e.opt.Max == 0 || len(e.points) <= e.opt.Max
}

func expandBare(e *expansion, kind Kind) error {
	if len(e.parts) > 1 {
		return e.errorf(1, "%s takes nothing after it", kind)
	}
	e.add(Point{Kind: kind, Name: kind.String()})
	return nil
}

func expandSelf(e *expansion, kind Kind) error {
	if len(e.parts) != 3 || e.parts[1].text != "signal" {
		return e.usage(kind)
	}
	name := strings.ToUpper(e.parts[2].text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	n := unix.SignalNum(name)
	if n == 0 {
		return e.errorf(2, "there is no signal %q", e.parts[2].text)
	}
	e.add(Point{Kind: kind, Name: "self:signal:" + name, Signal: int(n)})
	return nil
}

func expandTest(e *expansion, kind Kind) error {
	if len(e.parts) != 2 || e.parts[1].text == "" {
		return e.usage(kind)
	}
	e.add(Point{Kind: kind, Name: kind.String() + ":" + e.parts[1].text})
	return nil
}

func expandTracepoint(e *expansion, kind Kind) error {
	if len(e.parts) != 3 || e.parts[1].text == "" || e.parts[2].text == "" {
		err := e.usage(kind)
		if len(e.parts) == 2 {
			if near := e.c.nearestTracepoint("", e.parts[1].text); near != "" {
				err.Hint = fmt.Sprintf("did you mean %s?", near)
			}
		}
		return err
	}
	cat, ev := e.parts[1].text, e.parts[2].text
	err := e.c.tracepoints(cat, ev, func(c, n string) bool {
		return e.add(Point{Kind: kind, Name: "tracepoint:" + c + ":" + n, Category: c, Event: n})
	})
	if err != nil {
		return err
	}
	if len(e.points) == 0 {
		if err := e.c.tracefs().Err(); err != nil {
			return err
		}
		return e.noMatch(-1, "tracepoint "+cat+":"+ev, e.c.nearestTracepoint(cat, ev))
	}
	return nil
}

func expandRawTracepoint(e *expansion, kind Kind) error {
	if len(e.parts) < 2 || len(e.parts) > 3 {
		return e.usage(kind)
	}
	last := len(e.parts) - 1
	event, module := e.parts[last].text, ""
	prefix := "rawtracepoint:"
	if last == 2 {
		module = e.parts[1].text
		prefix += module + ":"
		if module == "vmlinux" {
			module = ""
		}
	}
	if event == "" {
		return e.usage(kind)
	}
	if !HasWildcard(event) {
		if module == "" {
			if near, exists := e.c.rawTracepoint(event); !exists {
				return e.noMatch(last, "raw tracepoint "+event, near)
			}
		}
		e.add(Point{Kind: kind, Name: prefix + event, Event: event, Module: module})
		return nil
	}
	seen := map[string]bool{}
	err := e.c.tracepoints("*", event, func(cat, n string) bool {
		if cat == "syscalls" || seen[n] {
			return true
		}
		seen[n] = true
		return e.add(Point{Kind: kind, Name: prefix + n, Event: n, Module: module})
	})
	if err == nil && len(e.points) == 0 {
		err = e.noMatch(last, "raw tracepoint "+event, "")
	}
	return err
}

// splitOffset cuts "+0x10" off a function's name.
func (e *expansion) splitOffset(i int) (name string, offset uint64, err error) {
	text := e.parts[i].text
	plus := strings.LastIndexByte(text, '+')
	if plus < 0 {
		return text, 0, nil
	}
	offset, convErr := strconv.ParseUint(text[plus+1:], 0, 64)
	if convErr != nil {
		return "", 0, e.errorf(i, "the offset %q is not a number", text[plus+1:])
	}
	return text[:plus], offset, nil
}

func expandKprobe(e *expansion, kind Kind) error {
	if len(e.parts) < 2 || len(e.parts) > 3 || e.parts[len(e.parts)-1].text == "" {
		return e.usage(kind)
	}
	last := len(e.parts) - 1
	prefix, module := kind.String()+":", ""
	if last == 2 {
		module = e.parts[1].text
		prefix += module + ":"
	}
	name, offset, err := e.splitOffset(last)
	if err != nil {
		return err
	}
	if kind == Kretprobe && offset != 0 {
		return e.errorf(last, "a kretprobe has no offset")
	}
	if addr, err := strconv.ParseUint(name, 0, 64); err == nil && last == 1 {
		e.add(Point{Kind: kind, Name: prefix + e.parts[last].text, Address: addr + offset})
		return nil
	}
	if !HasWildcard(name) && !HasWildcard(module) {
		// That the function exists is checked when it is attached: reading kallsyms takes longer than all the rest.
		if offset != 0 && !insideFunction(name, offset) {
			return e.errorf(last, "the offset is behind the end of function %s", name)
		}
		e.add(Point{Kind: kind, Name: prefix + e.parts[last].text, Function: name, Module: module, Offset: offset})
		return nil
	}
	if offset != 0 {
		return e.errorf(last, "an offset goes with one function, not with a wildcard")
	}
	err = e.c.functions(module, name, func(mod, fn string) bool {
		p := Point{Kind: kind, Name: kind.String() + ":" + fn, Function: fn}
		if module != "" {
			p.Name, p.Module = kind.String()+":"+mod+":"+fn, mod
		}
		return e.add(p)
	})
	if err == nil && len(e.points) == 0 {
		err = e.noMatch(last, "kernel function "+e.parts[last].text, "")
	}
	return err
}

func expandFentry(e *expansion, kind Kind) error {
	if len(e.parts) < 2 || len(e.parts) > 3 || e.parts[len(e.parts)-1].text == "" {
		return e.usage(kind)
	}
	last := len(e.parts) - 1
	name, module := e.parts[last].text, ""
	if last == 2 {
		module = e.parts[1].text
	}
	if module == "bpf" {
		return e.errorf(1, "%s of BPF programs is not supported yet", kind)
	}
	full := func(mod, fn string) Point {
		return Point{Kind: kind, Name: kind.String() + ":" + mod + ":" + fn, Function: fn, Module: mod}
	}
	if !HasWildcard(name) && !HasWildcard(module) {
		if module == "" {
			module = "vmlinux"
		}
		p := full(module, name)
		if _, err := e.c.Signature(p); err != nil {
			if _, btfErr := e.c.Types(); btfErr != nil {
				return btfErr
			}
			return e.noMatch(last, "function "+name+" in the types of "+module, quoteNear(kind, e.c.NearestFunction(name)))
		}
		e.add(p)
		return nil
	}
	err := e.c.functions(module, name, func(mod, fn string) bool {
		p := full(mod, fn)
		if _, err := e.c.Signature(p); err != nil {
			return true
		}
		return e.add(p)
	})
	if err == nil && len(e.points) == 0 {
		err = e.noMatch(last, "kernel function "+name, "")
	}
	return err
}

func quoteNear(kind Kind, near string) string {
	if near == "" {
		return ""
	}
	return kind.String() + ":" + near
}

func expandTimer(e *expansion, kind Kind) error {
	p := Point{Kind: kind}
	switch len(e.parts) {
	case 2:
		d, err := parseDuration(e.parts[1].text)
		if err != nil {
			return e.errorf(1, "%q is not a duration: write a number with ns, us, ms, s, m or h", e.parts[1].text)
		}
		p.Period = d
		p.Name = fmt.Sprintf("%s:us:%d", kind, d.Microseconds())
	case 3:
		unit := e.parts[1].text
		n, err := strconv.ParseUint(strings.ReplaceAll(e.parts[2].text, "_", ""), 0, 63)
		if err != nil || n == 0 {
			return e.errorf(2, "%s wants a positive whole number, not %q", kind, e.parts[2].text)
		}
		scale := time.Duration(0)
		switch unit {
		case "hz":
			p.Frequency = n
		case "s":
			scale = time.Second
		case "ms":
			scale = time.Millisecond
		case "us":
			scale = time.Microsecond
		case "ns":
			scale = 1
		default:
			return e.errorf(1, "%q is not a unit of time: write hz, s, ms or us", unit)
		}
		if scale > 0 && n > uint64(1<<63-1)/uint64(scale) {
			return e.errorf(2, "%s is too long", e.parts[2].text)
		}
		p.Period = time.Duration(n) * scale
		p.Name = fmt.Sprintf("%s:%s:%d", kind, unit, n)
	default:
		return e.usage(kind)
	}
	if p.Frequency == 0 && p.Period < time.Microsecond {
		return e.errorf(-1, "%s: the shortest time is 1 us", e.pattern)
	}
	e.add(p)
	return nil
}

// parseDuration reads "10ms", "1s", "2m", "1h", or bare nanoseconds.
func parseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 0, 63); err == nil && n > 0 {
		return time.Duration(n), nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d <= 0 {
		err = errors.New("not positive")
	}
	return d, err
}

func expandSoftware(e *expansion, kind Kind) error {
	if len(e.parts) < 2 || len(e.parts) > 3 {
		return e.usage(kind)
	}
	var names []string
	for _, ev := range softwareEvents() {
		names = append(names, ev.name)
		if !Glob(e.parts[1].text, ev.name) {
			continue
		}
		p := Point{Kind: kind, Software: ev.config, Count: ev.count, Name: "software:" + ev.name + ":"}
		if len(e.parts) == 3 && e.parts[2].text != "" {
			n, err := parseCount(e.parts[2].text)
			if err != nil {
				return e.errorf(2, "%q is not a positive whole number", e.parts[2].text)
			}
			p.Count = n
			p.Name += strconv.FormatUint(n, 10)
		}
		e.add(p)
	}
	if len(e.points) == 0 {
		near := diag.Nearest(e.parts[1].text, names)
		if near != "" {
			near = "software:" + near
		}
		return e.noMatch(1, "software event "+e.parts[1].text, near)
	}
	return nil
}

// parseCount reads a positive whole number, 1e6 and 1_000 too.
func parseCount(s string) (uint64, error) {
	s = strings.ReplaceAll(s, "_", "")
	if mantissa, exp, ok := strings.Cut(s, "e"); ok && !strings.HasPrefix(s, "0x") {
		m, err1 := strconv.ParseUint(mantissa, 10, 32)
		x, err2 := strconv.ParseUint(exp, 10, 4)
		if err1 != nil || err2 != nil || x > 9 || m == 0 {
			return 0, errors.New("not a count")
		}
		for range x {
			m *= 10
		}
		return m, nil
	}
	n, err := strconv.ParseUint(s, 0, 63)
	if err == nil && n == 0 {
		err = errors.New("zero")
	}
	return n, err
}
