package diag

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// list makes a list of one error at the first occurrence of mark in text.
func list(text, mark, message string) *List {
	i := strings.Index(text, mark)
	l := &List{Source: &Source{Name: "a.bt", Text: text}}
	l.Errorf(Span{Pos(i), Pos(i + len(mark))}, "%s", message)
	return l
}

func TestRender(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, c := range []struct {
		name, text, mark, want string
	}{
		{"one character", "x + y", "+", "a.bt:1:3: ERROR: wrong\nx + y\n  ~\n"},
		{"word on the second line", "a\n  foo()\n", "foo", "a.bt:2:3-5: ERROR: wrong\n  foo()\n  ~~~\n"},
		{"tabs keep their width", "\tx\tfoo", "foo", "a.bt:1:4-6: ERROR: wrong\n\tx\tfoo\n\t \t~~~\n"},
		{"letters of many bytes", "größe é", "é", "a.bt:1:9-10: ERROR: wrong\ngröße é\n      ~\n"},
		{"several lines: the first is marked", "f(a,\n b)", "(a,\n b)", "a.bt:1:2-4: ERROR: wrong\nf(a,\n ~~~\n"},
		{"end of line of Windows", "foo\r\nbar\r\n", "bar", "a.bt:2:1-3: ERROR: wrong\nbar\n~~~\n"},
		{"escape sequences", "a\x1b[2Jb\u202ec", "b", "a.bt:1:6: ERROR: wrong\na?[2Jb?c\n     ~\n"},
		{"invalid UTF-8", "a\x9bb", "b", "a.bt:1:3: ERROR: wrong\na\uFFFDb\n  ~\n"},
		{"long line", long + "!" + long, "!", "a.bt:1:301: ERROR: wrong\n…" + long[:119] + "!" + long[:119] + "…\n" +
			strings.Repeat(" ", 120) + "~\n"},
		{"long mark", long, long, "a.bt:1:1-300: ERROR: wrong\n" + long[:59] + "…\n" + strings.Repeat("~", 60) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			Render(&b, list(c.text, c.mark, "wrong"), false)
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestRenderEnd(t *testing.T) {
	for _, text := range []string{"", "a", "a\n"} {
		l := &List{Source: &Source{Name: "a.bt", Text: text}}
		l.Errorf(Span{Pos(len(text)), Pos(len(text))}, "ends too early")
		got := l.Error()
		if text == "" { // the zero span is no place
			if got != "ERROR: ends too early" {
				t.Errorf("%q: got %q", text, got)
			}
			continue
		}
		if lines := strings.Split(got, "\n"); len(lines) != 3 || strings.TrimLeft(lines[2], " ") != "~" {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestRenderAll(t *testing.T) {
	l := &List{Source: &Source{Name: "stdin", Text: "@a = 1; @a = \"x\""}}
	d := l.Errorf(Span{13, 16}, "type mismatch")
	d.Hint = "use another map"
	d.Related = []Related{{Span{0, 2}, "first used here"}}
	l.Warnf(Span{0, 2}, "never read")
	l.Add(Diagnostic{Severity: Hint, Message: "a hint without place"})
	want := `stdin:1:1-2: WARNING: never read
@a = 1; @a = "x"
~~
HINT: a hint without place
stdin:1:14-16: ERROR: type mismatch
@a = 1; @a = "x"
             ~~~
stdin:1:1-2: NOTE: first used here
@a = 1; @a = "x"
~~
HINT: use another map`
	if diff := cmp.Diff(want, l.Error()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestRenderColour(t *testing.T) {
	var b strings.Builder
	Render(&b, list("x", "x", "bad\x1b[31m"), true)
	want := "a.bt:1:1: \x1b[31mERROR: bad?[31m\x1b[0m\nx\n\x1b[31m~\x1b[0m\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestListKeepsOneOfEqual(t *testing.T) {
	l := &List{}
	l.Errorf(Span{1, 2}, "wrong")
	l.Errorf(Span{1, 2}, "wrong").Hint = "right"
	l.Add(Diagnostic{Span: Span{1, 2}, Message: "wrong"})
	l.Errorf(Span{2, 3}, "wrong")
	if len(l.All) != 2 || l.All[0].Hint != "right" {
		t.Errorf("got %+v", l.All)
	}
}

func TestHasErrors(t *testing.T) {
	l := &List{}
	l.Warnf(Span{1, 2}, "odd")
	if l.HasErrors() {
		t.Error("a warning counts as an error")
	}
	l.Errorf(Span{1, 2}, "wrong")
	if !l.HasErrors() {
		t.Error("an error does not count")
	}
}

func TestLine(t *testing.T) {
	s := &Source{Text: "ab\n\ncd"}
	for _, c := range []struct {
		pos       Pos
		line, col int
	}{{0, 1, 1}, {2, 1, 3}, {3, 2, 1}, {4, 3, 1}, {6, 3, 3}, {99, 3, 3}, {-1, 1, 1}} {
		if line, col := s.Line(c.pos); line != c.line || col != c.col {
			t.Errorf("Line(%d) = %d, %d, want %d, %d", c.pos, line, col, c.line, c.col)
		}
	}
	for p, want := range map[Pos]string{0: "ab", 2: "ab", 3: "", 4: "cd", 99: "cd", -1: "ab"} {
		if got := s.LineText(p); got != want {
			t.Errorf("LineText(%d) = %q, want %q", p, got, want)
		}
	}
}

func TestAdd(t *testing.T) {
	s := &Source{Name: "a.bt", Text: "ab\ncd"}
	s.Line(0)
	s.Add("b.bt", "ef\ngh\n")
	s.Add("c.bt", "ij")
	l := &List{Source: s}
	for _, mark := range []string{"d", "f", "gh", "j"} {
		i := strings.Index(s.Text, mark)
		l.Errorf(Span{Pos(i), Pos(i + len(mark))}, "wrong")
	}
	want := "a.bt:2:2: ERROR: wrong\ncd\n ~\nb.bt:1:2: ERROR: wrong\nef\n ~\nb.bt:2:1-2: ERROR: wrong\ngh\n~~\nc.bt:1:2: ERROR: wrong\nij\n ~"
	if diff := cmp.Diff(want, l.Error()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"printf", "print", "strftime", "count", "pid", "tid", "kstack", "ustack", "mm", "comm"}
	for name, want := range map[string]string{
		"cmm":     "comm",
		"prinft":  "printf",
		"pritnf":  "printf",
		"prnt":    "print",
		"COUNT":   "count",
		"conut":   "count",
		"kstak":   "kstack",
		"qid":     "pid",
		"x":       "",
		"":        "",
		"printer": "printf",
		"zzzzzz":  "",
		"stack":   "kstack",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestEmbedded shows no places in a text that is none of the user's, and says the same of them once.
func TestEmbedded(t *testing.T) {
	l := &List{Source: &Source{Name: "tool.bt", Text: "one two\n", Embedded: true}}
	l.Errorf(Span{0, 3}, "it is wrong")
	l.Errorf(Span{4, 7}, "it is wrong")
	l.Errorf(Span{4, 7}, "it is wrong twice")
	var out strings.Builder
	Render(&out, l, false)
	if want := "ERROR: it is wrong\nERROR: it is wrong twice\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}
