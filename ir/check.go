package ir

import (
	"errors"
	"fmt"
)

// Check reports what is wrong with the module as a graph of values. A mistake is one of the front end or of a pass, never
// of the user. Passes are followed by it in tests, and with Options.Check.
func (m *Module) Check() error {
	var errs []error
	for _, f := range m.Funcs {
		c := &checker{f: f}
		c.run()
		errs = append(errs, c.errs...)
	}
	return errors.Join(errs...)
}

type checker struct {
	f    *Func
	g    *graph
	pos  map[*Value]int
	errs []error
}

func (c *checker) errorf(b *Block, v *Value, format string, args ...any) {
	where := fmt.Sprintf("%s: b%d", c.f.Name, b.ID)
	if v != nil {
		where += ": " + v.text()
	}
	c.errs = append(c.errs, fmt.Errorf("ir: %s: %s", where, fmt.Sprintf(format, args...)))
}

func (c *checker) run() {
	for _, b := range c.f.Blocks {
		c.block(b)
	}
	if len(c.errs) > 0 {
		return
	}
	c.g = newGraph(c.f)
	c.pos = map[*Value]int{}
	for _, b := range c.f.Blocks {
		for i, v := range b.Values {
			if v.Block != b {
				c.errorf(b, v, "does not know its block")
			}
			if _, twice := c.pos[v]; twice {
				c.errorf(b, v, "stands twice")
			}
			c.pos[v] = i
		}
	}
	if len(c.f.Blocks[0].Preds) > 0 {
		c.errorf(c.f.Blocks[0], nil, "the entry has predecessors")
	}
	for _, b := range c.g.order {
		for _, v := range b.Values {
			c.value(b, v)
		}
	}
}

func (c *checker) block(b *Block) {
	if b.Func != c.f {
		c.errorf(b, nil, "does not know its function")
	}
	if len(b.Values) == 0 || !b.end().Op.terminator() {
		c.errorf(b, nil, "has no terminator")
		return
	}
	want := 0
	switch b.end().Op {
	case OpJump:
		want = 1
	case OpIf:
		want = 2
	}
	if len(b.Succs) != want {
		c.errorf(b, b.end(), "%d successors", len(b.Succs))
	}
	phis := true
	for i, v := range b.Values {
		if v.Op.terminator() && i != len(b.Values)-1 {
			c.errorf(b, v, "terminator inside of a block")
		}
		if v.Op == OpPhi {
			if !phis {
				c.errorf(b, v, "phi after other values")
			}
			if len(v.Args) != len(b.Preds) {
				c.errorf(b, v, "%d arguments for %d predecessors", len(v.Args), len(b.Preds))
			}
		} else if !v.leaf() && v.Op != OpParam {
			phis = false
		}
	}
	for _, s := range b.Succs {
		if count(s.Preds, b) != count(b.Succs, s) {
			c.errorf(b, nil, "edge to b%d is not known there", s.ID)
		}
	}
	for _, p := range b.Preds {
		if count(p.Succs, b) == 0 {
			c.errorf(b, nil, "no edge from b%d", p.ID)
		}
	}
}

func count(list []*Block, b *Block) int {
	n := 0
	for _, x := range list {
		if x == b {
			n++
		}
	}
	return n
}

func (c *checker) value(b *Block, v *Value) {
	for i, a := range v.Args {
		if a == nil {
			c.errorf(b, v, "argument %d is missing", i)
			return
		}
		at, ok := c.pos[a]
		switch {
		case !ok:
			c.errorf(b, v, "argument %s is not in the function", a.operand())
		case v.Op == OpPhi:
			if p := b.Preds[i]; c.g.pos[p.ID] >= 0 && !c.g.dominates(a.Block, p) {
				c.errorf(b, v, "argument %s does not reach the end of b%d", a.operand(), p.ID)
			}
		case a.Block == b && at >= c.pos[v], a.Block != b && !c.g.dominates(a.Block, b):
			c.errorf(b, v, "argument %s is not defined before", a.operand())
		}
		if a.Type == Void {
			c.errorf(b, v, "argument %s has no value", a.operand())
		}
		if (a.Type == MapHandle || a.Type == FuncHandle) && v.Op != OpCall && v.Op != OpCallFunc && v.Op != OpPhi {
			c.errorf(b, v, "argument %s is only good for calls", a.operand())
		}
	}
	c.shape(b, v)
}

// shape checks the number of arguments and the numbers that belong to the operation.
func (c *checker) shape(b *Block, v *Value) {
	want := -1
	switch {
	case v.Op.binary(), v.Op.compare(), v.Op == OpCopy, v.Op == OpStore, v.Op == OpAtomicAdd, v.Op == OpFetchAdd,
		v.Op == OpAtomicOr, v.Op == OpXchg:
		want = 2
	case v.leaf(), v.Op == OpParam, v.Op == OpJump:
		want = 0
	case v.Op == OpNeg, v.Op == OpZExt, v.Op == OpSExt, v.Op == OpSwap, v.Op == OpBound, v.Op == OpLoad, v.Op == OpLoadS,
		v.Op == OpZero, v.Op == OpIf:
		want = 1
	case v.Op == OpCmpXchg:
		want = 3
	}
	if want >= 0 && len(v.Args) != want {
		c.errorf(b, v, "%d arguments instead of %d", len(v.Args), want)
		return
	}
	switch v.Op {
	case OpInvalid:
		c.errorf(b, v, "no operation")
	case OpZExt, OpSExt:
		if v.Aux < 1 || v.Aux > 64 {
			c.errorf(b, v, "width %d", v.Aux)
		}
	case OpSwap:
		if v.Aux != 16 && v.Aux != 32 && v.Aux != 64 {
			c.errorf(b, v, "width %d", v.Aux)
		}
	case OpLoad, OpLoadS, OpStore:
		if v.Size != 1 && v.Size != 2 && v.Size != 4 && v.Size != 8 {
			c.errorf(b, v, "size %d", v.Size)
		}
	case OpAtomicAdd, OpAtomicOr, OpFetchAdd, OpXchg, OpCmpXchg:
		if v.Size != 4 && v.Size != 8 {
			c.errorf(b, v, "size %d", v.Size)
		}
	case OpBound:
		if v.Sym == "" && (v.Aux < 0 || v.Aux&(v.Aux+1) != 0) || v.Aux < 0 {
			c.errorf(b, v, "mask %d", v.Aux)
		}
	case OpCall, OpCallFunc:
		if len(v.Args) > 5 {
			c.errorf(b, v, "%d arguments", len(v.Args))
		}
	case OpParam:
		if v.Aux < 0 || int(v.Aux) >= len(c.f.Params) {
			c.errorf(b, v, "no such parameter")
		}
	}
	if (v.Op.memory() || v.Op == OpCopy) && !v.Args[0].Type.pointer() {
		c.errorf(b, v, "%s is no pointer", v.Args[0].operand())
	}
	if v.Type == Void && v.naturalType() != Void && v.Op != OpCall && v.Op != OpCallFunc {
		c.errorf(b, v, "no type")
	}
}
