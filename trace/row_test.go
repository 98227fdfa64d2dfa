package trace

import (
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/schema"
)

// column is a column as the compiler makes it of "TITLE:%conversion".
func column(title, verb string, arg int) schema.Column {
	v := parseFormat(verb)[0]
	v.Arg = arg
	return schema.Column{Title: title, Name: title, Verb: v}
}

// rowScript sends rows of two formats.
func rowScript() *script {
	s := newScript()
	signedRatio, words := &schema.Type{Kind: schema.Ratio, Size: 16, Signed: true}, &schema.Type{Kind: schema.Buffer, Size: 36, Format: "quoted", Len: 2}
	columns := []schema.Column{
		column("PID", "%-5d", 0), column("COMM", "%-8.6s", 1), column("LONG", "%6u", 2), column("HEX", "%04x", 3), column("S", "%8.2f", 4),
		column("ARGS", "%s", 5),
	}
	columns[2].Scale, columns[4].Before, columns[4].After, columns[5].Blanks = 1000, "~", "%", 2
	first := s.event(schema.Event{Kind: schema.Row, Columns: columns}, u32, nil, u64, i8, signedRatio, words)
	matching := column("ADDR", "%-6s", 0)
	matching.Parts, matching.Match = parseFormat("%s:%d "), "^a"
	second := s.event(schema.Event{Kind: schema.Row, Columns: []schema.Column{matching}}, nil, i32)
	banner := s.event(schema.Event{Kind: schema.Printf, Verbs: parseFormat("hello\n"), TextOnly: true})
	exit := s.event(schema.Event{Kind: schema.Exit})
	args := append([]byte{32, 0, 0, 0}, "a\"\n\x00b c\x00d\x00                        "...)
	ratio := func(a, b int64) []byte { return words64(uint64(a), uint64(b)) }
	s.session.attach = func() {
		s.send(banner)
		s.send(first, 12, varString{"sh", false}, 5000, 31, ratio(-1, 3), args)
		s.send(first, 123456, varString{"\x1b[2J\xffä\u202e\t", true}, uint64(1<<64-1), -1, ratio(1, 0), args)
		s.send(second, varString{"ab", false}, 7)
		s.send(second, varString{"b", false}, 7)
		s.send(first, 1, varString{"", false}, 0, 0, ratio(7, 2), args)
		s.send(exit)
	}
	return s
}

func TestRows(t *testing.T) {
	want := "hello\n" +
		"PID   COMM       LONG  HEX          S  ARGS\n" +
		"12    sh            5 001f ~   -0.33%  \"a\\\"\\n\" \"b c\" ...\n" +
		"123456 \\x1b[2   18446744073709551 00ff ~    0.00%  \"a\\\"\\n\" \"b c\" ...\n" +
		"ADDR\n" +
		"ab:7\n" +
		"PID   COMM       LONG  HEX          S  ARGS\n" +
		"1                   0 0000 ~    3.50%  \"a\\\"\\n\" \"b c\" ...\n" +
		"\n\n"
	if diff := cmp.Diff(result{Output: want}, rowScript().play(t, Options{})); diff != "" {
		t.Error(diff)
	}
}

func TestRowsJSON(t *testing.T) {
	want := `{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"PID":12,"COMM":"sh","LONG":5,"HEX":31,"S":-0.3333333333333333,"ARGS":["a\"\n","b c","..."]}
{"PID":123456,"COMM":"\u001b[2J\ufffdä` + "\u202e" + `\t..","LONG":18446744073709551,"HEX":255,"S":0,"ARGS":["a\"\n","b c","..."]}
{"ADDR":"ab:7"}
{"PID":1,"COMM":"","LONG":0,"HEX":0,"S":3.5,"ARGS":["a\"\n","b c","..."]}
`
	if diff := cmp.Diff(result{Output: want}, rowScript().play(t, Options{JSON: true})); diff != "" {
		t.Error(diff)
	}
}

