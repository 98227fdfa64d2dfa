package trace

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"skep/schema"
)

// rows are the columns of row(), or of a table, prepared for their values.
type rows struct {
	columns []rowColumn
	header  string // with its line's end
}

// rowColumn is one column.
type rowColumn struct {
	schema.Column
	op    op
	parts []op // of text()
	match *regexp.Regexp
	blank string // before it, with signs
	last  bool   // nothing is padded behind it
	key   string // in JSON: quoted, with its colon
}

func newRows(columns []schema.Column) *rows {
	r := &rows{columns: make([]rowColumn, 0, len(columns))}
	var header []byte
	for i := range columns {
		c := rowColumn{Column: columns[i], op: newOp(&columns[i].Verb), last: i == len(columns)-1}
		for j := range c.Parts {
			c.parts = append(c.parts, newOp(&c.Parts[j]))
		}
		if c.Match != "" {
			c.match, _ = regexp.Compile(c.Match) // the compiler has seen that it is one
		}
		if i > 0 {
			c.blank = strings.Repeat(" ", max(1, c.Blanks))
		}
		c.blank += c.Lead
		c.key = string(append(appendJSONString(nil, []byte(c.Name)), ':'))
		if c.Title != "" || c.op.width > 0 {
			header = append(header, c.blank...)
		}
		start := len(header)
		header = append(header, c.Title...)
		wide := c.op
		if wide.width > 0 {
			wide.width += utf8.RuneCountInString(c.Before) + utf8.RuneCountInString(c.After)
		}
		header = c.pad(header, start, &wide)
		r.columns = append(r.columns, c)
	}
	if r.header = strings.TrimRight(string(header), " "); r.header != "" {
		r.header += "\n"
	}
	return r
}

// pad widens what was appended since start, as it looks on a terminal. The last column's blanks at the end of a line are left out.
func (c *rowColumn) pad(dst []byte, start int, o *op) []byte {
	shown := utf8.RuneCount(dst[start:])
	if o.width <= shown || c.last && o.minus {
		return dst
	}
	bytes := *o
	bytes.width = o.width - shown + len(dst) - start
	return pad(dst, start, &bytes, ' ')
}

// arg is an argument of the record in work.
func (v *values) arg(i int) *arg {
	if i >= len(v.args) {
		return &arg{kind: argMissing}
	}
	return &v.args[i]
}

// appendRow appends a row as text; shown is false if it does not match.
func (v *values) appendRow(dst []byte, r *rows) (line []byte, shown bool) {
	begin := len(dst)
	stacks := 0
	for i := range r.columns {
		c := &r.columns[i]
		if c.parts == nil && v.arg(c.op.arg).isStack() {
			stacks++
			continue
		}
		switch {
		case strings.HasPrefix(c.Before, "\n"):
			for len(dst) > begin && dst[len(dst)-1] == ' ' {
				dst = dst[:len(dst)-1]
			}
		case len(dst) > begin || c.Lead != "":
			dst = append(dst, c.blank...)
		}
		dst = append(dst, c.Before...)
		start := len(dst)
		dst = v.appendColumn(dst, c)
		if c.match != nil && !c.match.Match(dst[start:]) {
			return dst[:begin], false
		}
		if a := v.arg(c.op.arg); c.parts != nil || !isLines(a.typ) {
			dst = appendEscaped(dst[:start], dst[start:])
		}
		if c.op.conv == 's' && c.op.precision >= 0 {
			dst = cutRunes(dst, start, c.op.precision)
		}
		dst = c.pad(dst, start, &c.op)
		dst = append(dst, c.After...)
	}
	dst = append(dst, '\n')
	for i := range r.columns {
		if stacks == 0 {
			break
		}
		if c := &r.columns[i]; c.parts == nil && v.arg(c.op.arg).isStack() {
			dst = v.appendFrames(dst, c, v.arg(c.op.arg))
		}
	}
	return dst, true
}

// isStack reports whether an argument is a stack: a row has it below, a frame on a line.
func (a *arg) isStack() bool {
	return a.kind == argMemory && (a.typ.Kind == schema.KStack || a.typ.Kind == schema.UStack)
}

// appendFrames appends a stack, the innermost frame first: with a tab before each and an empty line behind all, or with the column's own
// text before each.
func (v *values) appendFrames(dst []byte, c *rowColumn, a *arg) []byte {
	all := v.stacks.framesOf(a.typ, a.bytes)
	if all.lost {
		all.list = []frame{{name: "[Missed Stack]"}}
	}
	before := c.Before
	if before == "" {
		before = "\t"
	}
	for _, f := range all.list {
		dst = append(appendEscaped(append(dst, before...), []byte(f.name)), f.offset...)
		if c.op.alt && f.module != "" && f.module != unknownFrame {
			dst = append(appendEscaped(append(dst, " ["...), []byte(strings.Trim(f.module, "[]"))), ']')
		}
		dst = append(dst, '\n')
	}
	if c.Before != "" {
		return dst
	}
	return append(dst, '\n')
}

