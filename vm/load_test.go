package vm

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"skep/vm/maps"
)

// words reads a section of numbers.
func words(t *testing.T, m maps.Map) []int64 {
	t.Helper()
	value := make([]byte, m.ValueSize())
	if err := (maps.User{Map: m}).Lookup(make([]byte, 4), value, 0); err != nil {
		t.Fatal(err)
	}
	var n []int64
	for ; len(value) >= 8; value = value[8:] {
		n = append(n, int64(binary.NativeEndian.Uint64(value)))
	}
	return n
}

// TestRelocations runs a program that is relocated to other layouts than it was compiled for, on memory that the host has.
func TestRelocations(t *testing.T) {
	const thing = 0xffff_8000_0000_1000
	host := Host{ReadKernel: func(_ *Thread, addr uint64, to []byte) error {
		// y is the third member of struct inner there: 24 bytes of pad, then 8 of another.
		if addr != thing+24+8 || len(to) != 4 {
			return errors.New("no such memory")
		}
		binary.NativeEndian.PutUint32(to, 77)
		return nil
	}}
	m := machine(t, Options{
		Host: host, KernelTypes: types(t, "core_kernel"), KernelVersion: 6<<16 | 1<<8 | 9,
		Kconfig: map[string]string{"CONFIG_BPF": "y", "CONFIG_HZ": "250"},
	})
	for _, v := range variants() {
		c, err := m.Load(readObject(t, "core"), &v.options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, err := m.NewWords(thing)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := thread(t, m).Run(c.Programs["relocated"], ctx); err != nil {
			t.Fatal(err)
		}
		want := []int64{77, 42, 0, 0, 8, 6<<16 | 1<<8 | 9, 1, 250}
		if diff := cmp.Diff(want, words(t, c.Maps[".bss"])); diff != "" {
			t.Errorf("%s: %s", v.name, diff)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct {
		object string
		change func(*ebpf.CollectionSpec)
		o      Options
		load   LoadOptions
		want   string
	}{
		{object: "core", want: "need the types of a kernel"},
		{object: "core", o: Options{KernelTypes: types(t, "core_kernel")}, want: "variable CONFIG_BPF"},
		{object: "data", load: LoadOptions{Programs: []string{"none"}}, want: "there is no such program"},
		{object: "data", change: func(s *ebpf.CollectionSpec) {
			s.Programs["globals"].Type = ebpf.XDP
			s.Programs["globals"].Instructions = nil
		},
			want: "it has no instructions"},
		{object: "data", change: func(s *ebpf.CollectionSpec) { delete(s.Maps, ".bss") }, want: "map .bss is not defined"},
		{object: "xdp", change: func(s *ebpf.CollectionSpec) { s.Programs["cut"].Type = ebpf.Kprobe }, want: "may not call xdp_"},
		{object: "xdp", change: func(s *ebpf.CollectionSpec) { s.Maps["flows"].MaxEntries = 0 }, want: "creating map flows"},
		{object: "tail", change: func(s *ebpf.CollectionSpec) { s.Maps["programs"].Contents[0].Value = "none" }, want: "there is no map or program none"},
		{object: "data", change: func(s *ebpf.CollectionSpec) { s.ByteOrder = other() }, want: "this computer is not"},
	} {
		spec := readObject(t, c.object)
		if c.change != nil {
			c.change(spec)
		}
		if _, err := machine(t, c.o).Load(spec, &c.load); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.object, err, c.want)
		}
	}
}

// TestMapMemory: a map that needs no more than the machine allows can be had, of an array all that is for values.
func TestMapMemory(t *testing.T) {
	m := machine(t, Options{CPUs: 2, MapMemory: 1 << 20})
	for _, c := range []struct {
		spec ebpf.MapSpec
		fits bool
	}{
		{ebpf.MapSpec{Type: ebpf.Array, ValueSize: 8, MaxEntries: 1 << 17}, true},
		{ebpf.MapSpec{Type: ebpf.Array, ValueSize: 8, MaxEntries: 1<<17 + 1}, false},
		{ebpf.MapSpec{Type: ebpf.Array, ValueSize: 1, MaxEntries: 1<<17 + 1}, false},
		{ebpf.MapSpec{Type: ebpf.PerCPUArray, ValueSize: 8, MaxEntries: 1 << 16}, true},
		{ebpf.MapSpec{Type: ebpf.PerCPUArray, ValueSize: 8, MaxEntries: 1<<16 + 1}, false},
		{ebpf.MapSpec{Type: ebpf.Hash, ValueSize: 8, MaxEntries: 1 << 13}, true},
		{ebpf.MapSpec{Type: ebpf.Hash, ValueSize: 8, MaxEntries: 1 << 17}, false},
	} {
		c.spec.Name, c.spec.KeySize = "m", 4
		_, err := m.Load(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": &c.spec}}, nil)
		if (err == nil) != c.fits || err != nil && !errors.Is(err, maps.ENOMEM) {
			t.Errorf("%s of %d values of %d bytes: %v", c.spec.Type, c.spec.MaxEntries, c.spec.ValueSize, err)
		}
	}
}

// other is the byte order that this computer does not have.
func other() binary.ByteOrder {
	if sameOrder(binary.LittleEndian) {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// TestTimers has timers of one program on a clock that the test moves.
func TestTimers(t *testing.T) {
	for _, v := range variants() {
		clock := &ManualClock{}
		m := machine(t, Options{Clock: clock, Host: Host{TimerFault: func(err error) { t.Error(err) }}})
		c, err := m.Load(readObject(t, "lock"), &v.options)
		if err != nil {
			t.Fatal(err)
		}
		th := thread(t, m)
		run := func(name string) {
			t.Helper()
			p := c.Programs[name]
			ctx, err := m.NewPacket(p.Type, 100)
			if err != nil {
				t.Fatal(err)
			}
			if r0, err := th.Run(p, ctx); err != nil || r0 != 0 {
				t.Fatalf("%s: %d, %v", name, r0, err)
			}
		}
		run("start")
		want := []int64{22, 0, 16, 22, 0, 0}
		if diff := cmp.Diff(want, words(t, c.Maps[".bss"])[:6]); diff != "" {
			t.Errorf("%s: results (-want +got):\n%s", v.name, diff)
		}
		rounds := func(want string) {
			t.Helper()
			var got string
			_ = maps.User{Map: c.Maps["ticks"]}.Each(func(_, value []byte) bool {
				got = hex.EncodeToString(value[:9])
				return false
			})
			if got != want {
				t.Errorf("%s: the value is %s, not %s", v.name, got, want)
			}
		}
		rounds("000000000000000000")
		clock.Advance(time.Millisecond)
		rounds("01000000000000002a")
		clock.Advance(10 * time.Millisecond)
		rounds("03000000000000002a")
		run("start") // the value is replaced, and its timer with it
		rounds("000000000000000000")
		run("cancel")
		if got := words(t, c.Maps[".bss"])[6]; got != 1 {
			t.Errorf("%s: cancelling a timer that waits returns %d", v.name, got)
		}
		run("cancel")
		if got := words(t, c.Maps[".bss"])[6]; got != 0 {
			t.Errorf("%s: cancelling it again returns %d", v.name, got)
		}
		clock.Advance(time.Second)
		rounds("000000000000000000")
	}
}

// TestLocks has programs of several threads count under a spin lock.
func TestLocks(t *testing.T) {
	for _, v := range variants() {
		m := machine(t, Options{CPUs: 4})
		c, err := m.Load(readObject(t, "lock"), &v.options)
		if err != nil {
			t.Fatal(err)
		}
		const rounds = 5000
		done := make(chan error)
		for cpu := range 4 {
			th, err := m.NewThread(cpu)
			if err != nil {
				t.Fatal(err)
			}
			ctx, err := m.NewPacket(ebpf.SchedCLS, 100)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				var err error
				for range rounds {
					if _, err = th.Run(c.Programs["locked"], ctx); err != nil {
						break
					}
				}
				done <- err
			}()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		value := make([]byte, 12)
		if err := (maps.User{Map: c.Maps["counters"]}).Lookup(make([]byte, 4), value, 0); err != nil {
			t.Fatal(err)
		}
		if n := binary.NativeEndian.Uint32(value[4:]); n != 4*rounds || binary.NativeEndian.Uint32(value[8:]) != 2*n {
			t.Errorf("%s: the counters are %x", v.name, value)
		}
	}
}

// TestCloseCollection has a collection closed while the machine goes on, and its maps' handles mean nothing any more.
func TestCloseCollection(t *testing.T) {
	m := machine(t, Options{})
	c, err := m.Load(readObject(t, "tail"), nil)
	if err != nil {
		t.Fatal(err)
	}
	handle, id := c.Maps["programs"].Handle(), c.Programs["first"].ID()
	if m.mapAt(handle) == nil || m.objects.program(id) == nil {
		t.Fatal("the machine does not know its objects")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if m.mapAt(handle) != nil || m.objects.program(id) != nil {
		t.Error("objects that were closed are still known")
	}
	if c, err = m.Load(readObject(t, "tail"), nil); err != nil {
		t.Fatal(err)
	} else if c.Maps["programs"].Handle() == handle {
		t.Error("a handle is given twice")
	}
}

// TestCloseWithTimers closes a collection while its timers fire.
func TestCloseWithTimers(t *testing.T) {
	m := machine(t, Options{Host: Host{TimerFault: func(error) {}}})
	for range 20 {
		c, err := m.Load(readObject(t, "lock"), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, err := m.NewPacket(ebpf.SchedCLS, 60)
		if err != nil {
			t.Fatal(err)
		}
		th := thread(t, m)
		if _, err := th.Run(c.Programs["start"], ctx); err != nil {
			t.Fatal(err)
		}
		// The timer fires every millisecond, three times.
		fired := make(chan struct{})
		stop := m.clock.AfterFunc(time.Millisecond, func() { close(fired) })
		<-fired
		stop()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// userLookup reads the only value of an array.
func userLookup(m maps.Map, value []byte) error {
	return maps.User{Map: m}.Lookup(make([]byte, 4), value, 0)
}
