package syntax

import (
	"slices"
	"strings"

	"skep/internal/diag"
)

// directives is the state of the preprocessor.
type directives struct {
	format   bool // keep macros as names
	defs     map[string]*define
	conds    []condition
	includes []Include
	defines  []CDefine
	expanded int // tokens made by expansion so far, to stop runaway ones
}

// define is a macro of the C section.
type define struct {
	params []string // nil for object-like macros
	isFunc bool
	body   string
	tokens []token // of body, scanned on first use
	ready  bool
}

// condition is an #if that is open.
type condition struct {
	at      diag.Span
	taken   bool // one of its branches has been active
	hasElse bool
}

const (
	maxExpansionDepth = 50
	maxExpansion      = 1 << 16
)

func isDirective(text string) bool {
	switch directiveName(text) {
	case "include", "define", "undef", "if", "ifdef", "ifndef", "elif", "else", "endif", "error", "warning", "pragma", "line":
		return true
	}
	return false
}

func directiveName(text string) string {
	text = strings.TrimLeft(text, " \t")
	return text[:endOfWord(text, 0)]
}

// directive handles the preprocessor line at the cursor, and skips the lines that it disables.
func (s *scanner) directive() {
	start := s.pos
	end := s.logicalLine(start)
	s.pos = end
	line := stripComments(joinLines(s.text[start+1 : end]))
	name := directiveName(line)
	rest := strings.TrimSpace(strings.TrimLeft(line, " \t")[len(name):])
	at := span(start, start+len(strings.TrimRight(s.text[start:end], " \t\r")))
	skip := false
	switch name {
	case "include":
		s.include(at, rest)
	case "define":
		s.define(at, rest)
	case "undef":
		delete(s.defs, rest)
	case "ifdef", "ifndef":
		active := s.defined(rest) == (name == "ifdef")
		s.conds = append(s.conds, condition{at: at, taken: active})
		skip = !active
	case "if":
		active := s.condition(at, rest)
		s.conds = append(s.conds, condition{at: at, taken: active})
		skip = !active
	case "elif", "else":
		if len(s.conds) == 0 {
			s.report(at, "#%s without #if", name)
			break
		}
		skip = true // reached from an active branch
	case "endif":
		if len(s.conds) == 0 {
			s.report(at, "#endif without #if")
			break
		}
		s.conds = s.conds[:len(s.conds)-1]
	case "error":
		s.report(at, "#error %s", rest)
	}
	if skip {
		s.skipBranch()
	}
	text := strings.TrimRight(s.text[start:s.pos], " \t\r\n")
	s.comments = append(s.comments, Comment{Span: span(start, start+len(text)), Text: text})
}

// skipBranch skips to the end of the line of the #elif or #else that is active, or of the #endif.
func (s *scanner) skipBranch() {
	depth := 0
	for s.pos < len(s.text) {
		s.pos = min(s.pos+1, len(s.text)) // the newline
		start := s.pos
		end := s.logicalLine(start)
		s.pos = end
		line := strings.TrimLeft(s.text[start:end], " \t")
		if !strings.HasPrefix(line, "#") {
			continue
		}
		name := directiveName(line[1:])
		top := &s.conds[len(s.conds)-1]
		switch name {
		case "if", "ifdef", "ifndef":
			depth++
		case "endif":
			if depth == 0 {
				s.conds = s.conds[:len(s.conds)-1]
				return
			}
			depth--
		case "else", "elif":
			if depth > 0 {
				continue
			}
			if top.hasElse {
				s.report(span(start, end), "#%s after #else", name)
			}
			top.hasElse = top.hasElse || name == "else"
			if top.taken {
				continue
			}
			rest := stripComments(strings.TrimLeft(line[1:], " \t")[len(name):])
			if name == "else" || s.condition(span(start, end), rest) {
				top.taken = true
				return
			}
		}
	}
}

