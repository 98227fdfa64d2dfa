package trace

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/schema"
)

// TestUnwound plays a program that names each copy of a stack anew. Entries whose keys have the same frames are one, before and after they
// have been taken out of the kernel's map.
func TestUnwound(t *testing.T) {
	s := newScript()
	s.Config.StackCopy = 4096
	ustack := &schema.Type{Kind: schema.UStack, Size: 16, StackMode: "bpftrace", StackDepth: 4, Unwound: true}
	words := func(n int) *schema.Type { return &schema.Type{Kind: schema.Array, Elem: u64, Len: n, Size: 8 * n} }
	copies := s.event(schema.Event{Kind: schema.StackCopy}, ustack, i64, words(34), words(3))
	shown := s.event(schema.Event{Kind: schema.PrintValue}, ustack)
	key := tuple(i32, ustack)
	name := func(stamp int) []byte { return words64(schema.UnwoundStack|uint64(stamp), 42|7<<32) }
	counts := s.table(schema.Map{Name: "@n", Key: key, Value: count, PerCPU: true, Max: 128}, keyed(key,
		[]any{1, name(1)}, cpus(words64(1), words64(2)), []any{1, name(2)}, cpus(words64(0), words64(4)), []any{2, name(2)}, cpus(words64(1), words64(0)),
		[]any{1, name(3)}, cpus(words64(7), words64(0)), []any{1, words64(1<<64-14, 9)}, cpus(words64(1), words64(1)),
		[]any{1, name(99)}, cpus(words64(50), words64(0)), []any{1, words64(1<<64-1, 42|7<<32)}, cpus(words64(60), words64(0))))
	s.table(schema.Map{Name: "@left", Key: i32, Value: tuple(u64, ustack)}, keyed(i32, 1, cpus(memory(tuple(u64, ustack), []any{5, name(4)}))))

	var out, errs bytes.Buffer
	r := newRun(s.session, s.unit(), Options{Output: &out, Errors: &errs, Symbols: &fakeSymbols{}})
	send := func(stamp int, found []uint64, stack ...uint64) {
		registers := make([]any, 34)
		for i := range registers {
			registers[i] = uint64(0x401020) // the stack pointer among them, which the made-up unwinder takes as the innermost frame
		}
		frames := make([]byte, 24)
		copy(frames, words64(found...))
		r.handleData(append(s.record(copies, name(stamp), uint64(8*len(found)), registers, frames), words64(stack...)...))
	}
	send(1, nil, 0x402000)
	send(2, []uint64{1, 2, 3}, 0x402000)
	send(3, []uint64{0x401020, 0x402000, 0x403000}) // too short; frame pointers lead on
	send(4, []uint64{1, 2, 3})                      // too short, and they do not
	r.values.stacks.unwound.most = 4096
	send(8, []uint64{0x401020, 5, 6}, 0x402000, 0) // what frame pointers lead to is longer
	send(9, []uint64{0x401020, 5}, 0x402000, 0)    // or not
	send(6, nil, make([]uint64, 512)...)           // a whole copy, and too short
	send(7, nil)                                   // one that could not be read
	send(5, nil, 1, 2, 3, 4, 5, 6)                 // more frames than asked for
	step := func(what, want string) {
		t.Helper()
		r.out.flush()
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
		out.Reset()
	}
	r.handleData(s.record(shown, name(2)))
	r.handleData(s.record(shown, name(5)))
	r.handleData(s.record(shown, name(8)))
	r.handleData(s.record(shown, name(9)))
	step("values", "\n        main+32\n        0x402000\n\n\n        main+32\n        0x1\n        0x2\n        0x3\n\n"+
		"\n        main+32\n        0x5\n        0x6\n\n\n        main+32\n        0x402000\n        [cut off]\n\n")

	const all = `@n[2, 
        main+32
        0x402000
]: 1
@n[1, 
]: 2
@n[1, 
        main+32
        0x402000
]: 7
@n[1, 
        main+32
        0x402000
        0x403000
]: 7
@n[1, 
]: 110
`
	print := func() { r.printMap(counts, printMapOptions{}) }
	print()
	step("entries of the kernel", all)
	kernel := s.session.maps[counts.Object].entries
	r.gather()
	if len(kernel) != 7 {
		t.Errorf("%d entries are left after the first look", len(kernel))
	}
	kernel[string(memory(key, []any{1, name(2)}))][0][0]++ // a program is at this one still
	r.gather()
	if len(kernel) != 3 { // that one, and what is not of copies
		t.Errorf("%d entries are left after the second look", len(kernel))
	}
	kernel[string(memory(key, []any{1, name(2)}))][0][0]--
	print()
	step("entries taken", all)
	print()
	step("entries taken, once more", all)
	for range 5 {
		r.gather()
	}
	r.handleData(s.record(shown, name(4)))
	step("a stack that @left refers to", "\n        main+32\n        [cut off]\n\n")
	r.handleData(s.record(shown, name(1)))
	step("one that nothing refers to", "\n\n")
	if n := len(r.values.stacks.unwound.copies); n != 1 {
		t.Errorf("%d copies are remembered", n)
	}
	print()
	step("without copies", all)
	r.printMap(counts, printMapOptions{top: 1, div: 2})
	step("the largest", "@n[1, \n]: 55\n")
	r.zeroMap(counts)
	print()
	step("zeroed", `@n[1, 
        main+32
        0x402000
]: 0
@n[1, 
        main+32
        0x402000
        0x403000
]: 0
@n[1, 
]: 0
@n[1, 
]: 0
@n[2, 
        main+32
        0x402000
]: 0
`)
	r.clearMap(counts)
	print()
	step("cleared", "")
	r.values.stacks.unwound.report(r.message, r.loss.remedies)
	want := "WARNING: 2 of 9 stacks of dw_ustack are cut off: they go on behind the 4096 bytes that are copied of them\n" +
		"HINT: config = { dw_ustack_bytes = N }, or BPFTRACE_DW_USTACK_BYTES=N in the environment, copies more, up to 28672\n"
	if d := cmp.Diff(want, errs.String()); d != "" {
		t.Errorf("messages, -want +got:\n%s", d)
	}
}
