package interp

import (
	"sync/atomic"

	"skep/vm/code"
	"skep/vm/engine"
)

// atomic does an atomic instruction.
func (s *state) atomic(t *engine.Thread, in *insn) error {
	r, base, w := &s.r, in.dst, &s.writes
	load := in.imm == code.AtomicLoad
	if load {
		base, w = in.src, &s.reads
	}
	a, n := r[base]+offset(in), uint64(in.size)
	if a%n != 0 {
		_, err := t.Access(a, int(n), !load, true)
		return err
	}
	if a-w.base > w.size-n {
		if err := w.find(t, a, n); err != nil {
			return err
		}
	}
	switch v := &r[in.src]; n {
	case 8:
		atomic64((*uint64)(at(a)), in, r, v)
	case 4:
		atomic32((*uint32)(at(a)), in, r, v)
	default:
		if load {
			r[in.dst] = loadSmall(a, n)
		} else {
			storeSmall(a, n, *v)
		}
	}
	return nil
}

func atomic64(p *uint64, in *insn, r *[16]uint64, s *uint64) {
	var old uint64
	switch in.imm &^ code.AtomicFetch {
	case code.ADD:
		old = atomic.AddUint64(p, *s) - *s
	case code.OR:
		old = atomic.OrUint64(p, *s)
	case code.AND:
		old = atomic.AndUint64(p, *s)
	case code.XOR:
		for old = atomic.LoadUint64(p); !atomic.CompareAndSwapUint64(p, old, old^*s); {
			old = atomic.LoadUint64(p)
		}
	case code.AtomicXchg &^ code.AtomicFetch:
		old = atomic.SwapUint64(p, *s)
	case code.AtomicCmp &^ code.AtomicFetch:
		r[0] = compareAndSwap64(p, r[0], *s)
		return
	case code.AtomicLoad:
		r[in.dst&15] = atomic.LoadUint64(p)
		return
	case code.AtomicStore:
		atomic.StoreUint64(p, *s)
		return
	}
	if in.imm&code.AtomicFetch != 0 {
		*s = old
	}
}

func atomic32(p *uint32, in *insn, r *[16]uint64, s *uint64) {
	var old uint32
	v := uint32(*s)
	switch in.imm &^ code.AtomicFetch {
	case code.ADD:
		old = atomic.AddUint32(p, v) - v
	case code.OR:
		old = atomic.OrUint32(p, v)
	case code.AND:
		old = atomic.AndUint32(p, v)
	case code.XOR:
		for old = atomic.LoadUint32(p); !atomic.CompareAndSwapUint32(p, old, old^v); {
			old = atomic.LoadUint32(p)
		}
	case code.AtomicXchg &^ code.AtomicFetch:
		old = atomic.SwapUint32(p, v)
	case code.AtomicCmp &^ code.AtomicFetch:
		r[0] = uint64(compareAndSwap32(p, uint32(r[0]), v))
		return
	case code.AtomicLoad:
		r[in.dst&15] = uint64(atomic.LoadUint32(p))
		return
	case code.AtomicStore:
		atomic.StoreUint32(p, v)
		return
	}
	if in.imm&code.AtomicFetch != 0 {
		*s = uint64(old)
	}
}

// compareAndSwap64 returns what was there, which Go's does not.
func compareAndSwap64(p *uint64, want, v uint64) uint64 {
	for {
		if old := atomic.LoadUint64(p); old != want {
			return old
		}
		if atomic.CompareAndSwapUint64(p, want, v) {
			return want
		}
	}
}

func compareAndSwap32(p *uint32, want, v uint32) uint32 {
	for {
		if old := atomic.LoadUint32(p); old != want {
			return old
		}
		if atomic.CompareAndSwapUint32(p, want, v) {
			return want
		}
	}
}

// Bytes and half words have no atomic operations in Go: the word around them, which is on the same page, has.

func around(a, n uint64) (p *uint32, shift int, mask uint32) {
	shift = int(a&3) * 8
	if !littleEndian {
		shift = int(4-n-a&3) * 8
	}
	return (*uint32)(at(a &^ 3)), shift, uint32(1)<<(n*8) - 1
}

func loadSmall(a, n uint64) uint64 {
	p, shift, mask := around(a, n)
	return uint64(atomic.LoadUint32(p) >> shift & mask)
}

func storeSmall(a, n, v uint64) {
	p, shift, mask := around(a, n)
	for {
		old := atomic.LoadUint32(p)
		if atomic.CompareAndSwapUint32(p, old, old&^(mask<<shift)|uint32(v)&mask<<shift) {
			return
		}
	}
}
