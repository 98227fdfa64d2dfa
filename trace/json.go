package trace

import (
	"math/bits"
	"strconv"

	"skep/internal/diag"
	"skep/internal/render"
	"skep/schema"
)

// jsonSink prints one JSON object a line, in the forms of bpftrace -f json. Unlike there, each line is valid JSON
// whatever bytes a string holds.
type jsonSink struct {
	*output
	values  *values
	scratch []byte
	counts  rowCounts
}

func (s *jsonSink) attached(n int) {
	count := strconv.Itoa(n)
	s.raw(`{"type": "attached_probes", "count": ` + count + `, "data": {"probes": ` + count + "}}\n")
}

// data is a line {"type": kind, "data": …}; body appends the data.
func (s *jsonSink) data(kind string, body func(dst []byte) []byte) {
	s.raw(`{"type": "` + kind + `", "data": `)
	s.buf = body(s.buf)
	s.raw("}\n")
}

func (s *jsonSink) printf(e *event) {
	s.scratch = s.values.appendFormat(s.scratch[:0], e)
	s.raw(`{"type": "printf", "data": `)
	s.buf = appendJSONString(s.buf, s.scratch)
	s.raw("}\n")
}

func (s *jsonSink) value(*event) {
	if len(s.values.args) > 0 {
		s.data("value", func(dst []byte) []byte { return s.arg(dst, &s.values.args[0]) })
	}
}

func (s *jsonSink) text(kind schema.EventKind, b []byte) {
	names := map[schema.EventKind]string{schema.Time: "time", schema.Join: "join", schema.Cat: "cat", schema.System: "syscall"}
	s.data(names[kind], func(dst []byte) []byte { return appendJSONString(dst, b) })
}

func (s *jsonSink) printMap(m *schema.Map, entries []entry) {
	kind := "map"
	switch m.Value.Kind {
	case schema.Hist, schema.LHist:
		kind = "hist"
	case schema.Stats, schema.Avg:
		kind = "stats"
	case schema.TSeries:
		kind = "tseries"
	}
	s.data(kind, func(dst []byte) []byte {
		dst = append(dst, '{')
		dst = appendJSONString(dst, []byte(m.Name))
		dst = append(dst, ": "...)
		if m.Key == nil {
			for _, e := range entries {
				dst = s.mapValue(dst, m.Value, e)
			}
			return append(dst, '}')
		}
		dst = append(dst, '{')
		for i, e := range entries {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			s.scratch = s.key(s.scratch[:0], m.Key, e.key)
			dst = appendJSONString(dst, s.scratch)
			dst = append(dst, ": "...)
			dst = s.mapValue(dst, m.Value, e)
		}
		return append(dst, "}}"...)
	})
}

func (s *jsonSink) mapValue(dst []byte, t *schema.Type, e entry) []byte {
	b := e.value
	switch t.Kind {
	case schema.Hist, schema.LHist:
		return appendJSONHist(dst, t, words(b), uint64(e.div))
	case schema.TSeries:
		dst = append(dst, '[')
		n := 0
		for _, p := range s.values.points(t, b) {
			if p.Empty {
				continue
			}
			if n++; n > 1 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, `{"interval_start":"`...)
			dst = p.At.AppendFormat(dst, "2006-01-02 15:04:05.000000000")
			dst = appendNumber(append(dst, `","value":`...), &schema.Type{Signed: true}, p.Value)
			dst = append(dst, '}')
		}
		return append(dst, ']')
	}
	return s.json(dst, t, b)
}

func appendJSONHist(dst []byte, t *schema.Type, counts []uint64, div uint64) []byte {
	first, last := 0, len(counts)
	for first < last && counts[first] == 0 {
		first++
	}
	for last > first && counts[last-1] == 0 {
		last--
	}
	dst = append(dst, '[')
	for i := first; i < last; i++ {
		if i > first {
			dst = append(dst, ',')
		}
		low, high, noMin, noMax := bucketRange(t, i, len(counts))
		dst = append(dst, '{')
		if !noMin {
			dst = append(appendJSONNumber(append(dst, `"min": `...), true, low), ", "...)
		}
		if !noMax {
			dst = append(appendJSONNumber(append(dst, `"max": `...), true, high), ", "...)
		}
		dst = append(appendJSONNumber(append(dst, `"count": `...), false, int64(counts[i]/div)), '}')
	}
	return append(dst, ']')
}

