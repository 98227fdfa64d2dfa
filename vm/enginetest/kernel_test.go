//go:build linux && (amd64 || arm64)

package enginetest_test

import (
	"testing"

	"skep/internal/ktest"
	"skep/vm/code"
	"skep/vm/engine"
	. "skep/vm/enginetest"
	"skep/vm/interp"
	"skep/vm/jit"
)

var (
	interpreter = Engine{Name: "interp", New: func(p *code.Program, helpers []engine.Helper, _ bool) (engine.Image, error) {
		return interp.New(p, helpers)
	}}
	compiler = Engine{Name: "jit", New: func(p *code.Program, helpers []engine.Helper, checked bool) (engine.Image, error) {
		return jit.New(p, helpers, checked)
	}}
)

// TestKernel compares both engines with the running kernel, which must have load_acquire. SKEP_PROGRAMS=1000000 SKEP_SEED=… makes it a
// long one.
func TestKernel(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.Release("6.15"))
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	contenders := []Contender{k.Contend(), interpreter.Contend(t, true), compiler.Contend(t, false), compiler.Contend(t, true)}
	usual := 1000
	if ktest.Emulated() {
		usual = 100
	}
	first, n, taken := Seed(t), Programs(t, usual), 0
	var why error
	for i := range uint64(n) {
		refused, differ := Compare(first+i, 8, contenders)
		if differ != nil {
			t.Fatal(differ)
		}
		if refused == nil {
			taken++
		} else {
			why = refused
		}
	}
	t.Logf("%d programs compared, of %d", taken, n)
	if taken < n*9/10 {
		t.Errorf("the verifier takes %d of %d random programs; the last one it refused: %+v", taken, n, why)
	}
}
