package verifier

import (
	"encoding/binary"
	"math"

	"github.com/cilium/ebpf"
)

// access is how memory is touched.
type access struct {
	reg      int // the pointer
	off      int // of the instruction
	size     int
	write    bool
	value    int // the register loaded or stored, -1 if none
	signed   bool
	atomic   bool
	anyBytes bool // written by the kernel: nothing is known of the value
}

func (v *verifier) load(in insn) {
	v.read(in.Src())
	signed := in.mode() == modeMEMSX
	v.write(in.Dst())
	v.access(access{reg: int(in.Src()), off: int(in.Off), size: in.size(), value: int(in.Dst()), signed: signed})
	v.keepSane(&v.regs()[in.Dst()])
}

func (v *verifier) store(in insn) {
	if in.Imm != 0 {
		v.reject("opcode", "the store uses reserved fields")
	}
	v.read(in.Src())
	v.read(in.Dst())
	v.access(access{reg: int(in.Dst()), off: int(in.Off), size: in.size(), write: true, value: int(in.Src())})
}

func (v *verifier) storeImm(in insn) {
	if in.Src() != 0 {
		v.reject("opcode", "the store uses reserved fields")
	}
	if d := v.read(in.Dst()); d.kind == ptrCtx && !v.rules.ctxImmediates {
		v.rejectReg(int(in.Dst()), "context", "constants cannot be stored in the context, only registers")
	}
	v.access(access{reg: int(in.Dst()), off: int(in.Off), size: in.size(), write: true, value: -1})
}

func (v *verifier) atomic(in insn) {
	load := -1
	switch in.Imm {
	case opADD, opAND, opOR, opXOR:
		if in.Imm != opADD && !v.rules.fetchAtomics {
			v.reject("opcode", "atomic operation %#x does not exist in Linux %s", in.Imm, v.rules.kernel)
		}
	case opADD | atomicFetch, opAND | atomicFetch, opOR | atomicFetch, opXOR | atomicFetch, atomicXchg:
		load = int(in.Src())
	case atomicCmpxchg:
		load = 0
	case atomicLoadAcq, atomicStoreRel:
		v.acquireRelease(in)
		return
	default:
		v.reject("opcode", "atomic operation %#x does not exist", in.Imm)
	}
	if load >= 0 && !v.rules.fetchAtomics {
		v.reject("opcode", "atomic operation %#x does not exist in Linux %s", in.Imm, v.rules.kernel)
	}
	if in.size() < 4 {
		v.reject("opcode", "atomic operations work on 4 or 8 bytes")
	}
	v.read(in.Src())
	d := v.read(in.Dst())
	if in.Imm == atomicCmpxchg {
		v.read(0)
	}
	v.checkAtomicTarget(int(in.Dst()), d)
	if load >= 0 {
		v.write(uint8(load))
	}
	stack := d.kind == ptrStack
	a := access{reg: int(in.Dst()), off: int(in.Off), size: in.size(), value: -1, atomic: true}
	v.access(a)
	if load >= 0 {
		// As if read by itself: a spilled number may be what is fetched.
		a.value = load
		if stack || load != int(in.Dst()) {
			v.access(a)
		} else {
			v.regs()[load].setUnknown()
		}
	}
	if load == int(in.Dst()) {
		// The address is gone when the kernel asks whether the place may be written.
		if stack {
			v.unmodelled("atomic operation on the stack that overwrites its address")
		}
		v.rejectReg(load, "not a pointer", "r%d is its address and what the atomic operation returns", load)
	}
	v.access(access{reg: int(in.Dst()), off: int(in.Off), size: in.size(), write: true, value: -1, atomic: true})
}

