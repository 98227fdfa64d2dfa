package verifier

import (
	"github.com/cilium/ebpf"

	"skep/vm/helper"
)

// readsPacket are helpers that may be given memory of the packet.
func readsPacket(c *helper.Helper) bool {
	switch c.Name {
	case "map_lookup_elem", "map_update_elem", "map_delete_elem", "map_push_elem", "map_pop_elem", "map_peek_elem", "map_lookup_percpu_elem",
		"csum_diff", "sk_lookup_tcp", "sk_lookup_udp", "skc_lookup_tcp", "tcp_check_syncookie", "tcp_gen_syncookie",
		"tcp_raw_gen_syncookie_ipv4", "tcp_raw_gen_syncookie_ipv6", "tcp_raw_check_syncookie_ipv4", "tcp_raw_check_syncookie_ipv6",
		"sock_map_update", "sock_hash_update", "sk_redirect_map", "sk_redirect_hash":
		return c.Name != "sk_redirect_map"
	}
	return false
}

// checkArg checks argument i, which is in r(i+1).
func (v *verifier) checkArg(c *helperCall, i int, a helper.Arg) {
	n := i + 1
	if c.Name == "sk_assign" && i == 1 && v.prog.spec.Type == ebpf.SkLookup {
		a |= helper.MaybeNull // no socket is one, too
	}
	if a.Kind() == helper.MapValue && c.mp.isSocketMap() {
		a = helper.BTFSockCommon
	}
	r := v.read(uint8(n))
	if a.Kind() == helper.Anything {
		return
	}
	if a.Kind() == helper.Dynptr {
		v.checkDynptrArg(c, n, a, r)
		return
	}
	if r.isPacket() && !(v.ctx.readsPacketInHelpers && readsPacket(c.Helper)) && !anyHelperReadsPacket(v.prog.spec.Type) {
		v.rejectReg(n, "packet", "%s cannot be given memory of the packet", c.title())
	}
	null := a.Has(helper.MaybeNull) && r.isNull()
	if !null {
		v.checkArgKind(c, n, a, r)
		v.checkArgOffset(c, n, a, r)
	}
	if r.ref != 0 && r.kind != scalar && a.Kind() != helper.Kptr {
		if a.Has(helper.Release) && r.off != 0 && v.rules.wholeRecords {
			v.rejectReg(n, "reference", "r%d must be as it was acquired, and not %d more", n, r.off)
		}
		if c.ref != 0 {
			v.rejectReg(n, "reference", "%s can be given one acquired pointer only", c.title())
		}
		c.ref = r.ref
	} else if a.Has(helper.Release) && !r.isNull() {
		v.rejectReg(n, "reference", "r%d is %s: it has not been acquired, so %s cannot release it", n, r.describe(), c.title())
	}
	v.checkArgMemory(c, n, a, r, null)
}

// checkArgKind asks that the register holds the kind of value that is wanted.
func (v *verifier) checkArgKind(c *helperCall, n int, a helper.Arg, r *reg) {
	ok, want := false, ""
	memory := func() bool {
		switch r.kind {
		case ptrStack, ptrPacket, ptrPacketMeta, ptrMapValue, ptrMapKey:
			return true
		case ptrMem, ptrBuffer:
			return r.flags&untrusted == 0 && (r.flags&readOnly == 0 || a.Has(helper.ReadOnly) && v.rules.kernel >= linux(5, 16))
		case ptrBTF:
			return r.flags&trusted != 0 && v.rules.kernel >= linux(6, 3) && a.Kind() == helper.Mem
		}
		return false
	}
	switch a.Kind() {
	case helper.Ctx:
		ok, want = r.kind == ptrCtx, "the context"
		if v.socketIsBTF() && c.Name == "get_socket_cookie" {
			if !r.isNull() {
				v.socketArg(c, n, a|helper.MaybeNull, r)
			}
			return
		}
	case helper.ConstMap:
		ok, want = r.kind == constMap, "a map"
	case helper.MapKey, helper.MapValue, helper.Mem:
		ok, want = memory(), "a pointer to memory"
	case helper.Size, helper.SizeOrZero, helper.AllocSize:
		ok, want = r.kind == scalar, "a number"
	case helper.SpinLock, helper.Timer:
		ok, want = r.kind == ptrMapValue, "a pointer into a map's value"
		if a.Kind() == helper.SpinLock && r.kind == ptrBTF && r.flags == allocated {
			ok = true
		}
	case helper.SockCommon, helper.BTFSockCommon:
		ok, want = r.kind == ptrSocket || r.kind == ptrSockCommon || r.kind == ptrTCPSock, "a socket"
		if r.kind == ptrBTF && a.Kind() == helper.BTFSockCommon {
			v.socketArg(c, n, a, r)
			return
		}
		if ok && a.Kind() == helper.BTFSockCommon && v.socketIsBTF() {
			v.unmodelled("sockets that are none of the kernel's structs in tracing programs")
		}
	case helper.RingbufMem:
		ok, want = r.kind == ptrMem && r.flags&ringbufMem != 0, "a record of bpf_ringbuf_reserve"
	case helper.Func:
		ok, want = r.kind == ptrFunc, "a function"
	case helper.Stack:
		ok, want = r.kind == ptrStack, "a pointer to the stack"
	case helper.ConstStr:
		ok, want = r.kind == ptrMapValue, "a constant string in a read-only map"
	case helper.Kptr:
		v.exchanged(c, n, r)
		return
	case helper.BTF:
		if c.hasKptr {
			v.exchangedFor(c, n, a, r)
			return
		}
		v.checkBTFArg(c, n, a, r)
		return
	case helper.PerCPUBTF:
		ok, want = r.kind == ptrBTF && r.flags&^maybeNull == perCPU|rcu, "a pointer to what each CPU has its own of"
		if r.off != 0 {
			v.rejectReg(n, "offset", "r%d was moved (%s) and cannot be given to %s", n, r.describe(), c.title())
		}
		c.perCPU = r.typ
	default:
		v.unmodelled(c.title())
	}
	if ok && r.nullable() && !a.Has(helper.MaybeNull) {
		v.rejectReg(n, "null", "r%d may be null (%s): compare it with 0 before it is given to %s", n, r.describe(), c.title())
	}
	if !ok {
		v.rejectReg(n, "argument", "r%d must be %s for %s, and is %s", n, want, c.title(), r.describe())
	}
}

