package vm

import (
	"testing"

	"github.com/cilium/ebpf"
)

// BenchmarkRun runs the counter of testdata/c/xdp.c on one packet, and on two of different lengths by turns.
func BenchmarkRun(b *testing.B) {
	spec := readObject(b, "xdp")
	for _, v := range variants() {
		for _, lengths := range [][]int{{62}, {62, 63}} {
			name := v.name + "/one length"
			if len(lengths) > 1 {
				name = v.name + "/two lengths"
			}
			b.Run(name, func(b *testing.B) {
				m := machine(b, Options{})
				c, err := m.Load(spec, &v.options)
				if err != nil {
					b.Fatal(err)
				}
				p := c.Programs["count"]
				ctx, err := m.NewPacket(ebpf.XDP, 100)
				if err != nil {
					b.Fatal(err)
				}
				th := thread(b, m)
				f := frame("45000030 00010000 40110000 0a000001 0a000002", "10000035 001c0000", 100)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := ctx.SetData(f[:lengths[i%len(lengths)]]); err != nil {
						b.Fatal(err)
					}
					if _, err := th.Run(p, ctx); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkHelpers calls a helper from a loop in a bare program.
func BenchmarkHelpers(b *testing.B) {
	for _, v := range variants() {
		b.Run(v.name, func(b *testing.B) {
			m := machine(b, Options{})
			// r6 = 1000; do { get_smp_processor_id(); r6--; } while (r6 != 0); exit
			p, err := m.LoadCode("calls", pad(b, "b7 6 0 0 e8 3 0 0 85 0 0 0 8 0 0 0 17 6 0 0 1 0 0 0 55 6 fd ff 0 0 0 0"), &v.options)
			if err != nil {
				b.Fatal(err)
			}
			mem, err := m.NewMemory(nil)
			if err != nil {
				b.Fatal(err)
			}
			th := thread(b, m)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := th.Run(p, mem); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/call")
		})
	}
}

// BenchmarkEmpty enters and leaves.
func BenchmarkEmpty(b *testing.B) {
	for _, v := range variants() {
		b.Run(v.name, func(b *testing.B) {
			m := machine(b, Options{})
			p, err := m.LoadCode("empty", pad(b, "b7 0 0 0"), &v.options)
			if err != nil {
				b.Fatal(err)
			}
			mem, err := m.NewMemory(nil)
			if err != nil {
				b.Fatal(err)
			}
			th := thread(b, m)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := th.Run(p, mem); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
