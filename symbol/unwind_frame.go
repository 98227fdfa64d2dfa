package symbol

import (
	"encoding/binary"
	"math/bits"
)

// UserStack is a piece of a thread's stack, copied when its registers were read. It should begin at the stack pointer;
// what lies 128 bytes below that on x86-64 is in use too, but seldom needed.
type UserStack struct {
	Addr  uint64 // of the first byte in the process
	Bytes []byte
}

// load reads size bytes, at most 8, little end first.
func (s *UserStack) load(addr, size uint64) (uint64, bool) {
	n := uint64(len(s.Bytes))
	off := addr - s.Addr
	if size > 8 || off > n || n-off < size {
		return 0, false
	}
	if size == 8 {
		return binary.LittleEndian.Uint64(s.Bytes[off:]), true
	}
	var b [8]byte
	copy(b[:], s.Bytes[off:off+size])
	return binary.LittleEndian.Uint64(b[:]), true
}

// frame is the registers as they are, or will be after returns, in one frame.
type frame struct {
	value [maxColumns]uint64
	known uint64
	stack *UserStack
}

func (f *frame) register(column uint64) (uint64, bool) {
	if column >= maxColumns || f.known&(1<<column) == 0 {
		return 0, false
	}
	return f.value[column], true
}

func (f *frame) set(column uint8, v uint64) {
	f.value[column] = v
	f.known |= 1 << column
}

// frameWalk goes from frame to frame.
type frameWalk struct {
	arch  *architecture
	stack UserStack
	// exact says that ip is of an instruction that was to be run next. Else it is behind a call, which can be the last
	// instruction of its function: the call itself is what lies in the frame's function.
	exact      bool
	inward     int // frames that lay further in than those that they were called from
	now, next  frame
	evaluation evaluation
	scratch    cfiScratch
}

// maxInward is how often signals may have changed the stack: handlers can interrupt one another, each on the same one.
const maxInward = 8

func (w *frameWalk) start(arch *architecture, r *Registers, stack UserStack) {
	w.arch, w.stack, w.exact, w.inward = arch, stack, true, 0
	w.now = frame{value: r.Value, known: r.Known, stack: &w.stack}
}

func (w *frameWalk) ip() uint64 { return w.now.value[w.arch.ip] }

// place is the address that says which function the frame belongs to.
func (w *frameWalk) place() uint64 {
	if w.exact {
		return w.ip()
	}
	return w.ip() - 1
}

// byRow goes to the caller's frame as a row says. bias is what to add to addresses in its file.
func (w *frameWalk) byRow(row *cfiRow, expressions *cfiExpressions, bias uint64) UnwindError {
	cfa, ok := uint64(0), true
	if row.cfa.kind == cfiExpression {
		var err UnwindError
		if cfa, err = w.evaluate(expressions.code[row.cfa.arg], bias, nil); err != unwindOn {
			return err
		}
	} else {
		if cfa, ok = w.now.register(uint64(row.column)); !ok {
			return UnwindUnknownRegister
		}
		cfa += uint64(int64(row.cfa.arg))
	}
	if row.set&(1<<row.ra) == 0 && !(w.arch.link && w.exact) {
		return UnwindBadTable // it would return to where it is
	}
	w.next = w.now
	w.next.set(w.arch.sp, cfa)
	for left := row.set; left != 0; left &= left - 1 {
		column := uint8(bits.TrailingZeros64(left))
		if err := w.restore(column, row.rules[column], cfa, expressions, bias); err != unwindOn {
			if column == row.ra {
				return err
			}
			w.next.known &^= 1 << column
		}
	}
	ip := w.next.value[row.ra] & w.arch.mask
	if w.next.known&(1<<row.ra) == 0 {
		return UnwindUnknownRegister
	}
	if ip == 0 {
		return unwindDone
	}
	if err := w.outward(row); err != unwindOn {
		return err
	}
	w.next.set(w.arch.ip, ip)
	if row.debug {
		w.followSaved(cfa)
	}
	w.now, w.exact = w.next, row.signal
	return unwindOn
}