func (v *verifier) acquireRelease(in insn) {
	if !v.rules.acquire {
		v.reject("opcode", "atomic operation %#x does not exist in Linux %s", in.Imm, v.rules.kernel)
	}
	if in.Imm == atomicLoadAcq {
		s := v.read(in.Src())
		v.checkAtomicTarget(int(in.Src()), s)
		if s.kind == ptrMem && s.flags&untrusted != 0 {
			v.unmodelled("atomic loads of what members of the kernel's structs point to")
		}
		v.write(in.Dst())
		v.access(access{reg: int(in.Src()), off: int(in.Off), size: in.size(), value: int(in.Dst()), atomic: true})
		return
	}
	v.read(in.Src())
	d := v.read(in.Dst())
	v.checkAtomicTarget(int(in.Dst()), d)
	v.access(access{reg: int(in.Dst()), off: int(in.Off), size: in.size(), write: true, value: int(in.Src()), atomic: true})
}

func (v *verifier) checkAtomicTarget(at int, r *reg) {
	switch r.kind {
	case ptrCtx, ptrPacket, ptrPacketMeta, ptrFlowKeys, ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock:
		v.rejectReg(at, "atomic", "atomic operations on %s are not allowed", r.describe())
	}
}

// access checks a load or store, and gives the register loaded what is known of the value.
func (v *verifier) access(a access) {
	r := &v.regs()[a.reg]
	through := followed{r.kind, r.flags}
	v.checkAlignment(a, r)
	off := a.off + int(r.off)
	switch r.kind {
	case ptrStack:
		v.stackAccess(a, r)
	case ptrMapValue:
		v.mapValueAccess(a, r, off)
	case ptrMapKey:
		if a.write {
			v.rejectReg(a.reg, "read only", "the key of %s cannot be written through r%d", r.mp.name, a.reg)
		}
		v.region(a.reg, off, a.size, int(r.mp.spec.KeySize), false, "the key of "+r.mp.name)
		v.loaded(a)
	case ptrMem:
		if r.nullable() {
			v.rejectReg(a.reg, "null", "r%d may be null (%s): compare it with 0 first", a.reg, r.describe())
		}
		if a.write && r.flags&readOnly != 0 {
			v.rejectReg(a.reg, "read only", "r%d is %s, which cannot be written", a.reg, r.describe())
		}
		if r.flags&untrusted == 0 { // which is read by a load that can fail, wherever it is
			v.region(a.reg, off, a.size, int(r.size), false, r.describe())
		}
		v.loaded(a)
	case ptrCtx:
		v.ctxAccess(a, r)
	case ptrPacket, ptrPacketMeta:
		v.packetAccess(a, r, off)
	case ptrBTF:
		v.btfAccess(a, r, off)
	case ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock:
		v.socketAccess(a, r, off)
	case ptrFlowKeys:
		v.flowKeysAccess(a, off)
	case ptrTracepointBuffer, ptrBuffer:
		v.bufferAccess(a, r, off)
	case ptrArena:
		v.arenaAccess(a)
	case constMap:
		if a.write {
			v.rejectReg(a.reg, "read only", "r%d is %s, which cannot be written", a.reg, r.describe())
		}
		v.unmodelled("fields of struct bpf_map")
	case scalar:
		v.rejectReg(a.reg, "not a pointer", "r%d is a number and not a pointer: it cannot be followed", a.reg)
	default:
		v.rejectReg(a.reg, "not a pointer", "r%d is %s: it cannot be followed", a.reg, r.describe())
	}
	v.follow(a, through)
	if !a.write && a.value >= 0 && a.size < 8 {
		if x := &v.regs()[a.value]; x.kind == scalar {
			if a.signed {
				x.coerceSigned(a.size, v.rules)
			} else {
				x.coerce(a.size, v.rules)
			}
		}
	}
}

// loaded makes the register loaded a number of which nothing is known.
func (v *verifier) loaded(a access) {
	if !a.write && a.value >= 0 {
		v.regs()[a.value].setUnknown()
	}
}

