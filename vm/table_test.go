package vm

import (
	"fmt"
	"os"
	"testing"
	"time"

	"skep/vm/jit"
)

// TestTable prints what a run and a call of a helper cost through the machine: of short pieces the fastest, so that what else the computer
// does matters less. SKEP_BENCH=1 go test -run Table -v ./vm
func TestTable(t *testing.T) {
	if os.Getenv("SKEP_BENCH") == "" {
		t.Skip("a measurement: SKEP_BENCH=1 asks for it")
	}
	if !jit.Supported {
		t.Skip("there is no JIT for this computer")
	}
	m := machine(t, Options{})
	mem, err := m.NewMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	th := thread(t, m)
	fastest := func(program string, o LoadOptions, runs int) float64 {
		p, err := m.LoadCode("measured", pad(t, program), &o)
		if err != nil {
			t.Fatal(err)
		}
		best := time.Hour
		for range 300 {
			start := time.Now()
			for range runs {
				if _, err := th.Run(p, mem); err != nil {
					t.Fatal(err)
				}
			}
			best = min(best, time.Since(start))
		}
		return float64(best.Nanoseconds()) / float64(runs)
	}
	// r6 = 10000; do { get_smp_processor_id(); r6--; } while (r6 != 0); exit
	calls := "b7 6 0 0 10 27 0 0 85 0 0 0 8 0 0 0 17 6 0 0 1 0 0 0 55 6 fd ff 0 0 0 0"
	for _, way := range []struct {
		name    string
		options LoadOptions
	}{{"JIT", LoadOptions{Engine: JIT, Trusted: true}}, {"JIT, checked", LoadOptions{Engine: JIT}}, {"interpreter", LoadOptions{Engine: Interpreter}}} {
		fmt.Printf("BENCH|%s: entering and leaving|%.1f|ns|\n", way.name, fastest("b7 0 0 0", way.options, 5000))
		fmt.Printf("BENCH|%s: helper call|%.2f|ns|\n", way.name, fastest(calls, way.options, 2)/10000)
	}
}
