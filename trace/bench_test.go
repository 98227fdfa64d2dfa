package trace

import (
	"io"
	"testing"

	"skep/schema"
)

// BenchmarkPrintf handles records as opensnoop sends them, from the ring's memory to the writer.
func BenchmarkPrintf(b *testing.B) {
	for _, json := range []bool{false, true} {
		name := "text"
		if json {
			name = "json"
		}
		b.Run(name, func(b *testing.B) {
			s := newScript()
			id := s.event(schema.Event{Kind: schema.Printf, Verbs: parseFormat("%-6d %-16s %4d %3d %s\n")}, u32, str16, i32, i32, nil)
			record := s.record(id, 12345, "systemd-journal", 7, 0, varString{"/proc/sys/kernel/random/boot_id", false})
			r := newRun(s.session, s.unit(), Options{JSON: json, Output: io.Discard, Errors: io.Discard, Symbols: &fakeSymbols{}})
			b.ReportAllocs()
			for b.Loop() {
				r.handleData(record)
			}
		})
	}
}

// TestPrintfDoesNotAllocate keeps the hot path free of garbage.
func TestPrintfDoesNotAllocate(t *testing.T) {
	for _, json := range []bool{false, true} {
		s := newScript()
		id := s.event(schema.Event{Kind: schema.Printf, Verbs: parseFormat("%-6d %-16s %x %lld %s %5s %05d %r\n")},
			u32, str16, i32, i64, nil, boolT, i32, &schema.Type{Kind: schema.Buffer, Size: 12})
		record := s.record(id, 12345, "systemd-journal", 7, -1, varString{"/proc/sys/kernel", true}, true, 3, []byte{3, 0, 0, 0, 'a', 'b', 'c'})
		r := newRun(s.session, s.unit(), Options{JSON: json, Output: io.Discard, Errors: io.Discard, Symbols: &fakeSymbols{}})
		if n := testing.AllocsPerRun(10000, func() { r.handleData(record) }); n >= 1 {
			t.Errorf("JSON %t: %.2f allocations for each printf", json, n)
		}
	}
}
