package trace

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"skep/internal/render"
	"skep/schema"
)

// printView prints a map as print_log2() and the like ask.
func (r *run) printView(e *event) {
	view, m := e.schema.View, e.schema.Map
	entries, ok := r.viewEntries(m)
	if !ok {
		return
	}
	switch view.Form {
	case schema.FormLog2, schema.FormLinear:
		slices.SortFunc(entries, func(a, b entry) int { return compareKeys(m.Key, a, b) })
		for _, e := range entries {
			if buckets := bucketsOf(m.Value, words(e.value)); len(buckets) > 0 {
				r.sink.histogram(view, m, e, buckets)
			}
		}
	case schema.FormTable:
		r.printTable(e, entries)
	case schema.FormFolded, schema.FormStacks:
		sortEntries(m, entries)
		all := make([]stackEntry, len(entries))
		for i, e := range entries {
			all[i] = r.values.stackEntry(m, e)
		}
		r.sink.stackEntries(view, m, all)
	}
}

// viewEntries are the entries that a view shows. A map without key that was never written has none.
func (r *run) viewEntries(m *schema.Map) (entries []entry, ok bool) {
	entries, present, ok := r.namedEntries(m)
	if m.Key == nil && !present {
		entries = nil
	}
	return entries, ok
}

func compareKeys(t *schema.Type, a, b entry) int {
	if t == nil {
		return 0
	}
	return compare(t, a.key, b.key)
}

// bucketsOf are the buckets of a histogram as BCC's tools show them, from the first one to the last that is not empty. BCC has no
// bucket of its own for zero, and none for negative values: these come first if there are any, with Low above High.
func bucketsOf(t *schema.Type, counts []uint64) []render.Bucket {
	var all []render.Bucket
	if t.Kind == schema.LHist {
		for i, n := range counts {
			low, high, _, _ := bucketRange(t, i, len(counts))
			all = append(all, render.Bucket{Low: low, High: high, Count: n})
		}
		if all[0].Count == 0 {
			all = all[1:]
		}
	} else {
		all = append(all, render.Bucket{Low: 0, High: 1, Count: counts[1] + counts[2]})
		for i := 3; i < len(counts); i++ {
			low, high := schema.HistRange(i, t.Bits)
			all = append(all, render.Bucket{Low: low, High: high - 1, Count: counts[i]})
		}
	}
	for len(all) > 0 && all[len(all)-1].Count == 0 {
		all = all[:len(all)-1]
	}
	if t.Kind == schema.Hist && counts[0] > 0 {
		all = slices.Insert(all, 0, render.Bucket{Low: 0, High: -1, Count: counts[0]})
	}
	return all
}

func (s *textSink) histogram(view *schema.View, m *schema.Map, e entry, buckets []render.Bucket) {
	if m.Key != nil {
		s.section(view, m, e)
	}
	if view.Form == schema.FormLog2 {
		s.log2(view.Unit, buckets)
		return
	}
	w := bytes.NewBuffer(s.buf)
	counts := make([]uint64, len(buckets))
	for i := range buckets {
		counts[i] = buckets[i].Count
	}
	end := m.Value.Min + int64(schema.LHistBuckets(m.Value.Min, m.Value.Max, m.Value.Step)-2)*m.Value.Step
	_ = render.Linear(w, view.Unit, counts, func(i int) string {
		switch low := buckets[i].Low; {
		case low < m.Value.Min:
			return "< " + strconv.FormatInt(m.Value.Min, 10)
		case low >= end:
			return ">= " + strconv.FormatInt(end, 10)
		default:
			return strconv.FormatInt(low, 10)
		}
	})
	s.buf = w.Bytes()
}

func (s *textSink) log2(unit string, buckets []render.Bucket) {
	w := bytes.NewBuffer(s.buf)
	_ = render.Log2(w, unit, buckets, len(buckets) > 0 && buckets[len(buckets)-1].Low >= 1<<32)
	s.buf = w.Bytes()
}

// section prints the line above a histogram: disk = vda, or pid = 181 sh if the parts of the key have names.
func (s *textSink) section(view *schema.View, m *schema.Map, e entry) {
	s.raw("\n")
	name, _, several := strings.Cut(view.Section, ",")
	if name != "" {
		s.raw(name + " = ")
	}
	if !several {
		start := len(s.buf)
		s.buf = s.values.key(s.buf, m.Key, e.key)
		s.buf = append(appendEscaped(s.buf[:start], s.buf[start:]), '\n')
		return
	}
	for i, a := range appendKeyArgs(nil, m.Key, e.key) {
		if i > 0 {
			s.raw(" ")
		}
		s.buf = appendEscaped(s.buf, s.values.appendArg(nil, &a))
	}
	s.raw("\n")
}

