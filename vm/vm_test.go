package vm

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"skep/vm/code"
	"skep/vm/engine"
)

// machine is a new one that ends with the test.
func machine(t testing.TB, o Options) *Machine {
	t.Helper()
	if o.CPUs == 0 {
		o.CPUs = 2
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func thread(t testing.TB, m *Machine) *Thread {
	t.Helper()
	th, err := m.NewThread(0)
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// assemble makes the bytes of instructions.
func assemble(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRunCode(t *testing.T) {
	for _, c := range []struct {
		name, code, memory string
		want               uint64
		fault              string
	}{
		{name: "constant", code: "b7 0 0 0 2a 0 0 0  95", want: 42},
		{name: "byte of memory", code: "71 10 01 00", memory: "010203", want: 2},
		{name: "behind the memory", code: "71 10 03 00", memory: "010203", fault: "reading 1 bytes"},
		{name: "no memory", code: "71 10 00 00", fault: "reading 1 bytes at 0x0"},
		{name: "length", code: "bf 20 00 00", memory: "010203", want: 3},
		{name: "helper", code: "85 0 0 0 05 0 0 0 b7 00 0 0 01", want: 1},
		{name: "unknown helper", code: "85 0 0 0 e7 03 0 0", fault: "the machine has no helper 999"},
		{name: "memory of a helper", code: "b7 1 0 0 08 0 0 0 b7 2 0 0 10 0 0 0 85 0 0 0 10 0 0 0", fault: "get_current_comm: r1"},
		{name: "map that is none", code: "b7 1 0 0 08 0 0 0 85 0 0 0 1 0 0 0", fault: "map_lookup_elem: r1: 0x8 is not a map"},
		{name: "endless", code: "05 00 ff ff", fault: "the budget"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine(t, Options{})
			p, err := m.LoadCode("test", pad(t, c.code), &LoadOptions{Engine: Interpreter})
			if err != nil {
				t.Fatal(err)
			}
			th := thread(t, m)
			th.Budget = 1000
			mem, err := m.NewMemory(assemble(t, c.memory))
			if err != nil {
				t.Fatal(err)
			}
			got, err := th.Run(p, mem)
			if c.fault != "" {
				var f *Fault
				if !errors.As(err, &f) || !strings.Contains(f.Error(), c.fault) {
					t.Fatalf("it ends with %v, not with %q", err, c.fault)
				}
				if f.Instruction == "" || !strings.Contains(f.Dump(), "r0 ") {
					t.Errorf("the fault does not tell enough: %s", f.Dump())
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("r0 is %d, %v; not %d", got, err, c.want)
			}
		})
	}
}

// pad completes instructions of which the last bytes are left out, a blank before each byte, and ends them with exit.
func pad(t testing.TB, text string) []byte {
	t.Helper()
	var b []byte
	for _, f := range strings.Fields(text) {
		if len(f) == 1 {
			f = "0" + f
		}
		x, err := hex.DecodeString(f)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, x...)
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	if b[len(b)-8] != code.Exit {
		b = append(b, code.Exit, 0, 0, 0, 0, 0, 0, 0)
	}
	return b
}

func TestRunContext(t *testing.T) {
	m := machine(t, Options{})
	p, err := m.LoadCode("endless", pad(t, "05 00 ff ff"), &LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	mem, err := m.NewMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	th := thread(t, m)
	_, err = th.RunContext(ctx, p, mem)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, engine.ErrStopped) {
		t.Errorf("the program ends with %v", err)
	}
	// The thread is fit for another run.
	q, err := m.LoadCode("seven", pad(t, "b7 0 0 0 7"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r0, err := th.Run(q, mem); r0 != 7 || err != nil {
		t.Errorf("afterwards: %d, %v", r0, err)
	}
}

func TestLoadCodeErrors(t *testing.T) {
	m := machine(t, Options{})
	for text, want := range map[string]string{
		"":                                  "its length of 0 bytes",
		"95 0 0 0":                          "its length of 4 bytes",
		"67 0 0 0 40 0 0 0":                 "shift of 64 bits by 64",
		"18 11 0 0 1 0 0 0 0 0 0 0 0 0 0 0": "the machine has no map 1",
		"85 20 0 0 1 0 0 0":                 "kernel function",
	} {
		b := []byte(nil)
		if len(strings.Fields(text)) >= 8 {
			b = pad(t, text)
		} else {
			for range strings.Fields(text) {
				b = append(b, 0)
			}
		}
		if _, err := m.LoadCode("bad", b, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", text, err, want)
		}
	}
	if p, err := m.LoadCode("raw", pad(t, "b7 0 0 0 1 0 0 0 67 0 0 0 41 0 0 0"), &LoadOptions{Raw: true}); err != nil {
		t.Error(err)
	} else if mem, err := m.NewMemory(nil); err != nil {
		t.Error(err)
	} else if r0, err := thread(t, m).Run(p, mem); r0 != 2 || err != nil {
		t.Errorf("in raw mode, 1 << 65 is %d, %v", r0, err)
	}
}
