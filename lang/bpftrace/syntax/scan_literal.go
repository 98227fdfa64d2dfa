package syntax

import (
	"math/bits"
	"strings"
	"unicode/utf8"

	"skep/internal/diag"
)

// number makes a token of the word that has been scanned from start, which begins with a digit.
func (s *scanner) number(start int) token {
	t := token{kind: kindInt, text: s.text[start:s.pos], span: span(start, s.pos)}
	fail := func(format string, args ...any) *diag.Diagnostic {
		t.kind = kindError
		return s.report(t.span, format, args...)
	}
	base, digits := uint64(10), t.text
	switch {
	case strings.HasPrefix(t.text, "0x") || strings.HasPrefix(t.text, "0X"):
		base, digits = 16, t.text[2:]
	case len(t.text) > 1 && t.text[0] == '0' && (isDigit(t.text[1]) || t.text[1] == '_'):
		base, digits = 8, t.text[1:]
	}
	n, overflow := 0, false
	for ; n < len(digits); n++ {
		if digits[n] == '_' {
			continue
		}
		d := digitValue(digits[n])
		if d >= base {
			break
		}
		t.val, overflow = mulAdd(t.val, base, d, overflow)
	}
	suffix := digits[n:]
	switch {
	case base == 16 && n == 0:
		fail("%s has no digits", t.text)
		return t
	case base == 8 && suffix != "" && isDigit(suffix[0]):
		fail("%q is no octal digit", suffix[:1]).Hint = "a number that begins with 0 is octal"
		return t
	case strings.HasSuffix(digits[:n], "_"):
		fail("%s ends in an underscore", t.text[:len(t.text)-len(suffix)])
		return t
	default:
		if base == 10 {
			var exponent int
			exponent, suffix = splitExponent(suffix)
			for range exponent {
				t.val, overflow = mulAdd(t.val, 10, 0, overflow)
			}
		}
		unit, ok := unitOf(suffix)
		if !ok {
			fail("unknown suffix %q of a number", suffix).Hint = "numbers end in U, L, UL or LL, durations in ns, us, ms, s, m, h or d"
			return t
		}
		t.unsigned = unit == 1 && strings.ContainsAny(suffix, "uU")
		t.val, overflow = mulAdd(t.val, unit, 0, overflow)
	}
	if overflow {
		fail("%s is too big for 64 bits", t.text).Hint = "the greatest number is 18446744073709551615"
	}
	return t
}

func mulAdd(v, m, a uint64, overflow bool) (uint64, bool) {
	hi, lo := bits.Mul64(v, m)
	sum, carry := bits.Add64(lo, a, 0)
	return sum, overflow || hi != 0 || carry != 0
}

