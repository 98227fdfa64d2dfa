package trace

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/lang/bpftrace/lower"
	"skep/schema"
)

// keyed is the content of a map from entries of one or more CPUs.
func keyed(key *schema.Type, entries ...any) map[string][][]byte {
	m := map[string][][]byte{}
	for i := 0; i < len(entries); i += 2 {
		m[string(memory(key, entries[i]))] = entries[i+1].([][]byte)
	}
	return m
}

func cpus(values ...[]byte) [][]byte { return values }

// buckets is a histogram in which each of these buckets counts one.
func buckets(n int, of ...int) []byte {
	w := make([]uint64, n)
	for _, i := range of {
		w[i]++
	}
	return words64(w...)
}

func aggregations(s *script) {
	key := tuple(i64, str16)
	signed := func(k schema.Kind) *schema.Type { return &schema.Type{Kind: k, Size: 16, Signed: true} }
	neg := func(n int64) uint64 { return uint64(n) }
	s.table(schema.Map{Name: "@z", Value: i8}, scalar(memory(i8, 1)))
	s.table(schema.Map{Name: "@a", Value: str16}, scalar(memory(str16, "str")))
	s.table(schema.Map{Name: "@t", Key: key, Value: tuple(i8, str16)}, keyed(key,
		[]any{2, "b"}, cpus(memory(tuple(i8, str16), []any{1, "b"})), []any{-1, "z"}, cpus(memory(tuple(i8, str16), []any{9, "a"})),
		[]any{2, "a"}, cpus(memory(tuple(i8, str16), []any{5, "c"}))))
	s.table(schema.Map{Name: "@c", Key: str16, Value: count, PerCPU: true}, keyed(str16,
		"c", cpus(words64(1), words64(1)), "b", cpus(words64(0), words64(1)), "a", cpus(words64(1), words64(0))))
	s.table(schema.Map{Name: "@su", Value: &schema.Type{Kind: schema.Sum, Size: 8, Signed: true}, PerCPU: true}, scalar(words64(neg(-9)), words64(4)))
	s.table(schema.Map{Name: "@mi", Value: signed(schema.Min), PerCPU: true}, scalar(words64(3, 1), words64(0, 0), words64(neg(-3), 1)))
	s.table(schema.Map{Name: "@ma", Value: signed(schema.Max), PerCPU: true}, scalar(words64(0, 0), words64(neg(-3), 1), words64(neg(-5), 1)))
	s.table(schema.Map{Name: "@av", Value: signed(schema.Avg), PerCPU: true}, scalar(words64(neg(-7), 1), words64(neg(-2), 1)))
	s.table(schema.Map{Name: "@avk", Key: i64, Value: signed(schema.Avg), PerCPU: true}, keyed(i64,
		1, cpus(words64(10, 1)), 2, cpus(words64(neg(-6), 2)), 3, cpus(words64(3, 1))))
	s.table(schema.Map{Name: "@st", Key: i64, Value: signed(schema.Stats), PerCPU: true}, keyed(i64,
		1, cpus(words64(neg(-7), 1), words64(neg(-2), 1)), 2, cpus(words64(5, 1), words64(0, 0))))
	hist := &schema.Type{Kind: schema.Hist}
	n := schema.HistBuckets(0)
	s.table(schema.Map{Name: "@h", Value: hist, PerCPU: true}, scalar(buckets(n, schema.HistIndex(5, 0)), buckets(n, schema.HistIndex(-3, 0))))
	s.table(schema.Map{Name: "@hk", Key: i64, Value: hist, PerCPU: true}, keyed(i64,
		1, cpus(buckets(n, schema.HistIndex(50, 0), schema.HistIndex(50, 0))), 2, cpus(buckets(n, schema.HistIndex(5, 0)))))
	lhist := &schema.Type{Kind: schema.LHist, Min: 0, Max: 10, Step: 2}
	s.table(schema.Map{Name: "@l", Value: lhist, PerCPU: true}, scalar(buckets(7, 3, 0), buckets(7, 6)))
	s.table(schema.Map{Name: "@u", Key: i64, Value: u64}, keyed(i64, 1, cpus(words64(5)), 2, cpus(words64(1<<64-1)), 3, cpus(words64(3))))
}

