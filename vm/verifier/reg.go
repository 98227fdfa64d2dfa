package verifier

import (
	"math"

	"github.com/cilium/ebpf/btf"
)

// kind is what a register holds.
type kind uint8

const (
	notInit kind = iota
	scalar
	ptrCtx
	constMap
	ptrMapValue
	ptrMapKey
	ptrStack
	ptrPacketMeta
	ptrPacket
	ptrPacketEnd
	ptrSocket
	ptrSockCommon
	ptrTCPSock
	ptrBTF
	ptrMem
	ptrFunc
	ptrFlowKeys
	ptrXDPSock
	ptrTracepointBuffer
	ptrDynptr // to one that is given to a function
	slotDynptr
	slotIter
	slotIRQ
	ptrArena
	ptrBuffer // of an iterator: its length is known when it is attached
)

// flags qualify a kind.
type flags uint16

const (
	maybeNull flags = 1 << iota
	readOnly
	ringbufMem // memory of a reserved record
	trusted    // of BTF pointers: valid, and fit for helpers
	untrusted
	perCPU
	rcu         // of BTF pointers: valid until the end of the program, or of its RCU section
	packetSlice // of memory: taken of a dynptr, into the packet
	allocated   // of BTF pointers: made by the program
	nonOwning   // of allocated ones: in a list or tree, valid until the lock is given back
)

// A reg is what is known of a register, or of a spilled one.
type reg struct {
	kind    kind
	flags   flags
	frame   uint8 // of stack pointers
	precise bool
	life    life
	off     int32 // fixed part of a pointer's offset; of scalars with a delta, the delta
	size    int32 // range of packet pointers, bytes of ptrMem, subprogram of ptrFunc
	// id joins copies: scalars of one value, pointers of one unknown offset or nullness. idDelta set means: off more than that.
	id   uint32
	ref  uint32 // of the reference that the pointer owns
	uid  uint32 // tells inner maps apart
	dyn  uint32 // of memory: the dynptr that it was taken of
	what uint8  // kind of a dynptr, state of an iterator, state of interrupts
	// first is set in the first slot of a struct on the stack.
	first bool
	depth int32 // rounds of an iterator
	mp    *mapDef
	typ   btf.Type // of ptrBTF

	bits       tnum
	smin, smax int64
	umin, umax uint64
	s32min     int32
	s32max     int32
	u32min     uint32
	u32max     uint32
}

// idDelta marks the id of a scalar that is a constant more than the others of that id: computed with 64 bits, or with 32.
const (
	idDelta64 = 1 << 31
	idDelta32 = 1 << 30
	idDelta   = idDelta64 | idDelta32
)

// text is the kind in words, of those that have no more to say.
func (k kind) text() string {
	switch k {
	case ptrFlowKeys:
		return "a pointer to the flow's keys"
	case ptrXDPSock:
		return "a pointer to an XDP socket"
	case ptrTracepointBuffer, ptrBuffer:
		return "a pointer to a buffer"
	case ptrArena:
		return "a pointer into an arena"
	case ptrDynptr:
		return "a pointer to a dynptr"
	}
	return "something else"
}

func (r *reg) isPointer() bool   { return r.kind != scalar && r.kind != notInit }
func (r *reg) nullable() bool    { return r.flags&maybeNull != 0 }
func (r *reg) isPacket() bool    { return r.kind == ptrPacket || r.kind == ptrPacketMeta }
func (r *reg) isPacketAny() bool { return r.isPacket() || r.kind == ptrPacketEnd }
func (r *reg) isConst() bool     { return r.kind == scalar && r.bits.isConst() }
func (r *reg) isNull() bool      { return r.kind == scalar && r.bits == tnum{} }

// constOf reports whether the lower 32 or all bits are known.
func (r *reg) constOf(is32 bool) bool {
	if is32 {
		return r.kind == scalar && r.bits.low32().isConst()
	}
	return r.isConst()
}

func (r *reg) constValue(is32 bool) uint64 {
	if is32 {
		return r.bits.low32().value
	}
	return r.bits.value
}

// exact is the part of a register that must be the same for it to be the same: no ids, no marks.
func (r *reg) exact() reg {
	c := *r
	c.id, c.ref, c.frame, c.precise, c.life = 0, 0, 0, false, life{}
	return c
}

// unbounded forgets the value, 64 and 32 bits.
func (r *reg) unbounded() {
	r.unbounded64()
	r.unbounded32()
}

func (r *reg) unbounded64() {
	r.smin, r.smax, r.umin, r.umax = math.MinInt64, math.MaxInt64, 0, math.MaxUint64
}

func (r *reg) unbounded32() {
	r.s32min, r.s32max, r.u32min, r.u32max = math.MinInt32, math.MaxInt32, 0, math.MaxUint32
}

// setUnknown makes the register a number of which nothing is known.
func (r *reg) setUnknown() {
	*r = reg{kind: scalar, life: r.life, bits: tnumUnknown}
	r.unbounded()
}

// setConst gives value and bounds; kind and the like stay.
func (r *reg) setConst(v uint64) {
	r.id = 0
	r.setBounds(v)
}

func (r *reg) setBounds(v uint64) {
	r.bits = tnumConst(v)
	r.smin, r.smax, r.umin, r.umax = int64(v), int64(v), v, v
	r.s32min, r.s32max, r.u32min, r.u32max = int32(v), int32(v), uint32(v), uint32(v)
}

// setLow makes the lower 32 bits known.
func (r *reg) setLow(v uint32) {
	r.bits = r.bits.with32(tnumConst(uint64(v)))
	r.s32min, r.s32max, r.u32min, r.u32max = int32(v), int32(v), v, v
}

// setNumber makes the register a known number.
func (r *reg) setNumber(v uint64) {
	*r = reg{kind: scalar, life: r.life}
	r.setBounds(v)
}

// setPointer makes the register a pointer without an offset.
func (r *reg) setPointer(k kind, f flags) {
	*r = reg{kind: k, flags: f, life: r.life}
	r.setBounds(0)
}

// setNotInit forgets all.
func (r *reg) setNotInit() {
	*r = reg{life: r.life, bits: tnumUnknown}
	r.unbounded()
}

// width is 32 if the value fits into the lower half, as far as is known.
func (r *reg) width() int {
	n := 64
	for n > 0 && (r.umax>>(n-1))&1 == 0 {
		n--
	}
	return n
}

// within reports whether all values of b are values of a.
func (a *reg) within(b *reg) bool {
	return a.umin <= b.umin && a.umax >= b.umax && a.smin <= b.smin && a.smax >= b.smax &&
		a.u32min <= b.u32min && a.u32max >= b.u32max && a.s32min <= b.s32min && a.s32max >= b.s32max
}
