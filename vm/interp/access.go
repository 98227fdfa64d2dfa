package interp

import (
	"encoding/binary"
	"math"
	"runtime"
	"unsafe"

	"skep/vm/engine"
)

// A window is memory that a thread may access, for reading or for writing: the region that was used last, and others to swap with. All
// have at least 8 bytes, so that "size - n" needs no thought.
type window struct {
	extent
	write   bool
	others  [3]extent
	removed uint64 // when the regions were looked up
	reached uint64 // of the stack
}

type extent struct{ base, size uint64 }

// reset leaves the stack only, or makes everything accessible for a thread that trusts its code.
func (w *window) reset(t *engine.Thread) {
	if t.Space == nil {
		w.extent = extent{0, math.MaxUint64}
	} else {
		w.removed, w.reached = t.Space.Removed(), t.Reached()
		w.extent = extent{t.Stack.Base(), w.reached}
	}
	w.others = [3]extent{w.extent, w.extent, w.extent}
}

// refresh is called when regions may have been removed, or the program may use more of the stack.
func (w *window) refresh(t *engine.Thread) {
	if t.Space != nil && (t.Space.Removed() != w.removed || t.Reached() != w.reached) {
		w.reset(t)
	}
}

// find is asked for what the window does not show. It moves the window there.
func (w *window) find(t *engine.Thread, addr, size uint64) error {
	for i, e := range w.others {
		if addr-e.base <= e.size-size {
			w.others[i], w.extent = w.extent, e
			return nil
		}
	}
	r, err := t.Access(addr, int(size), w.write, false)
	if err == nil && r.Size >= 8 {
		copy(w.others[1:], w.others[:])
		w.others[0] = w.extent
		w.extent = extent{r.Base, r.Size}
	}
	return err
}

// access is a load or store of what the windows do not show.
func (s *state) access(t *engine.Thread, in *insn) error {
	if in.op < opStoreBX {
		a := s.r[in.src] + offset(in)
		if err := s.reads.find(t, a, uint64(in.size)); err != nil {
			if t.Probe != nil {
				if v, ok := t.Probe(t, a, int(in.size)); ok {
					s.r[in.dst] = extend(in, v)
					return nil
				}
			}
			return err
		}
		s.r[in.dst] = load(in, a)
		return nil
	}
	a := s.r[in.dst] + offset(in)
	if err := s.writes.find(t, a, uint64(in.size)); err != nil {
		return err
	}
	v := in.imm
	if in.op < opStoreBK {
		v = s.r[in.src]
	}
	switch in.size {
	case 1:
		store8(a, uint8(v))
	case 2:
		store16(a, uint16(v))
	case 4:
		store32(a, uint32(v))
	default:
		store64(a, v)
	}
	return nil
}

// extend makes what a load leaves in its register of the number that was in memory.
func extend(in *insn, v uint64) uint64 {
	switch in.op {
	case opLoadSxB:
		return uint64(int64(int8(v)))
	case opLoadSxH:
		return uint64(int64(int16(v)))
	case opLoadSxW:
		return uint64(int64(int32(v)))
	}
	return v
}

func load(in *insn, a uint64) uint64 {
	switch in.op {
	case opLoadB:
		return uint64(load8(a))
	case opLoadH:
		return uint64(load16(a))
	case opLoadW:
		return uint64(load32(a))
	case opLoadSxB:
		return uint64(int64(int8(load8(a))))
	case opLoadSxH:
		return uint64(int64(int16(load16(a))))
	case opLoadSxW:
		return uint64(int64(int32(load32(a))))
	}
	return load64(a)
}

func offset(in *insn) uint64 { return uint64(int64(in.off)) }

// at is the address as a pointer. It has been looked up, or the code is trusted: it points into a block, which does not move.
func at(addr uint64) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), int(addr)) }

// strict machines do not load and store at addresses that are no multiples of the size; Go's other ones do.
const strict = runtime.GOARCH == "mips" || runtime.GOARCH == "mipsle" || runtime.GOARCH == "mips64" || runtime.GOARCH == "mips64le"

func bytes(a uint64, n int) []byte { return unsafe.Slice((*byte)(at(a)), n) }

func load8(a uint64) uint8     { return *(*uint8)(at(a)) }
func store8(a uint64, v uint8) { *(*uint8)(at(a)) = v }

func load16(a uint64) uint16 {
	if strict {
		return binary.NativeEndian.Uint16(bytes(a, 2))
	}
	return *(*uint16)(at(a))
}

func store16(a uint64, v uint16) {
	if strict {
		binary.NativeEndian.PutUint16(bytes(a, 2), v)
		return
	}
	*(*uint16)(at(a)) = v
}

func load32(a uint64) uint32 {
	if strict {
		return binary.NativeEndian.Uint32(bytes(a, 4))
	}
	return *(*uint32)(at(a))
}

func store32(a uint64, v uint32) {
	if strict {
		binary.NativeEndian.PutUint32(bytes(a, 4), v)
		return
	}
	*(*uint32)(at(a)) = v
}

func load64(a uint64) uint64 {
	if strict {
		return binary.NativeEndian.Uint64(bytes(a, 8))
	}
	return *(*uint64)(at(a))
}

func store64(a uint64, v uint64) {
	if strict {
		binary.NativeEndian.PutUint64(bytes(a, 8), v)
		return
	}
	*(*uint64)(at(a)) = v
}
