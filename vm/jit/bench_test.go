//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

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
		b.Run(loop.Name+"/trusting", func(b *testing.B) { compiler.Prepare(b, loop, false).Bench(b, loop) })
		b.Run(loop.Name+"/checking", func(b *testing.B) { compiler.Prepare(b, loop, true).Bench(b, loop) })
		b.Run(loop.Name+"/gcc", func(b *testing.B) { enginetest.PrepareC(b, loop).Bench(b, loop) })
	}
}

func BenchmarkRun(b *testing.B) {
	m := compiler.Image(b, enginetest.Program(0, enginetest.Mov(0, enginetest.K(1)), enginetest.Exit()), false)
	th := enginetest.NewThread(b, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Run(th, 0, [5]uint64{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTable prints the speeds beside those of gcc -O2, all in turn in one run: SKEP_BENCH=1 go test -run Table -v ./vm/jit
func TestTable(t *testing.T) {
	if os.Getenv("SKEP_BENCH") == "" {
		t.Skip("a measurement: SKEP_BENCH=1 asks for it")
	}
	names := []string{"gcc -O2", "jit", "jit, checked", "interp", "interp, checked"}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "ns a round\t")
	for _, name := range names {
		fmt.Fprintf(w, "%s\t", name)
	}
	fmt.Fprintln(w, "jit/gcc\tinterp ns/insn\t")
	for _, loop := range enginetest.Loops {
		runs := []enginetest.Run{enginetest.PrepareC(t, loop), compiler.Prepare(t, loop, false), compiler.Prepare(t, loop, true),
			interpreter.Prepare(t, loop, false), interpreter.Prepare(t, loop, true)}
		const rounds = 99
		ns := make([][]float64, len(runs))
		for range rounds {
			for i, run := range runs {
				n := 500_000
				if i > 2 {
					n /= 4
				}
				d, err := run(n)
				if err != nil {
					t.Fatal(err)
				}
				ns[i] = append(ns[i], float64(d)/float64(n)/float64(time.Nanosecond))
			}
		}
		fmt.Fprintf(w, "%s\t", loop.Name)
		for i := range ns {
			slices.Sort(ns[i])
			fmt.Fprintf(w, "%.2f\t", ns[i][0])
		}
		fmt.Fprintf(w, "%.2f\t%.2f\t\n", ns[1][0]/ns[0][0], ns[3][0]/float64(loop.Insns))
	}
	w.Flush()
}