// logicalLine returns the end of the line that begins at pos, with the lines that it is continued on by backslashes and
// comments.
func (s *scanner) logicalLine(pos int) int {
	for {
		end := endOfLine(s.text, pos)
		if i := openComment(s.text[pos:end]); i >= 0 {
			if n := strings.Index(s.text[pos+i:], "*/"); n >= 0 {
				pos += i + n + 2
				continue
			}
			return len(s.text)
		}
		if end < len(s.text) && strings.HasSuffix(strings.TrimSuffix(s.text[pos:end], "\r"), "\\") {
			pos = end + 1
			continue
		}
		return end
	}
}

// joinLines joins lines that are continued by backslashes.
func joinLines(text string) string {
	if !strings.Contains(text, "\\") {
		return text
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\\\r\n", " "), "\\\n", " ")
	return strings.TrimSuffix(strings.TrimRight(text, " \t\r"), "\\")
}

// openComment returns the offset of a /* in line that is not closed in it, or -1.
func openComment(line string) int {
	for i := 0; i+1 < len(line); i++ {
		switch {
		case line[i] == '"':
			for i++; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' {
					i++
				}
			}
		case line[i] == '/' && line[i+1] == '/':
			return -1
		case line[i] == '/' && line[i+1] == '*':
			n := strings.Index(line[i+2:], "*/")
			if n < 0 {
				return i
			}
			i += n + 3
		}
	}
	return -1
}

// stripComments replaces the comments of a directive by blanks. A path such as </a/b> or "//" in a string is none.
func stripComments(line string) string {
	if !strings.Contains(line, "/*") && !strings.Contains(line, "//") {
		return line
	}
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			n := i + 1
			for ; n < len(line) && line[n] != '"'; n++ {
				if line[n] == '\\' {
					n++
				}
			}
			n = min(n, len(line)-1)
			b.WriteString(line[i : n+1])
			i = n
		case strings.HasPrefix(line[i:], "//"):
			return b.String()
		case strings.HasPrefix(line[i:], "/*"):
			n := strings.Index(line[i+2:], "*/")
			if n < 0 {
				return b.String()
			}
			b.WriteByte(' ')
			i += n + 3
		default:
			b.WriteByte(line[i])
		}
	}
	return b.String()
}

func (s *scanner) include(at diag.Span, rest string) {
	inc := Include{Span: at}
	switch {
	case len(rest) > 2 && rest[0] == '<' && rest[len(rest)-1] == '>':
		inc.System = true
		fallthrough
	case len(rest) > 2 && rest[0] == '"' && rest[len(rest)-1] == '"':
		inc.Name = rest[1 : len(rest)-1]
	default:
		s.report(at, `expected <file> or "file" after #include`)
		return
	}
	s.includes = append(s.includes, inc)
}

func (s *scanner) define(at diag.Span, rest string) {
	name := rest[:endOfWord(rest, 0)]
	if name == "" || isDigit(name[0]) {
		s.report(at, "expected a name after #define")
		return
	}
	body := rest[len(name):]
	d := &define{}
	if strings.HasPrefix(body, "(") {
		end := strings.IndexByte(body, ')')
		if end < 0 {
			s.report(at, "parameters of the macro %s are not closed", name)
			return
		}
		d.isFunc = true
		if list := strings.TrimSpace(body[1:end]); list != "" {
			for p := range strings.SplitSeq(list, ",") {
				d.params = append(d.params, strings.TrimSpace(p))
			}
		}
		body = body[end+1:]
	}
	d.body = strings.TrimSpace(body)
	if s.defs == nil {
		s.defs = map[string]*define{}
	}
	s.defs[name] = d
	if !d.isFunc {
		s.defines = append(s.defines, CDefine{Span: at, Name: name, Body: d.body})
	}
}

// definedOperator scans what follows the word defined in an #if.
func (s *scanner) definedOperator(t token) token {
	name := s.unexpanded()
	if name.is("(") {
		name = s.unexpanded()
		if end := s.unexpanded(); !end.is(")") {
			s.pend = append(s.pend, end)
		}
	}
	t.kind = kindInt
	if s.defined(name.text) {
		t.val = 1
	}
	return t
}

