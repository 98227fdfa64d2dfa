package ir

import "github.com/cilium/ebpf/asm"

// content is what a machine register holds, as far as it is known.
type content struct {
	kind int8 // 0: a constant; 1: the value that instruction n produced
	n    int64
}

const (
	constantContent = iota
	valueContent
)

// homeOf names the stack word of a spilled register in a map by registers; other than the slots' nobody has its address.
func (f *machineFunc) homeOf(i *inst) (reg, bool) {
	switch {
	case i.op == mStore && i.dst == frameReg, i.op == mLoad && i.src == frameReg:
		return reg(i.off), i.off < -int64(f.slots)
	}
	return 0, false
}

// trackValues drops moves, constants and loads of spilled values for registers that hold the value already, be it because
// a branch has compared them with it.
func (f *machineFunc) trackValues() bool {
	changed := false
	ends := map[*block]map[reg]content{}
	serial := int64(0)
	for _, b := range f.blocks {
		held := map[reg]content{}
		if len(b.preds) == 1 && b != f.blocks[0] {
			for r, c := range ends[b.preds[0]] {
				held[r] = c
			}
			b.preds[0].learn(b, held)
		}
		kept := b.insts[:0]
		for _, i := range b.insts {
			if home, ok := f.homeOf(&i); ok && i.op == mStore {
				c, known := held[i.src]
				if !known {
					serial++
					c = content{valueContent, serial}
					held[i.src] = c
				}
				held[home] = c
				kept = append(kept, i)
				continue
			} else if ok {
				c, known := held[home]
				if !known {
					serial++
					c = content{valueContent, serial}
					held[home] = c
				}
				from := holder(held, c)
				if from == i.dst {
					changed = true
					continue
				}
				if from != noReg {
					changed = true
					i = inst{op: mMov, dst: i.dst, src: from, src2: noReg, span: i.span}
				}
				held[i.dst] = c
				kept = append(kept, i)
				continue
			}
			switch {
			case i.op == mMov && i.src != frameReg:
				c, ok := held[i.src]
				if !ok {
					serial++
					c = content{valueContent, serial}
					held[i.src] = c
				}
				if d, same := held[i.dst]; same && d == c {
					changed = true
					continue
				}
				held[i.dst] = c
			case i.op == mMovImm:
				c := content{constantContent, i.imm}
				if d, same := held[i.dst]; same && d == c {
					changed = true
					continue
				}
				held[i.dst] = c
			default:
				i.defs(func(r reg) { delete(held, r) })
			}
			kept = append(kept, i)
		}
		b.insts = kept
		ends[b] = held
	}
	return changed
}

// holder returns a register that holds c, or noReg; of several the first, so that the output is always the same.
func holder(held map[reg]content, c content) reg {
	for r := reg(0); r < colors; r++ {
		if d, ok := held[r]; ok && d == c {
			return r
		}
	}
	return noReg
}

// dropIdleSpills removes stores of spilled registers that are never loaded.
func (f *machineFunc) dropIdleSpills() {
	loaded := map[reg]bool{}
	for _, b := range f.blocks {
		for j := range b.insts {
			if home, ok := f.homeOf(&b.insts[j]); ok && b.insts[j].op == mLoad {
				loaded[home] = true
			}
		}
	}
	for _, b := range f.blocks {
		kept := b.insts[:0]
		for _, i := range b.insts {
			if home, ok := f.homeOf(&i); !ok || loaded[home] {
				kept = append(kept, i)
			}
		}
		b.insts = kept
	}
}

// learn adds what the branch at the end of b says about registers on the way to its successor.
func (b *block) learn(to *block, held map[reg]content) {
	if len(b.succs) != 2 || b.succs[0] == b.succs[1] {
		return
	}
	i := b.insts[len(b.insts)-1]
	if !i.number || i.narrow || i.src2 != noReg || !fits32(i.imm) {
		return
	}
	if i.cond == asm.JEq && b.succs[0] == to || i.cond == asm.JNE && b.succs[1] == to {
		c, copied := held[i.src]
		held[i.src] = content{constantContent, i.imm}
		if copied && c.kind == valueContent {
			for r, d := range held {
				if d == c {
					held[r] = content{constantContent, i.imm}
				}
			}
		}
	}
}
