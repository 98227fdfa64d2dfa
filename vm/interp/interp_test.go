package interp_test

import (
	"testing"

	"skep/vm/engine"
	. "skep/vm/enginetest"
)

func TestArithmetic(t *testing.T) { interpreter.Arithmetic(t, testing.Short()) }

func TestMemory(t *testing.T) { interpreter.Memory(t, testing.Short()) }

func TestAtomics(t *testing.T) { interpreter.Atomics(t, testing.Short()) }

func TestControl(t *testing.T) { interpreter.Control(t) }

func TestTailCalls(t *testing.T) {
	interpreter.TailCalls(t, interpreter)
	interpreter.TailDepth(t, interpreter)
	interpreter.TailCallbacks(t, interpreter)
}

// TestAllocations counts what a run allocates.
func TestAllocations(t *testing.T) {
	for _, checked := range []bool{false, true} {
		p := Program(1, Mov(1, Reg(10)), Store(8, 1, -8, K(1)), Call(0), CallFunc(1), Exit(), Exit())
		m := interpreter.Image(t, p, checked, func(_ *engine.Thread, a *[5]uint64) uint64 { return a[0] })
		th := NewThread(t, checked)
		n := testing.AllocsPerRun(100, func() {
			if _, err := m.Run(th, 0, engine.Args{}); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a run allocates %v times, checked: %v", n, checked)
		}
	}
}

func TestRegions(t *testing.T) { interpreter.Regions(t) }
