package ir

// clone returns a copy of the function that shares nothing with it but its module.
func (f *Func) clone() *Func {
	n := &Func{Name: f.Name, Module: f.Module, Params: f.Params, Callback: f.Callback, nextValue: f.nextValue, nextBlock: f.nextBlock}
	for _, s := range f.Slots {
		c := *s
		n.Slots = append(n.Slots, &c)
	}
	blocks, values := make([]*Block, f.nextBlock), make([]*Value, f.nextValue) // by ID
	for _, b := range f.Blocks {
		c := &Block{ID: b.ID, Func: n, sealed: true}
		blocks[b.ID] = c
		n.Blocks = append(n.Blocks, c)
		for _, v := range b.Values {
			w := *v
			w.Block = c
			if v.Slot != nil {
				w.Slot = n.Slots[v.Slot.index]
			}
			values[v.ID] = &w
			c.Values = append(c.Values, &w)
		}
	}
	for _, b := range f.Blocks {
		c := blocks[b.ID]
		for _, p := range b.Preds {
			c.Preds = append(c.Preds, blocks[p.ID])
		}
		for _, s := range b.Succs {
			c.Succs = append(c.Succs, blocks[s.ID])
		}
		for _, v := range c.Values {
			args := make([]*Value, len(v.Args))
			for i, a := range v.Args {
				args[i] = values[a.ID]
			}
			v.Args = args
		}
	}
	return n
}
