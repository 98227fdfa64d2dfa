package trace

import (
	"slices"
	"strings"
	"time"

	"skep/internal/render"
	"skep/schema"
)

// histogram prints {"time": …, "unit": "usecs", "disk": "vda", "count": 3, "buckets": [{"min": 0, "max": 1, "count": 3}]}.
func (s *jsonSink) histogram(view *schema.View, m *schema.Map, e entry, buckets []render.Bucket) {
	s.raw(`{"time":"`)
	s.buf = s.values.now().AppendFormat(s.buf, time.RFC3339)
	s.raw(`","unit":`)
	s.buf = appendJSONString(s.buf, []byte(view.Unit))
	if m.Key != nil {
		s.section(view, m, e)
	}
	s.raw(",")
	s.buckets(m, buckets)
	s.raw("}\n")
}

func (s *jsonSink) section(view *schema.View, m *schema.Map, e entry) {
	names := strings.Split(view.Section, ",")
	if len(names) > 1 {
		for i, a := range appendKeyArgs(nil, m.Key, e.key) {
			s.buf = appendJSONString(append(s.buf, ','), []byte(names[i]))
			s.buf = s.shown(append(s.buf, ':'), &a)
		}
		return
	}
	name := view.Section
	if name == "" {
		name = "key"
	}
	s.buf = appendJSONString(append(s.buf, ','), []byte(name))
	s.buf = s.json(append(s.buf, ':'), m.Key, e.key)
}

// buckets prints "count": 3, "buckets": [{"min": 0, "max": 1, "count": 3}].
func (s *jsonSink) buckets(m *schema.Map, buckets []render.Bucket) {
	total := uint64(0)
	for _, b := range buckets {
		total += b.Count
	}
	s.buf = appendUint(append(s.buf, `"count":`...), total, 10)
	s.raw(`,"buckets":[`)
	last := int64(0)
	if m.Value.Kind == schema.LHist {
		last = m.Value.Min + int64(schema.LHistBuckets(m.Value.Min, m.Value.Max, m.Value.Step)-2)*m.Value.Step
	}
	for i, b := range buckets {
		if i > 0 {
			s.raw(",")
		}
		s.raw("{")
		below := b.Low > b.High || m.Value.Kind == schema.LHist && b.Low < m.Value.Min
		if !below {
			s.buf = append(appendInt(append(s.buf, `"min":`...), b.Low), ',')
		}
		if m.Value.Kind != schema.LHist || b.Low < last {
			s.buf = append(appendInt(append(s.buf, `"max":`...), b.High), ',')
		}
		s.buf = append(appendUint(append(s.buf, `"count":`...), b.Count, 10), '}')
	}
	s.raw("]")
}

func (s *jsonSink) table(*rows) {}

// stackEntries prints {"key": ["comm", 12], "user": ["main", "read"], "kernel": [], "count": 3}, the outermost frame first; {"comm": "comm",
// "pid": 12, …} if the parts of the key have names.
func (s *jsonSink) stackEntries(view *schema.View, m *schema.Map, entries []stackEntry) {
	name := view.Value
	if name == "" {
		name = "count"
	}
	for _, e := range slices.Backward(mergeStacks(entries, func(e *stackEntry) string { return s.stack(view, e) })) {
		s.raw(e.look)
		if e.buckets == nil {
			s.buf = append(appendJSONString(s.buf, []byte(name)), ':')
			s.buf = appendWhole(s.buf, e.signed, e.count)
		} else {
			s.buf = append(appendJSONString(append(s.buf, `"unit":`...), []byte(name)), ',')
			s.buckets(m, bucketsOf(m.Value, e.buckets))
		}
		s.raw("}\n")
	}
}

// stack is an entry up to its value.
func (s *jsonSink) stack(view *schema.View, e *stackEntry) string {
	b := []byte{'{'}
	for i, name := range view.Names {
		if name == "" {
			continue
		}
		b = append(appendJSONString(b, []byte(strings.TrimSuffix(name, ":"))), ':')
		b = append(s.shown(b, &e.others[i]), ',')
	}
	if len(e.others) > 0 && view.Names == nil {
		b = append(b, `"key":[`...)
		for i := range e.others {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.shown(b, &e.others[i])
		}
		b = append(b, "],"...)
	}
	b = appendFrames(b, `"user":`, e.user.folded(missedUser, ""))
	b = appendFrames(b, `"kernel":`, e.kernel.folded(missedKernel, ""))
	return string(b)
}

func appendFrames(dst []byte, name string, names []string) []byte {
	if names == nil {
		return dst
	}
	return append(appendJSONList(append(dst, name...), names), ',')
}

func appendJSONList(dst []byte, all []string) []byte {
	dst = append(dst, '[')
	for i, one := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, []byte(one))
	}
	return append(dst, ']')
}