func (v *verifier) checkAlignment(a access, r *reg) {
	strict := a.atomic && r.kind != ptrArena || r.kind == ptrStack
	if !strict || a.size == 1 {
		return
	}
	off := int64(r.off) + int64(a.off)
	if r.isPacket() {
		off += 2 // NET_IP_ALIGN of machines that cannot read unaligned words
	}
	if !r.bits.add(tnumConst(uint64(off))).aligned(uint64(a.size)) {
		v.rejectReg(a.reg, "alignment", "the access to %s at offset %d is not aligned to its size of %d bytes", r.describe(), off, a.size)
	}
}

// region asks that an access lies inside of memory of a known size, wherever the unknown part of the offset leads.
func (v *verifier) region(at, off, size, length int, zero bool, what string) {
	r := &v.regs()[at]
	lo := int64(off) + r.smin
	if r.smin < 0 && (r.smin == math.MinInt64 || lo != int64(int32(lo)) || lo < 0) {
		v.rejectReg(at, "bounds", "r%d may be %d before the start of %s", at, -lo, what)
	}
	v.inside(at, lo, size, length, zero, what)
	if r.umax >= maxVarOffset {
		v.rejectReg(at, "bounds", "r%d has no upper bound: it may lie behind %s, which has %d bytes", at, what, length)
	}
	v.inside(at, int64(off)+int64(r.umax), size, length, zero, what)
}

func (v *verifier) inside(at int, off int64, size, length int, zero bool, what string) {
	if off >= 0 && (size > 0 || size == 0 && zero) && off+int64(size) <= int64(length) {
		return
	}
	v.rejectReg(at, "bounds", "an access of %d bytes at offset %d does not lie inside of %s, which has %d bytes", size, off, what, length)
}

func (v *verifier) mapValueAccess(a access, r *reg, off int) {
	m := r.mp
	if r.nullable() {
		v.rejectReg(a.reg, "null", "r%d may be null: what a lookup in %s returns must be compared with 0 first", a.reg, m.name)
	}
	v.mapFlags(a.reg, m, a.write)
	if f, hit := v.kptrAt(a, r, off); hit {
		v.region(a.reg, off, a.size, int(m.spec.ValueSize), false, "a value of "+m.name)
		v.kptrAccess(a, f)
		return
	}
	v.mapRegion(a.reg, off, a.size, false)
	if a.write || a.value < 0 {
		return
	}
	x := &v.regs()[a.value]
	if m.frozen != nil && r.bits.isConst() {
		at := off + int(r.bits.value)
		x.setNumber(readFrozen(m.frozen[min(at, len(m.frozen)):], a.size, a.signed))
		return
	}
	if name, ok := m.kconfig[uint32(off)]; ok && r.bits.isConst() && r.bits.value == 0 {
		v.kconfigValue(x, name, a.size)
		return
	}
	x.setUnknown()
}

func readFrozen(b []byte, size int, signed bool) uint64 {
	var word [8]byte
	copy(word[:], b[:min(size, len(b))])
	n := binary.LittleEndian.Uint64(word[:])
	if signed {
		shift := 64 - 8*size
		return uint64(int64(n<<shift) >> shift)
	}
	return n
}

// Flags of maps: what programs may not do.
const (
	rdonlyProg = 1 << 7
	wronlyProg = 1 << 8
)

// mapFlags asks that programs may read or write the map.
func (v *verifier) mapFlags(at int, m *mapDef, write bool) {
	devices := m.spec.Type == ebpf.DevMap || m.spec.Type == ebpf.DevMapHash // whose values lie in the kernel's own structs
	if write && (devices || m.spec.Flags&rdonlyProg != 0) {
		v.rejectReg(at, "read only", "programs cannot write to the map %s", m.name)
	}
	if !write && m.spec.Flags&wronlyProg != 0 {
		v.rejectReg(at, "write only", "programs cannot read from the map %s", m.name)
	}
}

