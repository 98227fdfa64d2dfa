package render

import (
	"strconv"
	"unicode/utf8"
)

// An Object collects the members of a JSON object, on one line.
type Object struct{ text []byte }

func (o *Object) name(name string) {
	if len(o.text) > 0 {
		o.text = append(o.text, ',')
	}
	o.text = append(AppendJSON(o.text, []byte(name)), ':')
}

// Text adds a string, unless it is empty.
func (o *Object) Text(name, value string) {
	if value != "" {
		o.name(name)
		o.text = AppendJSON(o.text, []byte(value))
	}
}

// Number adds a number.
func (o *Object) Number(name string, n int) {
	o.name(name)
	o.text = strconv.AppendInt(o.text, int64(n), 10)
}

// Texts adds an array of strings, unless there are none.
func (o *Object) Texts(name string, values []string) {
	o.array(name, len(values), func(i int) { o.text = AppendJSON(o.text, []byte(values[i])) })
}

// Object adds an object that f fills.
func (o *Object) Object(name string, f func(*Object)) {
	var inner Object
	f(&inner)
	o.name(name)
	o.text = append(o.text, inner.String()...)
}

// Objects adds an array of n objects, each filled by f, unless there are none.
func (o *Object) Objects(name string, n int, f func(int, *Object)) {
	o.array(name, n, func(i int) {
		var inner Object
		f(i, &inner)
		o.text = append(o.text, inner.String()...)
	})
}

func (o *Object) array(name string, n int, f func(int)) {
	if n == 0 {
		return
	}
	o.name(name)
	o.text = append(o.text, '[')
	for i := range n {
		if i > 0 {
			o.text = append(o.text, ',')
		}
		f(i)
	}
	o.text = append(o.text, ']')
}

// String is the object as text.
func (o *Object) String() string { return "{" + string(o.text) + "}" }

// AppendJSON appends bytes as a JSON string. Control characters are escaped, those of eight bits too, for whoever looks at it in a terminal. What
// is not UTF-8 becomes U+FFFD, byte by byte.
func AppendJSON(dst, b []byte) []byte {
	dst = append(dst, '"')
	plain := 0 // from here on nothing needs an escape
	for i := 0; i < len(b); {
		c := b[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r >= 0xa0 && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		dst = append(dst, b[plain:i]...)
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		default:
			dst = append(dst, '\\', 'u', "0123456789abcdef"[r>>12], "0123456789abcdef"[r>>8&15], "0123456789abcdef"[r>>4&15], "0123456789abcdef"[r&15])
		}
		i += size
		plain = i
	}
	dst = append(dst, b[plain:]...)
	return append(dst, '"')
}
