package verifier

import "strings"

// checkFormat reads a format as the kernel does, with a number of arguments, and tells what is wrong with it; "" if nothing is.
func checkFormat(format []byte, args int) string {
	text := trimZero(format)
	if len(text) == len(format) {
		return "has no end"
	}
	used := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= 0x80 || c < 0x20 && !strings.ContainsRune("\t\n\v\f\r", rune(c)) {
			return "has characters that are not printable"
		}
		if c != '%' {
			continue
		}
		if i+1 < len(text) && text[i+1] == '%' {
			i++
			continue
		}
		if used >= args {
			return "has more conversions than there are arguments"
		}
		i++
		for i < len(text) && strings.IndexByte("0+- ", text[i]) >= 0 || i < len(text) && text[i] == '#' {
			i++
		}
		if i < len(text) && text[i] >= '1' && text[i] <= '9' {
			for i < len(text) && text[i] >= '0' && text[i] <= '9' {
				i++
			}
		}
		at := func(n int) byte {
			if i+n < len(text) {
				return text[i+n]
			}
			return 0
		}
		switch {
		case at(0) == 'p':
			switch next := at(1); {
			case (next == 'k' || next == 'u') && at(2) == 's':
				i += 2
			case next == 'K', next == 'x', next == 's', next == 'S', next == 'B':
				i++
			case next == 0, next == ' ', next == '\t', next == '\n', next == '%', strings.IndexByte(punctuation, next) >= 0:
			case (next == 'i' || next == 'I') && (at(2) == '4' || at(2) == '6'):
				i += 2
			default:
				return "has a pointer of an unknown kind"
			}
		case at(0) == 's', at(0) == 'c':
		default:
			for n := 0; at(0) == 'l' && n < 2; n++ {
				i++
			}
			if strings.IndexByte("diuxX", at(0)) < 0 || at(0) == 0 {
				return "has an unknown conversion"
			}
		}
		used++
	}
	return ""
}

const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
