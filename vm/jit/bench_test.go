//go:build (linux || darwin) && (amd64 || arm64)

package jit_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
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
		if _, err := m.Run(th, 0, engine.Args{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTable prints the speeds beside those of gcc -O2: short pieces in turn, of which the fastest counts, so that what else the machine
// does matters less. SKEP_BENCH=1 go test -run Table -v ./vm/jit; internal/bench reads the lines that begin with BENCH.
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
	var lines []string
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
		for i := 1; i < len(runs); i++ {
			lines = append(lines, fmt.Sprintf("BENCH|%s, %s loop|%.2f|ns|%.2f", names[i], loop.Name, ns[i][0], ns[0][0]))
		}
	}
	w.Flush()
	for _, l := range lines {
		fmt.Println(l)
	}
	enterAndLeave(t)
	collections(t)
}

// enterAndLeave prints what a run costs that does nothing.
func enterAndLeave(t *testing.T) {
	m := compiler.Image(t, enginetest.Program(0, enginetest.Mov(0, enginetest.K(1)), enginetest.Exit()), false)
	th := enginetest.NewThread(t, false)
	best := time.Hour
	const runs = 10000
	for range 200 {
		start := time.Now()
		for range runs {
			if _, err := m.Run(th, 0, engine.Args{}); err != nil {
				t.Fatal(err)
			}
		}
		best = min(best, time.Since(start))
	}
	fmt.Printf("entering and leaving: %.1f ns\n", float64(best.Nanoseconds())/runs)
}

// collections prints how long the garbage collector takes beside a program that never ends, and alone.
func collections(t *testing.T) {
	measure := func() (middle, longest time.Duration) {
		var all []time.Duration
		for range 300 {
			start := time.Now()
			runtime.GC()
			all = append(all, time.Since(start))
		}
		slices.Sort(all)
		return all[len(all)/2], all[len(all)-1]
	}
	middle, longest := measure()
	fmt.Printf("a garbage collection alone: %v, at most %v\n", middle, longest)
	var stop atomic.Bool
	go func() {
		for !stop.Load() {
		}
	}()
	middle, longest = measure()
	stop.Store(true)
	fmt.Printf("beside a loop of Go's: %v, at most %v\n", middle, longest)
	ofGo := longest
	m := compiler.Image(t, enginetest.Program(0, enginetest.Alu(code.ADD, 0, enginetest.K(1)), enginetest.Goto(-2)), false)
	th := enginetest.NewThread(t, false)
	ended := make(chan error)
	go func() {
		_, err := m.Run(th, 0, engine.Args{})
		ended <- err
	}()
	middle, longest = measure()
	th.Stop.Store(true)
	<-ended
	fmt.Printf("beside a program that never ends: %v, at most %v\n", middle, longest)
	fmt.Printf("BENCH|longest garbage collection beside a program|%.2f|ms|%.2f\n", float64(longest.Microseconds())/1000, float64(ofGo.Microseconds())/1000)
}