func digitValue(c byte) uint64 {
	switch {
	case isDigit(c):
		return uint64(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return 99
}

// splitExponent cuts an exponent, such as e6, from the beginning of a suffix.
func splitExponent(suffix string) (exponent int, rest string) {
	if len(suffix) < 2 || suffix[0]|0x20 != 'e' || !isDigit(suffix[1]) {
		return 0, suffix
	}
	n := 1
	for ; n < len(suffix) && isDigit(suffix[n]); n++ {
		exponent = min(exponent*10+int(suffix[n]-'0'), 100)
	}
	return exponent, suffix[n:]
}

// unitOf returns what a number with this suffix is multiplied with: durations are in nanoseconds.
func unitOf(suffix string) (uint64, bool) {
	const second = 1_000_000_000
	switch suffix {
	case "ns":
		return 1, true
	case "us":
		return 1_000, true
	case "ms":
		return 1_000_000, true
	case "s":
		return second, true
	case "m":
		return 60 * second, true
	case "h":
		return 3600 * second, true
	case "d":
		return 86400 * second, true
	}
	switch strings.ToLower(suffix) {
	case "", "u", "l", "ul", "lu", "ll", "ull", "llu":
		return 1, true
	}
	return 0, false
}

// str scans a string literal; the cursor is on its quote.
func (s *scanner) str() token {
	start := s.pos
	t := token{kind: kindStr}
	s.pos++
	var b []byte // the value, once it differs from the text
	from := s.pos
	for {
		c := s.peekByte(0)
		switch {
		case s.pos >= len(s.text) || c == '\n':
			t.kind = kindError
			t.span = span(start, s.pos)
			s.unclosed = true
			s.report(t.span, "string is not closed").Hint = `it ends with "; a line break in it is written \n`
			return t
		case c == '"':
			t.text = s.text[from:s.pos]
			if b != nil {
				t.text = string(b) + t.text
			}
			s.pos++
			t.raw = s.text[start:s.pos]
			t.span = span(start, s.pos)
			return t
		case c == '\\':
			b = append(b, s.text[from:s.pos]...)
			if b == nil {
				b = []byte{}
			}
			if s.peekByte(1) == '\n' { // a string continued on the next line
				s.pos += 2
			} else if s.pos++; s.pos < len(s.text) {
				b = append(b, s.escape()...)
			}
			from = s.pos
		default:
			s.pos++
		}
	}
}

// escape scans what follows a backslash and returns its value. A mistake is reported and the text taken as it is, so
// that the rest of the string is scanned and its mistakes reported, too.
func (s *scanner) escape() []byte {
	start := s.pos - 1
	c := s.text[s.pos]
	if '0' <= c && c <= '7' {
		v, n := 0, 0
		for ; n < 3 && '0' <= s.peekByte(0) && s.peekByte(0) <= '7'; n++ {
			v = v*8 + int(s.peekByte(0)-'0')
			s.pos++
		}
		if v > 255 {
			s.report(span(start, s.pos), "escape %s is greater than a byte", s.text[start:s.pos])
		}
		return []byte{byte(v)}
	}
	s.pos++
	switch c {
	case 'n':
		return []byte{'\n'}
	case 't':
		return []byte{'\t'}
	case 'r':
		return []byte{'\r'}
	case '\\', '"', '\'':
		return []byte{c}
	case 'x':
		v, n := uint64(0), 0
		for ; n < 2 && digitValue(s.peekByte(0)) < 16; n++ {
			v = v*16 + digitValue(s.peekByte(0))
			s.pos++
		}
		if n == 0 {
			s.report(span(start, s.pos), `\x without hexadecimal digits`).Hint = `for example \x1b`
		}
		return []byte{byte(v)}
	}
	if c >= utf8.RuneSelf {
		_, n := utf8.DecodeRuneInString(s.text[s.pos-1:])
		s.pos += n - 1
	} else if c == '\n' {
		s.pos--
	}
	d := s.report(span(start, s.pos), "unknown escape %s", s.text[start:s.pos])
	d.Hint = `known are \n \t \r \\ \" \033 (octal) and \x1b (hexadecimal)`
	if c == 'e' {
		d.Hint = `write the escape character as \033`
	}
	return []byte(s.text[start:s.pos])
}

// char scans 'c', which is an integer.
func (s *scanner) char() token {
	start := s.pos
	s.pos++
	t := token{kind: kindInt}
	switch c := s.peekByte(0); {
	case c == '\\' && s.pos+1 < len(s.text):
		s.pos++
		if v := s.escape(); len(v) == 1 {
			t.val = uint64(v[0])
		}
	case c != 0 && c != '\n' && c != '\'':
		t.val = uint64(c)
		s.pos++
	}
	if s.peekByte(0) != '\'' || s.pos == start+1 {
		// Somebody quoted a string like a shell would.
		if n := strings.IndexByte(s.text[s.pos:endOfLine(s.text, s.pos)], '\''); n >= 0 {
			s.pos += n + 1
		}
		t.kind, t.span = kindError, span(start, s.pos)
		s.report(t.span, "single quotes are for one character").Hint = `strings are written "…"`
		return t
	}
	s.pos++
	t.text, t.span = s.text[start:s.pos], span(start, s.pos)
	return t
}
