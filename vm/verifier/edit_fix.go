package verifier

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/cilium/ebpf"
)

// bounds is for an access that may lie outside: the number that was added to the pointer needs a limit, or the packet a comparison.
func (f *fixer) bounds() {
	if f.reg == nil {
		return
	}
	if f.reg.isPacket() {
		f.packet()
		return
	}
	size := f.in.size()
	off := int(f.in.Off)
	if f.in.isCall() {
		off = 0
		size = f.argSize()
	}
	most := f.reg.length() - size - off - int(f.reg.off)
	if f.reg.kind == ptrStack {
		most = -size - off - int(f.reg.off)
	}
	for _, a := range f.additions() {
		f.limit(a.at, a.reg, most)
	}
	if f.in.isCall() && f.r.reg < 5 {
		if s := &f.at.frame().regs[f.r.reg+1]; s.kind == scalar && !s.isConst() {
			f.limit(f.r.Insn, f.r.reg+1, f.reg.length()-int(f.reg.off)-int(min(f.reg.umax, 1<<20)))
		}
	}
	for _, a := range f.additions() {
		f.mask(a.at, a.reg, most)
	}
}

// packet compares the end of the access with the packet's end: better where the program does so already, or before the access.
func (f *fixer) packet() {
	if f.in.isCall() {
		return
	}
	if f.reg.farInPacket() {
		for _, a := range f.additions() {
			f.limit(a.at, a.reg, maxPacketOffset/2)
			f.mask(a.at, a.reg, maxPacketOffset/2)
		}
	}
	need := int(f.in.Off) + f.in.size()
	more := need + int(f.reg.off) - int(max(f.reg.size, 0))
	backwards(f.at, func(at int, h *step) bool {
		in := f.p.insns[at]
		if in.Op == classALU64|opADD && more > 0 && len(f.all) < 4 {
			in.Imm += int32(more)
			f.all = append(f.all, fix{at: at, insns: []insn{in}, replace: true, text: fmt.Sprintf("r%d += %d;  for %d: that many bytes are accessed,", in.Dst(), in.Imm, int(in.Imm)-more)})
		}
		return true
	})
	free := f.dead(f.r.reg)
	if free < 0 {
		return
	}
	end, ctx := -1, -1
	for i := range f.at.frame().regs[:10] {
		switch r := &f.at.frame().regs[i]; {
		case i == free:
		case r.kind == ptrPacketEnd:
			end = i
		case r.kind == ptrCtx && r.off == 0:
			ctx = i
		}
	}
	head := []insn{mov(free, f.r.reg), newInsn(classALU64|opADD, free, 0, 0, need)}
	leave := func(end int) []insn {
		return []insn{newInsn(classJMP|jLE|8, free, end, 2, 0), movImm(0, 0), newInsn(classJMP|jEXIT, 0, 0, 0, 0)}
	}
	if end >= 0 {
		f.add(f.r.Insn, slices.Concat(head, leave(end)), "if (r%d + %d > r%d) return 0;  where r%d is data_end", f.r.reg, need, end, end)
		return
	}
	at, loaded := dataEnd(f.p.spec.Type), f.dead(f.r.reg, free, ctx)
	if at < 0 || loaded < 0 {
		return
	}
	text := fmt.Sprintf("if (r%d + %d > ctx->data_end) return 0;", f.r.reg, need)
	load := func(ctx int) []insn { return []insn{newInsn(classLDX|modeMEM, loaded, ctx, at, 0)} }
	if ctx >= 0 {
		f.add(f.r.Insn, slices.Concat(head, load(ctx), leave(loaded)), "%s", text)
	} else if keep := f.unused(); keep > 0 && keep != free && keep != loaded && f.at.top == 0 {
		check := &fix{at: f.r.Insn, insns: slices.Concat(head, load(keep), leave(loaded))}
		f.all = append(f.all, fix{at: 0, insns: []insn{mov(keep, 1)}, after: check,
			text: fmt.Sprintf("keep the context (r%d = r1;), and before instruction %d: %s", keep, f.r.Insn, text)})
	}
}

// dead is a register that is not read any more, and none of those, -1 if there is none.
func (f *fixer) dead(not ...int) int {
	for i := 9; i >= 0; i-- {
		if f.r.live[f.r.Insn]>>i&1 == 0 && !slices.Contains(not, i) {
			return i
		}
	}
	return -1
}

