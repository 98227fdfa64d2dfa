package trace

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"sort"
	"sync"
	"testing"
	"time"

	"skep/host"
	"skep/internal/diag"
	"skep/lang/bpftrace/lower"
	"skep/probe"
	"skep/schema"
	"skep/symbol"
)

// fakeSession stands for a kernel: the test plays the programs by sending records and filling maps. It is a fake because
// the records of a real kernel cannot be chosen; that real ones look like these is for the tests that run scripts.
type fakeSession struct {
	rings    map[string]*fakeRing
	maps     map[string]*fakeMap
	state    []uint64
	attach   func() // plays BEGIN
	run      func(program string)
	missed   map[string]uint64
	disabled bool
	closed   bool
}

func newFakeSession() *fakeSession {
	s := &fakeSession{maps: map[string]*fakeMap{}, state: make([]uint64, lower.StateSize/8)}
	s.rings = map[string]*fakeRing{lower.MapEvents: newFakeRing(), lower.MapControl: newFakeRing()}
	return s
}

func (s *fakeSession) Attach(context.Context) (int, []*host.AttachError, error) {
	if s.attach != nil {
		s.attach()
	}
	return 2, nil, nil
}

func (s *fakeSession) Run(program string) error {
	if s.run != nil {
		s.run(program)
	}
	return nil
}

func (s *fakeSession) Missed() map[string]uint64 { return s.missed }

func (s *fakeSession) Map(name string) host.Map {
	if m := s.maps[name]; m != nil {
		return m
	}
	return nil
}

func (s *fakeSession) Ring(name string) host.Ring { return s.rings[name] }
func (s *fakeSession) State() []uint64            { return s.state }
func (s *fakeSession) Disable()                   { s.disabled = true }
func (s *fakeSession) Close() error               { s.closed = true; return nil }

// fakeRing is a ring of any size.
type fakeRing struct {
	mu       sync.Mutex
	records  [][]byte
	produced uint64
	position uint64
	wake     chan struct{}
	broken   error // of Wait
}

func newFakeRing() *fakeRing { return &fakeRing{wake: make(chan struct{}, 1)} }

func (r *fakeRing) send(record []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, record)
	r.produced += space(record)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// space is how much of a real ring a record takes.
func space(record []byte) uint64 { return uint64(len(record)+8+7) &^ 7 }

func (r *fakeRing) Produced() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.produced
}

func (r *fakeRing) Drain(limit uint64, f func([]byte) bool) (n int, more bool) {
	for {
		r.mu.Lock()
		if len(r.records) == 0 || limit != 0 && r.position >= limit {
			r.mu.Unlock()
			return n, true
		}
		record := r.records[0]
		r.records = r.records[1:]
		r.position += space(record)
		r.mu.Unlock()
		n++
		if !f(record) {
			return n, false
		}
	}
}

func (r *fakeRing) Position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position
}

