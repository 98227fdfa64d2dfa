package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"skep/schema"
)

// stackEntry is an entry of a map whose key has stacks.
type stackEntry struct {
	others       []arg // the other parts of the key
	before       int   // how many of them stand before the stacks in the key
	user, kernel *frames
	count        int64
	buckets      []uint64 // of a histogram, instead of a count
	signed       bool
	look         string // as text, without count
}

// frames are the frames of a stack, the innermost first.
type frames struct {
	list []frame
	lost bool // the stack could not be stored
}

type frame struct {
	name, offset, module string
	address              uint64
}

const unknownFrame = "[unknown]"

func (v *values) stackEntry(m *schema.Map, e entry) stackEntry {
	s := stackEntry{before: -1, signed: m.Value.Signed}
	if m.Value.Kind == schema.Hist {
		s.buckets = words(e.value)
	} else {
		s.count = integer(valueType(m.Value), e.value)
	}
	for _, a := range appendKeyArgs(nil, m.Key, e.key) {
		switch a.typ.Kind {
		case schema.UStack:
			s.user = v.stacks.framesOf(a.typ, a.bytes)
		case schema.KStack:
			s.kernel = v.stacks.framesOf(a.typ, a.bytes)
		default:
			s.others = append(s.others, a)
			continue
		}
		if s.before < 0 {
			s.before = len(s.others)
		}
	}
	return s
}

func (s *stacks) framesOf(t *schema.Type, b []byte) *frames {
	id, pid := s.id(t, b)
	f := &frames{lost: id.value == stackNone}
	for _, sym := range s.resolve(id.user, pid, s.read(id)) {
		one := frame{address: sym.Addr, name: unknownFrame, module: sym.Module[strings.LastIndexByte(sym.Module, '/')+1:]}
		if sym.Found() {
			one.name, one.offset = sym.Name, "+0x"+strconv.FormatUint(sym.Offset, 16)
		}
		if !id.user && one.module == "" {
			one.module = "kernel"
		}
		f.list = append(f.list, one)
	}
	if id.unwound && s.unwound.stack(id.value).cut {
		f.list = append(f.list, frame{name: cutOff})
	}
	return f
}

// folded are the frames' names from the outermost in, as they are written on one line; mark is put behind each.
func (f *frames) folded(missed, mark string) []string {
	switch {
	case f == nil:
		return nil
	case f.lost:
		return []string{missed}
	}
	names := make([]string, 0, len(f.list))
	for _, one := range slices.Backward(f.list) {
		names = append(names, strings.ReplaceAll(one.name, ";", ":")+mark)
	}
	return names
}

const (
	missedUser   = "[Missed User Stack]"
	missedKernel = "[Missed Kernel Stack]"
)

// mergeStacks makes one entry of those that look the same: stacks of several threads, or that differ in what is not shown. They are
// sorted by count, ascending.
func mergeStacks(entries []stackEntry, look func(*stackEntry) string) (merged []stackEntry) {
	at := map[string]int{}
	for i := range entries {
		text := look(&entries[i])
		if n, known := at[text]; known {
			merged[n].count += entries[i].count
			for j, count := range entries[i].buckets {
				merged[n].buckets[j] += count
			}
			continue
		}
		at[text] = len(merged)
		entries[i].look = text
		merged = append(merged, entries[i])
	}
	slices.SortStableFunc(merged, func(a, b stackEntry) int { return cmp.Compare(a.count, b.count) })
	return merged
}

func (s *textSink) stackEntries(view *schema.View, m *schema.Map, entries []stackEntry) {
	look, before, end := s.foldedStack, " ", "\n"
	if view.Form == schema.FormStacks {
		look, before, end = s.stackBlock, "        ", "\n\n"
	}
	for _, e := range mergeStacks(entries, func(e *stackEntry) string { return look(view, e) }) {
		s.raw(e.look)
		if e.buckets != nil {
			s.log2(view.Value, bucketsOf(m.Value, e.buckets))
			s.raw("\n")
			continue
		}
		s.buf = appendInt(append(s.buf, before...), e.count)
		s.raw(end)
	}
}

// foldedStack is a stack on one line.
func (s *textSink) foldedStack(view *schema.View, e *stackEntry) string {
	var parts, after []string
	for j := range e.others {
		text := strings.ReplaceAll(s.values.escaped(&e.others[j]), ";", ":")
		switch {
		case view.Names != nil && view.Names[j] == "":
		case j < e.before:
			parts = append(parts, text)
		default:
			after = append(after, text)
		}
	}
	user, kernel := e.user.folded(missedUser, ""), e.kernel.folded(missedKernel, view.Mark)
	parts = append(parts, user...)
	if view.Delimiter && len(user) > 0 && len(kernel) > 0 {
		parts = append(parts, "-")
	}
	return strings.Join(slices.Concat(parts, kernel, after), ";")
}

// stackBlock is a stack as BCC's tools print it: the innermost frame first, the kernel's before the user's. What stands before the stacks
// in the key comes below them, and what stands behind them comes above.
func (s *textSink) stackBlock(view *schema.View, e *stackEntry) string {
	var b strings.Builder
	side := func(f *frames, missed string) {
		if f == nil {
			return
		}
		if f.lost {
			b.WriteString("    " + missed + "\n")
		}
		for _, one := range f.list {
			b.WriteString("    ")
			if view.Addresses {
				fmt.Fprintf(&b, "%016x ", one.address)
			}
			b.WriteString(one.name)
			if !view.Plain {
				b.WriteString(one.offset)
			}
			if !view.Plain && one.module != "" && one.module != unknownFrame {
				b.WriteString(" [" + strings.Trim(one.module, "[]") + "]")
			}
			b.WriteByte('\n')
		}
	}
	s.stackParts(&b, view, e, e.before, len(e.others))
	side(e.kernel, missedKernel)
	if view.Delimiter && e.user.any() && e.kernel.any() {
		b.WriteString("    --\n")
	}
	side(e.user, missedUser)
	s.stackParts(&b, view, e, 0, e.before)
	return b.String()
}

// stackParts writes some parts of the key: with their names, or on one line "-  comm (pid) more".
func (s *textSink) stackParts(b *strings.Builder, view *schema.View, e *stackEntry, from, to int) {
	plain := 0
	for i := from; i < to; i++ {
		text := s.values.escaped(&e.others[i])
		if view.Names != nil && (view.Names[i] == "" || strings.HasSuffix(view.Names[i], ":")) {
			if view.Names[i] != "" {
				fmt.Fprintf(b, "    %-16s %s\n", view.Names[i], text)
			}
			continue
		}
		switch plain++; plain {
		case 1:
			fmt.Fprintf(b, "    %-16s %s", "-", text)
		case 2:
			b.WriteString(" (" + text + ")")
		default:
			b.WriteString(" " + text)
		}
	}
	if plain > 0 {
		b.WriteByte('\n')
	}
}

// escaped is a value as text that cannot steer a terminal.
func (v *values) escaped(a *arg) string { return string(appendEscaped(nil, v.appendArg(nil, a))) }

func (f *frames) any() bool { return f != nil && (f.lost || len(f.list) > 0) }
