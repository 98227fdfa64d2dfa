package ir

import "testing"

func BenchmarkCompile(b *testing.B) {
	for name, build := range map[string]func() *Module{
		"small": buildLoops,
		"large": func() *Module { return hugeModule(1, 500) }, // about what a script of forty lines becomes
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				o, err := Compile(build(), Options{Target: liveTarget(), ScratchMap: "scratch", ZeroMap: "zero", ZeroSize: 4096})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(o.Spans)), "insns")
			}
		})
	}
}