// TestHeaderFirst has no row at all: the header stands there when tracing begins, unless it would be that of rows at the end.
func TestHeaderFirst(t *testing.T) {
	for _, test := range []struct {
		name string
		late bool
		want string
	}{
		{"rows while tracing", false, "begin\nPID COMM\n\n\n"},
		{"rows at the end", true, "begin\n\n\n"},
	} {
		s := newScript()
		text := s.event(schema.Event{Kind: schema.Printf, Verbs: parseFormat("begin\n")})
		s.event(schema.Event{Kind: schema.Row, Late: test.late, Columns: []schema.Column{column("PID", "%d", 0), column("COMM", "%s", 1)}}, u32, nil)
		s.session.attach = func() { s.send(text) }
		signals := make(chan os.Signal, 1)
		signals <- os.Interrupt
		if got := s.play(t, Options{Signals: signals}).Output; got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestNamesInRows shows numbers by a table, and addresses by what a name server has answered before.
func TestNamesInRows(t *testing.T) {
	table := schema.NameTable{Names: []schema.MaskedName{{Mask: 0x800, Value: 0x800, Name: "Sync-"}, {Mask: 0, Value: 0, Name: "never"},
		{Mask: 0xff, Value: 0, Name: "Read"}, {Mask: 0xff, Value: 1, Name: "Write"}}, Other: "Unknown"}
	names, host := &schema.Type{Kind: schema.Names, Size: 8, Format: table.String()}, &schema.Type{Kind: schema.Inet, Size: 20, Format: "dns"}
	play := func(json bool) string {
		s := newScript()
		row := s.event(schema.Event{Kind: schema.Row, Columns: []schema.Column{column("FLAGS", "%-13s", 0), column("QUERY", "%s", 1)}}, names, host)
		dns := s.event(schema.Event{Kind: schema.DNSAnswer}, nil)
		exit := s.event(schema.Event{Kind: schema.Exit})
		addr := append([]byte("\x02\x00\x00\x00\xc0\x00\x02\x01"), make([]byte, 12)...)
		s.session.attach = func() {
			s.send(row, words64(0x801), addr)
			s.send(dns, varString{string(answer(dnsHeader, dnsQuestion, dnsCNAME, dnsA, dnsAAAA)), false})
			s.send(row, words64(0x1802), addr)
			s.send(exit)
		}
		return s.play(t, Options{JSON: json}).Output
	}
	want := "FLAGS         QUERY\nSync-Write    No DNS Query\nSync-Unknown  www.example.org\n\n\n"
	if diff := cmp.Diff(want, play(false)); diff != "" {
		t.Error(diff)
	}
	want = `{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"FLAGS":"Sync-Write","QUERY":null}
{"FLAGS":"Sync-Unknown","QUERY":"www.example.org"}
`
	if diff := cmp.Diff(want, play(true)); diff != "" {
		t.Error(diff)
	}
}

// TestRowDoesNotAllocate: rows come as often as events of printf().
func TestRowDoesNotAllocate(t *testing.T) {
	for _, json := range []bool{false, true} {
		s := newScript()
		id := s.event(schema.Event{Kind: schema.Row, Columns: []schema.Column{column("PID", "%-7d", 0), column("COMM", "%-16s", 1), column("PATH", "%s", 2)}},
			u32, str16, nil)
		record := s.record(id, 12345, "systemd-journal", varString{"/proc/sys/kernel/random/boot_id", false})
		r := newRun(s.session, s.unit(), Options{JSON: json, Output: io.Discard, Errors: io.Discard, Symbols: &fakeSymbols{}})
		if n := testing.AllocsPerRun(10000, func() { r.handleData(record) }); n >= 1 {
			t.Errorf("JSON %t: %.2f allocations for each row", json, n)
		}
	}
}

// TestEscaped shows what could steer a terminal.
func TestEscaped(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"plain text", "plain text"},
		{"", ""},
		{"a\nb\tc\rd\a\b\v\f", `a\nb\tc\rd\a\b\v\f`},
		{"\x00\x01\x1b[31m\x7f", `\x00\x01\x1b[31m\x7f`},
		{"dev-disk-by\\x2did", "dev-disk-by\\x2did"},
		{"größe €", "größe €"},
		{"\xff\xc3(\xe2\x82", `\xff\xc3(\xe2\x82`},
		{"\u0085\u009b", `\u0085\u009b`},
		{"\u202egnp.exe\u2028", `\u202egnp.exe\u2028`},
		{"\U000e0001", `\U000e0001`},
	} {
		if got := string(appendEscaped([]byte("x"), []byte(test.text))); got != "x"+test.want {
			t.Errorf("%q: got %s, want %s", test.text, got[1:], test.want)
		}
	}
}
