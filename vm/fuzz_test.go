package vm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"

	"skep/vm/engine"
)

// FuzzObject loads objects that somebody has changed, and runs what can be loaded. Nothing may panic or run for ever.
func FuzzObject(f *testing.F) {
	for _, name := range []string{"xdp", "tc", "data", "tail", "loop", "text", "ring", "lock", "core", "net", "kfunc", "sock", "cookie"} {
		f.Add(compileC(f, name))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<18 {
			return
		}
		spec, err := ReadObject(bytes.NewReader(content))
		if err != nil {
			return
		}
		for _, e := range []Engine{Interpreter, Fastest} {
			runAnything(t, spec, e, false)
		}
		// Programs that are verified after that run without checks.
		runAnything(t, spec, Fastest, true)
	})
}

// runAnything runs all programs of a collection for a moment.
func runAnything(t *testing.T, spec *ebpf.CollectionSpec, e Engine, verify bool) {
	m, err := New(Options{CPUs: 2, MapMemory: 1 << 24, Clock: &ManualClock{}, KernelTypes: spec.Types,
		Kconfig: map[string]string{"CONFIG_BPF": "y", "CONFIG_HZ": "250"}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.Load(spec, &LoadOptions{Engine: e, Verify: verify})
	if err != nil {
		return
	}
	th, err := m.NewThread(1)
	if err != nil {
		t.Fatal(err)
	}
	th.Budget = 10_000
	for _, p := range c.Programs {
		if SeesPackets(p.Type) {
			ctx, err := m.NewPacket(p.Type, 100)
			if err != nil {
				t.Fatal(err)
			}
			if err := ctx.SetData(make([]byte, 60)); err != nil {
				t.Fatal(err)
			}
			_, _ = th.Run(p, ctx)
			continue
		}
		ctx, err := m.NewContext(p.Type, make([]byte, 16))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = th.Run(p, ctx)
	}
}

// FuzzCode runs arbitrary instructions on both engines, which must agree in what they return and in whether they fault.
func FuzzCode(f *testing.F) {
	f.Add(pad(f, "71 10 01 00"), []byte("abc"))
	f.Add(pad(f, "18 1 0 0 1 2 3 4 0 0 0 0 5 6 7 8 bf 10 0 0"), []byte{})
	f.Add(pad(f, "b7 1 0 0 4 0 0 0 63 1a fc ff 0 0 0 0 db 1a f8 ff 1 0 0 0 79 a0 f8 ff"), []byte("xyz"))
	f.Add(pad(f, "85 10 0 0 1 0 0 0 95 0 0 0 0 0 0 0 bf 10 0 0"), []byte("1234567890"))
	f.Fuzz(func(t *testing.T, content, memory []byte) {
		m, err := New(Options{CPUs: 1, Clock: &ManualClock{}, Random: func() uint32 { return 4 }})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		// Both run on the same memory, so that even addresses are equal.
		th, err := m.NewThread(0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, err := m.NewMemory(memory)
		if err != nil {
			t.Fatal(err)
		}
		type outcome struct {
			r0     uint64
			fault  bool
			memory string
		}
		var first *outcome
		for _, e := range []Engine{Interpreter, Fastest} {
			p, err := m.LoadCode("fuzz", content, &LoadOptions{Engine: e, Raw: true})
			if err != nil {
				return
			}
			copy(ctx.Bytes(), memory)
			clear(th.engine.Stack.Bytes())
			th.Budget = 10_000
			r0, err := th.Run(p, ctx)
			if errors.Is(err, engine.ErrBudget) {
				return // engines look at the budget in different places
			}
			got := &outcome{r0, err != nil, string(ctx.Bytes())}
			if first == nil {
				first = got
			} else if *got != *first {
				t.Errorf("%v: %+v, and before: %+v (%v)", e, got, first, err)
			}
		}
	})
}

// TestHostileObjects loads and runs objects with some bytes changed: what the fuzzer does, a little of it each time.
func TestHostileObjects(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	random := rand.New(rand.NewPCG(1, 2))
	loaded := 0
	for _, name := range []string{"xdp", "tc", "data", "tail", "loop", "text", "ring", "lock", "core", "net", "kfunc", "sock", "cookie"} {
		content := compileC(t, name)
		for range rounds {
			b := bytes.Clone(content)
			for range 1 + random.IntN(8) {
				at := random.IntN(len(b))
				switch random.IntN(4) {
				case 0:
					b[at] = byte(random.Uint32())
				case 1:
					b[at] ^= 1 << random.IntN(8)
				case 2:
					copy(b[at:], bytes.Repeat([]byte{0xff}, 4))
				case 3:
					from := random.IntN(len(b))
					copy(b[at:], bytes.Clone(b[from:min(from+8, len(b))]))
				}
			}
			if random.IntN(20) == 0 {
				b = b[:random.IntN(len(b))]
			}
			spec, err := ReadObject(bytes.NewReader(b))
			if err != nil {
				continue
			}
			loaded++
			for _, e := range []Engine{Interpreter, Fastest} {
				runAnything(t, spec, e, false)
			}
			runAnything(t, spec, Fastest, true)
		}
	}
	if loaded == 0 {
		t.Error("none of the objects could be read")
	}
	t.Logf("%d objects could be read", loaded)
}
