package ir

import (
	"github.com/cilium/ebpf/asm"

	"skep/internal/diag"
)

// Machine form: the instructions of eBPF with registers that are not yet those of the machine.

// reg is a register: R0 to R10 below firstVirtual, then as many as one likes.
type reg int32

const (
	noReg        reg = -1
	frameReg     reg = 10
	firstVirtual reg = 11
	colors           = 10 // R0 to R9 can be given out
)

type machineOp uint8

const (
	mMov      machineOp = iota // dst = src
	mMovImm                    // dst = imm, any 64 bits
	mMov32                     // dst = low 32 bits of src
	mMovSX                     // dst = low imm bits of src, sign-extended
	mALU                       // dst = dst alu src
	mALUImm                    // dst = dst alu imm
	mNeg                       // dst = -dst
	mSwap                      // dst = the low imm bits of dst in big endian
	mLoad                      // dst = *(size *)(src + off)
	mLoadSX                    // the same, sign-extended
	mStore                     // *(size *)(dst + off) = src
	mStoreImm                  // *(size *)(dst + off) = imm
	mAtomic                    // *(size *)(dst + off) atomic= src; src is the old value if the operation fetches
	mCmpXchg                   // compare *(size *)(dst + off) with R0, store src if equal; R0 is the old value
	mFrame                     // dst = R10 + imm
	mMap                       // dst = handle of map sym
	mMapValue                  // dst = address of byte imm in the value of map sym
	mFunc                      // dst = handle of function sym
	mCall                      // R0 = helper imm, arguments from R1 up
	mCallFunc                  // R0 = function sym
	mSet                       // dst = src cond (src2 or imm); dst is none of them
	mClamp                     // dst = min(dst, imm), unsigned
	mJump                      // to succs[0]
	mBranch                    // src cond (src2 or imm): succs[0], else succs[1]
	mExit                      // return R0
)

// inst is one operation of the machine; some become two or three instructions.
type inst struct {
	op     machineOp
	alu    asm.ALUOp
	cond   asm.JumpOp
	atomic asm.AtomicOp
	narrow bool // 32 bits: the result is zero-extended, comparisons look at the low half
	number bool // of mBranch: src is a number, or NULL, to the verifier too if it is equal to imm
	dst    reg
	src    reg
	src2   reg // noReg: imm instead
	size   int
	off    int64
	imm    int64
	value  int64
	nargs  int
	sym    string
	span   diag.Span
}

type block struct {
	index   int // in machineFunc.blocks, as live has seen it
	visited int // the last walk that came here, of machineFunc.visit
	insts   []inst
	succs   []*block
	preds   []*block
	loops   int
	likely  int64 // of the branch at its end
}

// machineFunc is a function in machine form.
type machineFunc struct {
	name   string
	blocks []*block // the entry first; after layout in the order of emission
	next   reg
	visit  int          // how many walks there were over the blocks
	lives  int          // how often live has run: it looks at the whole function
	stack  int          // bytes of stack used so far
	slots  int          // bytes of stack that are slots; what lies below is spilled registers
	bound  map[reg]inst // registers whose range the verifier must not forget, and how to prove it again
}

func (f *machineFunc) newReg() reg {
	r := f.next
	f.next++
	return r
}

type role uint8

const (
	use role = 1 << iota
	def
)

// operands calls visit with each register that the instruction names, uses first.
func (i *inst) operands(visit func(r *reg, how role)) {
	switch i.op {
	case mMov, mMov32, mMovSX, mLoad, mLoadSX:
		visit(&i.src, use)
		visit(&i.dst, def)
	case mALU:
		visit(&i.src, use)
		visit(&i.dst, use|def)
	case mALUImm, mNeg, mSwap, mClamp:
		visit(&i.dst, use|def)
	case mStore:
		visit(&i.dst, use)
		visit(&i.src, use)
	case mStoreImm:
		visit(&i.dst, use)
	case mAtomic:
		visit(&i.dst, use)
		if i.fetches() {
			visit(&i.src, use|def)
		} else {
			visit(&i.src, use)
		}
	case mCmpXchg:
		visit(&i.dst, use)
		visit(&i.src, use)
	case mMovImm, mFrame, mMap, mMapValue, mFunc:
		visit(&i.dst, def)
	case mSet:
		visit(&i.src, use)
		if i.src2 != noReg {
			visit(&i.src2, use)
		}
		visit(&i.dst, def)
	case mBranch:
		visit(&i.src, use)
		if i.src2 != noReg {
			visit(&i.src2, use)
		}
	}
}

func (i *inst) fetches() bool { return i.atomic != asm.AddAtomic && i.atomic != asm.OrAtomic }

// call reports whether R1 to R5 are lost.
func (i *inst) call() bool { return i.op == mCall || i.op == mCallFunc }

// remat reports whether the instruction makes a value out of nothing.
func (i *inst) remat() bool {
	switch i.op {
	case mMovImm, mFrame, mMap, mMapValue, mFunc:
		return true
	}
	return false
}

// effects reports whether the instruction does more than set dst.
func (i *inst) effects() bool {
	switch i.op {
	case mMov, mMovImm, mMov32, mMovSX, mALU, mALUImm, mNeg, mSwap, mLoad, mLoadSX, mFrame, mMap, mMapValue, mFunc, mSet, mClamp:
		return false
	}
	return true
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset    { return make(bitset, bitWords(n)) }
func bitWords(n int) int        { return (n + 63) / 64 }
func (s bitset) has(i reg) bool { return s[i>>6]&(1<<(uint(i)&63)) != 0 }
func (s bitset) set(i reg)      { s[i>>6] |= 1 << (uint(i) & 63) }
func (s bitset) clear(i reg)    { s[i>>6] &^= 1 << (uint(i) & 63) }

// setRange sets the elements from i until before end.
func (s bitset) setRange(i, end int64) {
	s.eachWord(i, end, func(word int, bits uint64) { s[word] |= bits })
}

func (s bitset) clearRange(i, end int64) {
	s.eachWord(i, end, func(word int, bits uint64) { s[word] &^= bits })
}

// hasRange reports whether all elements from i until before end are in the set.
func (s bitset) hasRange(i, end int64) bool {
	all := true
	s.eachWord(i, end, func(word int, bits uint64) { all = all && s[word]&bits == bits })
	return all
}

// eachWord gives the words in which the elements from i until before end are, and their bits there.
func (s bitset) eachWord(i, end int64, visit func(word int, bits uint64)) {
	for i < end {
		next := min((i|63)+1, end)
		visit(int(i>>6), ^uint64(0)>>(64-(next-i))<<(i&63))
		i = next
	}
}

func (s bitset) each(visit func(reg)) { eachBit(s, visit) }

func eachBit(s bitset, visit func(reg)) {
	for w, x := range s {
		for x != 0 {
			low := x & -x
			visit(reg(w<<6 + trailing(x)))
			x ^= low
		}
	}
}

// or adds the elements of o and reports whether there was a new one.
func (s bitset) or(o bitset) bool {
	changed := false
	for i, x := range o {
		if x&^s[i] != 0 {
			s[i] |= x
			changed = true
		}
	}
	return changed
}