// dataEnd is where the context has the packet's end, -1 if it has none.
func dataEnd(t ebpf.ProgramType) int {
	switch t {
	case ebpf.XDP:
		return 4
	case ebpf.SchedCLS, ebpf.SchedACT, ebpf.CGroupSKB, ebpf.SkSKB, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local, ebpf.FlowDissector:
		return 80
	}
	return -1
}

// An addition is where a number was added to a pointer.
type addition struct{ at, reg int }

// additions are where the pointer got the unknown part of its offset, the last one first.
func (f *fixer) additions() (all []addition) {
	want := f.r.reg
	depth := f.at.top
	backwards(f.at, func(at int, h *step) bool {
		in := f.p.insns[at]
		switch {
		case in.isExit(), in.isSubcall():
			return false
		case in.isHelper():
			return want > 5
		case in.isALU() && int(in.Dst()) == want && in.op() == opMOV && in.fromReg():
			want = int(in.Src())
		case in.isALU() && int(in.Dst()) == want && in.op() == opADD && in.fromReg():
			all = append(all, addition{at, int(in.Src())}, addition{at, want})
		case in.class() == classLDX && int(in.Dst()) == want:
			return false
		}
		return depth == f.at.top && len(all) < 4
	})
	return all
}

// unbounded is for a number without bounds that is added to a pointer. How much is accessed there is not known yet.
func (f *fixer) unbounded() {
	length := 0
	for _, n := range []int{int(f.in.Dst()), int(f.in.Src())} {
		if r := &f.at.frame().regs[n]; r.isPointer() {
			length = r.length() - int(r.off)
			if r.isPacket() {
				length = 0x8000
			}
		}
	}
	for _, size := range []int{1, 2, 4, 8} {
		f.limit(f.r.Insn, f.r.reg, length-size)
	}
	for _, size := range []int{1, 8} {
		f.mask(f.r.Insn, f.r.reg, length-size)
	}
}

// argSize is the size of the memory that a helper is given with the register: of the constant that follows, a key or a value.
func (f *fixer) argSize() int {
	regs := &f.at.frame().regs
	if n := f.r.reg + 1; n <= 5 && regs[n].isConst() {
		return int(regs[n].bits.value)
	}
	if m := regs[1].mp; m != nil && regs[1].kind == constMap {
		if f.r.reg == 2 {
			return int(m.spec.KeySize)
		}
		return int(m.spec.ValueSize)
	}
	return 1
}

// size is for a size without bounds, or one that may be 0.
func (f *fixer) size() {
	n := f.r.reg
	if n < 2 {
		return
	}
	p := &f.at.frame().regs[n-1]
	most := p.length() - int(p.off)
	if p.kind == ptrStack {
		most = -int(p.off)
	}
	if most <= 0 || most > 1<<29 {
		return
	}
	f.limit(f.r.Insn, n, most)
	f.add(f.r.Insn, []insn{newInsn(classJMP|jEQ, n, 0, 1, 0), newInsn(classJMP|jLE, n, 0, 2, most), movImm(0, 0), newInsn(classJMP|jEXIT, 0, 0, 0, 0)},
		"if (r%d == 0 || (u64)r%d > %d) return 0;", n, n, most)
	f.mask(f.r.Insn, n, most)
}

// uninitialized is for a register that was never written, or that a call has destroyed.
func (f *fixer) uninitialized() {
	n := f.r.reg
	if call := f.destroyed(); call >= 0 {
		if keep := f.unused(); keep > 0 {
			f.all = append(f.all, fix{at: call, insns: []insn{mov(keep, n)}, after: &fix{at: f.r.Insn, insns: []insn{mov(n, keep)}},
				text: fmt.Sprintf("r%d = r%d;  and r%d = r%d; before instruction %d: calls leave r6 to r9 as they are", keep, n, n, keep, f.r.Insn)})
		}
	}
	f.add(f.r.Insn, []insn{movImm(n, 0)}, "r%d = 0;", n)
}

// destroyed is the call that has made the register unusable, -1 if none has.
func (f *fixer) destroyed() (call int) {
	call = -1
	if f.r.reg < 1 || f.r.reg > 5 {
		return call
	}
	backwards(f.at, func(at int, h *step) bool {
		if f.p.insns[at].isCall() {
			call = at
		}
		return call < 0 && !f.p.insns[at].isExit()
	})
	if call > f.r.Insn {
		return -1
	}
	return call
}

// unused is a register that calls leave as it is and that the program does not touch, 0 if there is none.
func (f *fixer) unused() int {
	used := [16]bool{}
	for _, in := range f.p.insns {
		used[in.Dst()] = true
		used[in.Src()] = used[in.Src()] || in.fromReg() || in.class() == classLDX || in.class() == classSTX
	}
	for n := 6; n <= 9; n++ {
		if !used[n] {
			return n
		}
	}
	return 0
}