// printTable prints the entries of a map as rows, with those of other maps that have the same keys.
func (r *run) printTable(e *event, entries []entry) {
	view, first := e.schema.View, e.schema.Map
	maps := append([]*schema.Map{first}, view.More...)
	type joined struct {
		key    []byte
		values [][]byte // one for each map, nil if it has no such key
	}
	var all []*joined
	byKey := map[string]*joined{}
	for i, m := range maps {
		if i > 0 {
			var ok bool
			if entries, ok = r.viewEntries(m); !ok {
				return
			}
		}
		for _, e := range entries {
			j := byKey[string(e.key)]
			if j == nil {
				j = &joined{key: e.key, values: make([][]byte, len(maps))}
				byKey[string(e.key)] = j
				all = append(all, j)
			}
			j.values[i] = e.value
		}
	}
	rows := make([]tableEntry, len(all))
	for n, j := range all {
		t := tableEntry{key: j.key}
		t.args = appendKeyArgs(nil, first.Key, j.key)
		for i, m := range maps {
			value := j.values[i]
			if value == nil {
				value = make([]byte, max(valueType(m.Value).Size, 16))
			}
			t.args = appendValueArgs(t.args, m.Value, value)
		}
		rows[n] = t
	}
	slices.SortFunc(rows, func(a, b tableEntry) int {
		if view.Sort < len(a.args) && view.Sort < len(b.args) {
			if c := r.values.compareArgs(&a.args[view.Sort], &b.args[view.Sort]); c != 0 {
				return c
			}
		}
		if first.Key == nil {
			return 0
		}
		return compare(first.Key, a.key, b.key)
	})
	if view.Top > 0 && len(rows) > view.Top {
		rows = rows[:view.Top]
	}
	if view.Upward {
		slices.Reverse(rows)
	}
	r.sink.table(e.rows)
	for i := range rows {
		r.values.args = rows[i].args
		r.sink.tableRow(e.rows)
	}
}

// tableEntry is a row of a table: the parts of its key and values.
type tableEntry struct {
	key  []byte
	args []arg
}

func appendKeyArgs(args []arg, t *schema.Type, b []byte) []arg {
	switch {
	case t == nil:
		return args
	case t.Kind != schema.Tuple:
		return append(args, arg{typ: t, bytes: b})
	}
	for i := range t.Fields {
		f := &t.Fields[i]
		args = append(args, arg{typ: f.Type, bytes: b[min(f.Offset, len(b)):]})
	}
	return args
}

func appendValueArgs(args []arg, t *schema.Type, b []byte) []arg {
	if t.Kind != schema.Stats {
		if t.Kind == schema.Tuple {
			return appendKeyArgs(args, t, b)
		}
		if t.Kind == schema.Min || t.Kind == schema.Max {
			t = valueType(t)
		}
		return append(args, arg{typ: t, bytes: b})
	}
	n := &schema.Type{Kind: schema.Int, Size: 8, Signed: t.Signed}
	return append(args,
		arg{kind: argNumber, typ: &schema.Type{Kind: schema.Int, Size: 8}, number: int64(unsigned(b[8:], 8))},
		arg{kind: argNumber, typ: n, number: average(t, b)},
		arg{kind: argNumber, typ: n, number: int64(unsigned(b, 8))})
}

// compareArgs orders the cells of a column: numbers from the largest down, texts from a to z.
func (v *values) compareArgs(a, b *arg) int {
	switch a.typ.Kind {
	case schema.Ratio:
		return cmp.Compare(v.float(b), v.float(a))
	case schema.Int, schema.Bool, schema.Enum, schema.Pointer, schema.Count, schema.Sum, schema.Min, schema.Max, schema.Avg, schema.Timestamp:
		x, y := v.number(a), v.number(b)
		if _, signed := v.whole(a, 0); signed {
			return cmp.Compare(y, x)
		}
		return cmp.Compare(uint64(y), uint64(x))
	case schema.String:
		return bytes.Compare(cString(a.bytes, a.typ.Size), cString(b.bytes, b.typ.Size))
	}
	return compare(a.typ, a.bytes, b.bytes)
}

// table begins a table: its header stands above it even if it has no rows.
func (s *textSink) table(r *rows) {
	s.header = ""
	s.tableHeader(r.header)
}
