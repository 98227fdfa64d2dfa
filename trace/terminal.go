package trace

import (
	"slices"
	"unicode/utf8"
)

// appendTraced appends text that comes from what is traced: anyone can name a file or a process as they like, and control characters
// would drive the terminal of the one who looks. What the script itself prints is not touched.
func (v *values) appendTraced(dst, text []byte) []byte {
	if !v.escape || !slices.ContainsFunc(text, func(c byte) bool { return c < ' ' && c != '\n' && c != '\t' || c >= 0x7f }) {
		return append(dst, text...)
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\n' || r == '\t' || ' ' <= r && r < 0x7f || r >= 0xa0 && (r != utf8.RuneError || n > 1):
			dst = append(dst, text[:n]...)
		default: // C0, DEL, C1, and bytes that are no text
			for _, c := range text[:n] {
				dst = append(dst, '\\', 'x', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
			}
		}
		text = text[n:]
	}
	return dst
}

// appendRaw is appendFormat for what no terminal shows.
func (v *values) appendRaw(dst []byte, e *event) []byte {
	escape := v.escape
	v.escape = false
	dst = v.appendFormat(dst, e)
	v.escape = escape
	return dst
}