// where appends the place of a message.
func (s *jsonSink) where(dst []byte, at diag.Span) []byte {
	src := s.values.script.Source
	if src == nil || src.Embedded {
		return dst
	}
	line, col := src.Line(at.Start)
	dst = append(dst, `, "filename": `...)
	dst = appendJSONString(dst, []byte(src.File(at.Start)))
	dst = appendInt(append(dst, `, "line": `...), int64(line))
	return appendInt(append(dst, `, "col": `...), int64(col))
}

func (s *jsonSink) report(e *event, message []byte) {
	kind := "errorf"
	if e.schema.Kind == schema.Warnf {
		kind = "warnf"
	}
	s.raw(`{"type": "` + kind + `", "msg": `)
	s.buf = s.where(appendJSONString(s.buf, message), e.schema.Span)
	s.raw("}\n")
}

func (s *jsonSink) failure(at diag.Span, message, helper string, result int, times uint64) {
	if helper == "" {
		s.raw(`{"type": "runtime_error", "msg": `)
		s.buf = appendJSONString(s.buf, []byte(message))
	} else {
		s.raw(`{"type": "helper_error", "msg": `)
		s.buf = appendJSONString(s.buf, []byte(schema.ErrnoText(-result)))
		s.raw(`, "helper": `)
		s.buf = appendJSONString(s.buf, []byte(helper))
		s.raw(`, "retcode": ` + strconv.Itoa(result))
	}
	s.buf = s.where(s.buf, at)
	if times > 1 {
		s.raw(`, "count": ` + strconv.FormatUint(times, 10))
	}
	s.raw("}\n")
}

func (s *jsonSink) lost(n uint64) {
	count := strconv.FormatUint(n, 10)
	s.raw(`{"type": "lost_events", "count": ` + count + `, "data": {"events": ` + count + "}}\n")
}

func (s *jsonSink) end() {}

// arg appends an argument as a JSON value.
func (s *jsonSink) arg(dst []byte, a *arg) []byte {
	switch {
	case a.kind == argMemory:
		return s.json(dst, a.typ, a.bytes)
	case a.kind == argBytes && isWords(a.typ):
		return appendJSONWords(dst, a.typ, a.bytes)
	case a.kind == argBytes && isLines(a.typ):
		return appendJSONLines(dst, a.typ, a.bytes)
	case a.kind == argBytes && a.typ != nil && a.typ.Kind == schema.Buffer:
		return appendJSONBytes(dst, a.bytes)
	case a.kind == argNumber && (a.typ == nil || a.typ.Kind == schema.Int || a.typ.Kind == schema.Enum || a.typ.Kind == schema.Pointer):
		return appendJSONNumber(dst, a.typ == nil || a.typ.Signed, a.number)
	case a.kind == argNumber && a.typ.Kind == schema.Bool:
		return strconv.AppendBool(dst, a.number != 0)
	}
	return appendJSONString(dst, s.values.appendArg(nil, a))
}

// json appends a value: numbers and booleans as such, tuples and arrays as lists, structs as objects, the rest as the
// string of its text.
func (s *jsonSink) json(dst []byte, t *schema.Type, b []byte) []byte {
	if len(b) < t.Size {
		return append(dst, "null"...)
	}
	switch t.Kind {
	case schema.None:
		return append(dst, "null"...)
	case schema.Bool:
		return strconv.AppendBool(dst, b[0] != 0)
	case schema.Int, schema.Enum, schema.Pointer, schema.Count, schema.Sum, schema.Min, schema.Max, schema.Avg:
		return appendJSONNumber(dst, t.Signed, integer(valueType(t), b))
	case schema.Stats:
		dst = appendJSONNumber(append(dst, `{"count": `...), false, int64(unsigned(b[8:], 8)))
		dst = appendJSONNumber(append(dst, `, "average": `...), t.Signed, average(t, b))
		dst = appendJSONNumber(append(dst, `, "total": `...), t.Signed, int64(unsigned(b, 8)))
		return append(dst, '}')
	case schema.Ratio:
		return appendJSONFloat(dst, ratio(t, b))
	case schema.Buffer:
		if isWords(t) {
			return appendJSONWords(dst, t, bufferContents(b[:t.Size]))
		}
		if isLines(t) {
			return appendJSONLines(dst, t, bufferContents(b[:t.Size]))
		}
		return appendJSONBytes(dst, bufferContents(b[:t.Size]))
	case schema.Array:
		dst = append(dst, '[')
		for i := range t.Len {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = s.json(dst, t.Elem, b[i*t.Elem.Size:])
		}
		return append(dst, ']')
	case schema.Tuple:
		if isRecord(t) {
			return s.object(dst, t.Fields, b)
		}
		dst = append(dst, '[')
		for i := range t.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			f := &t.Fields[i]
			dst = s.json(dst, f.Type, b[min(f.Offset, len(b)):])
		}
		return append(dst, ']')
	case schema.Struct:
		return s.object(dst, t.Def.Fields(), b)
	}
	return appendJSONString(dst, s.values.text(nil, t, b))
}

