package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// Trace translates a specifier of BCC's trace:
//
//	point[(signature)] [(predicate)] ["format"[, expression …]]
//
// to a probe of the language, which calls macros of the script that it becomes a part of: asked() is its predicate, and
// event(name, message) shows what the format makes, or event(name) if there is none; limited(x) is the string at x. The error is a
// *diag.List.
func Trace(specifier string) (string, error) {
	t := newText(specifier)
	end := t.pointEnd()
	s := &scope{point: t.point(0, end)}
	if end < len(specifier) && specifier[end] == '(' {
		to := t.closing(end)
		s.params = t.signature(end+1, to)
		end = min(to+1, len(specifier))
	}
	condition := ""
	from := t.skipBlank(end)
	if from < len(specifier) && specifier[from] == '(' {
		to := t.closing(from)
		if !t.list.HasErrors() {
			condition = t.expression(from+1, to, s)
		}
		from = t.skipBlank(min(to+1, len(specifier)))
	}
	action := "event(" + t.shown(s.point) + ")"
	switch {
	case from >= len(specifier) || t.list.HasErrors():
	case specifier[from] == '"':
		action = "event(" + t.shown(s.point) + ", " + t.message(from, s) + ")"
	default:
		t.fail(from, len(specifier), "unexpected %q", specifier[from:]).Hint =
			`a condition in parentheses, or a format, follows the probe: p::f (arg1 > 0) "%d", arg2`
	}
	if err := t.err(); err != nil {
		return "", err
	}
	if condition != "" {
		action = "if (" + condition + ") {\n\t\t" + action + ";\n\t}"
	} else {
		action += ";"
	}
	return comment(specifier) + block(s.point.Entry(), "", action), nil
}

// comment begins the lines that a specifier becomes: those who read the script, or what is wrong in it, see what was asked for.
func comment(specifier string) string {
	return mark + strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, specifier) + "\n"
}

const mark = "// "

// Of is the place of the specifier that a place in a script with translated specifiers comes from.
func Of(text string, at int) (from, to int, ok bool) {
	at = min(at, len(text))
	from = strings.LastIndex(text[:at], "\n"+mark) + 1
	if from == 0 || strings.LastIndex(text[:at], "\nmacro ") > from {
		return 0, 0, false
	}
	from += len(mark)
	return from, from + strings.IndexByte(text[from:]+"\n", '\n'), true
}

// block is a probe of the script. A pattern for which the machine has nothing is left out by has(), so that its many points are not
// refused one by one; a single point that is missing is an error.
func block(point, condition, action string) string {
	if strings.ContainsAny(point, "*?[") {
		condition = " && has(" + literal(point) + ")" + condition
	}
	return fmt.Sprintf("%s /asked()%s/\n{\n\t%s\n}\n", point, condition, action)
}

// shown is how trace calls a probe: a function's or event's name.
func (t *text) shown(p Point) string {
	if strings.ContainsAny(p.Function, "*?[") {
		return "target()"
	}
	return literal(p.Function)
}

// pointEnd is where the specifier's first part ends: at a blank or at the parenthesis of a signature.
func (t *text) pointEnd() int {
	if end := strings.IndexAny(t.string, " \t\n(\""); end >= 0 {
		return end
	}
	return len(t.string)
}

func (t *text) skipBlank(i int) int {
	for i < len(t.string) && strings.IndexByte(" \t\n", t.string[i]) >= 0 {
		i++
	}
	return i
}

// closing is the place of the parenthesis that closes the one at from. Strings may have others.
func (t *text) closing(from int) int {
	depth := 0
	for i := from; i < len(t.string); i++ {
		switch t.string[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		case '"':
			_, n, ok := t.quoted(i, len(t.string))
			if !ok {
				return len(t.string)
			}
			i += n - 1
		}
	}
	t.fail(from, from+1, `"(" is not closed`)
	return len(t.string)
}

// message makes text() of a format and of the expressions behind it.
func (t *text) message(from int, s *scope) string {
	format, n, ok := t.quoted(from, len(t.string))
	if !ok {
		return ""
	}
	rest := t.tokens(from+n, len(t.string))
	if t.list.HasErrors() {
		return ""
	}
	var args [][]token
	if len(rest) > 0 {
		if rest[0].text != "," {
			t.fail(rest[0].from, len(t.string), "a comma is missing behind the format")
			return ""
		}
		args = split(rest[1:], ",")
		for _, a := range args {
			if len(a) == 0 {
				t.fail(rest[0].from, len(t.string), "an expression is missing")
				return ""
			}
		}
	}
	conversions, pieces := t.conversions(format, from, from+n)
	if t.list.HasErrors() {
		return ""
	}
	if len(conversions) != len(args) {
		t.fail(from, len(t.string), "the format has %s, but there are %d expressions", plural(len(conversions), "conversion"), len(args))
		return ""
	}
	if len(args) == 0 {
		return literal(strings.ReplaceAll(pieces, "%%", "%"))
	}
	var b strings.Builder
	b.WriteString("text(" + literal(pieces))
	for i, c := range conversions {
		b.WriteString(", " + c.value(t.translate(args[i], s)))
	}
	return b.String() + ")"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// conversion is one %… of a format of C.
type conversion struct {
	letter byte
	size   string // h, hh, l, ll, z, j, t
}

// conversions cuts a format: the conversions, and the format as the language has it.
func (t *text) conversions(format string, from, to int) (all []conversion, out string) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if strings.HasPrefix(format[i:], "%%") {
			b.WriteString("%%")
			i++
			continue
		}
		n := i + 1
		for n < len(format) && strings.IndexByte("-+ #0123456789.", format[n]) >= 0 {
			n++
		}
		flags := format[i:n]
		c := conversion{}
		for n < len(format) && strings.IndexByte("hlzjtq", format[n]) >= 0 {
			c.size += format[n : n+1]
			n++
		}
		if n == len(format) || strings.IndexByte("diuxXocspKU", format[n]) < 0 {
			t.fail(from, to, "the format has an unknown conversion %q", format[i:min(n+1, len(format))]).Hint =
				"known are %d %i %u %x %o %c %p %s, %K for functions of the kernel and %U for those of programs"
			return nil, ""
		}
		c.letter = format[n]
		b.WriteString(flags)
		letter := c.letter
		switch letter {
		case 'K', 'U':
			letter = 's'
		case 'i':
			letter = 'd'
		}
		b.WriteByte(letter)
		all = append(all, c)
		i = n
	}
	return all, b.String()
}

// value is an expression as C would pass it to the conversion.
func (c conversion) value(expr string) string {
	bits := "32"
	switch c.size {
	case "hh":
		bits = "8"
	case "h":
		bits = "16"
	case "l", "ll", "z", "j", "t", "q":
		bits = "64"
	}
	switch c.letter {
	case 's':
		return stringOf(expr)
	case 'K':
		return "ksym(" + expr + ")"
	case 'U':
		return "usym(" + expr + ")"
	case 'p':
		return "(uint64)(" + expr + ")"
	case 'c':
		return "(int8)(" + expr + ")"
	case 'd', 'i':
		return "(int" + bits + ")(" + expr + ")"
	}
	return "(uint" + bits + ")(" + expr + ")"
}

// stringOf reads the string that an expression leads to.
func stringOf(expr string) string {
	if expr == "comm" {
		return expr
	}
	return "limited(" + expr + ")"
}
