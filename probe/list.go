package probe

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf/btf"

	"skep/symbol"
)

// List writes the probes that a search means, one a line: a pattern such as "tracepoint:sched:*" or "*:sched:*exec", a word that
// is matched against all that follows the provider ("*sleep*"), "struct name", "union name" or "enum name" (globs too), or
// everything for "". With args their arguments follow, indented; types are written out. It returns how many there were.
func (c *Catalog) List(w io.Writer, search string, args bool) (n int, err error) {
	out := bufio.NewWriter(w)
	defer func() {
		if e := out.Flush(); err == nil {
			err = e
		}
	}()
	if tag, name, ok := strings.Cut(search, " "); ok && (tag == "struct" || tag == "union" || tag == "enum") {
		return c.listTypes(out, tag, strings.TrimSpace(name), args)
	}
	l := &listing{c: c, w: out, args: args}
	providerGlob, rest := "*", search
	if search == "" {
		rest = "*"
	} else if head, tail, ok := strings.Cut(search, ":"); ok {
		providerGlob, rest = head, tail
		if p, known := findProvider(head); known {
			providerGlob = p.name
		}
	}
	for _, p := range providers() {
		if p.expand == nil || !Glob(strings.ToLower(providerGlob), p.name) {
			continue
		}
		if err := l.provider(p, rest, providerGlob == p.name); err != nil {
			return l.n, err
		}
	}
	return l.n, nil
}

type listing struct {
	c    *Catalog
	w    *bufio.Writer
	args bool
	n    int
}

// provider lists one kind. Errors of a provider that was not asked for by its name are left out: the others still tell.
func (l *listing) provider(p provider, rest string, named bool) error {
	var err error
	switch p.kind {
	case Begin, End:
		if named || Glob(rest, p.name) {
			l.line(p.name)
		}
	case Tracepoint:
		err = l.tracepoints(rest)
	case RawTracepoint:
		err = l.rawTracepoints(rest)
	case Software:
		for _, ev := range softwareEvents() {
			if Glob(strings.TrimSuffix(rest, ":"), ev.name) {
				l.line("software:" + ev.name + ":")
			}
		}
	case Profile, Interval:
		for _, unit := range []string{"hz", "ms", "s", "us"} {
			if Glob(strings.TrimSuffix(rest, ":"), unit) {
				l.line(p.name + ":" + unit + ":")
			}
		}
	case Kprobe, Kretprobe, Fentry, Fexit:
		if p.kind == Kretprobe && !named || p.kind == Fexit && !named {
			return nil // the same functions again
		}
		err = l.functions(p, rest)
	case Uprobe, Uretprobe, USDT:
		if named && strings.Contains(rest, ":") {
			err = l.uprobes(p, rest)
		}
	}
	if named {
		return err
	}
	return nil
}

func (l *listing) line(name string) {
	l.n++
	l.w.WriteString(name)
	l.w.WriteByte('\n')
}

func (l *listing) tracepoints(rest string) error {
	category, event, ok := strings.Cut(rest, ":")
	if !ok {
		// A single word is searched in the whole of category:event.
		category, event = "*", "*"
	}
	return l.c.tracepoints(category, event, func(cat, ev string) bool {
		if !ok && !Glob(rest, cat+":"+ev) && !Glob(rest, ev) {
			return true
		}
		l.line("tracepoint:" + cat + ":" + ev)
		if l.args {
			l.format(cat, ev)
		}
		return true
	})
}

func (l *listing) format(cat, ev string) {
	if f, err := l.c.Format(cat, ev); err == nil {
		f.List(l.w)
	}
}

// List writes the fields of a record as listings show them, one a line.
func (f *Format) List(w io.Writer) {
	for _, field := range f.Fields {
		array := ""
		if field.Array > 0 {
			array = fmt.Sprintf("[%d]", field.Array)
		}
		fmt.Fprintf(w, "    %s %s%s\n", field.Type, field.Name, array)
	}
}

func (l *listing) rawTracepoints(rest string) error {
	spec, err := l.c.BTF()
	if err != nil {
		return err
	}
	rest = strings.TrimPrefix(rest, "vmlinux:")
	var events []string
	for t, err := range spec.All() {
		if err != nil {
			return err
		}
		td, ok := t.(*btf.Typedef)
		if !ok {
			continue
		}
		event, ok := strings.CutPrefix(td.Name, "btf_trace_")
		if ok && Glob(rest, event) {
			events = append(events, event)
		}
	}
	sortStrings(events)
	for _, event := range events {
		l.line("rawtracepoint:vmlinux:" + event)
		if l.args {
			if sig, err := l.c.Signature(Point{Kind: RawTracepoint, Event: event}); err == nil {
				l.params(sig, false)
			}
		}
	}
	return nil
}

func (l *listing) functions(p provider, rest string) error {
	module, name, ok := strings.Cut(rest, ":")
	if !ok {
		module, name = "", rest
	}
	fentry := p.kind == Fentry || p.kind == Fexit
	if fentry || l.args {
		types, err := l.c.Types()
		switch {
		case err == nil:
			types.indexFunctions()
		case fentry:
			return err
		}
	}
	var found []string
	err := l.c.functions(module, name, func(mod, fn string) bool {
		found = append(found, fn+" "+mod)
		return true
	})
	sortStrings(found)
	for _, f := range found {
		point := Point{Kind: p.kind}
		point.Function, point.Module, _ = strings.Cut(f, " ")
		var sig *btf.FuncProto
		if fentry || l.args {
			if sig, _ = l.c.Signature(point); sig == nil && fentry {
				continue
			}
		}
		if fentry || point.Module != "vmlinux" {
			l.line(p.name + ":" + point.Module + ":" + point.Function)
		} else {
			l.line(p.name + ":" + point.Function)
		}
		if l.args && sig != nil {
			l.params(sig, p.kind == Fexit || p.kind == Kretprobe)
		}
	}
	return err
}

func (l *listing) params(sig *btf.FuncProto, ret bool) {
	for _, p := range sig.Params {
		fmt.Fprintf(l.w, "    %s\n", declare(p.Type, p.Name))
	}
	if ret {
		fmt.Fprintf(l.w, "    %s\n", declare(sig.Return, "retval"))
	}
}

func (l *listing) uprobes(p provider, rest string) error {
	e := &expansion{c: l.c, pattern: p.name + ":" + rest, parts: splitPattern(p.name + ":" + rest)}
	if err := p.expand(e, p.kind); err != nil {
		return err
	}
	var names []string
	usdt := map[string]*symbol.USDT{}
	for _, point := range e.points {
		if u, ok := usdt[point.Name]; point.USDT != nil && ok && u != nil {
			continue // another place of the same
		}
		names = append(names, point.Name)
		usdt[point.Name] = point.USDT
	}
	sortStrings(names)
	for _, name := range names {
		l.line(name)
		if u := usdt[name]; u != nil && l.args {
			l.usdtArgs(u)
		}
	}
	return nil
}