// TestMaps prints maps at the end: by name, each sorted by value, then by key.
func TestMaps(t *testing.T) {
	s := newScript()
	aggregations(s)
	exit := s.event(schema.Event{Kind: schema.Exit})
	s.session.attach = func() { s.send(exit) }
	want := `

@a: str
@av: -4
@avk[2]: -3
@avk[3]: 3
@avk[1]: 10
@c[a]: 1
@c[b]: 1
@c[c]: 2
@h:
(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[0]                    0 |                                                    |
[1]                    0 |                                                    |
[2, 4)                 0 |                                                    |
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@hk[2]:
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@hk[1]:
[32, 64)               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@l:
(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[0, 2)                 0 |                                                    |
[2, 4)                 0 |                                                    |
[4, 6)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[6, 8)                 0 |                                                    |
[8, 10)                0 |                                                    |
[10, ...)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@ma: -3
@mi: -3
@st[1]: { .count = 2, .average = -4, .total = -9 }
@st[2]: { .count = 1, .average = 5, .total = 5 }
@su: -5
@t[-1, z]: (9, a)
@t[2, a]: (5, c)
@t[2, b]: (1, b)
@u[3]: 3
@u[1]: 5
@u[2]: 18446744073709551615
@z: 1
`
	if diff := cmp.Diff(result{Output: want}, s.play(t, Options{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMapsJSON(t *testing.T) {
	s := newScript()
	aggregations(s)
	exit := s.event(schema.Event{Kind: schema.Exit})
	s.session.attach = func() { s.send(exit) }
	want := `{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"type": "map", "data": {"@a": "str"}}
{"type": "stats", "data": {"@av": -4}}
{"type": "stats", "data": {"@avk": {"2": -3, "3": 3, "1": 10}}}
{"type": "map", "data": {"@c": {"a": 1, "b": 1, "c": 2}}}
{"type": "hist", "data": {"@h": [{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 0},{"min": 1, "max": 1, "count": 0},{"min": 2, "max": 3, "count": 0},{"min": 4, "max": 7, "count": 1}]}}
{"type": "hist", "data": {"@hk": {"2": [{"min": 4, "max": 7, "count": 1}], "1": [{"min": 32, "max": 63, "count": 2}]}}}
{"type": "hist", "data": {"@l": [{"max": -1, "count": 1},{"min": 0, "max": 1, "count": 0},{"min": 2, "max": 3, "count": 0},{"min": 4, "max": 5, "count": 1},{"min": 6, "max": 7, "count": 0},{"min": 8, "max": 9, "count": 0},{"min": 10, "count": 1}]}}
{"type": "map", "data": {"@ma": -3}}
{"type": "map", "data": {"@mi": -3}}
{"type": "stats", "data": {"@st": {"1": {"count": 2, "average": -4, "total": -9}, "2": {"count": 1, "average": 5, "total": 5}}}}
{"type": "map", "data": {"@su": -5}}
{"type": "map", "data": {"@t": {"-1,z": [9,"a"], "2,a": [5,"c"], "2,b": [1,"b"]}}}
{"type": "map", "data": {"@u": {"3": 3, "1": 5, "2": "18446744073709551615"}}}
{"type": "map", "data": {"@z": 1}}
`
	if diff := cmp.Diff(result{Output: want}, s.play(t, Options{JSON: true})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestZeroAndClear has maps that lose their values but not, when zeroed, their keys.
func TestZeroAndClear(t *testing.T) {
	s := newScript()
	hist := &schema.Type{Kind: schema.Hist}
	n := schema.HistBuckets(0)
	maps := []*schema.Map{
		s.table(schema.Map{Name: "@b", Value: i64}, scalar(words64(1))),
		s.table(schema.Map{Name: "@c", Value: i64}, scalar(words64(5))),
		s.table(schema.Map{Name: "@d", Key: i64, Value: count, PerCPU: true}, keyed(i64, 1, cpus(words64(1), words64(2)))),
		s.table(schema.Map{Name: "@h", Value: hist, PerCPU: true}, scalar(buckets(n, 3), buckets(n, 4))),
		s.table(schema.Map{Name: "@k", Key: i64, Value: i64}, keyed(i64, 1, cpus(words64(1)))),
	}
	clearB := s.event(schema.Event{Kind: schema.ClearMap, Map: maps[0]})
	clearK := s.event(schema.Event{Kind: schema.ClearMap, Map: maps[4]})
	printB := s.event(schema.Event{Kind: schema.PrintMap, Map: maps[0]})
	printK := s.event(schema.Event{Kind: schema.PrintMap, Map: maps[4]})
	zero := []int{}
	for _, m := range maps[1:4] {
		zero = append(zero, s.event(schema.Event{Kind: schema.ZeroMap, Map: m}))
	}
	exit := s.event(schema.Event{Kind: schema.Exit})
	s.session.attach = func() {
		s.send(clearB)
		s.send(clearK)
		s.send(printB)
		s.send(printK)
		for _, id := range zero {
			s.send(id)
		}
		s.send(exit)
	}
	want := result{Output: "@b: 0\n\n\n@c: 0\n@d[1]: 0\n@h:\n\n"}
	if diff := cmp.Diff(want, s.play(t, Options{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestStacks prints stacks as values and keys, in all modes.
func TestStacks(t *testing.T) {
	stack := func(kind schema.Kind, mode string) *schema.Type {
		size := 8
		if kind == schema.UStack {
			size = 16
		}
		return &schema.Type{Kind: kind, Size: size, StackDepth: 3, StackMode: mode}
	}
	k, perf := stack(schema.KStack, "bpftrace"), stack(schema.KStack, "perf")
	play := func(json bool) (result, int) {
		s := newScript()
		s.session.maps[lower.StackMapName(false, 3)] = &fakeMap{entries: map[string][][]byte{
			"\x05\x00\x00\x00": {words64(0xffffffff81000010, 0xffffffff81000200, 0)}, "\x06\x00\x00\x00": {words64(0xffffffff81000010, 1, 2)}}}
		s.session.maps[lower.StackMapName(true, 3)] = &fakeMap{entries: map[string][][]byte{"\x05\x00\x00\x00": {words64(0x401020, 0x7f0000001000, 0)}}}
		s.session.maps[lower.OverflowMapName(false, 3)] = &fakeMap{entries: map[string][][]byte{
			"\x05\x00\x00\x00": {words64(1, 0xffffffff81000200, 7, 7)}}}
		s.table(schema.Map{Name: "@k", Key: k, Value: count}, map[string][][]byte{
			string(words64(5)): {words64(1)}, string(words64(1<<63 | 5)): {words64(2)}, string(words64(6)): {words64(3)}})
		s.table(schema.Map{Name: "@t", Key: tuple(k, i64), Value: count}, map[string][][]byte{string(words64(5, 1)): {words64(1)}})
		s.table(schema.Map{Name: "@u", Key: stack(schema.UStack, "bpftrace"), Value: count}, map[string][][]byte{string(words64(5, 42)): {words64(1)}})
		s.table(schema.Map{Name: "@v", Value: k}, scalar(words64(5)))
		var send []func()
		for _, v := range []struct {
			typ   *schema.Type
			words []uint64
		}{
			{perf, []uint64{5}}, {stack(schema.KStack, "raw"), []uint64{5}}, {stack(schema.UStack, "build_id"), []uint64{5, 42}},
			{stack(schema.UStack, "perf"), []uint64{5, 42}}, {k, []uint64{1<<64 - 14}}, {tuple(i64, k), []uint64{1, 5}},
		} {
			id := s.event(schema.Event{Kind: schema.PrintValue}, v.typ)
			send = append(send, func() { s.send(id, words64(v.words...)) })
		}
		exit := s.event(schema.Event{Kind: schema.Exit})
		s.session.attach = func() {
			for _, f := range send {
				f()
			}
			s.send(exit)
		}
		symbols := &fakeSymbols{}
		return s.play(t, Options{JSON: json, Symbols: symbols}), symbols.batches
	}
	got, _ := play(false)
	want := `
	ffffffff81000010 vfs_read+16
	ffffffff81000200 do_syscall_64+99


ffffffff81000010
ffffffff81000200


a226e0f1 0x1020
7f0000001000


	401020 main+32 (/bin/app)
	7f0000001000 0x7f0000001000 (/bin/app)



(1, 
        vfs_read+16
        do_syscall_64+99
)


@k[
        vfs_read+16
        do_syscall_64+99
]: 1
@k[
        do_syscall_64+99
]: 2
@k[
        vfs_read+16
        0x1
        0x2
]: 3
@t[
        vfs_read+16
        do_syscall_64+99
, 1]: 1
@u[
        main+32
        0x7f0000001000
]: 1
@v: 
        vfs_read+16
        do_syscall_64+99

`
	if diff := cmp.Diff(result{Output: want}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got, _ = play(true)
	want = `{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"type": "value", "data": "\n\tffffffff81000010 vfs_read+16\n\tffffffff81000200 do_syscall_64+99\n"}
{"type": "value", "data": "\nffffffff81000010\nffffffff81000200\n"}
{"type": "value", "data": "\na226e0f1 0x1020\n7f0000001000\n"}
{"type": "value", "data": "\n\t401020 main+32 (/bin/app)\n\t7f0000001000 0x7f0000001000 (/bin/app)\n"}
{"type": "value", "data": "\n"}
{"type": "value", "data": [1,"\n        vfs_read+16\n        do_syscall_64+99\n"]}
{"type": "map", "data": {"@k": {"\nvfs_read+16\ndo_syscall_64+99\n": 1, "\ndo_syscall_64+99\n": 2, "\nvfs_read+16\n0x1\n0x2\n": 3}}}
{"type": "map", "data": {"@t": {"\nvfs_read+16\ndo_syscall_64+99\n,1": 1}}}
{"type": "map", "data": {"@u": {"\nmain+32\n0x7f0000001000\n": 1}}}
{"type": "map", "data": {"@v": "\n        vfs_read+16\n        do_syscall_64+99\n"}}
`
	if diff := cmp.Diff(result{Output: want}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
