package verifier

import (
	"fmt"
	"math"
)

// describe says in words what a register holds.
func (r *reg) describe() string {
	s := ""
	switch r.kind {
	case notInit:
		return "nothing"
	case scalar:
		return "a number" + r.rangeText()
	case ptrCtx:
		s = "the context"
	case constMap:
		if r.mp != nil {
			return "the map " + r.mp.name
		}
		return "a map"
	case ptrMapValue:
		s = "a pointer to a map's value"
		if r.mp != nil {
			s = "a pointer to a value of " + r.mp.name
		}
	case ptrMapKey:
		s = "a pointer to a map's key"
	case ptrStack:
		s = "a pointer to the stack"
	case ptrPacketMeta:
		s = "a pointer to the packet's metadata"
	case ptrPacket:
		s = fmt.Sprintf("a pointer into the packet, which is known to have %d bytes", max(r.size, 0))
	case ptrPacketEnd:
		return "the packet's end"
	case ptrSocket, ptrSockCommon, ptrTCPSock:
		s = "a pointer to a socket"
	case ptrBTF:
		s = "a pointer to a kernel struct"
		if r.typ != nil && r.typ.TypeName() != "" {
			s = "a pointer to struct " + r.typ.TypeName()
		}
		if r.flags&perCPU != 0 {
			s += ", of which each CPU has its own"
		}
	case ptrMem:
		s = fmt.Sprintf("a pointer to %d bytes of memory", r.size)
		if r.flags&ringbufMem != 0 {
			s = fmt.Sprintf("a record of %d bytes in a ring buffer", r.size)
		}
		if r.flags&untrusted != 0 {
			s = "a pointer to memory of the kernel"
		}
		if r.flags&readOnly != 0 {
			s += ", read-only"
		}
	case ptrFunc:
		return "a function"
	default:
		s = r.kind.text()
	}
	if r.off != 0 {
		s += fmt.Sprintf(" at offset %d", r.off)
	}
	if !r.bits.isConst() {
		s += fmt.Sprintf(" plus %s", (&reg{kind: scalar, bits: r.bits, smin: r.smin, smax: r.smax, umin: r.umin, umax: r.umax}).rangeText()[1:])
	}
	if r.nullable() {
		s += ", or null"
	}
	return s
}

// rangeText is what is known of a number, with a space before it.
func (r *reg) rangeText() string {
	switch {
	case r.bits.isConst():
		return fmt.Sprintf(" %d", int64(r.bits.value))
	case r.smin == math.MinInt64 && r.smax == math.MaxInt64 && r.umin == 0 && r.umax == math.MaxUint64:
		return " of which nothing is known"
	case r.smin < 0 && r.umax > math.MaxInt64 && (r.smin != math.MinInt64 || r.smax != math.MaxInt64): // as unsigned numbers these are large
		return fmt.Sprintf(" from %s to %s", limit(r.smin), limit(r.smax))
	case r.umax == math.MaxUint64:
		return fmt.Sprintf(" of at least %d", r.umin)
	}
	return fmt.Sprintf(" from %d to %d", r.umin, r.umax)
}

func limit(n int64) string {
	switch n {
	case math.MinInt64:
		return "the lowest"
	case math.MaxInt64:
		return "the highest"
	}
	return fmt.Sprint(n)
}

func megabytes(n int) string { return fmt.Sprintf("%d MB", n>>20) }
