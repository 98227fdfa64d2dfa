package verifier

// maxPathSteps limits the walks that are walked again for what was known at each step: 2 kB each.
const maxPathSteps = 20_000

// Causes is Path with more: what was known after each step, and where a pointer was lost without being written. For that the program is
// walked again, if that is not long; otherwise it is Path.
func (r *Rejection) Causes() []Cause {
	if r.prog == nil || r.at == nil || r.reg < 0 {
		return r.Path
	}
	w := &pathWatcher{steps: make([]pathStep, 1)}
	o := r.opt
	o.watch = w
	again := verify(r.prog, r.kernel, o).Rejection
	if w.full || again == nil || again.Insn != r.Insn {
		return r.Path
	}
	return again.Path
}

// A pathWatcher keeps what was known of registers at each step.
type pathWatcher struct {
	steps []pathStep // the first one is none
	full  bool
}

type pathStep struct {
	prev, at, top int
	regs          [11]reg
}

func (w *pathWatcher) enter(v *verifier) {
	if w.full = w.full || len(w.steps) > maxPathSteps; w.full {
		return
	}
	w.steps = append(w.steps, pathStep{v.cur.seen, v.insn, v.cur.top, v.cur.frame().regs})
	v.cur.seen = len(w.steps) - 1
}

func (w *pathWatcher) covered(*verifier, *state, sameness) {}

// A pathCursor goes backwards over a path with what was known on it.
type pathCursor struct {
	w     *pathWatcher
	step  int
	after *pathStep
}

func (v *verifier) pathCursor(s *state) *pathCursor {
	w, ok := v.opt.watch.(*pathWatcher)
	if !ok || w.full {
		return nil
	}
	return &pathCursor{w: w, step: s.seen}
}

// to goes back to an instruction: before is what was known before it, after what was known behind it.
func (c *pathCursor) to(at int) (before, after *pathStep) {
	for c.step > 0 {
		c.after = &c.w.steps[c.step]
		c.step = c.after.prev
		if c.step > 0 && c.w.steps[c.step].at == at {
			return &c.w.steps[c.step], c.after
		}
		if c.step > 0 && c.w.steps[c.step].at != at && c.w.steps[c.step].at != c.after.at {
			c.step = 0 // another path
		}
	}
	return nil, nil
}
