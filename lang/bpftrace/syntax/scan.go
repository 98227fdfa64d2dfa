package syntax

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"skep/internal/diag"
)

// kind is the kind of a token. Operators and punctuation are kindOp and told apart by their text.
type kind uint8

const (
	kindEOF   kind = iota
	kindError      // a mistake that the scanner has reported already
	kindStop       // what the parser sees after an error, until it has found a place to go on
	kindIdent
	kindInt
	kindStr
	kindParam // $1, $#: val is the index
	kindVar
	kindMap
	kindOp
)

type token struct {
	kind     kind
	unsigned bool   // an integer with a U suffix
	plain    bool   // a name that must not be expanded again
	depth    uint8  // how many macros deep it came from
	text     string // as written, but the value of a string
	raw      string // of a string: as written, with its quotes
	val      uint64
	span     diag.Span
}

func (t token) is(op string) bool  { return t.kind == kindOp && t.text == op }
func (t token) word(w string) bool { return t.kind == kindIdent && t.text == w }

// scanner makes tokens of the text on demand, so that the parser can read attach points, which have no tokens, from it
// directly.
type scanner struct {
	text     string
	pos      int
	pend     []token // expansion of macros, to be read before the text; the next token is the last
	afterDot bool    // a number that follows is the index of a tuple
	directives

	list     *diag.List
	comments []Comment
	unclosed bool // a string or a comment has swallowed the text that follows
	inDefine bool // scanning a part of a preprocessor line
	inCond   bool // that of an #if
}

const maxErrors = 40

// report adds an error, unless there are so many that nobody reads them.
func (s *scanner) report(at diag.Span, format string, args ...any) *diag.Diagnostic {
	if len(s.list.All) >= maxErrors {
		return &diag.Diagnostic{}
	}
	return s.list.Errorf(at, format, args...)
}

func span(from, to int) diag.Span { return diag.Span{Start: diag.Pos(from), End: diag.Pos(to)} }

func (s *scanner) peekByte(off int) byte {
	if s.pos+off < len(s.text) {
		return s.text[s.pos+off]
	}
	return 0
}

// next returns the next token, after expansion of macros.
func (s *scanner) next() token {
	for {
		t := s.unexpanded()
		if s.inCond && t.word("defined") {
			return s.definedOperator(t)
		}
		if t.kind != kindIdent || t.plain || s.defs == nil || s.format {
			return t
		}
		d := s.defs[t.text]
		if d == nil || !s.expand(t, d) {
			return t
		}
	}
}

func (s *scanner) unexpanded() token {
	if n := len(s.pend); n > 0 {
		t := s.pend[n-1]
		s.pend = s.pend[:n-1]
		return t
	}
	return s.fromText()
}

func (s *scanner) fromText() token {
	s.skipBlank()
	start := s.pos
	afterDot := s.afterDot
	s.afterDot = false
	if start >= len(s.text) {
		return token{kind: kindEOF, span: span(len(s.text), len(s.text))}
	}
	c := s.text[start]
	switch {
	case isLetter(c):
		s.pos = endOfWord(s.text, start)
		return token{kind: kindIdent, text: s.text[start:s.pos], span: span(start, s.pos)}
	case isDigit(c):
		if afterDot {
			for isDigit(s.peekByte(0)) {
				s.pos++
			}
			return s.number(start)
		}
		s.pos = endOfWord(s.text, start)
		return s.number(start)
	case c == '"':
		return s.str()
	case c == '\'':
		return s.char()
	case c == '$':
		return s.dollar()
	case c == '@':
		s.pos++
		if isLetter(s.peekByte(0)) {
			s.pos = endOfWord(s.text, s.pos)
		} else if isDigit(s.peekByte(0)) {
			s.pos = endOfWord(s.text, s.pos)
			at := span(start, s.pos)
			s.report(at, "the name of a map begins with a letter").Hint = "a map with a key is written @name[key] or @[key]"
			return token{kind: kindError, span: at}
		}
		return token{kind: kindMap, text: s.text[start:s.pos], span: span(start, s.pos)}
	}
	if op := operator(s.text[start:]); op != "" {
		s.pos += len(op)
		s.afterDot = op == "."
		return token{kind: kindOp, text: op, span: span(start, s.pos)}
	}
	_, n := utf8.DecodeRuneInString(s.text[start:])
	s.pos += n
	d := s.report(span(start, s.pos), "unexpected character %q", s.text[start:s.pos])
	if strings.HasPrefix(s.text[start:], "“") || strings.HasPrefix(s.text[start:], "”") {
		d.Hint = `strings have straight quotes: "…"`
	}
	return token{kind: kindError, span: span(start, s.pos)}
}

