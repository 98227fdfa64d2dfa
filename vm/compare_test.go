package vm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
	"skep/vm/maps"
)

// A scene is a program to run on frames, one after the other, on every engine and on the kernel.
type scene struct {
	object  string
	program string
	frames  [][]byte
	without string   // why it is not run on the kernel
	ignore  []string // maps that are not compared
}

// TestObjects compares what programs return, packets and maps.
func TestObjects(t *testing.T) {
	udp := frame("45000030 00010000 40110000 0a000001 0a000002", "10000035 001c0000", 20)
	blocked := frame("45000030 00010000 40110000 0a000001 0a000002", "10000007 001c0000", 20)
	tcp := frame("45000030 00010000 40060000 0a000003 0a000002", "10000050 001c0000", 40)
	six := append(make([]byte, 12), append([]byte{0x86, 0xdd, 0x60}, make([]byte, 60)...)...)
	all := [][]byte{udp, blocked, tcp, six, udp, udp[:30], udp[:14]}
	one := [][]byte{udp}
	whole := all[:5] // the kernel makes no skb of an IP packet without all of its header
	for _, s := range []scene{
		{object: "xdp", program: "count", frames: all},
		{object: "xdp", program: "encapsulate", frames: all},
		{object: "xdp", program: "cut", frames: all},
		{object: "xdp", program: "limits", frames: one},
		{object: "tc", program: "rewrite", frames: whole},
		{object: "tc", program: "vlan", frames: [][]byte{udp, tcp}},
		{object: "tc", program: "room", frames: [][]byte{udp, tcp}},
		{object: "tc", program: "change", frames: [][]byte{udp, tcp}},
		{object: "tc", program: "filter", frames: whole},
		{object: "tc", program: "cgroup", frames: whole},
		{object: "data", program: "globals", frames: whole},
		{object: "tail", program: "first", frames: one},
		{object: "tail", program: "second", frames: one},
		{object: "tail", program: "endless", frames: one},
		{object: "callback", program: "begin", frames: one},
		{object: "loop", program: "loops", frames: one, ignore: []string{"hash"}},
		{object: "loop", program: "queues", frames: one, ignore: []string{"percpu"}},
		{object: "text", program: "texts", frames: one},
		{object: "lock", program: "locked", frames: one},
		{object: "ring", program: "records", frames: one},
		{object: "ring", program: "dynptrs", frames: one},
		{object: "net", program: "nested", frames: one},
		{object: "kfunc", program: "views", frames: one},
		{object: "cookie", program: "cookies", frames: one},
	} {
		t.Run(s.object+"/"+s.program, func(t *testing.T) {
			spec := readObject(t, s.object)
			want := ""
			name := ""
			if s.without == "" && ktest.Has(ktest.Root) {
				want, name = s.kernel(t, spec.Copy()), "the kernel"
			}
			for _, v := range variants() {
				got := s.machine(t, spec.Copy(), v)
				if name == "" {
					want, name = got, v.name
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-) and %s (+) differ:\n%s", name, v.name, diff)
				}
			}
			if !strings.Contains(want, "returned") {
				t.Error("nothing was compared")
			}
		})
	}
}

// frame is an Ethernet frame with an IP header, another header and some bytes.
func frame(ip, next string, rest int) []byte {
	b := append(make([]byte, 6), 2, 0, 0, 0, 0, 1, 8, 0)
	for _, text := range []string{ip, next} {
		x, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			panic(err)
		}
		b = append(b, x...)
	}
	for i := range rest {
		b = append(b, byte(i))
	}
	return b
}

// machine runs the scene on a machine and tells what came of it.
func (s *scene) machine(t *testing.T, spec *ebpf.CollectionSpec, v variant) string {
	t.Helper()
	m := machine(t, Options{CPUs: ebpf.MustPossibleCPU()})
	c, err := m.Load(spec, &v.options)
	if err != nil {
		t.Fatal(err)
	}
	p := c.Programs[s.program]
	th := thread(t, m)
	var b strings.Builder
	for i, f := range s.frames {
		ctx, err := m.NewPacket(p.Type, len(f))
		if err != nil {
			t.Fatal(err)
		}
		if err := ctx.SetData(f); err != nil {
			t.Fatal(err)
		}
		r0, err := th.Run(p, ctx)
		if err != nil {
			var fault *Fault
			if errors.As(err, &fault) {
				t.Fatalf("%s: frame %d: %s", v.name, i, fault.Dump())
			}
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "frame %d: returned %d, %s\n", i, uint32(r0), hex.EncodeToString(output(p.Type, ctx)))
	}
	for name, m := range c.Maps {
		if ring, ok := m.(*maps.RingBuf); ok {
			Drain(ring, func(record []byte) { fmt.Fprintf(&b, "%s: %x\n", name, record) })
		}
	}
	for _, name := range s.maps(spec) {
		u := maps.User{Map: c.Maps[name]}
		var entries []string
		err := u.Each(func(key, value []byte) bool {
			entries = append(entries, fmt.Sprintf("%s[%x] = %x", name, key, value))
			return true
		})
		if err != nil {
			t.Fatalf("map %s: %v", name, err)
		}
		show(&b, entries)
	}
	return b.String()
}

// output is what the kernel gives back: of XDP with the metadata, of those who see no link-layer header with zeros in its place.
func output(t ebpf.ProgramType, p *Packet) []byte {
	switch t {
	case ebpf.XDP:
		return append(bytes.Clone(p.Meta()), p.Data()...)
	case ebpf.SchedCLS:
		return p.Data()
	}
	return append(make([]byte, ethHeader), p.Data()...)
}

// kernel runs the scene on the kernel.
func (s *scene) kernel(t *testing.T, spec *ebpf.CollectionSpec) string {
	t.Helper()
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			t.Fatalf("%+v", ve)
		}
		t.Fatal(err)
	}
	defer c.Close()
	p := c.Programs[s.program]
	var b strings.Builder
	for i, f := range s.frames {
		o := &ebpf.RunOptions{Data: f, DataOut: make([]byte, len(f)+4096)}
		r0, err := p.Run(o)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		fmt.Fprintf(&b, "frame %d: returned %d, %s\n", i, r0, hex.EncodeToString(o.DataOut))
	}
	for name, m := range c.Maps {
		if m.Type() == ebpf.RingBuf {
			drainKernel(t, &b, name, m)
		}
	}
	for _, name := range s.maps(spec) {
		var entries []string
		var key, value []byte
		it := c.Maps[name].Iterate()
		for it.Next(&key, &value) {
			entries = append(entries, fmt.Sprintf("%s[%x] = %x", name, key, value))
		}
		if err := it.Err(); err != nil {
			t.Fatalf("map %s: %v", name, err)
		}
		show(&b, entries)
	}
	return b.String()
}

// maps are the names of the maps to compare.
func (s *scene) maps(spec *ebpf.CollectionSpec) []string {
	var names []string
	for name, m := range spec.Maps {
		switch m.Type {
		case ebpf.Array, ebpf.Hash:
			if !slices.Contains(s.ignore, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func show(b *strings.Builder, entries []string) {
	slices.Sort(entries)
	for _, e := range entries {
		fmt.Fprintln(b, e)
	}
}

func drainKernel(t *testing.T, b *strings.Builder, name string, m *ebpf.Map) {
	t.Helper()
	r, err := ringbuf.NewReader(m)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.SetDeadline(time.Now())
	for {
		record, err := r.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "%s: %x\n", name, record.RawSample)
	}
}
