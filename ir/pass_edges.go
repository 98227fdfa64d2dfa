package ir

// splitEdges puts an empty block on each edge from a block with two ways out to a block with phis and several ways in, so
// that the phis' moves have a place.
func splitEdges(f *Func) {
	for _, b := range append([]*Block(nil), f.Blocks...) {
		if len(b.Succs) < 2 {
			continue
		}
		for i, s := range b.Succs {
			if len(s.Preds) < 2 || len(s.Values) == 0 || !s.hasPhis() {
				continue
			}
			n := f.NewBlock()
			n.sealed = true
			j := f.newValue(OpJump, Void)
			j.Span = b.end().Span
			n.insert(0, j)
			at := s.predIndex(b)
			if i == 1 && b.Succs[0] == s {
				at = lastIndex(s.Preds, b)
			}
			s.Preds[at] = n
			n.Preds, n.Succs = []*Block{b}, []*Block{s}
			b.Succs[i] = n
		}
	}
}

func lastIndex(list []*Block, b *Block) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == b {
			return i
		}
	}
	return -1
}

func (b *Block) hasPhis() bool {
	for _, v := range b.Values {
		if v.Op == OpPhi {
			return true
		}
	}
	return false
}