// mapRegion asks that an access lies inside of a map's value, outside of its special fields.
func (v *verifier) mapRegion(at, off, size int, zero bool) {
	r := &v.regs()[at]
	m := r.mp
	v.region(at, off, size, int(m.spec.ValueSize), zero, "a value of "+m.name)
	if m.fields == nil {
		return
	}
	lo, hi := int64(off)+r.smin, int64(off)+int64(r.umax)+int64(size)
	for start := range m.fields.kptrs {
		if lo < int64(start+8) && int64(start) < hi {
			v.rejectReg(at, "special field", "a pointer of the kernel in the value of %s cannot be touched by helpers", m.name)
		}
	}
	for start, n := range m.fields.size {
		if lo < int64(start+n) && int64(start) < hi {
			if m.fields.other != "" {
				v.unmodelled("values with " + m.fields.other)
			}
			v.rejectReg(at, "special field", "a lock or timer in the value of %s can be used by its helpers only", m.name)
		}
	}
}

func (v *verifier) packetAccess(a access, r *reg, off int) {
	if a.write && !v.ctx.writesPacket {
		v.rejectReg(a.reg, "read only", "programs of this type cannot write into the packet")
	}
	v.packetRange(a.reg, off, a.size, false)
	v.loaded(a)
}

func (v *verifier) packetRange(at, off, size int, zero bool) {
	r := &v.regs()[at]
	if r.smin < 0 {
		v.rejectReg(at, "bounds", "the offset into the packet may be negative")
	}
	if r.size < 0 || off < 0 || !(size > 0 || zero) || off+size > int(r.size) {
		v.rejectReg(at, "bounds", "%d bytes of the packet at offset %d are accessed, of which a comparison with its end has shown %d", size, off, max(r.size, 0))
	}
}

func (v *verifier) loadImm64(in insn) {
	d := v.write(in.Dst())
	value := uint64(uint32(in.Imm)) | uint64(uint32(v.prog.insns[v.insn+1].Imm))<<32
	switch in.Src() {
	case 0:
		d.setNumber(value)
	case pseudoFunc:
		sub := v.subprogramAt(v.insn + 1 + int(in.Imm))
		if v.subs[sub].global {
			v.reject("callback", "a callback must be a static function")
		}
		d.setPointer(ptrFunc, 0)
		d.size = int32(sub)
	case pseudoMapFD, pseudoMapIdx:
		d.setPointer(constMap, 0)
		d.mp = v.prog.maps[v.insn]
	case pseudoMapValue, pseudoMapIdxValue:
		m := v.prog.maps[v.insn]
		d.setPointer(ptrMapValue, 0)
		d.mp = m
		d.off = v.prog.insns[v.insn+1].Imm
		if v.mayHoldLock(d) && !v.rules.oneValue {
			d.id = v.newID()
		}
	}
}

// loadPacket is the old way to read packets, which ends the program if there is no such byte.
func (v *verifier) loadPacket(in insn) {
	switch v.prog.spec.Type {
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT:
	default:
		v.reject("opcode", "loads of packet bytes by offset exist for socket filters and tc only")
	}
	if in.Dst() != 0 || in.Off != 0 || in.mode() == modeABS && in.Src() != 0 {
		v.reject("opcode", "the load uses reserved fields")
	}
	v.read(6)
	if v.cur.lock.held {
		v.reject("lock", "packet bytes cannot be loaded while a lock is held")
	}
	if len(v.cur.refs) > 0 {
		v.rejectLeak()
	}
	v.leftRegions("a load of packet bytes")
	if v.regs()[6].kind != ptrCtx {
		v.rejectReg(6, "context", "loads of packet bytes by offset need the context in r6")
	}
	if in.mode() == modeIND {
		v.read(in.Src())
	}
	v.plainCtx(6)
	for r := uint8(0); r < 6; r++ {
		x := v.write(r)
		x.setNotInit()
	}
	v.regs()[0].setUnknown()
}
