package interp_test

import (
	"testing"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/enginetest"
	"skep/vm/interp"
)

// watchedImage runs with somebody who looks on.
type watchedImage struct {
	engine.Image
	seen *int
}

func (w watchedImage) Run(t *engine.Thread, slot int, args engine.Args) (uint64, error) {
	t.Watch = func(p *code.Program, at, depth int, r *[11]uint64) {
		*w.seen++
		if want := t.Stack.Base() + uint64(depth+1)*engine.FrameSize; r[10] != want {
			panic("the frame is another one")
		}
	}
	return w.Image.Run(t, slot, args)
}

// TestWatched compares programs that are watched with those that are not.
func TestWatched(t *testing.T) {
	seen := 0
	watched := enginetest.Engine{Name: "watched", New: func(p *code.Program, helpers []engine.Helper, _ bool) (engine.Image, error) {
		m, err := interp.New(p, helpers)
		return watchedImage{m, &seen}, err
	}}
	contenders := []enginetest.Contender{interpreter.Contend(t, true), watched.Contend(t, true), watched.Contend(t, false)}
	first := enginetest.Seed(t)
	for i := range uint64(enginetest.Programs(t, 1000)) {
		if refused, differ := enginetest.Compare(first+i, 4, contenders); refused != nil || differ != nil {
			t.Fatal(refused, differ)
		}
	}
	t.Logf("%d instructions were watched", seen)
	watched.Control(t)
}

// TestWatchedOnce counts how often an instruction is told of: fused ones, and one that jumps to itself, included.
func TestWatchedOnce(t *testing.T) {
	p := enginetest.Program(0, enginetest.Mov(0, enginetest.K(3)), enginetest.Mov(1, enginetest.Reg(0)), enginetest.Exit())
	seen := 0
	m := watchedImage{interpreter.Image(t, p, true), &seen}
	if _, err := m.Run(enginetest.NewThread(t, true), 0, engine.Args{}); err != nil {
		t.Fatal(err)
	}
	if seen != 3 {
		t.Errorf("%d instructions were watched, not 3", seen)
	}
}
