package interp_test

import (
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/enginetest"
	"skep/vm/interp"
)

var interpreter = enginetest.Engine{Name: "interp", New: func(p *code.Program, helpers []engine.Helper, _ bool) (engine.Image, error) {
	return interp.New(p, helpers)
}}

func BenchmarkLoops(b *testing.B) {
	for _, loop := range enginetest.Loops {
		b.Run(loop.Name+"/trusting", func(b *testing.B) { interpreter.Prepare(b, loop, false).Bench(b, loop) })
		b.Run(loop.Name+"/checking", func(b *testing.B) { interpreter.Prepare(b, loop, true).Bench(b, loop) })
	}
}

func BenchmarkRun(b *testing.B) {
	m := interpreter.Image(b, enginetest.Program(0, enginetest.Mov(0, enginetest.K(1)), enginetest.Exit()), true)
	th := enginetest.NewThread(b, true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Run(th, 0, engine.Args{}); err != nil {
			b.Fatal(err)
		}
	}
}
