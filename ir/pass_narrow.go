package ir

// dropSigns loads without sign extension where only the low bits are looked at: that is an instruction that every kernel
// has, and it can be shared with other loads.
func dropSigns(f *Func) bool {
	signed := make([]bool, f.nextValue) // somebody looks at the high bits
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, a := range v.Args {
				if a.Op == OpLoadS && !looksLow(v, i, 8*a.Size) {
					signed[a.ID] = true
				}
			}
		}
	}
	changed := false
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == OpLoadS && (!signed[v.ID] || v.Size == 8) {
				v.Op = OpLoad
				changed = true
			}
		}
	}
	return changed
}

// looksLow reports whether v looks at no more than the low n bits of argument i.
func looksLow(v *Value, i, n int) bool {
	switch v.Op {
	case OpStore:
		return i == 1 && 8*v.Size <= n
	case OpZExt, OpSExt, OpSwap:
		return int(v.Aux) <= n
	}
	return false
}
