package trace

import (
	"bytes"
	"encoding/hex"

	"skep/schema"
)

// isLines reports whether a value is one of lines().
func isLines(t *schema.Type) bool {
	return t != nil && t.Kind == schema.Buffer && (t.Format == "lines" || t.Format == "hex")
}

// hexLine is how many bytes a line of lines() shows in hexadecimal.
const hexLine = 16

// appendLines appends memory as text of several lines, which keep their ends and tabs; whatever else could steer a terminal is escaped. Or
// all in hexadecimal.
func appendLines(dst []byte, t *schema.Type, b []byte) []byte {
	if t.Format == "hex" {
		for i := 0; i < len(b); i += hexLine {
			if i > 0 {
				dst = append(dst, '\n')
			}
			dst = hex.AppendEncode(dst, b[i:min(i+hexLine, len(b))])
		}
		return dst
	}
	for len(b) > 0 {
		n := bytes.IndexAny(b, "\n\t")
		if n < 0 {
			return appendEscaped(dst, b)
		}
		// Lines end with \r\n in protocols of the Internet.
		text := b[:n]
		if b[n] == '\n' {
			text = bytes.TrimSuffix(text, []byte("\r"))
		}
		dst = append(appendEscaped(dst, text), b[n])
		b = b[n+1:]
	}
	return dst
}

// appendJSONLines appends the same as one string, of the bytes as they are, or of their digits.
func appendJSONLines(dst []byte, t *schema.Type, b []byte) []byte {
	if t.Format == "hex" {
		return append(hex.AppendEncode(append(dst, '"'), b), '"')
	}
	return appendJSONString(dst, b)
}
