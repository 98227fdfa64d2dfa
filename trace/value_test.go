package trace

import (
	"encoding/json"
	"testing"

	"skep/schema"
)

// TestValues prints a value of each kind, as text, as JSON, and as the key of a map in JSON.
func TestValues(t *testing.T) {
	enum := &schema.Type{Kind: schema.Enum, Size: 4, Enum: &schema.EnumDef{Name: "E", Values: []schema.EnumValue{{Name: "A", Value: 1}}}}
	inner := &schema.Type{Kind: schema.Struct, Size: 8, Name: "in", Def: &schema.StructDef{Name: "in", Size: 8, Load: func() []schema.Field {
		return []schema.Field{{Name: "q", Type: i32}, {Name: "r", Type: i8, Offset: 4}}
	}}}
	array := func(elem *schema.Type, n int) *schema.Type {
		return &schema.Type{Kind: schema.Array, Size: n * elem.Size, Elem: elem, Len: n}
	}
	structure := &schema.Type{Kind: schema.Struct, Size: 48, Name: "f", Def: &schema.StructDef{Name: "f", Size: 48, Load: func() []schema.Field {
		return []schema.Field{
			{Name: "x", Type: i32}, {Name: "y", Type: array(i32, 3), Offset: 4}, {Name: "s", Type: &schema.Type{Kind: schema.String, Size: 4}, Offset: 16},
			{Name: "i", Type: inner, Offset: 20}, {Name: "p", Type: &schema.Type{Kind: schema.Pointer, Size: 8}, Offset: 32},
			{Name: "b1", Type: i32, Offset: 40, BitSize: 3}, {Name: "b2", Type: u32, Offset: 40, BitOffset: 3, BitSize: 5},
		}
	}}}
	record := tuple(i8, str16)
	record.Fields[0].Name, record.Fields[1].Name = "a", "b"
	filled := append(memory(i32, 7), memory(array(i32, 3), []any{1, 2, -3})...)
	filled = append(filled, "abcd"...)
	filled = append(filled, memory(i32, 5)...)
	filled = append(filled, 6, 0, 0, 0, 0, 0, 0, 0)
	filled = append(filled, words64(0xffffc90000000000, 0b10110_101)...)
	for _, test := range []struct {
		name            string
		typ             *schema.Type
		memory          []byte
		text, json, key string // json and key are text's if empty
	}{
		{"int8", i8, memory(i8, -56), "-56", "", ""},
		{"uint8", u8, memory(u8, 200), "200", "", ""},
		{"uint64", u64, words64(1<<64 - 1), "18446744073709551615", `"18446744073709551615"`, ""},
		{"bool", boolT, []byte{1}, "true", "", ""},
		{"string", str16, memory(str16, "a\"b\n"), "a\"b\n", `"a\"b\n"`, ""},
		{"full comm", str16, []byte("0123456789abcdef"), "0123456789abcdef", `"0123456789abcdef"`, ""},
		{"enum", enum, memory(enum, 1), "A", "1", "A"},
		{"enum without name", enum, memory(enum, 9), "9", "", ""},
		{"pointer", &schema.Type{Kind: schema.Pointer, Size: 8}, words64(255), "0xff", "255", "0xff"},
		{"null", &schema.Type{Kind: schema.Pointer, Size: 8}, words64(0), "0x0", "0", "0x0"},
		{"tuple", tuple(i8, str16, tuple(i8, boolT)), memory(tuple(i8, str16, tuple(i8, boolT)), []any{1, "a b", []any{2, true}}),
			"(1, a b, (2, true))", `[1,"a b",[2,true]]`, "1,a b,(2,true)"},
		{"record", record, memory(record, []any{1, "x"}), "{ .a = 1, .b = x }", `{"a": 1, "b": "x"}`, "{.a=1,.b=x}"},
		{"array", array(i32, 3), memory(array(i32, 3), []any{0, 1, -2}), "[0,1,-2]", "", ""},
		{"array of arrays", array(array(i16, 2), 2), memory(array(array(i16, 2), 2), []any{[]any{1, 2}, []any{3, 4}}), "[[1,2],[3,4]]", "", ""},
		{"struct", structure, filled,
			"{ .x = 7, .y = [1,2,-3], .s = abcd, .i = { .q = 5, .r = 6 }, .p = 0xffffc90000000000, .b1 = -3, .b2 = 22 }",
			`{"x": 7, "y": [1,2,-3], "s": "abcd", "i": {"q": 5, "r": 6}, "p": 18446683600570023936, "b1": -3, "b2": 22}`,
			"{.x=7,.y=[1,2,-3],.s=abcd,.i={.q=5,.r=6},.p=0xffffc90000000000,.b1=-3,.b2=22}"},
		{"buffer", &schema.Type{Kind: schema.Buffer, Size: 12}, append(memory(i32, 3), "a\"\x01.....\x00"...), `a"\x01`, "[97,34,1]", `a"\x01`},
		{"inet", &schema.Type{Kind: schema.Inet, Size: 20}, append(memory(i32, 2), []byte{127, 0, 0, 1, 15: 0}...), "127.0.0.1", `"127.0.0.1"`, ""},
		{"mac", &schema.Type{Kind: schema.MAC, Size: 6}, []byte{0x18, 0xc0, 0x4d, 8, 0x2e, 0xbb}, "18:C0:4D:08:2E:BB", `"18:C0:4D:08:2E:BB"`, ""},
		{"ksym", &schema.Type{Kind: schema.KSym, Size: 8}, words64(0xffffffff81000010), "vfs_read", `"vfs_read"`, ""},
		{"unknown ksym", &schema.Type{Kind: schema.KSym, Size: 8}, words64(1), "0x1", `"0x1"`, ""},
		{"usym", &schema.Type{Kind: schema.USym, Size: 16}, words64(0x401020, 42), "main", `"main"`, ""},
		{"probe", &schema.Type{Kind: schema.ProbeName, Size: 4}, memory(u32, 2), "tracepoint:sched:sched_switch", `"tracepoint:sched:sched_switch"`, ""},
		{"target", &schema.Type{Kind: schema.ProbeName, Size: 4, Format: schema.TargetFormat}, memory(u32, 2), "sched:sched_switch", `"sched:sched_switch"`, ""},
		{"probe out of range", &schema.Type{Kind: schema.ProbeName, Size: 4}, memory(u32, 99), "?", `"?"`, ""},
		{"root", &schema.Type{Kind: schema.Username, Size: 4}, memory(u32, 0), "root", `"root"`, ""},
		{"nobody knows", &schema.Type{Kind: schema.Username, Size: 4}, memory(u32, 4294967294), "4294967294", `"4294967294"`, ""},
		{"errno", &schema.Type{Kind: schema.Errno, Size: 4, Signed: true}, memory(i32, 2), "No such file or directory", `"No such file or directory"`, ""},
		{"no errno", &schema.Type{Kind: schema.Errno, Size: 4, Signed: true}, memory(i32, 2000), "Unknown error", `"Unknown error"`, ""},
		{"signal", &schema.Type{Kind: schema.SignalName, Size: 4, Signed: true}, memory(i32, 9), "Killed", `"Killed"`, ""},
		{"no signal", &schema.Type{Kind: schema.SignalName, Size: 4, Signed: true}, memory(i32, 99), "N/A", `"N/A"`, ""},
		{"syscall", &schema.Type{Kind: schema.SyscallName, Size: 8}, words64(1 << 40), "Unknown syscall", `"Unknown syscall"`, ""},
		{"stats", &schema.Type{Kind: schema.Stats, Size: 16, Signed: true}, words64(1<<64-9, 2), "{ .count = 2, .average = -4, .total = -9 }", `{"count": 2, "average": -4, "total": -9}`, "-"},
		{"too short", i64, []byte{1}, "?", "null", "?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript()
			v := newValues(&s.Script, s.session, &fakeSymbols{})
			sink := &jsonSink{output: &output{}, values: v}
			if got := string(v.text(nil, test.typ, test.memory)); got != test.text {
				t.Errorf("text: got %q, want %q", got, test.text)
			}
			if test.json == "" {
				test.json = test.text
			}
			got := sink.json(nil, test.typ, test.memory)
			if string(got) != test.json || !json.Valid(got) {
				t.Errorf("JSON: got %s, want %s", got, test.json)
			}
			if test.key == "" {
				test.key = test.text
			}
			if got := string(sink.key(nil, test.typ, test.memory)); got != test.key && test.key != "-" {
				t.Errorf("JSON key: got %q, want %q", got, test.key)
			}
		})
	}
}

func TestJSONString(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", `""`},
		{"1 \"q\" \\ \t \x01\n\r\b\f", `"1 \"q\" \\ \t \u0001\n\r\b\f"`},
		{"ä€😀", `"ä€😀"`},
		{"\x80a\xc3", `"\ufffda\ufffd"`},
		{"\xed\xa0\x80", `"\ufffd\ufffd\ufffd"`},
		{"\ufffd\x7f\u009b", "\"\ufffd\\u007f\\u009b\""},
	} {
		got := appendJSONString(nil, []byte(test.in))
		if string(got) != test.want || !json.Valid(got) {
			t.Errorf("%q: got %s, want %s", test.in, got, test.want)
		}
	}
}

// FuzzJSONString checks that what is printed can be read.
func FuzzJSONString(f *testing.F) {
	f.Add([]byte("a\xff\x00\""))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := appendJSONString(nil, b); !json.Valid(got) {
			t.Errorf("%q: %s", b, got)
		}
	})
}