// condition evaluates the expression of an #if. Names that are not defined are 0, as in C.
func (s *scanner) condition(at diag.Span, text string) bool {
	sub := scanner{text: text, list: &diag.List{}, inDefine: true, inCond: true}
	sub.defs = s.defs
	p := parser{scan: &sub}
	p.next()
	x := p.expr()
	if p.tok.kind != kindEOF && len(sub.list.All) == 0 {
		p.fail(p.tok.span, "unexpected %s", p.tok.describe())
	}
	if len(sub.list.All) > 0 {
		s.report(at, "condition of #if: %s", sub.list.All[0].Message)
		return false
	}
	v, err := evalConst(x, func(string) (int64, bool) { return 0, true })
	if err != "" {
		s.report(at, "condition of #if: %s", err)
	}
	return v != 0
}

func (s *scanner) defined(name string) bool {
	return name == "BPFTRACE_HAVE_BTF" || s.defs[name] != nil
}

// expand puts the expansion of the macro d, whose name is t, before the text that follows. It reports false if t is no
// use of the macro.
func (s *scanner) expand(t token, d *define) bool {
	if int(t.depth) >= maxExpansionDepth {
		s.report(t.span, "macro %s is nested too deeply: does it use itself?", t.text)
		return false
	}
	if s.expanded > maxExpansion {
		s.report(t.span, "the script is too large: its macros expand to more than %d symbols", maxExpansion)
		return false
	}
	var args [][]token
	at := t.span
	if d.isFunc {
		open := s.unexpanded()
		if !open.is("(") {
			s.pend = append(s.pend, open)
			return false
		}
		var end token
		args, end = s.macroArgs()
		if end.kind == kindEOF {
			s.report(t.span, "arguments of the macro %s are not closed", t.text)
			s.unclosed = true
			s.pend = append(s.pend, end)
			return true
		}
		at.End = max(at.End, end.span.End)
		if len(args) == 1 && len(args[0]) == 0 && len(d.params) == 0 {
			args = nil
		}
		if len(args) != len(d.params) {
			s.report(at, "macro %s takes %d arguments, not %d", t.text, len(d.params), len(args))
			s.pend = append(s.pend, token{kind: kindError, span: at})
			return true
		}
	}
	if !d.ready {
		s.scanBody(t, d)
	}
	var out []token
	for _, b := range d.tokens {
		if i := slices.Index(d.params, b.text); i >= 0 && b.kind == kindIdent {
			for _, a := range args[i] {
				out = append(out, inside(a, at, t.depth))
			}
			continue
		}
		b.plain = b.plain || b.kind == kindIdent && b.text == t.text
		out = append(out, inside(b, at, t.depth))
	}
	s.expanded += len(out) + 1
	slices.Reverse(out)
	s.pend = append(s.pend, out...)
	return true
}

func inside(t token, at diag.Span, depth uint8) token {
	t.span = at
	t.depth = max(t.depth, depth) + 1
	return t
}

// macroArgs collects the arguments of a function-like macro, up to the closing parenthesis, which it returns.
func (s *scanner) macroArgs() (args [][]token, end token) {
	var arg []token
	for depth := 0; ; {
		t := s.unexpanded()
		switch {
		case t.kind == kindEOF:
			return nil, t
		case t.is("(") || t.is("["):
			depth++
		case depth > 0 && (t.is(")") || t.is("]")):
			depth--
		case t.is(")"):
			return append(args, arg), t
		case depth == 0 && t.is(","):
			args = append(args, arg)
			arg = nil
			continue
		}
		arg = append(arg, t)
	}
}

// scanBody makes tokens of the body of a macro. What is wrong in it is reported where the macro is used first.
func (s *scanner) scanBody(use token, d *define) {
	d.ready = true
	sub := scanner{text: d.body, list: &diag.List{}, inDefine: true}
	for {
		t := sub.fromText()
		if t.kind == kindEOF {
			break
		}
		d.tokens = append(d.tokens, t)
	}
	for _, e := range sub.list.All {
		s.report(use.span, "in the macro %s: %s", use.text, e.Message).Hint = e.Hint
	}
}