// socketArg asks for a pointer to a socket as the kernel knows it.
func (v *verifier) socketArg(c *helperCall, n int, a helper.Arg, r *reg) {
	if r.flags&rcu != 0 {
		v.rejectReg(n, "argument", "r%d is protected by RCU only, and cannot be given to %s", n, c.title())
	}
	named := *c.Helper
	named.BTF = "sock_common"
	other := *c
	other.Helper = &named
	v.checkBTFArg(&other, n, a, r)
}

// checkArgOffset asks that pointers that mean a whole are not moved.
func (v *verifier) checkArgOffset(c *helperCall, n int, a helper.Arg, r *reg) {
	switch r.kind {
	case ptrStack, ptrPacket, ptrPacketMeta, ptrMapKey, ptrMapValue, ptrBuffer, scalar:
		return
	case ptrMem:
		if a.Kind() != helper.RingbufMem || !v.rules.wholeRecords {
			return
		}
	case ptrBTF:
		if r.bits != (tnum{}) {
			v.rejectReg(n, "offset", "r%d was moved by an unknown number and cannot be given to %s", n, c.title())
		}
		return
	}
	if r.off != 0 || r.bits != (tnum{}) {
		v.rejectReg(n, "offset", "r%d was moved (%s) and cannot be given to %s", n, r.describe(), c.title())
	}
}

// checkArgMemory checks what the argument points to, and notes what the call is about.
func (v *verifier) checkArgMemory(c *helperCall, n int, a helper.Arg, r *reg, null bool) {
	how := reads
	if a.Has(helper.Write) || !v.rules.helperAccess {
		how = clobber
	}
	if a.Has(helper.Uninit) && (!a.Has(helper.FixedSize) || v.rules.kernel >= Linux6_1) {
		how = fills
	}
	switch a.Kind() {
	case helper.ConstMap:
		if r.mp.spec.Type == ebpf.Arena {
			v.unmodelled(c.title() + " with an arena")
		}
		v.checkTimerMap(c, n, r)
		c.mp, c.mapReg = r.mp, *r
	case helper.MapKey:
		v.needMap(c)
		v.helperMemory(c, n, int(c.mp.spec.KeySize), how, a.Has(helper.Write), false)
		v.constantKey(c, r)
	case helper.MapValue:
		if null {
			return
		}
		v.needMap(c)
		v.helperMemory(c, n, int(c.mp.spec.ValueSize), how, a.Has(helper.Write), false)
	case helper.Mem:
		if a.Has(helper.FixedSize) && !null {
			v.helperMemory(c, n, a.Size(), how, a.Has(helper.Write), false)
			if a.Has(helper.Aligned) {
				v.checkAlignment(access{reg: n, size: a.Size(), atomic: true}, r)
			}
		}
	case helper.Size, helper.SizeOrZero:
		v.sizedMemory(c, n, a)
	case helper.AllocSize:
		if !r.bits.isConst() {
			v.rejectReg(n, "size", "the size in r%d must be a constant", n)
		}
		c.memSize = int64(r.bits.value)
		v.markPrecise(n)
	case helper.Func:
		c.sub = int(r.size)
	case helper.SpinLock:
		v.spinLock(c, n, r)
	case helper.Timer:
		var timers []int
		if r.mp.fields != nil {
			timers = r.mp.fields.timers
		}
		v.timer(c, n, r, timers, "timer")
	case helper.ConstStr:
		v.constString(n, r)
	}
}

