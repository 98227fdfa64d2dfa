package trace

import (
	"math"
	"strconv"

	"skep/schema"
)

func (s *jsonSink) row(e *event) {
	if start := len(s.buf); e.schema.Counted {
		if s.tableRow(e.rows); len(s.buf) > start {
			s.counts.add("", s.buf[start:])
		}
		s.buf = s.buf[:start]
		return
	}
	s.tableRow(e.rows)
}

// tableRow prints a row as one flat object on a line.
func (s *jsonSink) tableRow(r *rows) {
	for i := range r.columns {
		if c := &r.columns[i]; c.match != nil {
			if s.scratch = s.values.appendColumn(s.scratch[:0], c); !c.match.Match(s.scratch) {
				return
			}
		}
	}
	for i := range r.columns {
		if i == 0 {
			s.buf = append(s.buf, '{')
		} else {
			s.buf = append(s.buf, ',')
		}
		s.buf = append(s.buf, r.columns[i].key...)
		s.buf = s.column(s.buf, &r.columns[i])
	}
	s.raw("}\n")
}

// column appends the value of a column: what its conversion shows as a number is one, words are a list, the rest is a string.
func (s *jsonSink) column(dst []byte, c *rowColumn) []byte {
	v := s.values
	a := v.arg(c.op.arg)
	if c.parts == nil {
		switch c.op.conv {
		case 'd', 'u', 'x', 'X', 'o':
			n, signed := v.columnNumber(c, a)
			return appendWhole(dst, signed, n)
		case 'f':
			return appendJSONFloat(dst, v.float(a)/float64(max(1, c.Scale)))
		case 's':
			return s.shown(dst, a)
		}
	}
	s.scratch = v.appendColumn(s.scratch[:0], c)
	return appendJSONString(dst, s.scratch)
}

// shown appends what %s shows.
func (s *jsonSink) shown(dst []byte, a *arg) []byte {
	if a.kind != argMissing && a.typ != nil {
		switch a.typ.Kind {
		case schema.Int, schema.Count, schema.Sum, schema.Min, schema.Max, schema.Avg:
			n, signed := s.values.whole(a, 0)
			return appendWhole(dst, signed, n)
		case schema.Bool:
			return strconv.AppendBool(dst, s.values.number(a) != 0)
		case schema.Ratio:
			return appendJSONFloat(dst, s.values.float(a))
		}
		if a.typ.Kind == schema.Inet && a.typ.Format != "" && s.values.hosts.host(a.bytes) == "" {
			return append(dst, "null"...)
		}
		if isWords(a.typ) {
			return appendJSONWords(dst, a.typ, a.contents())
		}
		if isLines(a.typ) {
			return appendJSONLines(dst, a.typ, a.contents())
		}
		if a.isStack() {
			missed := missedKernel
			if a.typ.Kind == schema.UStack {
				missed = missedUser
			}
			return appendJSONList(dst, s.values.stacks.framesOf(a.typ, a.bytes).folded(missed, ""))
		}
	}
	s.scratch = s.values.appendArg(s.scratch[:0], a)
	return appendJSONString(dst, s.scratch)
}

// appendJSONWords appends memory of words as a list.
func appendJSONWords(dst []byte, t *schema.Type, b []byte) []byte {
	all, more := wordsOf(t, b)
	dst = append(dst, '[')
	for i, w := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, w)
	}
	if more {
		dst = append(dst, `,"..."`...)
	}
	return append(dst, ']')
}

// appendWhole appends an integer as it is: unlike appendJSONNumber, which does as bpftrace, it never makes a string of it, so that a
// column has one type.
func appendWhole(dst []byte, signed bool, n int64) []byte {
	if signed {
		return appendInt(dst, n)
	}
	return appendUint(dst, uint64(n), 10)
}

func appendJSONFloat(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return append(dst, '0')
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}