// appendColumn appends a column's value as text, without width.
func (v *values) appendColumn(dst []byte, c *rowColumn) []byte {
	if c.parts != nil {
		start := len(dst)
		for i := range c.parts {
			if o := &c.parts[i]; o.conv == 0 {
				dst = append(dst, o.text...)
			} else {
				dst = v.appendOp(dst, o, v.arg(o.arg))
			}
		}
		for len(dst) > start && dst[len(dst)-1] == ' ' {
			dst = dst[:len(dst)-1] // before a value that is empty
		}
		return dst
	}
	a := v.arg(c.op.arg)
	o := c.op
	o.width = 0
	if a.kind == argMissing {
		return append(dst, '?')
	}
	switch o.conv {
	case 's':
		return v.appendArg(dst, a)
	case 'f':
		return appendFloat(dst, &o, v.float(a)/float64(max(1, c.Scale)))
	case 'd', 'u', 'x', 'X', 'o':
		if c.op.zero {
			o.width = c.op.width
		}
		n, signed := v.columnNumber(c, a)
		if o.conv == 'd' && !signed {
			o.conv = 'u'
		}
		if o.length == 0 {
			o.length = 'l' // of all its bits, unlike in printf()
		}
		return appendInteger(dst, &o, n)
	}
	return v.appendOp(dst, &o, a)
}

// columnNumber is the number that a column shows. Hexadecimal and other unsigned ones are of the bits that the type has.
func (v *values) columnNumber(c *rowColumn, a *arg) (n int64, signed bool) {
	n, signed = v.whole(a, c.Scale)
	if c.op.conv == 'd' {
		return n, signed
	}
	if a.typ != nil && a.typ.Size < 8 {
		n &= 1<<(8*a.typ.Size) - 1
	}
	return n, false
}

// whole is a number, divided by scale if there is one.
func (v *values) whole(a *arg, scale int64) (n int64, signed bool) {
	n, signed = v.number(a), a.typ == nil || a.typ.Signed || a.typ.Kind == schema.Errno || a.typ.Kind == schema.SignalName
	switch {
	case scale <= 1:
	case signed:
		n /= scale
	default:
		n = int64(uint64(n) / uint64(scale))
	}
	return n, signed
}

// float is a number as %f shows it.
func (v *values) float(a *arg) float64 {
	if a.kind == argMemory && a.typ.Kind == schema.Ratio {
		return ratio(a.typ, a.bytes)
	}
	n, signed := v.whole(a, 0)
	if signed {
		return float64(n)
	}
	return float64(uint64(n))
}

// ratio is the value of ratio(a, b), or of number_in().
func ratio(t *schema.Type, b []byte) float64 {
	x, y := unsigned(b, 8), unsigned(b[8:], 8)
	switch {
	case y == 0:
		return 0
	case t.Format != "":
		path, name, _ := strings.Cut(t.Format, "\x00")
		return numberIn(path, name) * float64(x) / float64(y)
	case t.Signed:
		return float64(int64(x)) / float64(int64(y))
	}
	return float64(x) / float64(y)
}

// appendFloat formats as C's %f.
func appendFloat(dst []byte, o *op, f float64) []byte {
	start := len(dst)
	precision := o.precision
	if precision < 0 {
		precision = 6
	}
	switch {
	case f < 0:
	case o.plus:
		dst = append(dst, '+')
	case o.space:
		dst = append(dst, ' ')
	}
	dst = strconv.AppendFloat(dst, f, 'f', precision, 64)
	if o.zero && !o.minus {
		sign := 0
		if dst[start] == '-' || dst[start] == '+' || dst[start] == ' ' {
			sign = 1
		}
		return pad(dst, start+sign, &op{width: o.width - sign}, '0')
	}
	return pad(dst, start, o, ' ')
}

// cutRunes leaves at most n characters of what was appended since start.
func cutRunes(dst []byte, start, n int) []byte {
	i := start
	for ; n > 0 && i < len(dst); n-- {
		_, size := utf8.DecodeRune(dst[i:])
		i += size
	}
	return dst[:i]
}

