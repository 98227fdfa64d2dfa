package verifier

import (
	"encoding/binary"
	"fmt"
)

// A moment is a run before an instruction: what a state must have.
type moment struct {
	frames []momentFrame // outermost first; those of the state
	ctx    uint64
	data   func() (start, end, meta uint64) // of the packet
	born   map[uint64]bool                  // addresses that memory was given to the program by
	many   bool                             // not all of them are there
	free   *freeSet
}

type momentFrame struct {
	r10   uint64
	regs  [11]uint64
	stack []byte // 512 bytes below r10
}

// outside tells what of a moment is not in the state, "" if all is.
func (m *moment) outside(s *state) string {
	var ids map[uint32]uint64
	if m.free == nil || !m.free.ids {
		ids = map[uint32]uint64{}
	}
	for i := range m.frames {
		f, mf := s.frames[i], &m.frames[i]
		for j := range f.regs[:11] {
			if f.regs[j].kind == notInit || m.free != nil && m.free.regs[i]>>j&1 != 0 {
				continue
			}
			if i < s.top && j < 6 {
				continue // a function that is called leaves nothing in them
			}
			if why := m.outsideReg(&f.regs[j], mf.regs[j], ids); why != "" {
				return fmt.Sprintf("r%d of frame %d: %s", j, i, why)
			}
		}
		for spi := range f.stack {
			if why := m.outsideSlot(&f.stack[spi], i, spi, ids); why != "" {
				return fmt.Sprintf("r10-%d of frame %d: %s", 8*(spi+1), i, why)
			}
		}
	}
	return ""
}

func (m *moment) outsideSlot(s *slot, frame, spi int, ids map[uint32]uint64) string {
	at := len(m.frames[frame].stack) - 8*(spi+1)
	if at < 0 {
		return "" // deeper than a frame: only with a private stack
	}
	b := m.frames[frame].stack[at : at+8]
	free := uint8(0)
	if m.free != nil {
		free = m.free.stack[frame][spi]
	}
	for i, fl := range s.fill {
		if fl == fillZero && free>>(7-i)&1 == 0 && b[7-i] != 0 {
			return fmt.Sprintf("byte %d is %#x, not 0", 7-i, b[7-i])
		}
	}
	if !s.spilled() {
		return ""
	}
	n := 0
	for n < 8 && s.fill[7-n] == fillSpill {
		n++
	}
	if free&uint8(1<<n-1) != 0 {
		return ""
	}
	var whole [8]byte
	copy(whole[:], b[:n])
	v := binary.LittleEndian.Uint64(whole[:])
	if n < 8 && s.reg.umax>>(8*n) != 0 {
		// Only the lower bytes are there of a number that has more.
		if low := s.reg.bits.cast(n); s.reg.kind == scalar && v&^low.mask != low.value {
			return fmt.Sprintf("%#x is not in the lower %d bytes of %s", v, n, s.reg.debug())
		}
		return ""
	}
	return m.outsideReg(&s.reg, v, ids)
}

func (m *moment) outsideReg(r *reg, v uint64, ids map[uint32]uint64) string {
	if r.kind == scalar {
		return outsideScalar(r, v, ids)
	}
	if r.nullable() && v == 0 {
		return ""
	}
	differs := func(base uint64) string {
		if d := v - base - uint64(int64(r.off)); !r.has(d) {
			return fmt.Sprintf("%#x is %#x more than %#x, which is not in %s", v, v-base, base, r.debug())
		}
		return ""
	}
	switch r.kind {
	case ptrCtx:
		return differs(m.ctx)
	case ptrStack:
		if int(r.frame) < len(m.frames) {
			return differs(m.frames[r.frame].r10)
		}
	case ptrPacket:
		start, end, _ := m.data()
		if past := v - uint64(int64(r.off)) + uint64(r.size); r.size > 0 && past > end {
			return fmt.Sprintf("%#x has %d bytes less than are known: %s", v, past-end, r.debug())
		}
		return differs(start)
	case ptrPacketEnd:
		if _, end, _ := m.data(); end != v {
			return fmt.Sprintf("%#x is not the packet's end, %#x", v, end)
		}
	case ptrMapValue, ptrMapKey, ptrMem:
		if v == 0 {
			return "a null pointer, which " + r.debug() + " is not"
		}
		for base := range m.born {
			if m.many || r.has(v-base-uint64(int64(r.off))) {
				return ""
			}
		}
		return fmt.Sprintf("%#x is in no memory that was given: %s", v, r.debug())
	}
	return ""
}

// has reports whether a number is one of those that are known.
func (r *reg) has(v uint64) bool {
	return v&^r.bits.mask == r.bits.value && v >= r.umin && v <= r.umax && int64(v) >= r.smin && int64(v) <= r.smax &&
		uint32(v) >= r.u32min && uint32(v) <= r.u32max && int32(v) >= r.s32min && int32(v) <= r.s32max
}

func outsideScalar(r *reg, v uint64, ids map[uint32]uint64) string {
	if !r.has(v) {
		return fmt.Sprintf("%#x is not in %s", v, r.debug())
	}
	if r.id == 0 || ids == nil {
		return ""
	}
	base := v
	if r.id&idDelta != 0 {
		base -= uint64(int64(r.off))
	}
	narrow := r.id&idDelta32 != 0
	other, known := ids[r.id&^idDelta]
	switch {
	case !known && !narrow:
		ids[r.id&^idDelta] = base
	case known && (!narrow && base != other || narrow && uint32(base) != uint32(other)):
		return fmt.Sprintf("%#x is not what others of the id are, %#x: %s", v, other, r.debug())
	}
	return ""
}
