package diag

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"
)

// Render writes each diagnostic of l, in the order of its place, as
//
//	script.bt:2:5-10: ERROR: unknown function "prinft"
//	    prinft("hi\n")
//	    ~~~~~~
//	HINT: did you mean "printf"?
//
// Columns are 1-based and count bytes; the second one is that of the last byte, and left out if it is the first.
func Render(w io.Writer, l *List, colour bool) {
	all := append([]Diagnostic(nil), l.All...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].Span.Start < all[j].Span.Start })
	said := map[string]bool{}
	for _, d := range all {
		if !l.Source.Shows(d.Span) {
			text := d.Severity.String() + d.Message + d.Hint
			if said[text] {
				continue // the same of several places, none of which is shown
			}
			said[text] = true
		}
		renderPlace(w, l.Source, d.Span, d.Severity.String()+": "+d.Message, severityColour(d.Severity), colour)
		for _, r := range d.Related {
			if !l.Source.Shows(r.Span) {
				continue
			}
			renderPlace(w, l.Source, r.Span, "NOTE: "+r.Message, "\x1b[36m", colour)
		}
		if d.Hint != "" {
			fmt.Fprintln(w, paint("HINT: ", "\x1b[36m", colour)+printable(d.Hint))
		}
	}
}

func severityColour(s Severity) string {
	if s == Error {
		return "\x1b[31m"
	}
	return "\x1b[33m"
}

func paint(text, code string, colour bool) string {
	if !colour {
		return text
	}
	return code + text + "\x1b[0m"
}

func renderPlace(w io.Writer, src *Source, at Span, message, code string, colour bool) {
	message = printable(message)
	if !src.Shows(at) {
		fmt.Fprintln(w, paint(message, code, colour))
		return
	}
	line, col := src.Line(at.Start)
	text := src.LineText(at.Start)
	from := min(col-1, len(text))
	width := max(1, min(int(at.End-at.Start), len(text)-from))
	where := fmt.Sprintf("%s:%d:%d: ", printable(src.File(at.Start)), line, col)
	if width > 1 {
		where = fmt.Sprintf("%s:%d:%d-%d: ", printable(src.File(at.Start)), line, col, col+width-1)
	}
	fmt.Fprintln(w, where+paint(message, code, colour))
	before, marked, after := clip(text[:from], text[from:min(from+width, len(text))], text[min(from+width, len(text)):])
	fmt.Fprintln(w, before+marked+after)
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, before)
	fmt.Fprintln(w, pad+paint(strings.Repeat("~", max(1, utf8.RuneCountInString(marked))), code, colour))
}

// maxContext is how many characters are shown on each side of the marked ones. A line that a terminal wraps would have
// its mark in another place.
const maxContext = 120

// maxMarked is how many characters are marked on a line that is too long.
const maxMarked = 60

// clip makes the three parts of a line printable and shortens those around the middle one, if they are very long.
func clip(before, marked, after string) (string, string, string) {
	before, marked, after = printable(before), printable(marked), printable(after)
	if r := []rune(before); len(r) > maxContext {
		before = "…" + string(r[len(r)-maxContext+1:])
	}
	if r := []rune(marked); len(r) > maxMarked && len(r)+utf8.RuneCountInString(before) > maxContext {
		marked, after = string(r[:maxMarked-1])+"…", ""
	}
	if r := []rune(after); len(r) > maxContext {
		after = string(r[:maxContext-1]) + "…"
	}
	return before, marked, after
}

// printable replaces control characters and those that change the direction of text, so that a hostile script cannot
// drive the terminal or hide what it does.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return r
		case r < ' ', 0x7f <= r && r < 0xa0, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
			return '?'
		}
		return r
	}, s)
}
