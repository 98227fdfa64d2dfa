package ir

import "github.com/cilium/ebpf/asm"

// lowerScratch puts the function's scratch slots into its element of the per-CPU scratch map, from byte base on. The element is looked up
// where all uses can be reached from, so that what returns earlier (a predicate) does not pay for it. words is where the entry function
// keeps what Claim.Words is, from the element's start.
func lowerScratch(f *Func, opt *Options, base, words int) {
	lives := f.slotLiveness()
	scratch := func(s *Slot) bool { return !s.onStack }
	lives.place(f.Slots, scratch, false)
	type usage struct {
		v    *Value
		arg  int
		slot *Slot
	}
	var uses []usage
	g := newGraph(f)
	var at *Block
	for _, b := range g.order {
		for _, v := range b.Values {
			for i, a := range v.Args {
				if a.Op != OpSlot || a.Slot.onStack {
					continue
				}
				uses = append(uses, usage{v, i, a.Slot})
				in := b
				if v.Op == OpPhi {
					in = b.Preds[i]
				}
				if at == nil {
					at = in
				} else {
					at = g.common(at, in)
				}
			}
		}
	}
	if at == nil {
		return
	}
	for g.loops[at.ID] > 0 {
		at = g.idom[at.ID]
	}
	split := len(at.Values) - 1
	for _, u := range uses {
		for i, v := range at.Values[:split] {
			if v == u.v && v.Op != OpPhi {
				split = i
			}
		}
	}
	var mem *Value
	var rest *Block
	switch {
	case opt.Claim == nil:
		mem = f.lookUpScratch(opt, at, split)
	case f.Callback:
		mem = f.inheritScratch(opt.Claim, at, split)
		base -= words
	default:
		mem, rest = f.claimScratch(opt, at, split)
	}
	for _, u := range uses {
		// Next to its user: an addition is cheaper than a register that is kept over calls.
		block, before := u.v.Block, u.v
		if u.v.Op == OpPhi {
			block = u.v.Block.Preds[u.arg]
			before = block.end()
		}
		addr := mem
		if c := u.v.Args[len(u.v.Args)-1]; u.v.Op == OpAdd && u.arg == 0 && c.Op == OpConst {
			sum := f.newValue(OpConst, Scalar)
			sum.Aux = c.Aux + int64(base+u.slot.offset)
			block.insert(indexOf(block.Values, before), sum)
			u.v.Args = []*Value{mem, sum}
			continue
		}
		if n := int64(base + u.slot.offset); n != 0 {
			i := indexOf(block.Values, before)
			c := f.newValue(OpConst, Scalar)
			c.Aux = n
			block.insert(i, c)
			addr = f.newValue(OpAdd, Pointer, mem, c)
			addr.Span, addr.Note = u.v.Span, u.slot.Name
			block.insert(i+1, addr)
		}
		u.v.Args[u.arg] = addr
	}
	if rest != nil {
		f.releaseScratch(mem, rest)
	}
}

// lookUpScratch gives the program's element before value i of a block.
func (f *Func) lookUpScratch(opt *Options, at *Block, i int) *Value {
	span := at.Values[i].Span
	rest := at.splitAt(i)
	b := &Builder{F: f, B: at, Span: span}
	key := f.NewSlot("scratch.key", 4, 4, Stack)
	key.onStack = true
	mem := b.scratchElement(opt, key, opt.ScratchIndex)
	rest.sealed = false
	b.unlessNull(mem, rest)
	rest.sealed = true
	return mem
}

// scratchElement looks up an element of the scratch map.
func (b *Builder) scratchElement(opt *Options, key *Slot, index uint32) *Value {
	b.Store(b.SlotAddr(key), 0, 4, b.Const(int64(index)))
	mem := b.Call(int64(asm.FnMapLookupElem), MaybeNull, ReadsMemory, b.Map(opt.ScratchMap), b.SlotAddr(key))
	mem.Note = "scratch"
	return mem
}

// unlessNull goes on at a block with the element, which is always there, though the verifier does not know it.
func (b *Builder) unlessNull(mem *Value, then *Block) {
	fail := b.F.NewBlock()
	b.If(mem, then, fail, LikelyThen)
	fail.sealed = true
	b.At(fail)
	b.Return(nil)
}

func indexOf(list []*Value, v *Value) int {
	for i, x := range list {
		if x == v {
			return i
		}
	}
	return -1
}

// splitAt moves the values from index i on to a new block, which takes over the successors.
func (b *Block) splitAt(i int) *Block {
	n := b.Func.NewBlock()
	n.sealed = true
	n.Values = append(n.Values, b.Values[i:]...)
	b.Values = b.Values[:i:i]
	for _, v := range n.Values {
		v.Block = n
	}
	n.Succs, b.Succs = b.Succs, nil
	for _, s := range n.Succs {
		for j, p := range s.Preds {
			if p == b {
				s.Preds[j] = n
			}
		}
	}
	return n
}
