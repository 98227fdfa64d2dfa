package ir

// simplifyPhis removes phis that can have one value only, and those that repeat another phi of their block.
func simplifyPhis(f *Func) bool {
	any := false
	for changed := true; changed; {
		changed = false
		with := map[*Value]*Value{}
		now := func(v *Value) *Value {
			for with[v] != nil {
				v = with[v]
			}
			return v
		}
		for _, b := range f.Blocks {
			kept := b.Values[:0]
			var phis []*Value
			for _, v := range b.Values {
				if v.Op != OpPhi {
					kept = append(kept, v)
					continue
				}
				for i, a := range v.Args {
					v.Args[i] = now(a)
				}
				if same := onlyValue(v); same != nil {
					with[v] = same
				} else if twin := samePhi(phis, v); twin != nil {
					with[v] = twin
				} else {
					phis = append(phis, v)
					kept = append(kept, v)
				}
			}
			b.Values = kept
		}
		if len(with) > 0 {
			f.replaceAll(with)
			changed, any = true, true
		}
	}
	return any
}

// onlyValue returns the one value that the phi can have, or nil.
func onlyValue(phi *Value) *Value {
	var same *Value
	for _, a := range phi.Args {
		if a == phi || a == same {
			continue
		}
		if same != nil {
			return nil
		}
		same = a
	}
	return same
}

func samePhi(list []*Value, v *Value) *Value {
next:
	for _, p := range list {
		if p.Type != v.Type {
			continue
		}
		for i, a := range p.Args {
			if a != v.Args[i] {
				continue next
			}
		}
		return p
	}
	return nil
}

// hoistLeaves makes one value of all leaves that are the same, at the start of the entry, where it reaches everything.
func hoistLeaves(f *Func) bool {
	type key struct {
		op   Op
		aux  int64
		sym  string
		slot *Slot
	}
	entry := f.Blocks[0]
	seen := map[key]*Value{}
	with := map[*Value]*Value{}
	var leaves []*Value
	for _, b := range f.Blocks {
		kept := b.Values[:0]
		for _, v := range b.Values {
			if !v.leaf() {
				kept = append(kept, v)
				continue
			}
			k := key{v.Op, v.Aux, v.Sym, v.Slot}
			if first := seen[k]; first != nil {
				with[v] = first
				continue
			}
			seen[k] = v
			v.Block = entry
			leaves = append(leaves, v)
		}
		b.Values = kept
	}
	entry.Values = append(leaves, entry.Values...)
	f.replaceAll(with)
	return len(with) > 0
}