// outward checks that the caller's frame lies further out, so that a walk ends.
func (w *frameWalk) outward(row *cfiRow) UnwindError {
	sp, was := w.next.value[w.arch.sp], w.now.value[w.arch.sp]
	switch {
	case sp > was:
		return unwindOn
	case row.signal && w.inward < maxInward:
		w.inward++
		return unwindOn
	case sp == was && w.exact:
		return unwindOn // nothing on the stack: the return address is in a register
	}
	return UnwindInward
}

// restore computes a register of the caller.
func (w *frameWalk) restore(column uint8, r cfiRule, cfa uint64, expressions *cfiExpressions, bias uint64) UnwindError {
	var v uint64
	ok := true
	switch r.kind {
	case cfiUndefined:
		return unwindDone
	case cfiOffset:
		addr := cfa + uint64(int64(r.arg))
		if v, ok = w.stack.load(addr, 8); !ok && addr < w.now.value[w.arch.sp] {
			// An epilogue took it from the stack already: compilers do not tell, as what it left there is still good.
			v, ok = w.now.register(uint64(column))
		}
	case cfiValueOffset:
		v = cfa + uint64(int64(r.arg))
	case cfiRegister:
		if v, ok = w.now.register(uint64(r.arg)); !ok {
			return UnwindUnknownRegister
		}
	case cfiExpression, cfiValueExpression:
		var err UnwindError
		if v, err = w.evaluate(expressions.code[r.arg], bias, &cfa); err != unwindOn {
			return err
		}
		if r.kind == cfiExpression {
			v, ok = w.stack.load(v, 8)
		}
	}
	if !ok {
		return UnwindStackShort
	}
	w.next.set(column, v)
	return unwindOn
}

// evaluate computes an expression, which gets first as its operand if there is one.
func (w *frameWalk) evaluate(code []byte, bias uint64, first *uint64) (uint64, UnwindError) {
	e := &w.evaluation
	e.frame, e.arch, e.bias, e.depth, e.bad = &w.now, w.arch, bias, 0, unwindOn
	if first != nil {
		e.push(*first)
	}
	return e.run(code)
}

// followSaved restores the frame pointer where it points to the place below the return address at which functions save
// it: Go's .debug_frame does not tell.
func (w *frameWalk) followSaved(cfa uint64) {
	if fp, ok := w.now.register(uint64(w.arch.fp)); ok && fp == cfa-16 {
		if v, ok := w.stack.load(fp, 8); ok {
			w.next.set(w.arch.fp, v)
		}
	}
}

// savedFrame is what functions with a frame pointer have on the stack where it points to.
type savedFrame struct{ fp, ip uint64 }

// byFramePointer reads what the frame pointer leads to, for code without a table; [frameWalk.enter] goes there. The
// register may be in use for something else.
func (w *frameWalk) byFramePointer() (s savedFrame, err UnwindError) {
	fp, ok := w.now.register(uint64(w.arch.fp))
	if !ok {
		return s, UnwindUnknownRegister
	}
	if fp == 0 {
		return s, unwindDone // where a thread begins
	}
	if fp < w.now.value[w.arch.sp] || fp%8 != 0 {
		return s, UnwindNoTable
	}
	if s.fp, ok = w.stack.load(fp, 8); !ok {
		return s, UnwindStackShort
	}
	if s.ip, ok = w.stack.load(fp+8, 8); !ok {
		return s, UnwindStackShort
	}
	if s.ip &= w.arch.mask; s.ip == 0 {
		return s, unwindDone
	}
	return s, unwindOn
}

func (w *frameWalk) enter(s savedFrame) {
	w.now.set(w.arch.sp, w.now.value[w.arch.fp]+16)
	w.now.set(w.arch.fp, s.fp)
	w.now.set(w.arch.ip, s.ip)
	w.exact = false
}
