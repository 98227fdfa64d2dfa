package trace

import (
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/golden"
	"skep/lang/bpftrace/lower"
	"skep/schema"
)

// viewScript prints maps in the forms of BCC's tools.
func viewScript() *script {
	s := newScript()
	s.Config.PrintMapsOnExit = false
	hist, lhist := &schema.Type{Kind: schema.Hist}, &schema.Type{Kind: schema.LHist, Min: 10, Max: 30, Step: 10}
	log2 := func(of ...int64) []byte {
		b := make([]uint64, schema.HistBuckets(0))
		for _, v := range of {
			b[schema.HistIndex(v, 0)]++
		}
		return words64(b...)
	}
	h := s.table(schema.Map{Name: "@h", Value: hist, PerCPU: true}, scalar(log2(0, 1, 2, 5, 6, 7), log2(5)))
	hk := s.table(schema.Map{Name: "@hk", Key: str16, Value: hist, PerCPU: true}, keyed(str16,
		"vdb", cpus(log2(1<<32)), "vda\n", cpus(log2(-1, 3)), "none", cpus(log2())))
	l := s.table(schema.Map{Name: "@l", Value: lhist, PerCPU: true}, scalar(buckets(4, 0, 1, 3)))
	ln := s.table(schema.Map{Name: "@ln", Value: lhist, PerCPU: true}, scalar(buckets(4, 1)))
	key := tuple(i32, str16)
	reads := s.table(schema.Map{Name: "@reads", Key: key, Value: count, PerCPU: true}, keyed(key,
		[]any{1, "a"}, cpus(words64(3)), []any{2, "b\t"}, cpus(words64(5)), []any{3, "c"}, cpus(words64(3))))
	sum := s.table(schema.Map{Name: "@bytes", Key: key, Value: &schema.Type{Kind: schema.Sum, Size: 8}, PerCPU: true}, keyed(key,
		[]any{1, "a"}, cpus(words64(4096)), []any{4, "d"}, cpus(words64(1<<63))))
	stats := s.table(schema.Map{Name: "@s", Value: &schema.Type{Kind: schema.Stats, Size: 16}, PerCPU: true}, scalar(words64(30, 4)))
	kstack, ustack := &schema.Type{Kind: schema.KStack, Size: 8, StackMode: "bpftrace", StackDepth: 4}, &schema.Type{Kind: schema.UStack, Size: 16, StackMode: "bpftrace", StackDepth: 4}
	s.session.maps[lower.StackMapName(false, 4)] = &fakeMap{entries: map[string][][]byte{
		string(words32(1)): {words64(0xffffffff81000010, 0xffffffff81000200, 0, 0)}}}
	s.session.maps[lower.StackMapName(true, 4)] = &fakeMap{entries: map[string][][]byte{
		string(words32(2)): {words64(0x401020, 0x402000, 0, 0)}}}
	stackKey := tuple(str16, kstack, ustack)
	none := uint64(1<<64 - 14)
	k := s.table(schema.Map{Name: "@k", Key: stackKey, Value: count, PerCPU: true}, map[string][][]byte{
		"app;x\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + string(words64(1, 2, 42)):               {words64(5)},
		"app;x\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + string(words64(1, 2, 42|7<<32)):         {words64(2)},
		"kthread\x00\x00\x00\x00\x00\x00\x00\x00\x00" + string(words64(1, none, 9)):                   {words64(9)},
		"lost\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + string(words64(1<<64-1, 1<<64-1, 9)): {words64(1)},
	})
	view := func(m *schema.Map, v schema.View) int {
		return s.event(schema.Event{Kind: schema.PrintMap, Map: m, View: &v})
	}
	places := tuple(str16, kstack, str16)
	waits := s.table(schema.Map{Name: "@waits", Key: places, Value: hist, PerCPU: true}, map[string][][]byte{
		"waker\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + string(words64(1)) + "target\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": {log2(2, 5)},
	})
	sizes := s.table(schema.Map{Name: "@sizes", Key: key, Value: hist, PerCPU: true}, keyed(key, []any{7, "a\n"}, cpus(log2(1))))
	columns := []schema.Column{column("PID", "%-5d", 0), column("COMM", "%-6s", 1), column("READS", "%5d", 2), column("KB", "%8.1f", 3)}
	columns[3].Scale = 1024
	events := []int{
		view(h, schema.View{Form: schema.FormLog2, Unit: "usecs"}),
		view(hk, schema.View{Form: schema.FormLog2, Unit: "usecs", Section: "disk"}),
		view(l, schema.View{Form: schema.FormLinear, Unit: "runqlen"}),
		view(ln, schema.View{Form: schema.FormLinear, Unit: "runqlen"}),
		view(reads, schema.View{Form: schema.FormTable, Columns: columns, More: []*schema.Map{sum}, Sort: 2, Top: 3}),
		view(reads, schema.View{Form: schema.FormTable, Columns: columns, More: []*schema.Map{sum}, Sort: 3, Top: 1}),
		view(reads, schema.View{Form: schema.FormTable, Columns: columns[:3], Sort: 1}),
		view(stats, schema.View{Form: schema.FormTable, Columns: []schema.Column{column("N", "%d", 0), column("AVG", "%d", 1), column("TOTAL", "%d", 2)}}),
		view(k, schema.View{Form: schema.FormFolded, Delimiter: true, Mark: "_[k]"}),
		view(k, schema.View{Form: schema.FormStacks, Delimiter: true}),
		view(k, schema.View{Form: schema.FormFolded, Names: []string{"comm"}, Value: "us"}),
		view(waits, schema.View{Form: schema.FormStacks, Names: []string{"waker:", "target:"}, Value: "usecs"}),
		view(waits, schema.View{Form: schema.FormStacks, Names: []string{"", "target"}, Value: "usecs"}),
		view(k, schema.View{Form: schema.FormFolded, Names: []string{""}}),
		view(sizes, schema.View{Form: schema.FormLog2, Unit: "bytes", Section: "pid,comm"}),
		s.event(schema.Event{Kind: schema.Refresh}),
	}
	exit := s.event(schema.Event{Kind: schema.Exit})
	s.session.attach = func() {
		for _, id := range append(events, exit) {
			s.send(id)
		}
	}
	return s
}

func words32(w ...uint32) []byte {
	var b []byte
	for _, v := range w {
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return b
}

// TestViews compares with testdata/views.txtar: the formats are those that BCC's documentation and users know.
func TestViews(t *testing.T) {
	golden.Run(t, "testdata/views.txtar", func(t *testing.T, _ *txtar.Archive) map[string]string {
		text, json := viewScript().play(t, Options{}), viewScript().play(t, Options{JSON: true})
		if text.Errors+json.Errors != "" {
			t.Error(text.Errors, json.Errors)
		}
		now := regexp.MustCompile(`"time":"[0-9-]{10}T[0-9:]{8}[^"]+"`)
		return map[string]string{"text": text.Output, "json": now.ReplaceAllString(json.Output, `"time":"NOW"`)}
	})
}
