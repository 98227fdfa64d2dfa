package check

import (
	"fmt"
	"strconv"
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// parseFormat cuts a format into verbs. What begins with % but is no conversion is text, as in bpftrace. The error names the
// bytes of the format that are wrong.
func parseFormat(format string) (verbs []schema.Verb, wrong [2]int, err error) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			verbs = append(verbs, schema.Verb{Text: text.String(), Width: -1, Precision: -1})
			text.Reset()
		}
	}
	args := 0
	for i := 0; i < len(format); {
		if format[i] != '%' {
			text.WriteByte(format[i])
			i++
			continue
		}
		if strings.HasPrefix(format[i:], "%%") {
			text.WriteByte('%')
			i += 2
			continue
		}
		v, n, known := parseVerb(format[i:])
		if !known {
			if n > 0 {
				return nil, [2]int{i, i + n}, fmt.Errorf("unsupported conversion %s", format[i:i+n])
			}
			text.WriteByte('%')
			i++
			continue
		}
		flush()
		v.Arg = args
		args++
		verbs = append(verbs, v)
		i += n
	}
	flush()
	return verbs, wrong, nil
}

// parseVerb reads one conversion and its length; it is unknown if there is no such conversion.
func parseVerb(s string) (v schema.Verb, n int, known bool) {
	v.Width, v.Precision = -1, -1
	i := 1
	for ; i < len(s); i++ {
		switch s[i] {
		case '-':
			v.Minus = true
		case '0':
			v.Zero = true
		case '+':
			v.Plus = true
		case ' ':
			v.Space = true
		case '#':
			v.Alt = true
		default:
			goto width
		}
	}
width:
	if w, m := digits(s[i:]); m > 0 {
		v.Width, i = w, i+m
	}
	if i < len(s) && s[i] == '.' {
		p, m := digits(s[i+1:])
		v.Precision, i = p, i+1+m
	}
	for _, l := range []string{"hh", "h", "ll", "l", "z", "j", "t"} {
		if strings.HasPrefix(s[i:], l) {
			v.Length = l
			i += len(l)
			break
		}
	}
	for _, conv := range []string{"rx", "rh", "r", "gr", "d", "i", "u", "x", "X", "o", "c", "s", "p", "f"} {
		if strings.HasPrefix(s[i:], conv) {
			v.Conv = conv
			return v, i + len(conv), true
		}
	}
	if i < len(s) && strings.IndexByte("eEgGaAn*", s[i]) >= 0 {
		return v, i + 1, false
	}
	return v, 0, false
}

func conversions(verbs []schema.Verb) (n int) {
	for _, v := range verbs {
		if v.Conv != "" {
			n++
		}
	}
	return n
}

// unknownConversion finds what is meant as a conversion, such as %q or %1$d, in a format that has more values than conversions.
func unknownConversion(format string) (wrong [2]int, err error) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		if strings.HasPrefix(format[i:], "%%") {
			i++
			continue
		}
		if _, _, known := parseVerb(format[i:]); known {
			continue
		}
		end := i + 1
		for end < len(format) && strings.IndexByte("-+#.$0123456789", format[end]) >= 0 {
			end++
		}
		if end < len(format) && (format[end]|0x20 >= 'a' && format[end]|0x20 <= 'z') {
			return [2]int{i, end + 1}, fmt.Errorf("unsupported conversion %s", format[i:end+1])
		}
	}
	return wrong, nil
}

// digits reads a decimal number; one too large for any output is cut.
func digits(s string) (v, n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 {
		return 0, 0
	}
	v, err := strconv.Atoi(s[:min(n, 9)])
	if err != nil || v > 4096 {
		v = 4096
	}
	return v, n
}

// checkFormat checks that a format and its arguments go together.
func (c *checker) checkFormat(k *call, format string, args []Expr) ([]schema.Verb, bool) {
	verbs, wrong, err := parseFormat(format)
	if err == nil && conversions(verbs) < len(args) {
		wrong, err = unknownConversion(format)
	}
	if err != nil {
		c.list.Errorf(formatSpan(k.args[0], wrong), "%v", err).Hint = "the conversions are %d %i %u %x %X %o %c %s %p, %r %rx %rh for buf(), %gr for GFP flags and %f for ratio()"
		return nil, false
	}
	want := 0
	good := true
	for _, v := range verbs {
		if v.Conv == "" {
			continue
		}
		want++
		if v.Arg < len(args) && !takes(v.Conv, args[v.Arg].Type()) {
			x := args[v.Arg]
			c.list.Errorf(x.Pos(), "%%%s does not show a value of type %s", v.Conv, TypeName(x.Type())).Hint = "write " + conversionFor(x.Type())
			good = false
		}
	}
	if want != len(args) {
		at := k.at
		if len(args) > want {
			at = args[want].Pos().To(args[len(args)-1].Pos())
		}
		d := c.list.Errorf(at, "the format of %s() asks for %s, but there %s", k.f.name, plural(want, "value"), given(len(args)))
		if want > len(args) {
			d.Hint = "each % takes one argument; a percent sign is written %%"
		}
		good = false
	}
	return verbs, good
}

func plural(n int, word string) string {
	switch n {
	case 0:
		return "no " + word
	case 1:
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func given(n int) string {
	switch n {
	case 0:
		return "is none"
	case 1:
		return "is 1"
	}
	return fmt.Sprintf("are %d", n)
}

// formatSpan is the place of some bytes of a format, if it is written without escapes before them.
func formatSpan(x syntax.Expr, part [2]int) diag.Span {
	at := x.Pos()
	lit, ok := x.(*syntax.StrLit)
	if !ok || len(lit.Text) != int(at.End-at.Start) || part[1] >= len(lit.Text) || len(lit.Value) < part[1] || lit.Text[1:part[1]+1] != lit.Value[:part[1]] {
		return at
	}
	return diag.Span{Start: at.Start + diag.Pos(part[0]+1), End: at.Start + diag.Pos(part[1]+1)}
}

// takes reports whether a conversion can show values of a type.
func takes(conv string, t *schema.Type) bool {
	switch conv {
	case "r", "rx", "rh":
		return t.Kind == schema.Buffer
	case "gr":
		return t.Kind == schema.Int
	case "s":
		return (t.Kind != schema.Buffer || t.Format != "") && t.Kind != schema.Struct
	case "f":
		return t.Kind == schema.Int || t.Kind == schema.Ratio
	case "p":
		return t.Kind == schema.Int || t.Kind == schema.Pointer
	}
	switch t.Kind {
	case schema.Int, schema.Bool, schema.Enum, schema.Pointer, schema.Username, schema.Errno, schema.SignalName, schema.SyscallName, schema.CgroupPath:
		return true
	}
	return false
}

func conversionFor(t *schema.Type) string {
	switch t.Kind {
	case schema.Buffer:
		if t.Format != "" {
			return "%s"
		}
		return "%r, %rx or %rh"
	case schema.Ratio:
		return "%f, such as %.3f"
	case schema.Int, schema.Bool:
		return "%d"
	case schema.Pointer:
		return "%p"
	case schema.Struct:
		return "one of its fields"
	}
	return "%s"
}
