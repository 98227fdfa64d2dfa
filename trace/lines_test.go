package trace

import (
	"testing"

	"skep/schema"
)

// TestLines shows memory below a row: with the ends of its lines, but nothing else that could steer a terminal.
func TestLines(t *testing.T) {
	for _, test := range []struct{ format, memory, want, json string }{
		{"lines", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", `"GET / HTTP/1.1\r\nHost: a\r\n\r\n"`},
		{"lines", "a\tb\rc\x1b[2J\xff\n", "a\tb\\rc\\x1b[2J\\xff\n", `"a\tb\rc\u001b[2J\ufffd\n"`},
		{"lines", "\r\n", "\n", `"\r\n"`},
		{"lines", "", "", `""`},
		{"hex", "", "", `""`},
		{"hex", "0123456789abcdef", "30313233343536373839616263646566", `"30313233343536373839616263646566"`},
		{"hex", "0123456789abcdef\x00\xff", "30313233343536373839616263646566\n00ff", `"3031323334353637383961626364656600ff"`},
	} {
		typ := &schema.Type{Kind: schema.Buffer, Size: 64, Format: test.format}
		if got := string(appendLines([]byte("x"), typ, []byte(test.memory))); got != "x"+test.want {
			t.Errorf("%s of %q: %q, want %q", test.format, test.memory, got[1:], test.want)
		}
		if got := string(appendJSONLines(nil, typ, []byte(test.memory))); got != test.json {
			t.Errorf("JSON, %s of %q: %s, want %s", test.format, test.memory, got, test.json)
		}
	}
}