func (r *fakeRing) Wait(ctx context.Context, _ time.Duration) error {
	if r.broken != nil {
		return r.broken
	}
	select {
	case <-r.wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *fakeRing) Size() int { return 1 << 20 }

// fakeMap is a map of any type: per-CPU values are several.
type fakeMap struct {
	entries map[string][][]byte
	array   bool // Clear zeroes
	max     int
}

func (m *fakeMap) Lookup(key []byte) ([][]byte, bool, error) {
	v, ok := m.entries[string(key)]
	return v, ok, nil
}

func (m *fakeMap) Each(f func([]byte, [][]byte) bool) error {
	var keys []string
	for k := range m.entries {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !f([]byte(k), m.entries[k]) {
			break
		}
	}
	return nil
}

func (m *fakeMap) Update(key, value []byte) error {
	for i := range m.entries[string(key)] {
		m.entries[string(key)][i] = bytes.Clone(value)
	}
	return nil
}

func (m *fakeMap) Delete(key []byte) error {
	delete(m.entries, string(key))
	return nil
}

func (m *fakeMap) Clear() error {
	for k, values := range m.entries {
		if !m.array {
			delete(m.entries, k)
			continue
		}
		for _, v := range values {
			clear(v)
		}
	}
	return nil
}

func (m *fakeMap) MaxEntries() int { return m.max }

// fakeSymbols names the addresses of a made-up system.
type fakeSymbols struct{ batches int }

func (s *fakeSymbols) Kernel(addrs []uint64) []symbol.Symbol {
	s.batches++
	out := make([]symbol.Symbol, len(addrs))
	for i, a := range addrs {
		out[i] = symbol.Symbol{Addr: a}
		switch a {
		case 0xffffffff81000010:
			out[i].Name, out[i].Offset = "vfs_read", 16
		case 0xffffffff81000200:
			out[i].Name, out[i].Offset = "do_syscall_64", 99
		}
	}
	return out
}

func (s *fakeSymbols) User(pid int, addrs []uint64) []symbol.Symbol {
	out := make([]symbol.Symbol, len(addrs))
	for i, a := range addrs {
		out[i] = symbol.Symbol{Addr: a, Module: "/bin/app"}
		if a == 0x401020 && pid == 42 {
			out[i].Name, out[i].Offset = "main", 32
		}
	}
	return out
}

func (s *fakeSymbols) BuildID(_ int, addr uint64) (string, uint64, bool) {
	return "a226e0f1", addr - 0x400000, addr < 0x500000
}

func (s *fakeSymbols) Snapshot(int) {}

// Unwind finds the stack pointer and the words of the copied piece; 0 ends it too soon.
func (s *fakeSymbols) Unwind(dst []uint64, _ int, regs *symbol.Registers, stack symbol.UserStack, limit int) ([]uint64, error) {
	dst = append(dst, regs.StackPointer())
	for b := stack.Bytes; len(b) >= 8 && len(dst) < limit; b = b[8:] {
		if binary.LittleEndian.Uint64(b) == 0 {
			return dst, symbol.UnwindStackShort
		}
		dst = append(dst, binary.LittleEndian.Uint64(b))
	}
	if len(stack.Bytes) == 0 {
		return dst, symbol.UnwindStackShort
	}
	return dst, nil
}
func (s *fakeSymbols) Prepare() {}

var (
	i8    = &schema.Type{Kind: schema.Int, Size: 1, Signed: true}
	i16   = &schema.Type{Kind: schema.Int, Size: 2, Signed: true}
	i32   = &schema.Type{Kind: schema.Int, Size: 4, Signed: true}
	i64   = &schema.Type{Kind: schema.Int, Size: 8, Signed: true}
	u8    = &schema.Type{Kind: schema.Int, Size: 1}
	u16   = &schema.Type{Kind: schema.Int, Size: 2}
	u32   = &schema.Type{Kind: schema.Int, Size: 4}
	u64   = &schema.Type{Kind: schema.Int, Size: 8}
	boolT = &schema.Type{Kind: schema.Bool, Size: 1}
	str16 = &schema.Type{Kind: schema.String, Size: 16}
	count = &schema.Type{Kind: schema.Count, Size: 8}
)

func tuple(types ...*schema.Type) *schema.Type {
	t := &schema.Type{Kind: schema.Tuple}
	for i, f := range types {
		align := min(8, max(1, f.Size))
		for f.Size%align != 0 {
			align /= 2
		}
		t.Size = (t.Size + align - 1) / align * align
		t.Fields = append(t.Fields, schema.Field{Name: string(rune('0' + i)), Type: f, Offset: t.Size})
		t.Size += f.Size
	}
	t.Size = (t.Size + 7) &^ 7
	return t
}

// varString is a string in the variable part of a record; cut says that it was longer.
type varString struct {
	s   string
	cut bool
}

// memory lays a value out as programs do. Tuples and arrays are given as []any.
func memory(t *schema.Type, v any) []byte {
	b := make([]byte, t.Size)
	switch v := v.(type) {
	case int:
		var w [8]byte
		binary.NativeEndian.PutUint64(w[:], uint64(v))
		copy(b, w[:])
	case uint64:
		var w [8]byte
		binary.NativeEndian.PutUint64(w[:], v)
		copy(b, w[:])
	case bool:
		if v {
			b[0] = 1
		}
	case string:
		copy(b, v)
	case []byte:
		copy(b, v)
	case []any:
		for i, x := range v {
			if t.Kind == schema.Array {
				copy(b[i*t.Elem.Size:], memory(t.Elem, x))
			} else {
				copy(b[t.Fields[i].Offset:], memory(t.Fields[i].Type, x))
			}
		}
	default:
		panic("memory: unknown value")
	}
	return b
}

// words64 lays out words, as aggregations are.
func words64(w ...uint64) []byte {
	var b []byte
	for _, x := range w {
		b = binary.NativeEndian.AppendUint64(b, x)
	}
	return b
}

// script builds a schema.Script and the records of its events.
type script struct {
	schema.Script
	session *fakeSession
	alone   bool // no probes but begin and end
}

func newScript() *script {
	s := &script{session: newFakeSession()}
	s.Config = schema.Config{PrintMapsOnExit: true, TruncTrailer: "..", StackMode: "bpftrace"}
	s.Source = &diag.Source{Name: "stdin", Text: "BEGIN { @a[1] = 1; str(8) }"}
	s.ProbeNames = []string{"", "begin", "tracepoint:sched:sched_switch"}
	return s
}

// event adds an event whose arguments have these types; a nil type is a string of the variable part.
func (s *script) event(e schema.Event, types ...*schema.Type) int {
	offset := 8
	if e.Kind >= schema.PrintMap {
		offset = 16
	}
	for _, t := range types {
		if t == nil {
			offset = (offset + 3) &^ 3
			e.Args = append(e.Args, schema.Arg{Type: &schema.Type{Kind: schema.String, Size: 64}, Var: true, Offset: offset})
			offset += 4
			continue
		}
		offset = (offset + 7) &^ 7
		e.Args = append(e.Args, schema.Arg{Type: t, Offset: offset})
		offset += t.Size
	}
	e.Size = offset
	s.Events = append(s.Events, &e)
	return len(s.Events) - 1
}

// record lays out a record of an event.
func (s *script) record(id int, args ...any) []byte {
	e := s.Events[id]
	b := make([]byte, e.Size)
	binary.NativeEndian.PutUint32(b, uint32(id))
	for i, a := range args {
		if v, ok := a.(varString); ok {
			n := uint32(len(v.s))
			if v.cut {
				n |= cutBit
			}
			binary.NativeEndian.PutUint32(b[e.Args[i].Offset:], n)
			b = append(b, v.s...)
			continue
		}
		copy(b[e.Args[i].Offset:], memory(e.Args[i].Type, a))
	}
	if e.Kind >= schema.PrintMap {
		binary.NativeEndian.PutUint64(b[8:], s.session.rings[lower.MapEvents].Produced())
	}
	return b
}

// send plays a program that sends an event.
func (s *script) send(id int, args ...any) {
	ring := lower.MapEvents
	if s.Events[id].Kind >= schema.PrintMap {
		ring = lower.MapControl
	}
	s.session.rings[ring].send(s.record(id, args...))
}

// table adds a map; values have one element per CPU.
func (s *script) table(m schema.Map, entries map[string][][]byte) *schema.Map {
	m.Object = "map_" + m.Name
	if m.Max == 0 {
		m.Max = 4096
	}
	s.session.maps[m.Object] = &fakeMap{entries: entries, array: m.Key == nil, max: m.Max}
	s.Maps = append(s.Maps, &m)
	return &m
}

// scalar is the content of a map without key.
func scalar(values ...[]byte) map[string][][]byte {
	for i, v := range values {
		for len(v)%8 != 0 {
			v = append(v, 0)
		}
		values[i] = append(v, words64(1)...)
	}
	return map[string][][]byte{"\x00\x00\x00\x00": values}
}

func (s *script) unit() *lower.Unit {
	u := &lower.Unit{Script: &s.Script, Attach: []probe.Attach{
		{Program: "begin", How: probe.TestRun, Points: []probe.Point{{Kind: probe.Begin, Name: "BEGIN"}}},
		{Program: "end", How: probe.TestRun, Points: []probe.Point{{Kind: probe.End, Name: "END"}}},
		{Program: "interval", How: probe.PerfInterval, Points: []probe.Point{{Kind: probe.Interval, Name: "interval:s:1"}}},
	}}
	if s.alone {
		u.Attach = u.Attach[:2]
	}
	return u
}

// result is all that a run leaves.
type result struct {
	Output, Errors string
	Exit           int
}

// play runs a script to its end, which the caller has made sure of by an exit event or a signal.
func (s *script) play(t *testing.T, opt Options) result {
	t.Helper()
	var out, errs bytes.Buffer
	opt.Output, opt.Errors, opt.Quiet = &out, &errs, !opt.JSON
	if opt.Signals == nil {
		opt.Signals = make(chan os.Signal)
	}
	if opt.Symbols == nil {
		opt.Symbols = &fakeSymbols{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	exit, err := Run(ctx, s.session, s.unit(), opt)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if ctx.Err() != nil {
		t.Fatal("the run did not end")
	}
	if !s.session.disabled || !s.session.closed {
		t.Errorf("disabled %t, closed %t after the run", s.session.disabled, s.session.closed)
	}
	return result{out.String(), errs.String(), exit}
}