// stack writes the bytes that were never written.
func (f *fixer) stack() {
	if f.reg == nil || f.reg.kind != ptrStack || int(f.reg.frame) != f.at.top || !f.reg.bits.isConst() {
		return
	}
	off, size := int(f.reg.off)+int(f.in.Off), f.in.size()
	if f.in.isCall() {
		off, size = int(f.reg.off), f.argSize()
	}
	if off >= 0 || off < -maxStack || size <= 0 || off+size > 0 {
		return
	}
	written := func(at int) bool {
		spi := (-at - 1) / 8
		st := f.at.frame().stack
		return spi < len(st) && st[spi].fill[(-at-1)%8] != fillInvalid
	}
	var insns []insn
	text := ""
	for at := off; at < off+size; {
		n := 8
		for n > 1 && (at%n != 0 || at+n > off+size || anyOf(at, n, written)) {
			n /= 2
		}
		if !written(at) {
			op := map[int]int{1: 0x10, 2: 0x08, 4: 0, 8: 0x18}[n]
			insns = append(insns, newInsn(classST|modeMEM|op, 10, 0, at, 0))
			if len(insns) <= 2 {
				text += fmt.Sprintf("*(u%d *)(r10 - %d) = 0; ", 8*n, -at)
			} else if len(insns) == 3 {
				text += "… "
			}
		}
		at += n
	}
	if len(insns) > 0 {
		f.add(f.r.Insn, insns, "%s", text[:len(text)-1])
	}
}

func anyOf(at, n int, f func(int) bool) bool {
	for i := at; i < at+n; i++ {
		if f(i) {
			return true
		}
	}
	return false
}

// release gives back what was acquired: as late as possible, at the end or before the program loses it.
func (f *fixer) release() {
	if !f.in.isExit() || len(f.at.refs) == 0 {
		return
	}
	from := f.at.refs[0].insn
	for _, h := range f.holders(from, 0) {
		n := h.reg
		var insns []insn
		text := ""
		switch f.p.insns[from].Imm {
		case 131: // ringbuf_reserve
			insns, text = []insn{mov(1, n), movImm(2, 0), callOf(133)}, fmt.Sprintf("bpf_ringbuf_discard(r%d, 0);", n)
		case 84, 85, 99: // sk_lookup_tcp, sk_lookup_udp, skc_lookup_tcp
			insns, text = []insn{mov(1, n), callOf(86)}, fmt.Sprintf("bpf_sk_release(r%d);", n)
		default:
			return
		}
		f.around(h.at, n, insns, text)
		f.onBranch(h.at, n, insns, text)
		f.around(h.at, n, append([]insn{newInsn(classJMP|jEQ, n, 0, len(insns), 0)}, insns...), fmt.Sprintf("if (r%d) %s", n, text))
	}
}

// holders are places of the path, the last one first, and a register that holds there what was in another one after an instruction.
func (f *fixer) holders(from, reg int) (all []addition) {
	var path []int
	backwards(f.at, func(at int, h *step) bool {
		path = append(path, at)
		return at != from
	})
	holds := uint16(1) << reg
	path = append([]int{f.r.Insn}, path...)
	for i := len(path) - 2; i >= 0 && holds != 0; i-- {
		at := path[i]
		all = append(all, addition{at, bits.Len16(holds) - 1})
		in := f.p.insns[at]
		_, def := readsWrites(in, 5)
		before := holds
		holds &^= def
		if in.Op == classALU64|opMOV|8 && before>>in.Src()&1 != 0 {
			holds |= 1 << in.Dst()
		}
	}
	slices.Reverse(all)
	return all[:min(len(all), 12)]
}

// around adds calls that keep what the program returns.
func (f *fixer) around(at, not int, insns []insn, text string) {
	live := f.r.live[at]
	keep := 6
	for keep < 9 && (live>>keep&1 != 0 || keep == not) {
		keep++
	}
	if live&0x3e != 0 || live&1 != 0 && (f.at.top > 0 || live>>keep&1 != 0) {
		return // they would be lost
	}
	if live&1 != 0 {
		insns = slices.Concat([]insn{mov(keep, 0)}, insns, []insn{mov(0, keep)})
	}
	f.add(at, insns, "%s", text)
	if f.isTarget(at) && at > 0 {
		f.all = append(f.all, fix{at: at, insns: insns, behind: true, text: fmt.Sprintf("%s  behind instruction %d,", text, at-1)})
	}
}

