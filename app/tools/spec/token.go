package spec

import (
	"strconv"
	"strings"
)

// token is a word, a number, a string or an operator of an expression.
type token struct {
	kind     kind
	text     string // of strings: what they mean
	from, to int    // its bytes in the specifier
}

type kind byte

const (
	word     kind = 'w' // a name, perhaps with $ before it
	number   kind = 'n'
	quoted   kind = 'q'
	operator kind = 'o'
)

// operators lists those that an expression may have, the longest first. What changes something is not among them.
func operators() []string {
	return []string{"<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "+", "-", "*", "/", "%", "<", ">", "!", "~", "&", "|", "^", "?", ":", "(", ")",
		"[", "]", ".", ","}
}

// tokens cuts the bytes from to to. It reports what cannot be part of an expression, and brackets that do not match.
func (t *text) tokens(from, to int) []token {
	var all []token
	var open []token
	for i := from; i < to; {
		c := t.string[i]
		if c == ' ' || c == '\t' || c == '\n' {
			i++
			continue
		}
		one, ok := t.token(i, to)
		if !ok {
			return nil
		}
		i = one.to
		if one.text == "@user" && one.kind == word {
			continue // where a string is, is found out when it is read
		}
		if one.kind == operator {
			switch one.text {
			case "(", "[":
				open = append(open, one)
			case ")", "]":
				if len(open) == 0 || open[len(open)-1].text != map[string]string{")": "(", "]": "["}[one.text] {
					t.fail(one.from, one.to, "%q closes nothing", one.text)
					return nil
				}
				open = open[:len(open)-1]
			}
		}
		all = append(all, one)
	}
	if len(open) > 0 {
		t.fail(open[0].from, open[0].to, "%q is not closed", open[0].text)
		return nil
	}
	return all
}

// token reads the token at i.
func (t *text) token(i, to int) (token, bool) {
	s := t.string[i:to]
	switch c := s[0]; {
	case c == '"':
		meant, n, ok := t.quoted(i, to)
		return token{quoted, meant, i, i + n}, ok
	case c == '\'':
		if len(s) > 2 && s[2] == '\'' && s[1] != '\\' {
			return token{number, strconv.Itoa(int(s[1])), i, i + 3}, true
		}
	case c >= '0' && c <= '9':
		n := 1
		for n < len(s) && isWord(s[n]) {
			n++
		}
		digits := strings.TrimRight(s[:n], "uUlL")
		if _, err := strconv.ParseUint(digits, 0, 64); err != nil || strings.Contains(digits, "_") {
			t.fail(i, i+n, "%q is no number", s[:n])
			return token{}, false
		}
		return token{number, digits, i, i + n}, true
	case isWord(c) || c == '$' || c == '@':
		n := 1
		for n < len(s) && isWord(s[n]) {
			n++
		}
		if c == '@' && s[:n] != "@user" {
			t.fail(i, i+n, "%q cannot be part of an expression", s[:n])
			return token{}, false
		}
		return token{word, s[:n], i, i + n}, true
	}
	for _, op := range operators() {
		if !strings.HasPrefix(s, op) {
			continue
		}
		if changes(s) {
			break
		}
		return token{operator, op, i, i + len(op)}, true
	}
	d := t.fail(i, i+1, "%q cannot be part of an expression", s[:1])
	if changes(s) {
		d.Hint = "an expression changes nothing: == compares"
	}
	return token{}, false
}

// changes reports whether text begins with an operator of C that assigns.
func changes(s string) bool {
	for _, op := range []string{"++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="} {
		if strings.HasPrefix(s, op) {
			return true
		}
	}
	return strings.HasPrefix(s, "=") && !strings.HasPrefix(s, "==")
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// quoted reads the string at i: what it means, and how long it is.
func (t *text) quoted(i, to int) (meant string, n int, ok bool) {
	var b strings.Builder
	s := t.string[i:to]
	for n = 1; n < len(s); n++ {
		switch c := s[n]; c {
		case '"':
			return b.String(), n + 1, true
		case '\\':
			n++
			if n == len(s) {
				break
			}
			meant := strings.IndexByte(`n t r " ' \ 0`, s[n])
			if meant < 0 {
				t.fail(i+n-1, i+n+1, "unknown escape %s", s[n-1:n+1]).Hint = `known are \n \t \r \" and \\`
				return "", 0, false
			}
			b.WriteByte("\n\x00\t\x00\r\x00\"\x00'\x00\\\x00\x00"[meant])
		default:
			b.WriteByte(c)
		}
	}
	t.fail(i, i+1, "the string is not closed").Hint = `it ends with "`
	return "", 0, false
}

// literal writes a string of the language.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			const digits = "0123456789abcdef"
			b.WriteString(`\x` + digits[c>>4:c>>4+1] + digits[c&15:c&15+1])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
