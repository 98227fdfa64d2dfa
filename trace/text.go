package trace

import (
	"bytes"
	"fmt"
	"strconv"

	"skep/internal/diag"
	"skep/schema"
)

func (s *textSink) attached(n int) {
	plural := "s"
	if n == 1 {
		plural = ""
	}
	s.flush()
	fmt.Fprintf(s.errors, "Attached %d probe%s\n", n, plural)
}

func (s *textSink) printf(e *event) { s.buf = s.values.appendFormat(s.buf, e) }

func (s *textSink) value(*event) {
	if len(s.values.args) > 0 {
		s.buf = append(s.values.appendArg(s.buf, &s.values.args[0]), '\n')
	}
}

func (s *textSink) text(kind schema.EventKind, b []byte) {
	s.buf = append(s.buf, b...)
	if kind == schema.System || kind == schema.Join {
		s.buf = append(s.buf, '\n')
	}
}

func (s *textSink) printMap(m *schema.Map, entries []entry) {
	for _, e := range entries {
		s.buf = append(s.buf, m.Name...)
		if m.Key != nil {
			s.buf = append(s.buf, '[')
			s.buf = s.values.key(s.buf, m.Key, e.key)
			s.buf = append(s.buf, ']')
		}
		if isDrawn(m.Value) {
			s.buf = append(s.buf, ":\n"...)
			s.buf = append(s.values.draw(s.buf, m.Value, e), '\n')
		} else {
			s.buf = append(s.buf, ": "...)
			s.buf = append(s.values.text(s.buf, m.Value, e.value), '\n')
		}
		if len(s.buf) >= outputSize {
			s.flush()
		}
	}
}

func (s *textSink) report(e *event, message []byte) {
	severity := diag.Error
	if e.schema.Kind == schema.Warnf {
		severity = diag.Warning
	}
	s.flush()
	fmt.Fprintf(s.errors, "%s%s: %s\n", place(s.values.script.Source, e.schema.Span), severity, bytes.TrimSuffix(message, []byte("\n")))
}

func (s *textSink) failure(at diag.Span, message, helper string, result int, times uint64) {
	if s.noWarnings {
		return
	}
	if helper != "" {
		message += "\nAdditional Info - helper: " + helper + ", retcode: " + strconv.Itoa(result)
	}
	if times > 1 {
		message += "\n(" + strconv.FormatUint(times, 10) + " more times)"
	}
	s.flush()
	list := &diag.List{Source: s.values.script.Source}
	list.Add(diag.Diagnostic{Severity: diag.Warning, Span: at, Message: message})
	diag.Render(s.errors, list, s.colour)
}

func (s *textSink) lost(n uint64) {
	s.flush()
	fmt.Fprintf(s.errors, "Lost %d events\n", n)
}

func (s *textSink) end() { s.raw("\n\n") }

// place is the start of a message about a part of the script: "script.bt:1:2-9: ".
func place(src *diag.Source, at diag.Span) string {
	if !src.Shows(at) {
		return ""
	}
	line, col := src.Line(at.Start)
	if n := int(at.End - at.Start); n > 1 {
		return fmt.Sprintf("%s:%d:%d-%d: ", src.File(at.Start), line, col, col+n-1)
	}
	return fmt.Sprintf("%s:%d:%d: ", src.File(at.Start), line, col)
}