func (s *jsonSink) object(dst []byte, fields []schema.Field, b []byte) []byte {
	dst = append(dst, '{')
	for i := range fields {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		f := &fields[i]
		dst = append(appendJSONString(dst, []byte(f.Name)), ": "...)
		if n, t, ok := bitField(f, b); ok {
			dst = appendJSONNumber(dst, t.Signed, n)
		} else {
			dst = s.json(dst, f.Type, b[min(f.Offset, len(b)):])
		}
	}
	return append(dst, '}')
}

// key appends a map's key as the text of a JSON name: as in the text format, but without the blanks between its parts.
func (s *jsonSink) key(dst []byte, t *schema.Type, b []byte) []byte {
	if t.Kind == schema.Tuple && !isRecord(t) && len(b) >= t.Size {
		return s.keyParts(dst, t.Fields, b)
	}
	return s.keyPart(dst, t, b)
}

func (s *jsonSink) keyParts(dst []byte, fields []schema.Field, b []byte) []byte {
	for i := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.keyPart(dst, fields[i].Type, b[min(fields[i].Offset, len(b)):])
	}
	return dst
}

func (s *jsonSink) keyPart(dst []byte, t *schema.Type, b []byte) []byte {
	if len(b) < t.Size {
		return append(dst, '?')
	}
	var fields []schema.Field
	switch t.Kind {
	case schema.Tuple:
		if !isRecord(t) {
			return append(s.keyParts(append(dst, '('), t.Fields, b), ')')
		}
		fields = t.Fields
	case schema.Struct:
		fields = t.Def.Fields()
	case schema.KStack, schema.UStack:
		return s.values.stacks.text(dst, t, b, "")
	default:
		return s.values.text(dst, t, b)
	}
	dst = append(dst, '{')
	for i := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		f := &fields[i]
		dst = append(append(append(dst, '.'), f.Name...), '=')
		if n, t, ok := bitField(f, b); ok {
			dst = appendNumber(dst, t, n)
		} else {
			dst = s.keyPart(dst, f.Type, b[min(f.Offset, len(b)):])
		}
	}
	return append(dst, '}')
}

// appendJSONNumber appends an integer. One that a reader of JSON would round, since it takes numbers for floating-point
// ones, is a string, as in bpftrace.
func appendJSONNumber(dst []byte, signed bool, n int64) []byte {
	// 53 bits are exact, from the highest one set to the lowest.
	size := uint64(n)
	if signed && n < 0 {
		size = -size
	}
	exact := bits.Len64(size)-bits.TrailingZeros64(size) <= 53
	if !exact {
		dst = append(dst, '"')
	}
	if signed {
		dst = appendInt(dst, n)
	} else {
		dst = appendUint(dst, uint64(n), 10)
	}
	if !exact {
		dst = append(dst, '"')
	}
	return dst
}

func appendJSONBytes(dst, b []byte) []byte {
	dst = append(dst, '[')
	for i, c := range b {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendUint(dst, uint64(c), 10)
	}
	return append(dst, ']')
}

// appendJSONString appends bytes as a JSON string.
func appendJSONString(dst, b []byte) []byte { return render.AppendJSON(dst, b) }
