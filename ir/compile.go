package ir

import (
	"errors"
	"fmt"

	"skep/internal/diag"
)

// Error is a program that cannot be compiled, with the place in the script that is to blame.
type Error struct {
	Span    diag.Span
	Message string
	Hint    string
}

func (e *Error) Error() string { return e.Message }

// stackLimit is what the kernel gives all functions of a call chain together; each counts in steps of 32 bytes.
const stackLimit = 512

// bigSlot is the size from which on an Auto slot goes to scratch memory.
const bigSlot = 64

// Compile turns the module into instructions. The module is changed and must not be used again.
func Compile(m *Module, opt Options) (*Object, error) {
	if len(m.Funcs) == 0 {
		return nil, errors.New("ir: empty module")
	}
	for _, f := range m.Funcs {
		f.finishVars()
		dropUnreachable(f)
		f.hoistParams()
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	opt.dump("ir", m)
	if err := m.optimise(&opt); err != nil {
		return nil, err
	}
	m.dropUncalled()
	opt.dump("ir-opt", m)
	o, err := m.generate(&opt)
	if err == nil && opt.Dump != nil {
		opt.Dump("asm", o.Listing())
	}
	return o, err
}

// dropUncalled removes functions that nothing refers to any more: the kernel does not take them.
func (m *Module) dropUncalled() {
	called := map[string]bool{m.Funcs[0].Name: true}
	for grown := true; grown; {
		grown = false
		for _, f := range m.Funcs {
			if !called[f.Name] {
				continue
			}
			for _, b := range f.Blocks {
				for _, v := range b.Values {
					if (v.Op == OpFuncAddr || v.Op == OpCallFunc) && !called[v.Sym] {
						called[v.Sym], grown = true, true
					}
				}
			}
		}
	}
	var kept []*Func
	for _, f := range m.Funcs {
		if called[f.Name] {
			kept = append(kept, f)
		}
	}
	m.Funcs = kept
}

func (o *Options) dump(stage string, m *Module) {
	if o.Dump != nil {
		o.Dump(stage, m.String())
	}
}

// generate finds a place for every slot. What register allocation puts on the stack is known only in the end: if the
// stack is too small then, one more slot moves to scratch memory.
func (m *Module) generate(opt *Options) (*Object, error) {
	moved := map[*Slot]bool{}
	for {
		p := &plan{m: m, opt: opt, moved: moved, origin: map[*Slot]*Slot{}}
		if err := p.run(); err != nil {
			return nil, err
		}
		depth, chain := p.depth()
		if depth <= stackLimit {
			o, err := emit(m, p.machine)
			if err != nil {
				return nil, err
			}
			o.StackDepth, o.ScratchSize = depth, (p.scratchSize+7)&^7
			return o, nil
		}
		biggest := p.biggest(chain)
		if biggest == nil {
			return nil, p.tooDeep(depth, chain)
		}
		moved[biggest] = true
		// What has no room beside the spilled registers would be next, one attempt after the other.
		p.moveBigger(chain, moved)
	}
}

// plan is one attempt to give every slot and value a place.
type plan struct {
	m           *Module
	opt         *Options
	moved       map[*Slot]bool  // slots of the module that are not to be on the stack
	origin      map[*Slot]*Slot // from the clones' slots to the module's
	funcs       []*Func         // clones
	machine     []*machineFunc
	callees     [][]int // by function
	scratchSize int
}

func (p *plan) run() error {
	p.calls()
	bases := p.scratchBases()
	words := 0 // offset of Claim.Words in the element
	for i, f := range p.m.Funcs {
		c := f.clone()
		p.funcs = append(p.funcs, c)
		u := c.slotUses()
		for j, s := range c.Slots {
			p.origin[s] = f.Slots[j]
			s.onStack = p.onStack(f.Slots[j], u.varies[j])
		}
		if p.opt.ScratchMap != "" {
			lowerScratch(c, p.opt, bases[i], words)
		}
		if claim := p.opt.Claim; claim != nil && claim.Words != nil && i == 0 {
			words = bases[0] + c.Slots[claim.Words.index].offset
		}
		stack := c.slotLiveness().place(c.Slots, func(s *Slot) bool { return s.onStack }, true)
		splitEdges(c)
		mf := selectFunc(c, p.opt.Target, stack)
		mf.reuse()
		if err := mf.allocate(); err != nil {
			return err
		}
		mf.layout()
		p.machine = append(p.machine, mf)
	}
	return nil
}

func (p *plan) onStack(s *Slot, varies bool) bool {
	switch {
	case s.Where == Stack, p.opt.ScratchMap == "":
		return true
	case s.Where == Scratch, varies:
		return false
	}
	return s.Size <= bigSlot && !p.moved[s]
}

// calls finds the functions that each function calls, itself or through a helper.
func (p *plan) calls() {
	index := map[string]int{}
	for i, f := range p.m.Funcs {
		index[f.Name] = i
	}
	p.callees = make([][]int, len(p.m.Funcs))
	for i, f := range p.m.Funcs {
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Op == OpFuncAddr || v.Op == OpCallFunc {
					if n, ok := index[v.Sym]; ok {
						p.callees[i] = append(p.callees[i], n)
					}
				}
			}
		}
	}
}

