package trace

import (
	"testing"

	"skep/schema"
)

// parseFormat is as much of the compiler's format parser as the tests need.
func parseFormat(format string) []schema.Verb {
	var verbs []schema.Verb
	arg := 0
	for i := 0; i < len(format); {
		if format[i] != '%' {
			n := i
			for n < len(format) && format[n] != '%' {
				n++
			}
			verbs = append(verbs, schema.Verb{Text: format[i:n]})
			i = n
			continue
		}
		v := schema.Verb{Width: -1, Precision: -1, Arg: arg}
		arg++
	flags:
		for i++; ; i++ {
			switch format[i] {
			case '-':
				v.Minus = true
			case '0':
				v.Zero = true
			case '+':
				v.Plus = true
			case ' ':
				v.Space = true
			case '#':
				v.Alt = true
			default:
				break flags
			}
		}
		number := func() int {
			n := 0
			for ; format[i] >= '0' && format[i] <= '9'; i++ {
				n = 10*n + int(format[i]-'0')
			}
			return n
		}
		if format[i] >= '1' && format[i] <= '9' {
			v.Width = number()
		}
		if format[i] == '.' {
			i++
			v.Precision = number()
		}
		for format[i] == 'h' || format[i] == 'l' || format[i] == 'z' || format[i] == 'j' {
			v.Length += format[i : i+1]
			i++
		}
		n := 1
		if c := format[i]; (c == 'r' || c == 'g') && i+1 < len(format) && (format[i+1] == 'x' || format[i+1] == 'h' || format[i+1] == 'r') {
			n = 2
		}
		v.Conv = format[i : i+n]
		i += n
		verbs = append(verbs, v)
	}
	return verbs
}

