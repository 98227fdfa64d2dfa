package ir

// root is where an address comes from.
type root struct {
	base  *Value // what is not an addition
	off   int64  // the sum of what was added to it
	exact bool   // only constants were added
}

func rootOf(v *Value) root {
	r := root{exact: true}
	for {
		switch {
		case v.Op == OpAdd && v.Args[0].Type.pointer() && v.Args[1].Op == OpConst:
			r.off += v.Args[1].Aux
			v = v.Args[0]
			continue
		case v.Op == OpSub && v.Type.pointer() && v.Args[1].Op == OpConst:
			r.off -= v.Args[1].Aux
			v = v.Args[0]
			continue
		case (v.Op == OpAdd || v.Op == OpSub) && v.Type.pointer() && v.Args[0].Type.pointer():
			r.exact = false
			v = v.Args[0]
			continue
		}
		r.base = v
		if v.Op == OpMapValue {
			r.off += v.Aux
		}
		return r
	}
}

// alignment is how the slot is placed: by what it asked for, or by its size, so that wide stores can reach it.
func (s *Slot) alignment() int {
	a := 1
	for a < 8 && a < s.Size {
		a *= 2
	}
	return max(a, s.Align, 1)
}

// slotUse is how a slot's address is used.
type slotUse struct {
	access  [][]*Value // by slot: values that read or write it
	escapes []bool     // by slot: the address goes where it cannot be followed
	varies  []bool     // by slot: it is used with an offset that is not constant
	home    []*Block   // by slot: the only block where it is used, nil if there are several or it escapes
}

// slotUses follows the addresses of the slots through additions.
func (f *Func) slotUses() *slotUse {
	u := &slotUse{access: make([][]*Value, len(f.Slots)), escapes: make([]bool, len(f.Slots)), varies: make([]bool, len(f.Slots)),
		home: make([]*Block, len(f.Slots))}
	used := make([]bool, len(f.Slots))
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, a := range v.Args {
				if !a.Type.pointer() {
					continue
				}
				r := rootOf(a)
				if r.base.Op != OpSlot {
					continue
				}
				n := r.base.Slot.index
				switch {
				case !used[n]:
					used[n], u.home[n] = true, b
				case u.home[n] != b:
					u.home[n] = nil
				}
				if !r.exact {
					u.varies[n] = true
				}
				switch {
				case v.Op.memory() && i == 0, v.Op == OpCopy, v.Op == OpCall, v.Op == OpCallFunc:
					u.access[n] = append(u.access[n], v)
				case (v.Op == OpAdd || v.Op == OpSub) && i == 0 && v.Type.pointer():
				case v.Op.compare():
				default:
					u.escapes[n] = true
				}
			}
		}
	}
	for i, escapes := range u.escapes {
		if escapes {
			u.home[i] = nil
		}
	}
	return u
}
