package ir

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"skep/internal/diag"
	"skep/internal/ktest"
)

// TestSameOutput compiles the same programs several times: nothing may depend on the order of a map.
func TestSameOutput(t *testing.T) {
	if ktest.Emulated() {
		t.Skip("guests are slow: no kernel has to do with it")
	}
	build := map[string]func() *Module{"loops": buildLoops}
	for seed := range uint64(20) {
		build["random "+string(rune('a'+seed))] = func() *Module { return randomModule(seed+1, liveTarget()) }
	}
	for name, make := range build {
		var first string
		for range 8 {
			var text strings.Builder
			_, err := Compile(make(), Options{Target: liveTarget(), ScratchMap: "scratch", ZeroMap: "zero", ZeroSize: 4096,
				Dump: func(stage, s string) { text.WriteString(stage + "\n" + s) }})
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = text.String()
			}
			if text.String() != first {
				t.Errorf("%s: two compilations differ", name)
				break
			}
		}
	}
}

// TestSpans asks for the place of each raw instruction, of which a 64-bit load is two.
func TestSpans(t *testing.T) {
	m := NewModule("spans")
	b := NewBuilder(m.NewFunc("main", Pointer))
	b.Span = diag.Span{Start: 1, End: 2}
	x := b.Load(b.MapValue("in", 0), 0, 8, false)
	b.Span = diag.Span{Start: 3, End: 4}
	b.Store(b.MapValue("out", 0), 0, 8, b.Binary(OpMul, x, x))
	b.Span = diag.Span{Start: 5, End: 6}
	b.Return(nil)
	o, err := Compile(m, Options{Target: liveTarget()})
	if err != nil {
		t.Fatal(err)
	}
	raw := 0
	for _, i := range o.Instructions {
		raw += int(i.Width())
	}
	if raw != len(o.Spans) {
		t.Fatalf("%d places for %d instructions\n%s", len(o.Spans), raw, o.Listing())
	}
	var got strings.Builder
	for _, s := range o.Spans {
		got.WriteByte('0' + byte(s.Start))
	}
	// address, address, load; multiply, address, address, store; 0, exit
	if got.String() != "111333355" {
		t.Errorf("places %s\n%s", got.String(), o.Listing())
	}
}

func TestStackTooDeep(t *testing.T) {
	m := NewModule("deep")
	f := m.NewFunc("main", Pointer)
	b := NewBuilder(f)
	small, big := f.NewSlot("small", 100, 8, Stack), f.NewSlot("big", 440, 8, Stack)
	b.Span = diag.Span{Start: 10, End: 20}
	b.Call(int64(asm.FnGetCurrentComm), Scalar, 0, b.SlotAddr(small), b.Const(100))
	b.Span = diag.Span{Start: 30, End: 40}
	b.Call(int64(asm.FnGetCurrentComm), Scalar, 0, b.SlotAddr(big), b.Const(440))
	b.Call(int64(asm.FnMapUpdateElem), Scalar, ReadsMemory, b.Map("m"), b.SlotAddr(small), b.SlotAddr(big), b.Const(0))
	b.Return(nil)
	_, err := Compile(m, Options{Target: liveTarget(), ScratchMap: "scratch"})
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	if (e.Span != diag.Span{Start: 30, End: 40}) || !strings.Contains(e.Message, "544 bytes") {
		t.Errorf("got %+v", e)
	}
}

// TestStackOverflowsToScratch has more small slots at once than the stack holds.
func TestStackOverflowsToScratch(t *testing.T) {
	m := NewModule("many")
	f := m.NewFunc("main", Pointer)
	b := NewBuilder(f)
	var addrs []*Value
	for range 12 {
		a := b.SlotAddr(f.NewSlot("s", 56, 8, Auto))
		b.Call(int64(asm.FnGetCurrentComm), Scalar, 0, a, b.Const(56))
		addrs = append(addrs, a)
	}
	for i := range len(addrs) - 1 {
		b.Call(int64(asm.FnMapUpdateElem), Scalar, ReadsMemory, b.Map("m"), addrs[i], addrs[i+1], b.Const(0))
	}
	b.Return(nil)
	o, err := Compile(m, Options{Target: liveTarget(), ScratchMap: "scratch"})
	if err != nil {
		t.Fatal(err)
	}
	if o.StackDepth > stackLimit || o.StackDepth < 400 || o.ScratchSize < 12*56-stackLimit || o.ScratchSize > 4*56 {
		t.Errorf("stack %d, scratch %d", o.StackDepth, o.ScratchSize)
	}
}

func TestCheckFindsMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no terminator", "b0:\n  v1 = load8 [%0]", "no terminator"},
		{"use before definition", "b0:\n  v1 = add v2 1\n  v2 = load8 [%0]\n  return v1", "not defined before"},
		{"use on a way around", "b0:\n  v1 = load8 [%0]\n  if v1 b1 b2\nb1:\n  v2 = add v1 1\n  jump b2\nb2:\n  return v2", "not defined before"},
		{"phi arguments", "b0:\n  jump b1\nb1: <- b0\n  v1 = phi 1 2\n  return v1", "2 arguments for 1"},
		{"phi later", "b0:\n  v1 = load8 [%0]\n  if v1 b1 b2\nb1:\n  jump b2\nb2:\n  v2 = add v1 1\n  v3 = phi 1 2\n  return v3", "phi after"},
		{"address is a number", "b0:\n  v1 = load8 [%0]\n  v2 = load8 [v1]\n  return v2", "no pointer"},
		{"size", "b0:\n  v1 = load3 [%0]\n  return v1", "size 3"},
		{"mask", "b0:\n  v1 = load8 [%0]\n  v2 = bound v1 10\n  return v2", "mask 10"},
		{"map in arithmetic", "b0:\n  v1 = add map:m 1\n  return v1", "only good for calls"},
		{"way back to the entry", "b0:\n  jump b0", "entry has predecessors"},
		{"arguments", "b0:\n  v1 = neg %0 1\n  return v1", "2 arguments instead of 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := readModule("bad", "func main ptr\n"+c.text+"\n")
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
