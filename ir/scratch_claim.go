package ir

// Claim says that a program can lose the CPU to a task that runs it, too, as those of uprobes can. Each run then claims one of several
// elements of the scratch map. The first word of an element is not 0 while it is claimed.
type Claim struct {
	Elements int // of the scratch map, from Options.ScratchIndex on
	// Words is a scratch slot of the entry function whose address is at this offset of what callbacks are given as their last parameter.
	Words  *Slot
	Offset int64
	// Lost builds what a run does that finds all elements claimed, before it returns.
	Lost func(b *Builder)
}

// claimHeader is the word at the start of an element.
const claimHeader = 8

// claimScratch claims an element before value i of a block. It returns the element, and the block in which it is claimed.
func (f *Func) claimScratch(opt *Options, at *Block, i int) (mem *Value, rest *Block) {
	span := at.Values[i].Span
	rest = at.splitAt(i)
	rest.sealed = false
	b := &Builder{F: f, B: at, Span: span}
	key := f.NewSlot("scratch.key", 4, 4, Stack)
	key.onStack = true
	mem = f.newValue(OpPhi, Pointer)
	mem.Note, mem.Span = "scratch", span
	for n := range opt.Claim.Elements {
		have, next := f.NewBlock(), f.NewBlock()
		element := b.scratchElement(opt, key, opt.ScratchIndex+uint32(n))
		b.unlessNull(element, have)
		have.sealed = true
		b.At(have)
		taken := b.Atomic(OpCmpXchg, element, 0, 8, b.Const(0), b.Const(1))
		b.If(taken, next, rest, LikelyElse)
		mem.Args = append(mem.Args, element)
		next.sealed = true
		b.At(next)
	}
	opt.Claim.Lost(b)
	b.Return(nil)
	rest.sealed = true
	rest.insert(0, mem)
	return mem, rest
}

// inheritScratch gives a callback the address of the slot Words in the element that the entry function has claimed.
func (f *Func) inheritScratch(c *Claim, at *Block, i int) *Value {
	last := len(f.Params) - 1
	var frame *Value
	for _, v := range f.Blocks[0].Values {
		if v.Op == OpParam && v.Aux == int64(last) {
			frame = v
		}
	}
	if frame == nil {
		frame = f.newValue(OpParam, f.Params[last])
		frame.Aux = int64(last)
		f.Blocks[0].insert(0, frame)
		if at == f.Blocks[0] {
			i++
		}
	}
	mem := f.newValue(OpLoad, Pointer, frame)
	mem.Aux, mem.Size = c.Offset, 8
	mem.Note, mem.Span = "scratch", at.Values[i].Span
	at.insert(i, mem)
	return mem
}

// releaseScratch releases an element on each way out of the blocks that can be reached through rest alone, in which it is used.
func (f *Func) releaseScratch(mem *Value, rest *Block) {
	g := newGraph(f)
	release := func(b *Builder) { b.Store(mem, 0, 8, b.Const(0)) }
	for _, at := range g.order {
		if !g.dominates(rest, at) {
			continue
		}
		if end := at.end(); end.Op == OpReturn {
			at.Values = at.Values[:len(at.Values)-1]
			release(&Builder{F: f, B: at, Span: end.Span})
			at.Values = append(at.Values, end)
		}
		for i, to := range at.Succs {
			if g.dominates(rest, to) {
				continue
			}
			n := f.NewBlock()
			n.sealed = true
			b := &Builder{F: f, B: n, Span: at.end().Span}
			release(b)
			j := f.newValue(OpJump, Void)
			j.Span = b.Span
			n.insert(len(n.Values), j)
			to.Preds[to.predIndex(at)] = n
			n.Preds, n.Succs = []*Block{at}, []*Block{to}
			at.Succs[i] = n
		}
	}
}
