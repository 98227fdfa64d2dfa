package ir

// dropUnreachable removes blocks that no path from the entry leads to.
func dropUnreachable(f *Func) bool {
	reached := make([]bool, f.nextBlock)
	work := append(make([]*Block, 0, len(f.Blocks)), f.Blocks[0])
	reached[f.Blocks[0].ID] = true
	for n := 0; n < len(work); n++ {
		for _, to := range work[n].Succs {
			if !reached[to.ID] {
				reached[to.ID] = true
				work = append(work, to)
			}
		}
	}
	if len(work) == len(f.Blocks) {
		return false
	}
	var kept []*Block
	for _, b := range f.Blocks {
		if !reached[b.ID] {
			continue
		}
		kept = append(kept, b)
		for i := len(b.Preds) - 1; i >= 0; i-- {
			if !reached[b.Preds[i].ID] {
				b.dropPred(i)
			}
		}
	}
	f.Blocks = kept
	return true
}

// dropDead removes values that nobody uses and that do nothing.
func dropDead(f *Func) bool {
	live := make([]bool, f.nextValue)
	var work []*Value
	mark := func(v *Value) {
		if !live[v.ID] {
			live[v.ID] = true
			work = append(work, v)
		}
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.effect() {
				mark(v)
			}
		}
	}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		for _, a := range v.Args {
			mark(a)
		}
	}
	changed := false
	for _, b := range f.Blocks {
		kept := b.Values[:0]
		for _, v := range b.Values {
			if live[v.ID] {
				kept = append(kept, v)
			} else {
				changed = true
			}
		}
		b.Values = kept
	}
	return changed
}
