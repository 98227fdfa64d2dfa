// Package diag holds what skep tells a user about their text: a place, what is wrong there, and what to write instead.
//
// Diagnostics are data. They are collected by the stages of a compiler and rendered once, by [Render].
package diag

import (
	"fmt"
	"strings"
)

// Pos is a byte offset into a [Source].
type Pos int

// Span is the half-open range of bytes [Start, End) of a source. The zero Span means "no place".
type Span struct{ Start, End Pos }

// To returns the span from the start of s to the end of t.
func (s Span) To(t Span) Span { return Span{s.Start, t.End} }

// Severity says what a diagnostic does to the compilation.
type Severity uint8

const (
	Error   Severity = iota // the program cannot be run
	Warning                 // it runs, but probably not as meant
	Hint                    // additional advice
)

func (s Severity) String() string { return [...]string{"ERROR", "WARNING", "HINT"}[s] }

// Diagnostic is one message about a place in a source.
type Diagnostic struct {
	Severity Severity
	Span     Span
	Message  string    // what is wrong; lower case unless it starts with a name, no full stop
	Hint     string    // what to write instead, or ""
	Related  []Related // other places that matter, such as the first use of a map
}

// Related is a second place of a diagnostic.
type Related struct {
	Span    Span
	Message string
}

// Source is one text: a script file or the argument of -e.
type Source struct {
	Name  string // file name as given, or "stdin" for "-" and "stdin" for -e, as bpftrace does
	Text  string
	Parts []Part // texts of other files at the end of Text, in order
	// Embedded says that the user has not written the text, nor can change it: messages do not show it.
	Embedded bool
	lines    []Pos // start of each line, made on first use
}

// Part is where the text of another file begins in a [Source].
type Part struct {
	Name  string
	Start Pos
}

// Add appends the text of another file.
func (s *Source) Add(name, text string) {
	if !strings.HasSuffix(s.Text, "\n") {
		s.Text += "\n"
	}
	s.Parts = append(s.Parts, Part{name, Pos(len(s.Text))})
	s.Text, s.lines = s.Text+text, nil
}

// Shows reports whether messages about a place are to show it.
func (s *Source) Shows(at Span) bool { return s != nil && !s.Embedded && at != (Span{}) }

// part is the part of p: the text itself, unless it is one of the added.
func (s *Source) part(p Pos) Part {
	at := Part{Name: s.Name}
	for _, part := range s.Parts {
		if p >= part.Start {
			at = part
		}
	}
	return at
}

// File returns the name of the file that p stands in.
func (s *Source) File(p Pos) string { return s.part(p).Name }

// Line returns the 1-based line and column (in bytes) of p, in its file.
func (s *Source) Line(p Pos) (line, col int) {
	line, col = s.line(p)
	if first := s.part(p).Start; first > 0 {
		before, _ := s.line(first)
		line -= before - 1
	}
	return line, col
}

// line counts lines from the start of the whole text.
func (s *Source) line(p Pos) (line, col int) {
	if s.lines == nil {
		s.lines = []Pos{0}
		for i := range len(s.Text) {
			if s.Text[i] == '\n' {
				s.lines = append(s.lines, Pos(i+1))
			}
		}
	}
	p = max(0, min(p, Pos(len(s.Text))))
	lo, hi := 0, len(s.lines)
	for hi-lo > 1 {
		if m := (lo + hi) / 2; s.lines[m] <= p {
			lo = m
		} else {
			hi = m
		}
	}
	return lo + 1, int(p-s.lines[lo]) + 1
}

// LineText returns the text of the line that p stands in, without its end.
func (s *Source) LineText(p Pos) string {
	line, _ := s.line(p)
	text := s.Text[s.lines[line-1]:]
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(text, "\r")
}

// List collects the diagnostics of one source. The zero List is ready to use.
type List struct {
	Source *Source
	All    []Diagnostic
}

// Add appends d, unless the same message stands at the same place already.
func (l *List) Add(d Diagnostic) {
	for _, o := range l.All {
		if o.Span == d.Span && o.Message == d.Message {
			return
		}
	}
	l.All = append(l.All, d)
}

// Errorf adds an error and returns a pointer to it, to which a hint or a related place can be added.
func (l *List) Errorf(at Span, format string, args ...any) *Diagnostic {
	return l.addf(Error, at, format, args...)
}

// Warnf adds a warning and returns a pointer to it.
func (l *List) Warnf(at Span, format string, args ...any) *Diagnostic {
	return l.addf(Warning, at, format, args...)
}

func (l *List) addf(s Severity, at Span, format string, args ...any) *Diagnostic {
	d := Diagnostic{Severity: s, Span: at, Message: fmt.Sprintf(format, args...)}
	for i := range l.All {
		if l.All[i].Span == d.Span && l.All[i].Message == d.Message {
			return &l.All[i]
		}
	}
	l.All = append(l.All, d)
	return &l.All[len(l.All)-1]
}

// HasErrors reports whether any diagnostic is an error.
func (l *List) HasErrors() bool {
	for _, d := range l.All {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Error renders the list without colour, so that a *List can be returned as an error.
func (l *List) Error() string {
	var b strings.Builder
	Render(&b, l, false)
	return strings.TrimSuffix(b.String(), "\n")
}
