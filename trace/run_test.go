package trace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skep/internal/diag"
	"skep/lang/bpftrace/lower"
	"skep/schema"
)

func literal(text string) []schema.Verb { return []schema.Verb{{Text: text, Width: -1, Precision: -1}} }

func verb(conv string, arg int) schema.Verb {
	return schema.Verb{Conv: conv, Arg: arg, Width: -1, Precision: -1}
}

// TestOrder has control events between data events: each must act exactly where the script has it.
func TestOrder(t *testing.T) {
	s := newScript()
	m := s.table(schema.Map{Name: "@x", Key: i64, Value: i64}, map[string][][]byte{
		string(memory(i64, 1)): {memory(i64, 10)}, string(memory(i64, 2)): {memory(i64, 20)}, string(memory(i64, 3)): {memory(i64, 5)},
	})
	line := s.event(schema.Event{Kind: schema.Printf, Verbs: append(literal("line "), verb("d", 0), literal("\n")[0])}, i32)
	print := s.event(schema.Event{Kind: schema.PrintMap, Map: m})
	top := s.event(schema.Event{Kind: schema.PrintMap, Map: m}, i64, i64)
	clear := s.event(schema.Event{Kind: schema.ClearMap, Map: m})
	exit := s.event(schema.Event{Kind: schema.Exit}, i64)
	s.session.attach = func() {
		s.send(line, 1)
		s.send(print)
		s.send(line, 2)
		s.send(line, 3)
		s.send(top, 2, 5)
		s.send(clear)
		s.send(print)
		s.send(line, 4)
		s.send(exit, 7)
		s.send(line, 5)
	}
	s.session.run = func(program string) {
		if program != "end" {
			t.Errorf("program %s was run", program)
		}
		s.send(line, 6)
		s.send(print)
	}
	got := s.play(t, Options{})
	want := result{Exit: 7, Output: `line 1
@x[3]: 5
@x[1]: 10
@x[2]: 20
line 2
line 3
@x[1]: 2
@x[2]: 4
line 4
line 5
line 6


`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOrderAlone is a script that begin ends: all has happened before the first look at the rings.
func TestOrderAlone(t *testing.T) {
	s := newScript()
	m := s.table(schema.Map{Name: "@x", Value: i64}, scalar(words64(7)))
	line := s.event(schema.Event{Kind: schema.Printf, Verbs: append(literal("line "), verb("d", 0), literal("\n")[0])}, i32)
	print := s.event(schema.Event{Kind: schema.PrintMap, Map: m})
	s.alone = true
	s.session.attach = func() {
		s.send(print)
		s.send(line, 1)
		s.send(print)
		s.send(line, 2)
	}
	want := result{Output: "@x: 7\nline 1\n@x: 7\nline 2\n\n\n@x: 7\n"}
	if diff := cmp.Diff(want, s.play(t, Options{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestEmptyEnd is what remains of a script that prints nothing.
func TestEmptyEnd(t *testing.T) {
	s := newScript()
	exit := s.event(schema.Event{Kind: schema.Exit})
	s.session.attach = func() { s.send(exit) }
	s.table(schema.Map{Name: "@never", Value: i64}, map[string][][]byte{"\x00\x00\x00\x00": {make([]byte, 16)}})
	s.table(schema.Map{Name: "@none", Key: i64, Value: i64}, nil)
	if diff := cmp.Diff(result{Output: "\n\n"}, s.play(t, Options{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSignal ends a run that would go on for ever, and checks that it prints what it has.
func TestSignal(t *testing.T) {
	s := newScript()
	s.table(schema.Map{Name: "@n", Value: count, PerCPU: true}, scalar(words64(2), words64(3)))
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGINT
	s.session.state[lower.StateStop/8] = 1
	s.session.run = func(string) {
		if s.session.state[lower.StateStop/8] != 0 {
			t.Error("END is run while programs are told to stop")
		}
	}
	if diff := cmp.Diff(result{Output: "\n\n@n: 5\n"}, s.play(t, Options{Signals: signals})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// stuckWriter blocks until it is released.
type stuckWriter struct{ entered, release chan struct{} }

func (w stuckWriter) Write(p []byte) (int, error) {
	select {
	case <-w.entered:
	default:
		close(w.entered)
	}
	<-w.release
	return len(p), nil
}

// TestSecondSignal gives up output that nobody takes, but not for a signal that came twice at once, as from timeout(1).
func TestSecondSignal(t *testing.T) {
	for _, test := range []struct {
		name string
		more bool // signals after the first two
		exit int
		err  error
	}{
		{"at once", false, 0, nil},
		{"later", true, 130, ErrInterrupted},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript()
			w := stuckWriter{make(chan struct{}), make(chan struct{})}
			signals, done := make(chan os.Signal), make(chan struct{})
			go func() {
				signals <- syscall.SIGINT
				signals <- syscall.SIGINT
				<-w.entered
				if !test.more {
					time.Sleep(2 * signalPatience) // nothing may happen meanwhile
					close(w.release)
					return
				}
				for {
					select {
					case signals <- syscall.SIGINT:
					case <-done:
						close(w.release)
						return
					}
				}
			}()
			exit, err := Run(context.Background(), s.session, s.unit(), Options{
				Output: w, Errors: io.Discard, Quiet: true, Signals: signals, Symbols: &fakeSymbols{}})
			close(done)
			if exit != test.exit || !errors.Is(err, test.err) {
				t.Errorf("exit %d, error %v", exit, err)
			}
		})
	}
}

// TestReaderGone writes to a pipe that nobody reads.
func TestReaderGone(t *testing.T) {
	s := newScript()
	hello := s.event(schema.Event{Kind: schema.Printf, Verbs: literal("hello\n")})
	s.session.attach = func() { s.send(hello) }
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	var errs bytes.Buffer
	exit, err := Run(context.Background(), s.session, s.unit(), Options{
		Output: w, Errors: &errs, Quiet: true, Signals: make(chan os.Signal), Symbols: &fakeSymbols{}})
	if exit != 141 || err != nil || errs.Len() > 0 {
		t.Errorf("exit %d, error %v, messages %q", exit, err, errs.String())
	}
}

// TestDiskFull must not end as if all had been written.
func TestDiskFull(t *testing.T) {
	s := newScript()
	hello := s.event(schema.Event{Kind: schema.Printf, Verbs: literal("hello\n")})
	s.session.attach = func() { s.send(hello) }
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	exit, err := Run(context.Background(), s.session, s.unit(), Options{
		Output: full, Errors: io.Discard, Quiet: true, Signals: make(chan os.Signal), Symbols: &fakeSymbols{}})
	if exit != 1 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("exit %d, error %v", exit, err)
	}
}

func TestAttached(t *testing.T) {
	for _, test := range []struct {
		json, quiet, bare bool
		out, message      string
	}{
		{message: "Attached 2 probes\n", out: "\n\n"},
		{quiet: true, out: "\n\n"},
		{quiet: true, bare: true},
		{json: true, out: `{"type": "attached_probes", "count": 2, "data": {"probes": 2}}` + "\n"},
		{json: true, quiet: true},
	} {
		s := newScript()
		exit := s.event(schema.Event{Kind: schema.Exit})
		s.session.attach = func() { s.send(exit) }
		var out, errs bytes.Buffer
		_, err := Run(context.Background(), s.session, s.unit(), Options{
			JSON: test.json, Quiet: test.quiet, Bare: test.bare, Output: &out, Errors: &errs, Signals: make(chan os.Signal), Symbols: &fakeSymbols{}})
		if err != nil || out.String() != test.out || errs.String() != test.message {
			t.Errorf("json %t, quiet %t: output %q, messages %q, error %v", test.json, test.quiet, out.String(), errs.String(), err)
		}
	}
}

// TestBrokenRing cannot wait for events: a run that went on would never print anything.
func TestBrokenRing(t *testing.T) {
	s := newScript()
	s.session.rings[lower.MapEvents].broken = errors.New("no ring")
	if diff := cmp.Diff(result{Output: "\n\n", Errors: "ERROR: no ring\n"}, s.play(t, Options{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLoss counts what was lost of each kind.
func TestLoss(t *testing.T) {
	embedded, flag, keys := false, "", 0
	lost := func(entries map[string][][]byte) string {
		s := newScript()
		s.Source.Embedded, s.Config.MaxMapKeys = embedded, keys
		exit := s.event(schema.Event{Kind: schema.Exit})
		s.session.attach = func() { s.send(exit) }
		s.table(schema.Map{Name: "@a", Key: i64, Value: i64, Max: 2, Drops: []schema.Drop{{Index: 4, Span: diag.Span{Start: 0, End: 5}}, {Index: 5, Span: diag.Span{Start: 8, End: 10}}, {Index: 6, Span: diag.Span{Start: 8, End: 17}}}}, entries)
		s.session.maps[lower.MapDrops] = &fakeMap{max: 1, array: true, entries: map[string][][]byte{
			"\x00\x00\x00\x00": {words64(888, 2, 3, 5, 0, 4, 3)},
		}}
		return s.play(t, Options{BufferFlag: flag}).Errors
	}
	want := `Lost 888 events
stdin:1:9-10: WARNING: Map full; can't update element: @a holds 2 keys, and more are lost. Raise it with config = { max_map_keys = 20 }, or for this map alone with let @a = hash(20)
Additional Info - helper: map_update_elem, retcode: -7
BEGIN { @a[1] = 1; str(8) }
        ~~
WARNING: Total lost event count: 888
HINT: the event buffer was full: make it larger with config = { perf_rb_pages = N } (pages of 4 KB), or print less
WARNING: 2 calls of print(), clear(), zero() or exit() were lost: they came faster than they could be carried out
WARNING: 3 stacks were lost: there are too many different ones
WARNING: 5 stacks of dw_ustack were lost: the event buffer was full
HINT: make it larger with config = { perf_rb_pages = N } (pages of 4 KB), or copy less of each stack with dw_ustack_bytes
WARNING: map @a was full: 7 insertions lost
`
	full := map[string][][]byte{string(words64(1)): {words64(1)}, string(words64(2)): {words64(2)}}
	if diff := cmp.Diff(want, lost(full)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	inTool := func(raise, buffer string) {
		t.Helper()
		want := `Lost 888 events
WARNING: Map full; can't update element: @a holds 2 keys, and more are lost. ` + raise + `
Additional Info - helper: map_update_elem, retcode: -7
WARNING: Total lost event count: 888
HINT: the event buffer was full: make it larger with ` + buffer + ` (pages of 4 KB), or leave out more with the tool's filters
WARNING: 2 calls of print(), clear(), zero() or exit() were lost: they came faster than they could be carried out
WARNING: 3 stacks were lost: there are too many different ones
WARNING: 5 stacks of dw_ustack were lost: the event buffer was full
HINT: make it larger with ` + buffer + ` (pages of 4 KB), or copy less of each stack with BPFTRACE_DW_USTACK_BYTES=N in the environment
WARNING: map @a was full: 7 insertions lost
`
		if diff := cmp.Diff(want, lost(full)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	embedded = true
	inTool("The tool has no room for more: leave out more with the tool's filters", "BPFTRACE_PERF_RB_PAGES=N in the environment")
	flag, keys = "-b/--buffer-pages", 2
	inTool("Raise it with BPFTRACE_MAX_MAP_KEYS=20 in the environment, or leave out more with the tool's filters", "-b/--buffer-pages")
	embedded, flag = false, ""
	delete(full, string(words64(2)))
	unsure := lost(full)
	for _, want := range []string{
		"WARNING: can't update element: @a, for 2 keys, is not full now: it was, or the kernel had no memory for a new key at that moment\n",
		"WARNING: map @a was full, or the kernel had no memory for a new key: 7 insertions lost\n",
	} {
		if !strings.Contains(unsure, want) {
			t.Errorf("%s\nwithout %s", unsure, want)
		}
	}
}

// TestFailures has a place that fails more often than is worth showing.
func TestFailures(t *testing.T) {
	play := func(json bool) result {
		s := newScript()
		s.Errors = []schema.RuntimeError{
			{Span: diag.Span{Start: 19, End: 25}, Helper: "probe_read_str"},
			{Span: diag.Span{Start: 8, End: 17}, Message: "Divide or modulo by 0 detected."},
		}
		failed := s.event(schema.Event{Kind: schema.RunError}, u32, i32)
		exit := s.event(schema.Event{Kind: schema.Exit})
		s.session.attach = func() {
			s.send(failed, 1, 0)
			for range 100 {
				s.send(failed, 0, -14)
			}
			s.send(exit)
		}
		return s.play(t, Options{JSON: json})
	}
	badAddress := `stdin:1:20-25: WARNING: Bad address
Additional Info - helper: probe_read_str, retcode: -14
BEGIN { @a[1] = 1; str(8) }
                   ~~~~~~
`
	want := `stdin:1:9-17: WARNING: Divide or modulo by 0 detected.
BEGIN { @a[1] = 1; str(8) }
        ~~~~~~~~~
` + strings.Repeat(badAddress, 5) + strings.Replace(badAddress, "-14\n", "-14\n(95 more times)\n", 1)
	if diff := cmp.Diff(want, play(false).Errors); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	json := `{"type": "helper_error", "msg": "Bad address", "helper": "probe_read_str", "retcode": -14, "filename": "stdin", "line": 1, "col": 20}` + "\n"
	want = `{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"type": "runtime_error", "msg": "Divide or modulo by 0 detected.", "filename": "stdin", "line": 1, "col": 9}
` + strings.Repeat(json, 5) + strings.Replace(json, "}", `, "count": 95}`, 1)
	if diff := cmp.Diff(want, play(true).Output); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTexts is about the events that print text or messages.
func TestTexts(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte("contents\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	play := func(json bool) result {
		s := newScript()
		span := diag.Span{Start: 8, End: 13}
		events := []func(){}
		add := func(e schema.Event, types []*schema.Type, args ...any) {
			id := s.event(e, types...)
			events = append(events, func() { s.send(id, args...) })
		}
		add(schema.Event{Kind: schema.Errorf, Verbs: append(literal("boo "), verb("d", 0), literal("\n")[0]), Span: span}, []*schema.Type{i32}, 1)
		add(schema.Event{Kind: schema.Warnf, Verbs: literal("war"), Span: span}, nil)
		add(schema.Event{Kind: schema.Time, Format: "now%%\n"}, nil)
		add(schema.Event{Kind: schema.Join, Format: "-"}, []*schema.Type{nil, nil, nil}, varString{"a", false}, varString{"b c", true}, varString{"", false})
		add(schema.Event{Kind: schema.Cat, Verbs: append(literal(dir+"/"), verb("s", 0))}, []*schema.Type{nil}, varString{"file", false})
		add(schema.Event{Kind: schema.Cat, Format: dir + "/missing"}, nil)
		add(schema.Event{Kind: schema.System, Verbs: append(literal("echo "), verb("d", 0))}, []*schema.Type{i32}, 5)
		add(schema.Event{Kind: schema.System, Format: "echo failing; exit 3"}, nil)
		add(schema.Event{Kind: schema.Exit}, nil)
		s.session.attach = func() {
			for _, send := range events {
				send()
			}
		}
		got := s.play(t, Options{JSON: json})
		got.Errors = strings.ReplaceAll(got.Errors, dir, "DIR")
		return got
	}
	want := result{
		Output: "now%\na-b c..-\ncontents\n5\n\nfailing\n\n\n\n",
		Errors: "stdin:1:9-13: ERROR: boo 1\nstdin:1:9-13: WARNING: war\n" +
			"ERROR: failed to open file 'DIR/missing' (No such file or directory)\nERROR: command exited with code 3\n",
	}
	if diff := cmp.Diff(want, play(false)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want = result{
		Output: `{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"type": "errorf", "msg": "boo 1\n", "filename": "stdin", "line": 1, "col": 9}
{"type": "warnf", "msg": "war", "filename": "stdin", "line": 1, "col": 9}
{"type": "time", "data": "now%\n"}
{"type": "join", "data": "a-b c..-"}
{"type": "cat", "data": "contents\n"}
{"type": "syscall", "data": "5\n"}
{"type": "syscall", "data": "failing\n"}
`,
		Errors: "ERROR: failed to open file 'DIR/missing' (No such file or directory)\nERROR: command exited with code 3\n",
	}
	if diff := cmp.Diff(want, play(true)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRunsAlone needs no exit(): without other probes the run ends after begin.
func TestRunsAlone(t *testing.T) {
	s := newScript()
	unit := s.unit()
	unit.Attach = unit.Attach[:2]
	var out bytes.Buffer
	exit, err := Run(context.Background(), s.session, unit, Options{
		Output: &out, Errors: io.Discard, Signals: make(chan os.Signal), Symbols: &fakeSymbols{}})
	if exit != 0 || err != nil || out.String() != "\n\n" {
		t.Errorf("exit %d, %v, output %q", exit, err, out.String())
	}
}