// operator returns the longest operator that text begins with, or "".
func operator(text string) string {
	c := text[0]
	var d, e byte
	if len(text) > 1 {
		d = text[1]
	}
	if len(text) > 2 {
		e = text[2]
	}
	switch c {
	case '(', ')', '[', ']', '{', '}', ',', ';', ':', '?', '~', '#', '\\':
		return text[:1]
	case '.':
		if d == '.' {
			return text[:2]
		}
		return text[:1]
	case '<', '>':
		if d == c && e == '=' {
			return text[:3]
		}
		if d == c || d == '=' {
			return text[:2]
		}
		return text[:1]
	case '+', '&', '|':
		if d == c || d == '=' {
			return text[:2]
		}
		return text[:1]
	case '-':
		if d == '-' || d == '=' || d == '>' {
			return text[:2]
		}
		return text[:1]
	case '=', '!', '*', '/', '%', '^':
		if d == '=' {
			return text[:2]
		}
		return text[:1]
	}
	return ""
}

// skipBlank skips blanks, comments and preprocessor lines.
func (s *scanner) skipBlank() {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f':
			s.pos++
		case c == '/' && s.peekByte(1) == '/':
			s.comment(endOfLine(s.text, s.pos))
		case c == '/' && s.peekByte(1) == '*':
			n := strings.Index(s.text[s.pos+2:], "*/")
			if n < 0 {
				s.report(span(s.pos, s.pos+2), "comment is not closed").Hint = "it ends with */"
				s.unclosed = true
				s.comment(len(s.text))
				return
			}
			s.comment(s.pos + n + 4)
		case c == '#' && s.pos == 0 && s.peekByte(1) == '!' && !s.inDefine:
			s.comment(endOfLine(s.text, 0))
		case c == '#' && !s.inDefine && s.firstOnLine() && isDirective(s.text[s.pos+1:]):
			s.directive()
		case c == '\\' && s.peekByte(1) == '\n':
			s.pos += 2
		default:
			return
		}
	}
}

func (s *scanner) comment(end int) {
	text := strings.TrimRight(s.text[s.pos:end], " \t\r\n")
	s.comments = append(s.comments, Comment{Span: span(s.pos, s.pos+len(text)), Text: text})
	s.pos = end
}

func (s *scanner) firstOnLine() bool {
	for i := s.pos - 1; i >= 0 && s.text[i] != '\n'; i-- {
		if c := s.text[i]; c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// endOfLine returns the place of the newline (or the end of text) after pos.
func endOfLine(text string, pos int) int {
	if n := strings.IndexByte(text[pos:], '\n'); n >= 0 {
		return pos + n
	}
	return len(text)
}

func endOfWord(text string, pos int) int {
	for pos < len(text) && (isLetter(text[pos]) || isDigit(text[pos])) {
		pos++
	}
	return pos
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// dollar scans $name, $1 and $#.
func (s *scanner) dollar() token {
	start := s.pos
	s.pos++
	switch c := s.peekByte(0); {
	case c == '#':
		s.pos++
		return token{kind: kindParam, text: "$#", span: span(start, s.pos)}
	case isLetter(c):
		s.pos = endOfWord(s.text, s.pos)
		return token{kind: kindVar, text: s.text[start:s.pos], span: span(start, s.pos)}
	case isDigit(c):
		n := uint64(0)
		for ; isDigit(s.peekByte(0)); s.pos++ {
			n = min(n*10+uint64(s.peekByte(0)-'0'), maxParam+1)
		}
		at := span(start, s.pos)
		if n == 0 || n > maxParam {
			s.report(at, "there is no parameter %s", s.text[start:s.pos]).Hint = "the first one is $1; $# is how many there are"
			return token{kind: kindError, span: at}
		}
		return token{kind: kindParam, text: s.text[start:s.pos], val: n, span: at}
	}
	at := span(start, s.pos)
	s.report(at, "$ without a name").Hint = "a variable is $name, a parameter $1"
	return token{kind: kindError, span: at}
}

const maxParam = 1 << 20

// describe names the token in a message.
func (t token) describe() string {
	switch t.kind {
	case kindEOF:
		return "end of the script"
	case kindStr:
		return "a string"
	}
	return strconv.Quote(t.text)
}
