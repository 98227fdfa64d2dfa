// Package spec translates BCC's probe specifiers, and the expressions of its trace and argdist, into text of skep's language.
//
// What comes out is text of known parts alone: whatever a specifier says, it stays within its probe or its expression.
package spec

import (
	"strings"

	"skep/internal/diag"
)

// Point is what a specifier such as p:c:malloc means.
type Point struct {
	Kind     byte   // 'p' for the entry of a function, 'r' for its return, 't' for a tracepoint, 'u' for a USDT probe
	Library  string // "" for the kernel; a tracepoint's category
	Function string // its name, or a pattern with * and ?
}

// ParsePoint reads a specifier: function, library:function, or p, r, t or u before these. The error is a *diag.List.
func ParsePoint(text string) (Point, error) {
	t := newText(text)
	p := t.point(0, len(text))
	return p, t.err()
}

// ParseRegexp is ParsePoint for a specifier whose function is a regular expression that matches from the start of names on.
func ParseRegexp(text string) (Point, error) {
	t := newText(text)
	p := t.cut(0, len(text))
	from := len(text) - len(p.Function)
	glob, why := globOf(p.Function)
	if why != "" {
		t.list.Errorf(diag.Span{Start: diag.Pos(from), End: diag.Pos(len(text))}, "%s", why).Hint =
			"there are text, . and .*, sets such as [a-z] and alternatives such as (read|write); without -r, * stands for any text"
		return p, t.err()
	}
	p.Function = glob
	// What is wrong with the rest is told as for other specifiers: names and signs, of which those of the expression itself are gone.
	rest := newText(text[:from] + glob)
	rest.sound(p, 0, len(rest.string))
	if t.list.HasErrors() {
		return p, t.err()
	}
	return p, rest.err()
}

// text is a specifier while it is read.
type text struct {
	string
	list *diag.List
}

func newText(s string) *text {
	return &text{s, &diag.List{Source: &diag.Source{Name: "specifier", Text: s}}}
}

func (t *text) err() error {
	if t.list.HasErrors() {
		return t.list
	}
	return nil
}

func (t *text) fail(from, to int, format string, args ...any) *diag.Diagnostic {
	return t.list.Errorf(diag.Span{Start: diag.Pos(from), End: diag.Pos(max(to, from+1))}, format, args...)
}

// point reads the bytes from to to.
func (t *text) point(from, to int) Point {
	p := t.cut(from, to)
	t.sound(p, from, to)
	return p
}

// cut takes the pieces apart. What follows the second colon is the function, in which colons are C++'s.
func (t *text) cut(from, to int) Point {
	s := t.string[from:to]
	p := Point{Kind: 'p'}
	first, rest, more := strings.Cut(s, ":")
	switch {
	case !more:
		p.Function = s
	case len(first) == 1 && strings.Contains("prtu", first) && (strings.Contains(rest, ":") || first == "t" || first == "u"):
		p.Kind = first[0]
		p.Library, p.Function, _ = strings.Cut(rest, ":")
	case first == "" && strings.Contains(rest, ":"):
		p.Library, p.Function, _ = strings.Cut(rest, ":")
	default:
		p.Library, p.Function = first, rest
	}
	return p
}

// sound reports what is wrong with a point.
func (t *text) sound(p Point, from, to int) {
	switch {
	case p.Function == "" && p.Kind == 't':
		t.fail(from, to, "a tracepoint is written t:category:event")
	case p.Function == "" && p.Kind == 'u':
		t.fail(from, to, "a USDT probe is written u:library:probe")
	case p.Library == "" && (p.Kind == 't' || p.Kind == 'u'):
		t.fail(from, to, "%c: needs two names", p.Kind).Hint = "t:category:event or u:library:probe"
	case p.Function == "":
		t.fail(from, to, "there is no function to probe").Hint = "such as vfs_read, p:c:malloc, r:bash:readline or t:sched:sched_switch"
	}
	for i := from; i < to; i++ {
		if !allowed(t.string[i]) {
			t.fail(i, i+1, "%q cannot be part of a probe", t.string[i])
			return
		}
	}
}

// allowed reports whether a byte may stand in the name of a file or function. Quotes, blanks and $ mean something in the language.
func allowed(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune("\"\\$`';", rune(c))
}

// Entry is the attach point where the specifier's probe begins.
func (p Point) Entry() string {
	switch {
	case p.Kind == 't':
		return "tracepoint:" + quote(p.Library) + ":" + quote(p.Function)
	case p.Kind == 'u':
		provider, name, both := strings.Cut(p.Function, ":")
		if !both {
			return "usdt:" + quoteFile(p.Library) + ":" + quote(p.Function)
		}
		return "usdt:" + quoteFile(p.Library) + ":" + quote(provider) + ":" + quote(name)
	case p.Kind == 'r':
		return p.Return()
	case p.Library != "":
		return "uprobe:" + quoteFile(p.Library) + ":" + quote(p.Function)
	}
	return "kprobe:" + quote(p.Function)
}

// Return is the attach point of the function's return; "" if the specifier is not of a function.
func (p Point) Return() string {
	switch {
	case p.Kind == 't' || p.Kind == 'u':
		return ""
	case p.Library != "":
		return "uretprobe:" + quoteFile(p.Library) + ":" + quote(p.Function)
	}
	return "kretprobe:" + quote(p.Function)
}

// quote puts a name between quotes if it has signs that end an attach point.
func quote(name string) string {
	if strings.Contains(name, "/") {
		return `"` + name + `"`
	}
	return quoteFile(name)
}

// quoteFile is quote for files, in which slashes end nothing.
func quoteFile(name string) string {
	for i := range len(name) {
		c := name[i]
		if c < '0' && !strings.ContainsRune("*+-./", rune(c)) || c > '9' && c < 'A' && c != '?' && c != '@' || c > 'z' {
			return `"` + name + `"`
		}
	}
	return name
}
