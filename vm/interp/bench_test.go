package interp_test

import (
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/enginetest"
	"skep/vm/interp"
	"skep/vm/memory"
)

var interpreter = enginetest.Engine{Name: "interp", New: func(p *code.Program, helpers []engine.Helper, _ bool) (engine.Image, error) {
	return interp.New(p, helpers)
}}

func BenchmarkLoops(b *testing.B) {
	for _, loop := range enginetest.Loops {
		for _, mode := range []string{"trusting", "checking"} {
			b.Run(loop.Name+"/"+mode, func(b *testing.B) {
				m := interpreter.Image(b, loop.Program, mode == "checking", loop.Helpers...)
				th := enginetest.NewThread(b, mode == "checking")
				mem := enginetest.NewBlock(b, enginetest.LoopMemory)
				if th.Space != nil {
					th.Space.Add(memory.Region{Base: mem.Base(), Size: enginetest.LoopMemory, Name: "memory"})
				}
				b.ReportAllocs()
				b.ResetTimer()
				if _, err := m.Run(th, 0, [5]uint64{uint64(b.N), mem.Base()}); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*loop.Insns), "ns/insn")
			})
		}
	}
}

func BenchmarkRun(b *testing.B) {
	m := interpreter.Image(b, enginetest.Program(0, enginetest.Mov(0, enginetest.K(1)), enginetest.Exit()), true)
	th := enginetest.NewThread(b, true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Run(th, 0, [5]uint64{}); err != nil {
			b.Fatal(err)
		}
	}
}
