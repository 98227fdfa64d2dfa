package check

import (
	"fmt"
	"strconv"
	"strings"

	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// column is one column of a row's format as it is written: [condition]TITLE=name~parameter/scale#part:before%conversionafter. The title
// may have colons, and what stands between columns may be signs such as ->, which belong to the column that follows. Title, before and after
// may stand between apostrophes, and then have blanks, colons and ends of lines.
type column struct {
	schema.Column
	condition string
	match     string // name of the parameter that holds the regular expression
	takes     int    // of a table: the parts of key and values that it shows, from part on
	part      int
	numbered  bool   // part is given
	at        [2]int // its bytes in the format
}

// parseColumns cuts a row's format into columns. The error names the bytes of the format that are wrong.
func parseColumns(format string) (columns []column, wrong [2]int, err error) {
	blanks, lead := 0, ""
	for i := 0; i < len(format); {
		if format[i] == ' ' {
			if lead != "" {
				lead += " "
			} else {
				blanks++
			}
			i++
			continue
		}
		n, open := wordLength(format[i:])
		if open {
			return nil, [2]int{i, len(format)}, fmt.Errorf("the apostrophe is not closed")
		}
		if isSign(format[i : i+n]) {
			lead += format[i : i+n]
			i += n
			continue
		}
		c := column{at: [2]int{i, i + n}}
		if err := c.parse(hideQuoted(format[i : i+n])); err != nil {
			return nil, c.at, err
		}
		c.Blanks, c.Lead, blanks, lead = blanks, lead, 0, ""
		columns = append(columns, c)
		i += n
	}
	if lead != "" {
		return nil, [2]int{0, len(format)}, fmt.Errorf("no column follows %q", strings.TrimRight(lead, " "))
	}
	if len(columns) == 0 {
		return nil, [2]int{0, len(format)}, fmt.Errorf("there are no columns")
	}
	return columns, wrong, nil
}

// wordLength is how far a column goes: up to a blank that stands in no apostrophes. open says that these are not closed.
func wordLength(s string) (n int, open bool) {
	for ; n < len(s) && (open || s[n] != ' '); n++ {
		if s[n] == '\'' {
			open = !open
		}
	}
	return n, open
}

// hidden are the signs that mean nothing between apostrophes, each with what stands for it until the column has been taken apart.
const hidden = " \x01:\x02{\x03}\x04"

// hideQuoted leaves out apostrophes, and hides what stands between them.
func hideQuoted(word string) string {
	if !strings.Contains(word, "'") {
		return word
	}
	var b strings.Builder
	for i, part := range strings.Split(word, "'") {
		for _, c := range []byte(part) {
			if n := strings.IndexByte(hidden, c); i%2 == 1 && n >= 0 && n%2 == 0 {
				c = hidden[n+1]
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}

func showHidden(text string) string {
	for i := 0; i < len(hidden); i += 2 {
		text = strings.ReplaceAll(text, hidden[i+1:i+2], hidden[i:i+1])
	}
	return text
}

// isSign reports whether a word is no column but signs, shown above and in each row.
func isSign(word string) bool {
	return strings.Trim(word, "-<>=|/+*.,;") == ""
}

func (c *column) parse(text string) error {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if c.condition, text, ok = strings.Cut(rest, "]"); !ok || c.condition == "" {
			return fmt.Errorf("a condition is a parameter's name in brackets")
		}
	}
	percent := strings.IndexByte(text, '%')
	if percent == 0 { // a title such as %BUSY
		percent = 1 + strings.IndexByte(text[1:], '%')
	}
	end := strings.LastIndexByte(text[:max(0, percent)], ':')
	if end < 0 {
		return fmt.Errorf("a column is written TITLE:%%conversion")
	}
	title, value := text[:end], text[end+1:]
	if i := strings.LastIndexByte(title, '#'); i >= 0 {
		if n, err := strconv.Atoi(title[i+1:]); err == nil && n > 0 {
			title, c.part, c.numbered = title[:i], n-1, true
		}
	}
	if i := strings.LastIndexByte(title, '/'); i >= 0 {
		if n, err := strconv.ParseInt(title[i+1:], 10, 64); err == nil && n > 0 {
			title, c.Scale = title[:i], n
		}
	}
	title, c.match, _ = strings.Cut(title, "~")
	var named bool
	if c.Title, c.Name, named = strings.Cut(title, "="); !named {
		c.Name = keyOf(title)
	}
	c.Title = showHidden(c.Title)
	if showHidden(c.Name) != c.Name || showHidden(c.match) != c.match {
		return fmt.Errorf("between apostrophes stand only the title, and what is before or behind the conversion")
	}
	if c.Name == "" {
		return fmt.Errorf("a column without a name for JSON: write TITLE=name:%%conversion")
	}
	if err := c.pieces(&value); err != nil {
		return err
	}
	verbs, _, err := parseFormat(value)
	if err != nil {
		return err
	}
	found := false
	for _, v := range verbs {
		switch {
		case v.Conv != "" && found:
			return fmt.Errorf("a column has one conversion; text() makes one value of several")
		case v.Conv != "":
			c.Verb, found = v, true
		case found:
			c.After += showHidden(v.Text)
		default:
			c.Before += showHidden(v.Text)
		}
	}
	if !found {
		return fmt.Errorf("a column is written TITLE:%%conversion")
	}
	return nil
}

// pieces cuts {…} from a value such as %-21s{%s:%d}, which makes one column of several parts of a table.
func (c *column) pieces(value *string) error {
	c.takes = 1
	rest, ok := strings.CutSuffix(*value, "}")
	outer, inner, open := strings.Cut(rest, "{")
	if !ok || !open {
		return nil
	}
	verbs, _, err := parseFormat(inner)
	if err != nil {
		return err
	}
	n := 0
	for i, v := range verbs {
		verbs[i].Text = showHidden(v.Text)
		if v.Conv != "" {
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("there is no conversion in the braces")
	}
	*value, c.Parts, c.takes = outer, verbs, n
	return nil
}

// keyOf makes a key of a title: TIME(s) is time_s.
func keyOf(title string) string {
	key := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(title))
	for strings.Contains(key, "__") {
		key = strings.ReplaceAll(key, "__", "_")
	}
	return strings.Trim(key, "_")
}

// columns reads a format of columns that is argument i.
func (c *checker) columns(k *call, i int) ([]column, bool) {
	format, ok := c.constStr(k, i)
	if !ok {
		return nil, false
	}
	columns, wrong, err := parseColumns(format)
	if err != nil {
		c.list.Errorf(formatSpan(k.args[i], wrong), "%v", err).Hint = "it is used as " + k.f.usage
		return nil, false
	}
	names := map[string]bool{}
	for _, col := range columns {
		shown, err := c.shows(col.condition)
		if err != nil {
			c.list.Errorf(formatSpan(k.args[i], col.at), "%v", err)
			return nil, false
		}
		if shown && names[col.Name] {
			c.list.Errorf(formatSpan(k.args[i], col.at), "two columns have the key %q in JSON", col.Name).Hint = "write TITLE=name:%conversion"
			return nil, false
		}
		names[col.Name] = names[col.Name] || shown
	}
	return columns, true
}

// shows decides the condition of a column: parameters' names with !, & and |, of which & binds tighter.
func (c *checker) shows(condition string) (bool, error) {
	if condition == "" {
		return true, nil
	}
	for any := range strings.SplitSeq(condition, "|") {
		all := true
		for name := range strings.SplitSeq(any, "&") {
			name, not := strings.CutPrefix(name, "!")
			if name == "" {
				return false, fmt.Errorf("a condition is written [name], [!name], [a|b] or [a&b]")
			}
			all = all && c.parameterSet(name) != not
		}
		if all {
			return true, nil
		}
	}
	return false, nil
}

// parameterSet reports whether a named parameter is true, not zero or not empty, as its getopt() reads it.
func (c *checker) parameterSet(name string) bool {
	set, _ := truth(c.parameter(name))
	return set
}

// parameter is the value of a named parameter, with the default that the script's first getopt() of that name gives; it is a flag if
// there is none.
func (c *checker) parameter(name string) Expr {
	if c.getopts == nil {
		c.findGetopts()
	}
	args := []syntax.Expr{&syntax.StrLit{Value: name}}
	if known := c.getopts[name]; known != nil {
		args = known.Args
	}
	outer := c.frame
	c.frame = nil
	defer func() { c.frame = outer }()
	f := c.function("getopt")
	var x Expr
	c.quietly(func() { x = checkGetopt(c, &call{f: f, args: args}) })
	return x
}

// findGetopts collects the first getopt() of each parameter.
func (c *checker) findGetopts() {
	c.getopts = map[string]*syntax.Call{}
	visit := func(n any) {
		call, ok := n.(*syntax.Call)
		if !ok || call.Name != "getopt" || len(call.Args) == 0 || len(call.Args) > 3 {
			return
		}
		if name, ok := call.Args[0].(*syntax.StrLit); ok && c.getopts[name.Value] == nil {
			c.getopts[name.Value] = call
		}
	}
	for _, p := range c.script.Probes {
		if p.Pred != nil {
			walk(p.Pred, visit)
		}
		walk(p.Body, visit)
	}
	for _, m := range c.script.Macros {
		walk(m.Body, visit)
	}
}