// TestFormat compares with what bpftrace 0.27 prints, and where it has no say with printf of C.
func TestFormat(t *testing.T) {
	pointer := &schema.Type{Kind: schema.Pointer, Size: 8}
	enum := &schema.Type{Kind: schema.Enum, Size: 4, Signed: true, Enum: &schema.EnumDef{Name: "E", Values: []schema.EnumValue{{Name: "A", Value: 1}}}}
	buffer := &schema.Type{Kind: schema.Buffer, Size: 12}
	buf := func(s string) []byte { return append([]byte{byte(len(s)), 0, 0, 0}, s...) }
	inet := &schema.Type{Kind: schema.Inet, Size: 20}
	type args = []any
	for _, test := range []struct {
		format string
		types  []*schema.Type
		args   args
		want   string
	}{
		{"[%5d|%-5d|%05d|%+d|% d|%5u]", []*schema.Type{i32, i32, i32, i32, i32, i32}, args{42, 42, 42, 42, 42, 42}, "[   42|42   |00042|+42| 42|   42]"},
		{"%x|%#x|%X|%#X|%o|%#o", []*schema.Type{i32, i32, i32, i32, i32, i32}, args{255, 255, 255, 255, 8, 8}, "ff|0xff|FF|0XFF|10|010"},
		{"%c|%5c|%-3c|", []*schema.Type{i32, i8, i32}, args{65, 66, 67}, "A|    B|C  |"},
		{"%c", []*schema.Type{i32}, args{0}, "\x00"},
		{"%s|%10s|%-10s|%.2s|%10.2s|", []*schema.Type{nil, nil, nil, nil, nil},
			args{varString{"abc", false}, varString{"abc", false}, varString{"abc", false}, varString{"abc", false}, varString{"abc", false}},
			"abc|       abc|abc       |ab|        ab|"},
		{"%s|%10s|", []*schema.Type{nil, nil}, args{varString{"/bin/", true}, varString{"/bin/", true}}, "/bin/..|   /bin/..|"},
		{"%ld|%lld|%hhu|%hhd|%hd|%hx", []*schema.Type{i8, i8, i16, i16, i32, i32}, args{-1, -1, 300, 300, 70000, 70000}, "-1|-1|44|44|4464|1170"},
		{"%d %u %x", []*schema.Type{u32, u32, u32}, args{4000000000, 4000000000, 4000000000}, "-294967296 4000000000 ee6b2800"},
		{"%d %u %x %lx %lu", []*schema.Type{i8, i8, i8, i8, i8}, args{-1, -1, -1, -1, -1}, "-1 4294967295 ffffffff ffffffffffffffff 18446744073709551615"},
		{"%d %u %x %X %o %ld %lx %lu", []*schema.Type{u64, u64, u64, u64, u64, u64, u64, u64},
			args{2463856542752, 2463856542752, 2463856542752, 2463856542752, 2463856542752, 2463856542752, 2463856542752, 2463856542752},
			"-1454685152 2840282144 a94b4420 A94B4420 25122642040 2463856542752 23da94b4420 2463856542752"},
		{"%d %hd %hhd %lld %+d", []*schema.Type{u16, u16, u16, u16, u16}, args{40000, 40000, 40000, 40000, 40000}, "40000 -25536 64 40000 +40000"},
		{"%.3d %.0d %5.3d|%08.3d|%-08d|%+5d", []*schema.Type{i8, i8, i8, i8, i8, i8}, args{1, 0, 7, 5, 5, 5}, "001    007|     005|5       |   +5"},
		{"%i %jd %zd", []*schema.Type{i16, i16, i16}, args{-1, -1, -1}, "-1 -1 -1"},
		{"%p %p %10p|%-6p|", []*schema.Type{pointer, u64, i8, i8}, args{255, uint64(1<<64 - 1), 7, 7}, "0xff 0xffffffffffffffff        0x7|0x7   |"},
		{"%p", []*schema.Type{i8}, args{0}, "0"},
		{"%x %d %s %5s|", []*schema.Type{boolT, boolT, boolT, boolT}, args{true, false, true, true}, "1 0 true  true|"},
		{"%s %s %d", []*schema.Type{enum, enum, enum}, args{1, 7, 1}, "A 7 1"},
		{"%s %s %s", []*schema.Type{i8, u64, pointer}, args{5, uint64(1<<64 - 1), 5}, "5 18446744073709551615 0x5"},
		{"%r|%rx|%rh", []*schema.Type{buffer, buffer, buffer}, args{buf("abc\x01z\x7f"), buf("abc\x01z\x7f"), buf("abc\x01z\x7f")},
			`abc\x01z\x7f|\x61\x62\x63\x01\x7a\x7f|61 62 63 01 7a 7f`},
		{"[%20r|%-20r|%20rh]", []*schema.Type{buffer, buffer, buffer}, args{buf("ab\n"), buf("ab"), buf("ab")},
			`[              ab\x0a|ab                  |               61 62]`},
		{"%gr|%gr|%gr|%20gr", []*schema.Type{u64, u64, u64, u64}, args{0, 0xcc0, 0x10cc0, 0xcc0}, "0|GFP_KERNEL|GFP_KERNEL|__GFP_NORETRY|          GFP_KERNEL"},
		{"%s|%15s", []*schema.Type{inet, inet}, args{[]byte{2, 0, 0, 0, 127, 0, 0, 1}, append([]byte{10, 0, 0, 0, 15: 0}, 0, 0, 0, 1)}, "127.0.0.1|            ::1"},
		{"a\x80b%s", []*schema.Type{nil}, args{varString{"\x01\xff", false}}, "a\x80b\x01\xff"},
	} {
		s := newScript()
		id := s.event(schema.Event{Kind: schema.Printf, Verbs: parseFormat(test.format)}, test.types...)
		e := newEvent(s.Events[id])
		v := newValues(&s.Script, s.session, &fakeSymbols{})
		v.decode(&e, s.record(id, test.args...))
		if got := string(v.appendFormat(nil, &e)); got != test.want {
			t.Errorf("%q: got %q, want %q", test.format, got, test.want)
		}
	}
}

// TestLiterals are arguments that no record holds.
func TestLiterals(t *testing.T) {
	s := newScript()
	s.Events = append(s.Events, &schema.Event{Kind: schema.Printf, Size: 8, Verbs: parseFormat("%s %d %x %s"), Args: []schema.Arg{
		{Type: str16, Literal: true, Text: "text"}, {Type: i8, Literal: true, Number: -3},
		{Type: i8, Literal: true, Number: -1}, {Type: boolT, Literal: true, Number: 1}}})
	e := newEvent(s.Events[0])
	v := newValues(&s.Script, s.session, &fakeSymbols{})
	v.decode(&e, s.record(0))
	if got, want := string(v.appendFormat(nil, &e)), "text -3 ffffffff true"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzDecode gives records of any bytes to an event with arguments of all sorts: nothing may panic.
func FuzzDecode(f *testing.F) {
	s := newScript()
	id := s.event(schema.Event{Kind: schema.Printf, Verbs: parseFormat("%d %s %r %s %s\n")},
		i64, nil, &schema.Type{Kind: schema.Buffer, Size: 12}, nil, tuple(u8, str16))
	e := newEvent(s.Events[id])
	v := newValues(&s.Script, s.session, &fakeSymbols{})
	f.Add(s.record(id, 1, varString{"abc", false}, []byte{3, 0, 0, 0, 'x'}, varString{"d", true}, []any{1, "z"}))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0})
	var text, encoded []byte
	f.Fuzz(func(t *testing.T, record []byte) {
		v.decode(&e, record)
		text = v.appendFormat(text[:0], &e)
		encoded = appendJSONString(encoded[:0], text)
	})
}