// constantKey notes a key of an array that is known: the lookup cannot fail then.
func (v *verifier) constantKey(c *helperCall, r *reg) {
	t := c.mp.spec.Type
	if !v.rules.constantKeys || t != ebpf.Array && t != ebpf.PerCPUArray || r.kind != ptrStack || !r.bits.isConst() {
		return
	}
	spi, at := fillAt(int(r.off) + int(int64(r.bits.value)))
	s := &v.stackFrame(r).stack[spi]
	size := int(c.mp.spec.KeySize)
	run := func(f fill) (n int) {
		for i := at; i >= 0 && s.fill[i] == f; i-- {
			n++
		}
		return n
	}
	switch {
	case run(fillZero) >= size:
		c.hasKey, c.key = true, 0
	case s.spilledScalar() && run(fillSpill) == size && s.reg.bits.isConst():
		v.markSlotPrecise(int(r.frame), spi)
		c.hasKey, c.key = true, s.reg.bits.value
	}
}

func (v *verifier) needMap(c *helperCall) {
	if c.mp == nil {
		v.reject("map", "%s needs its map first", c.title())
	}
}

// sizedMemory checks the memory before the argument n, whose size the argument is.
func (v *verifier) sizedMemory(c *helperCall, n int, a helper.Arg) {
	r := &v.regs()[n]
	mem := c.Args[n-2]
	zero := a.Kind() == helper.SizeOrZero
	c.sizeMax = r.umax
	how := reads
	if mem.Has(helper.Write) || !v.rules.helperAccess {
		how = clobber
	}
	if mem.Has(helper.Uninit) && (c.Name != "d_path" || v.rules.filledPaths) {
		how = fills
		if !r.bits.isConst() {
			how = clobber
		}
	}
	if r.smin < 0 {
		v.rejectReg(n, "size", "the size in r%d may be negative", n)
	}
	if r.umin == 0 {
		if v.rules.kernel >= linux(6, 8) {
			if !zero {
				v.rejectReg(n, "size", "the size in r%d may be 0, which %s does not allow", n, c.title())
			}
		} else {
			v.helperMemory(c, n-1, 0, how, mem.Has(helper.Write), zero)
		}
	}
	if r.umax >= maxVarOffset {
		v.rejectReg(n, "size", "the size in r%d has no upper bound", n)
	}
	v.helperMemory(c, n-1, int(r.umax), how, mem.Has(helper.Write), zero)
	v.markPrecise(n)
}

// helperMemory asks that a helper may access size bytes at the register n.
func (v *verifier) helperMemory(c *helperCall, n, size int, how use, writes, zero bool) {
	r := &v.regs()[n]
	switch r.kind {
	case ptrStack:
		if v.stackInitialized(n, 0, size, zero, how) {
			c.fillReg, c.fillSize, c.fill = n, size, true
		}
	case ptrPacket, ptrPacketMeta:
		v.packetRange(n, int(r.off), size, zero)
	case ptrMapKey:
		if writes {
			v.rejectReg(n, "read only", "%s would write to the key of %s", c.title(), r.mp.name)
		}
		v.region(n, int(r.off), size, int(r.mp.spec.KeySize), zero, "the key of "+r.mp.name)
	case ptrMapValue:
		v.mapFlags(n, r.mp, writes)
		v.mapRegion(n, int(r.off), size, zero)
	case ptrMem:
		if writes && r.flags&readOnly != 0 {
			v.rejectReg(n, "read only", "%s would write to %s", c.title(), r.describe())
		}
		v.region(n, int(r.off), size, int(r.size), zero, r.describe())
	case ptrBuffer:
		if writes && r.flags&readOnly != 0 {
			v.rejectReg(n, "read only", "%s would write to %s", c.title(), r.describe())
		}
		v.bufferOffset(n, int(r.off))
	case ptrBTF:
		v.unmodelled("helpers that read through BTF pointers")
	default:
		if zero && size == 0 && r.isNull() {
			return
		}
		v.rejectReg(n, "argument", "r%d must be a pointer to %d bytes of memory for %s, and is %s", n, size, c.title(), r.describe())
	}
}

// constString asks for a string that ends inside of a read-only map.
func (v *verifier) constString(n int, r *reg) {
	m := r.mp
	if m.frozen == nil {
		v.rejectReg(n, "constant", "r%d must be a string in a read-only map, and %s is not read-only", n, m.name)
	}
	if !r.bits.isConst() {
		v.rejectReg(n, "constant", "the string in r%d is not known here", n)
	}
	at := int(r.off) + int(int64(r.bits.value))
	v.mapRegion(n, int(r.off), int(m.spec.ValueSize)-at, false)
	for i := at; i < len(m.frozen); i++ {
		if m.frozen[i] == 0 {
			return
		}
	}
	v.rejectReg(n, "constant", "the string in %s has no end", m.name)
}

// isSocketMap reports whether lookups give sockets.
func (m *mapDef) isSocketMap() bool {
	return m != nil && (m.spec.Type == ebpf.SockMap || m.spec.Type == ebpf.SockHash)
}