// scratchBases lets the scratch memory of each function start behind that of all its callers.
func (p *plan) scratchBases() []int {
	bases := make([]int, len(p.m.Funcs))
	sizes := make([]int, len(p.m.Funcs))
	for i, f := range p.m.Funcs {
		if p.opt.Claim != nil {
			bases[i] = claimHeader
		}
		u := f.slotUses()
		for j, s := range f.Slots {
			s.onStack = p.onStack(s, u.varies[j])
		}
		sizes[i] = (f.slotLiveness().place(f.Slots, func(s *Slot) bool { return !s.onStack }, false) + 7) &^ 7
	}
	for range p.m.Funcs { // long enough for every chain, and ends if there is a circle
		for i, list := range p.callees {
			for _, callee := range list {
				bases[callee] = max(bases[callee], bases[i]+sizes[i])
			}
		}
	}
	for i := range bases {
		if sizes[i] > 0 {
			p.scratchSize = max(p.scratchSize, bases[i]+sizes[i])
		}
	}
	return bases
}

// depth returns the stack bytes of the deepest call chain from the entry, and the chain.
func (p *plan) depth() (int, []int) {
	var deepest func(i, level int) (int, []int)
	deepest = func(i, level int) (int, []int) {
		most, chain := 0, []int(nil)
		if level < 8 { // the kernel's limit of frames
			for _, callee := range p.callees[i] {
				if n, c := deepest(callee, level+1); n > most {
					most, chain = n, c
				}
			}
		}
		own := (max(p.machine[i].stack, 1) + 31) &^ 31
		return own + most, append([]int{i}, chain...)
	}
	return deepest(0, 1)
}

// biggest returns the biggest slot of the chain that may still move to scratch memory.
func (p *plan) biggest(chain []int) *Slot {
	var best *Slot
	if p.opt.ScratchMap == "" {
		return nil
	}
	for _, i := range chain {
		for _, s := range p.funcs[i].Slots {
			o := p.origin[s]
			if o != nil && s.onStack && o.Where == Auto && (best == nil || o.Size > best.Size) {
				best = o
			}
		}
	}
	return best
}

// moveBigger moves the chain's slots for each of which alone the stack is too small.
func (p *plan) moveBigger(chain []int, moved map[*Slot]bool) {
	left := stackLimit
	for _, i := range chain {
		left -= p.machine[i].stack - p.machine[i].slots
	}
	for _, i := range chain {
		for _, s := range p.funcs[i].Slots {
			if o := p.origin[s]; o != nil && s.onStack && o.Where == Auto && o.Size > left {
				moved[o] = true
			}
		}
	}
}

func (p *plan) tooDeep(depth int, chain []int) error {
	e := &Error{Message: fmt.Sprintf("the program needs %d bytes of stack, of which eBPF has %d", depth, stackLimit),
		Hint: "use fewer or smaller values at the same time"}
	size := 0
	for _, i := range chain {
		u := p.funcs[i].slotUses()
		for j, s := range p.funcs[i].Slots {
			if s.onStack && len(u.access[j]) > 0 && s.Size > size {
				size, e.Span = s.Size, u.access[j][0].Span
			}
		}
	}
	return e
}
