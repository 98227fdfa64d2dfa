package trace

import (
	"bytes"
	"strings"
	"time"
)

// appendStrftime formats t as strftime of the C library does in its own locale, with the flags of GNU's: %-d, %^a, %06Y. With
// fractions, %f is the microseconds, %k the nanoseconds and %l the milliseconds within the second, as in bpftrace's strftime()
// but not in its time().
func appendStrftime(dst []byte, format string, t time.Time, fractions bool) []byte {
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			dst = append(dst, c)
			continue
		}
		from := i
		i++
		flags := fieldFlags{}
		i = flags.read(format, i)
		verb := format[i]
		if (verb == 'E' || verb == 'O') && i+1 < len(format) {
			i++ // other representations are the same in the C locale
			verb = format[i]
		}
		start := len(dst)
		switch {
		case verb == 'f' && fractions:
			dst = appendPadded(dst, t.Nanosecond()/1000, 6, '0')
		case verb == 'k' && fractions:
			dst = appendPadded(dst, t.Nanosecond(), 9, '0')
		case verb == 'l' && fractions:
			dst = appendPadded(dst, t.Nanosecond()/1e6, 3, '0')
		case strings.IndexByte("YCymdejHkIlMSspPaAbhBzZFTXRrDxcuwUWVGgnt%", verb) < 0:
			dst = append(dst, format[from:i+1]...) // not a field
			continue
		default:
			dst = appendTimeField(dst, verb, t)
		}
		dst = flags.apply(dst, start)
	}
	return dst
}

// fieldFlags are GNU's between % and the letter: how to pad, whether to use capitals, the width.
type fieldFlags struct {
	pad   byte // '-', '_', '0', or 0 for the field's own way
	upper bool
	width int
}

// read reads flags from format[i] on, and returns the index of the letter.
func (f *fieldFlags) read(format string, i int) int {
	for ; i+1 < len(format); i++ {
		switch c := format[i]; {
		case c == '-' || c == '_' || c == '0' && f.width == 0:
			f.pad = c
		case c == '^' || c == '#':
			f.upper = true
		case c >= '0' && c <= '9' && f.width < 100:
			f.width = 10*f.width + int(c-'0')
		default:
			return i
		}
	}
	return i
}

// apply changes the field that was appended from start on.
func (f *fieldFlags) apply(dst []byte, start int) []byte {
	if *f == (fieldFlags{}) {
		return dst
	}
	field := bytes.Clone(dst[start:])
	if f.upper {
		field = bytes.ToUpper(field)
	}
	with, isNumber := byte(' '), len(field) > 0 && field[len(field)-1] >= '0' && field[len(field)-1] <= '9'
	if isNumber {
		bare := bytes.TrimLeft(field[:len(field)-1], " 0")
		bare = append(bytes.Clone(bare), field[len(field)-1])
		switch {
		case f.pad == '-':
			return append(dst[:start], bare...)
		case f.pad == '_':
			f.width = max(f.width, len(field))
			field = bare
		case f.pad == '0' || field[0] != ' ':
			with = '0'
			f.width = max(f.width, len(field))
			field = bare
		}
	}
	dst = append(dst[:start], bytes.Repeat([]byte{with}, max(0, f.width-len(field)))...)
	return append(dst, field...)
}

func appendTimeField(dst []byte, verb byte, t time.Time) []byte {
	hour12 := (t.Hour()+11)%12 + 1
	switch verb {
	case 'Y':
		return appendInt(dst, int64(t.Year()))
	case 'C':
		return appendPadded(dst, t.Year()/100, 2, '0')
	case 'y':
		return appendPadded(dst, t.Year()%100, 2, '0')
	case 'm':
		return appendPadded(dst, int(t.Month()), 2, '0')
	case 'd':
		return appendPadded(dst, t.Day(), 2, '0')
	case 'e':
		return appendPadded(dst, t.Day(), 2, ' ')
	case 'j':
		return appendPadded(dst, t.YearDay(), 3, '0')
	case 'H':
		return appendPadded(dst, t.Hour(), 2, '0')
	case 'k':
		return appendPadded(dst, t.Hour(), 2, ' ')
	case 'I':
		return appendPadded(dst, hour12, 2, '0')
	case 'l':
		return appendPadded(dst, hour12, 2, ' ')
	case 'M':
		return appendPadded(dst, t.Minute(), 2, '0')
	case 'S':
		return appendPadded(dst, t.Second(), 2, '0')
	case 's':
		return appendInt(dst, t.Unix())
	case 'p':
		return t.AppendFormat(dst, "PM")
	case 'P':
		return t.AppendFormat(dst, "pm")
	case 'a':
		return append(dst, t.Weekday().String()[:3]...)
	case 'A':
		return append(dst, t.Weekday().String()...)
	case 'b', 'h':
		return append(dst, t.Month().String()[:3]...)
	case 'B':
		return append(dst, t.Month().String()...)
	case 'z':
		return t.AppendFormat(dst, "-0700")
	case 'Z':
		return t.AppendFormat(dst, "MST")
	case 'F':
		return t.AppendFormat(dst, "2006-01-02")
	case 'T', 'X':
		return t.AppendFormat(dst, "15:04:05")
	case 'R':
		return t.AppendFormat(dst, "15:04")
	case 'r':
		return t.AppendFormat(dst, "03:04:05 PM")
	case 'D', 'x':
		return t.AppendFormat(dst, "01/02/06")
	case 'c':
		return t.AppendFormat(dst, "Mon Jan _2 15:04:05 2006")
	case 'u':
		return appendInt(dst, int64((t.Weekday()+6)%7+1))
	case 'w':
		return appendInt(dst, int64(t.Weekday()))
	case 'U': // weeks from the first Sunday
		return appendPadded(dst, (t.YearDay()+6-int(t.Weekday()))/7, 2, '0')
	case 'W': // weeks from the first Monday
		return appendPadded(dst, (t.YearDay()+6-int(t.Weekday()+6)%7)/7, 2, '0')
	case 'V':
		_, week := t.ISOWeek()
		return appendPadded(dst, week, 2, '0')
	case 'G':
		year, _ := t.ISOWeek()
		return appendInt(dst, int64(year))
	case 'g':
		year, _ := t.ISOWeek()
		return appendPadded(dst, year%100, 2, '0')
	case 'n':
		return append(dst, '\n')
	case 't':
		return append(dst, '\t')
	case '%':
		return append(dst, '%')
	}
	return append(dst, '%', verb)
}