// isTarget reports whether a jump leads to the instruction.
func (f *fixer) isTarget(at int) bool {
	for i := 0; i < len(f.p.insns); i += f.p.insns[i].width() {
		if in := f.p.insns[i]; in.isJump() && !in.isCall() && !in.isExit() && in.target(i) == at {
			return true
		}
	}
	return false
}

// inverse has the comparisons that hold where another one does not.
var inverse = map[uint8]uint8{
	jEQ: jNE, jNE: jEQ, jGT: jLE, jLE: jGT, jGE: jLT, jLT: jGE, jSGT: jSLE, jSLE: jSGT, jSGE: jSLT, jSLT: jSGE,
}

// onBranch adds calls where a branch is taken that the path takes, and nowhere else.
func (f *fixer) onBranch(at, not int, insns []insn, text string) {
	in := f.p.insns[at]
	op, ok := inverse[in.op()]
	if !in.isJump() || !ok {
		return
	}
	to := in.target(at)
	live := f.r.live[to]
	if to <= at || live&0x3e != 0 || f.at.top > 0 && live&1 != 0 {
		return
	}
	if live&1 != 0 {
		keep := 6
		for keep < 9 && (live>>keep&1 != 0 || keep == not) {
			keep++
		}
		insns = slices.Concat([]insn{mov(keep, 0)}, insns, []insn{mov(0, keep)})
	}
	over := in
	over.Op, over.Off = in.Op&0x0f|op, int16(len(insns)+1)
	f.all = append(f.all, fix{at: at, insns: slices.Concat([]insn{over}, insns, []insn{newInsn(classJMP|jA, 0, 0, 0, 0)}), to: to, text: text + "  where the branch is taken,"})
}

// unlock gives the lock back, as late as possible.
func (f *fixer) unlock() {
	l := &f.at.lock
	if !l.held || l.mp == nil || l.mp.fields == nil || len(l.mp.fields.locks) == 0 {
		return
	}
	for n := range f.at.frame().regs[:10] {
		r := &f.at.frame().regs[n]
		if r.kind != ptrMapValue || r.mp != l.mp || r.id != l.id || !r.bits.isConst() {
			continue
		}
		move := l.mp.fields.locks[0] - int(r.off)
		insns := []insn{mov(1, n), newInsn(classALU64|opADD, 1, 0, 0, move), callOf(helperSpinUnlock)}
		text := fmt.Sprintf("bpf_spin_unlock(r%d + %d);", n, move)
		f.around(f.r.Insn, n, insns, text)
		backwards(f.at, func(at int, h *step) bool {
			in := f.p.insns[at]
			if _, def := readsWrites(in, 5); def>>n&1 != 0 || in.isHelper() || len(f.all) > 12 {
				return false
			}
			f.around(at, n, insns, text)
			return true
		})
		return
	}
}

// returnValue makes what is returned one of the numbers that may be.
func (f *fixer) returnValue() {
	lo, hi, ok := returnRange(f.p.spec, f.r.kernel)
	if f.at.frame().callback {
		lo, hi, ok = int64(f.at.frame().retLo), int64(f.at.frame().retHi), true
	}
	if !ok || !f.in.isExit() {
		return
	}
	if f.reg != nil && f.reg.kind == scalar && lo == 0 {
		f.add(f.r.Insn, []insn{newInsn(classJMP|jLE, 0, 0, 1, int(hi)), movImm(0, int(lo))}, "if ((u64)r0 > %d) r0 = %d;", hi, lo)
	}
	f.add(f.r.Insn, []insn{movImm(0, int(lo))}, "r0 = %d;", lo)
}

// drop leaves out a call that releases what is not held.
func (f *fixer) drop() {
	if !f.in.isHelper() || f.in.Imm != 132 && f.in.Imm != 133 && f.in.Imm != 86 { // ringbuf_submit, ringbuf_discard, sk_release
		return
	}
	f.all = append(f.all, fix{at: f.r.Insn, insns: []insn{movImm(0, 0)}, replace: true, text: "without bpf_" + helperName(f.in.Imm) + ": what it would release is not held here,"})
}

// wide makes an operation on a pointer one of 64 bits.
func (f *fixer) wide() {
	if f.in.class() != classALU {
		return
	}
	wide := f.in
	wide.Op = wide.Op&^7 | classALU64
	f.all = append(f.all, fix{at: f.r.Insn, insns: []insn{wide}, replace: true, text: fmt.Sprintf("r%d %s= …;  with 64 bits", f.in.Dst(), operator(f.in))})
}