// appendEscaped appends text so that it cannot steer a terminal or break a line: control characters and others that are not shown
// as \n or \x1b, what is not UTF-8 byte by byte. text may lie behind dst in the same memory.
func appendEscaped(dst, text []byte) []byte {
	i := 0
	for i < len(text) && text[i] >= ' ' && text[i] < 0x7f {
		i++
	}
	if i == len(text) {
		return append(dst, text...)
	}
	rest := string(text[i:]) // a copy: what is appended may be longer
	dst = append(dst, text[:i]...)
	for len(rest) > 0 {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size <= 1:
			dst = append(dst, '\\', 'x', lowerHex[rest[0]>>4], lowerHex[rest[0]&15])
		case strconv.IsPrint(r):
			dst = append(dst, rest[:size]...)
		case r < utf8.RuneSelf:
			dst = appendEscape(dst, byte(r))
		default:
			dst = append(dst, strings.Trim(strconv.QuoteRuneToASCII(r), "'")...)
		}
		rest = rest[size:]
	}
	return dst
}

// appendEscape appends a control character as in C.
func appendEscape(dst []byte, c byte) []byte {
	if i := strings.IndexByte("\a\b\t\n\v\f\r", c); i >= 0 {
		return append(dst, '\\', "abtnvfr"[i])
	}
	return append(dst, '\\', 'x', lowerHex[c>>4], lowerHex[c&15])
}

// appendWords appends memory of words that end with NUL, with blanks between them, as a command line; quoted as in C if the type says
// so. Words beyond the most that it allows, and memory beyond what was read, show as three dots.
func appendWords(dst []byte, t *schema.Type, b []byte) []byte {
	all, more := wordsOf(t, b)
	for i, w := range all {
		if i > 0 {
			dst = append(dst, ' ')
		}
		if t.Format != "quoted" {
			dst = append(dst, w...)
			continue
		}
		dst = append(dst, '"')
		from := 0
		for j, c := range w {
			if c == '"' || c == '\\' {
				dst = append(appendEscaped(dst, w[from:j]), '\\', c)
				from = j + 1
			}
		}
		dst = append(appendEscaped(dst, w[from:]), '"')
	}
	if more {
		dst = append(dst, " ..."...)
	}
	return dst
}

// wordsOf cuts memory into words; more says that some were left out.
func wordsOf(t *schema.Type, b []byte) (all [][]byte, more bool) {
	more = len(b) > 0 && len(b) == t.Size-4 && b[len(b)-1] != 0
	for len(b) > 0 {
		if t.Len > 0 && len(all) == t.Len {
			return all, true
		}
		w := cString(b, len(b))
		all = append(all, w)
		b = b[min(len(b), len(w)+1):]
	}
	return all, more
}

// isWords reports whether a value is one of words().
func isWords(t *schema.Type) bool {
	return t != nil && t.Kind == schema.Buffer && (t.Format == "words" || t.Format == "quoted")
}

func (s *textSink) row(e *event) {
	if e.schema.Counted {
		var shown bool
		if s.scratch, shown = s.values.appendRow(s.scratch[:0], e.rows); shown {
			s.counts.add(e.rows.header, s.scratch)
		}
		return
	}
	s.tableRow(e.rows)
}

// tableRow prints a row, and the header before it unless the rows above stand under the same one.
func (s *textSink) tableRow(r *rows) {
	start := len(s.buf)
	var shown bool
	if s.buf, shown = s.values.appendRow(s.buf, r); shown && s.header != r.header {
		s.header = r.header
		s.buf = slices.Insert(s.buf, start, []byte(r.header)...)
	}
}

// tableHeader prints a header without a row.
func (s *textSink) tableHeader(header string) {
	if s.header != header {
		s.header = header
		s.raw(header)
	}
}

// begin prints the header of a script's rows before the first of them comes, if they all have the same one.
func (r *run) begin() {
	s, ok := r.sink.(*textSink)
	if !ok {
		return
	}
	header := ""
	for i := range r.events {
		e := &r.events[i]
		switch {
		case e.schema.Kind != schema.Row || e.schema.Late || e.schema.Counted:
		case header != "" && header != e.rows.header:
			return
		default:
			header = e.rows.header
		}
	}
	if header == "" {
		return
	}
	r.drain(false) // what begin printed stands above
	if !r.exited {
		s.tableHeader(header)
	}
}

// clearScreen moves to the upper left corner and clears all below it.
const clearScreen = "\x1b[H\x1b[J"

// refresh clears the screen where there is one, for tables that come again and again.
func (r *run) refresh() {
	if r.opt.Terminal && !r.opt.JSON {
		r.out.raw(clearScreen)
	}
}
