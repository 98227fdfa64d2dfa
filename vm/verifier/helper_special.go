package verifier

import (
	"github.com/cilium/ebpf"

	"skep/vm/helper"
)

// specialHelper walks calls that do more than return. done says that the call is finished.
func (v *verifier) specialHelper(c *helperCall) (ended, done bool) {
	switch c.Number {
	case helperTailCall:
		return v.tailCall()
	case helperGetLocalStorage:
		if !v.regs()[2].isNull() {
			v.rejectReg(2, "argument", "the flags of bpf_get_local_storage must be 0")
		}
	case helperLoop:
		v.loopHelper(c)
		return false, !v.rules.callbackLoops && v.finishOldCallback(c)
	case helperForEachMapElem:
		switch c.mp.spec.Type {
		case ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.Array, ebpf.PerCPUArray:
		default:
			v.reject("map", "bpf_for_each_map_elem cannot walk maps of type %s", c.mp.spec.Type)
		}
		v.enterCallback(c, v.elemArgs(c), 0, 1)
		return false, !v.rules.callbackLoops && v.finishOldCallback(c)
	case helperTimerSetCallback:
		v.asyncCallback(c, v.elemOf(c.mp, c.mapReg.uid))
	case helperFindVMA:
		v.findVMA(c)
		return false, !v.rules.callbackLoops && v.finishOldCallback(c)
	case helperUserRingbufDrain:
		v.drainUserRing(c)
		return false, !v.rules.callbackLoops && v.finishOldCallback(c)
	case helperDynptrFromMem:
		if v.regs()[1].kind != ptrMapValue {
			v.rejectReg(1, "argument", "r1 must be a pointer to a map's value for bpf_dynptr_from_mem, and is %s", v.regs()[1].describe())
		}
	case helperSnprintf:
		r := &v.regs()[3]
		v.formatArgs(c, r.mp.frozen[int(r.off)+int(r.bits.value):], 5)
	}
	return false, false
}

// tailCall leaves the program for another one; it may fail, and then returns.
func (v *verifier) tailCall() (ended, done bool) {
	if len(v.cur.refs) > 0 {
		v.rejectLeak()
	}
	v.leftRegions("a tail call")
	if !v.rules.tailReachable || v.cur.top == 0 {
		return false, false
	}
	// The other program returns to the caller of this function: a path of its own. Falling through is walked later.
	at := v.insn
	next := v.push(at+1, at)
	f := next.frame()
	for r := range 6 {
		f.regs[r].setNotInit()
	}
	v.forgetPackets()
	v.regs()[0].setUnknown()
	v.leave()
	return false, true
}

// argsOf fills the registers of a callback's frame.
type argsOf func(caller, callee *frame)

func (v *verifier) loopHelper(c *helperCall) {
	args := func(caller, callee *frame) {
		callee.regs[1].setNotInit()
		callee.regs[1].kind = scalar
		callee.regs[2] = caller.regs[3]
	}
	if !v.rules.callbackLoops {
		v.enterCallback(c, args, 0, 1)
		return
	}
	v.markPrecise(1)
	f := v.cur.frame()
	if uint64(f.depth) < f.regs[1].umax {
		v.enterCallback(c, args, 0, 1)
	} else {
		f.depth = 0
	}
}

// elemArgs are the map, a key, its value and the context.
func (v *verifier) elemArgs(c *helperCall) argsOf {
	mp := c.mp
	return func(caller, callee *frame) {
		callee.regs[1].setPointer(constMap, 0)
		callee.regs[1].mp = mp
		callee.regs[2].setPointer(ptrMapKey, 0)
		callee.regs[2].mp = mp
		callee.regs[3].setPointer(ptrMapValue, 0)
		callee.regs[3].mp = mp
		callee.regs[4] = caller.regs[3]
	}
}

// enterCallback leaves the function to be walked later, from where it comes back to the call itself.
func (v *verifier) enterCallback(c *helperCall, args argsOf, lo, hi int32) {
	at := v.insn
	caller := v.cur.frame()
	start := v.subs[c.sub].start
	v.subs[c.sub].isCallback = true
	if !v.rules.callbackLoops {
		callee := v.enterFrame(v.cur, c.sub, at)
		args(caller, callee)
		callee.callback, callee.retLo, callee.retHi = true, lo, hi
		return
	}
	s := v.push(start, at)
	callee := v.enterFrame(s, c.sub, at)
	outer := s.frames[s.top-1]
	args(outer, callee)
	callee.callback, callee.retLo, callee.retHi = true, lo, hi
	s.unrolled++
	outer.depth++
	caller.depth = 0
}

// finishOldCallback gives the caller its result at once: the kernel walks the function, one time, and goes on behind the call.
func (v *verifier) finishOldCallback(c *helperCall) bool {
	caller := v.cur.frames[v.cur.top-1]
	v.clearCallerSaved(caller)
	caller.regs[0].setUnknown()
	v.insn = v.subs[c.sub].start
	return true
}

// spinLock takes or gives the lock in a map's value or an allocated object.
func (v *verifier) spinLock(c *helperCall, n int, r *reg) {
	if v.inTreeCallback() {
		v.reject("lock", "locks may not be taken or given back where elements of a tree are compared")
	}
	f := v.fieldsAt(r)
	if !r.bits.isConst() {
		v.rejectReg(n, "lock", "the offset of the lock is not known here")
	}
	at := int(r.off) + int(r.bits.value)
	if f == nil || len(f.locks) == 0 {
		v.rejectReg(n, "lock", "what r%d points to has no lock, or no BTF that tells", n)
	}
	if f.locks[0] != at {
		v.rejectReg(n, "lock", "the lock of what r%d points to is at offset %d, not at %d", n, f.locks[0], at)
	}
	l := &v.cur.lock
	if c.Number == helperSpinLock {
		if l.held {
			v.reject("lock", "a lock is held already")
		}
		*l = lock{held: true, mp: r.mp, id: r.id}
		return
	}
	if !l.held {
		v.reject("lock", "no lock is held that could be given back")
	}
	if l.failing || l.mp != r.mp || l.id != r.id {
		v.reject("lock", "another lock is held")
	}
	*l = lock{}
	v.forgetElements()
}

// checkMapHelper asks that the helper works on maps of this type.
func (v *verifier) checkMapHelper(c *helperCall) {
	if c.mp == nil {
		return
	}
	t := c.mp.spec.Type
	ok := true
	switch c.Number {
	case helperMapUpdate, helperMapDelete, 87, 88: // push, pop
		if c.mp.spec.Flags&rdonlyProg != 0 {
			v.reject("read only", "bpf_%s changes %s, which programs cannot write to", c.Name, c.mp.name)
		}
	}
	switch c.Number {
	case helperTailCall:
		ok = t == ebpf.ProgramArray
	case 22, 25, 55, 111, 121: // perf_event_read, perf_event_output, perf_event_read_value, skb_output, xdp_output
		ok = t == ebpf.PerfEventArray
	case 27: // get_stackid
		ok = t == ebpf.StackTrace
	case 33, 37: // skb_under_cgroup, current_task_under_cgroup
		ok = t == ebpf.CGroupArray
	case 51: // redirect_map
		ok = t == ebpf.DevMap || t == ebpf.DevMapHash || t == ebpf.CPUMap || t == ebpf.XSKMap
	case 52, 60, 53: // sk_redirect_map, msg_redirect_map, sock_map_update
		ok = t == ebpf.SockMap
	case 70, 71, 72:
		ok = t == ebpf.SockHash
	case helperGetLocalStorage:
		ok = t == ebpf.CGroupStorage || t == ebpf.PerCPUCGroupStorage
	case 82:
		ok = t == ebpf.ReusePortSockArray || t == ebpf.SockMap || t == ebpf.SockHash
	case 87, 89: // push, peek
		ok = t == ebpf.Queue || t == ebpf.Stack || t == ebpf.BloomFilter && v.rules.kernel >= linux(5, 16)
	case 88:
		ok = t == ebpf.Queue || t == ebpf.Stack
	case 107, 108:
		ok = t == ebpf.SkStorage
	case 145, 146:
		ok = t == ebpf.InodeStorage
	case 156, 157:
		ok = t == ebpf.TaskStorage
	case 210, 211:
		ok = t == ebpf.CgroupStorage
	case 130, 131, 134, 198:
		ok = t == ebpf.RingBuf
	case 195:
		ok = t == ebpf.PerCPUArray || t == ebpf.PerCPUHash || t == ebpf.LRUCPUHash
	}
	if t == ebpf.BloomFilter && v.rules.kernel > Linux6_18 && c.Number == 89 {
		v.unmodelled("lookups in bloom filters, whose key Linux 7 takes for something that is not read")
	}
	if ok {
		ok = mapAllows(c.Helper, t, v.rules)
	}
	if ok && c.mp.isSocketMap() {
		ok = v.mayChangeSockets(c.Number)
	}
	if !ok {
		v.reject("map", "bpf_%s cannot be used with %s, a map of type %s", c.Name, c.mp.name, t)
	}
}

// mayChangeSockets asks whether programs of this type may put sockets into maps, and take them out of these.
func (v *verifier) mayChangeSockets(number int32) bool {
	switch number {
	case helperMapUpdate:
	case helperMapDelete:
		if v.prog.spec.Type == ebpf.SockOps { // 6.10, brought to older ones
			return true
		}
	default:
		return true
	}
	switch v.prog.spec.Type {
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.XDP, ebpf.SkReuseport, ebpf.FlowDissector, ebpf.SkLookup:
		return true
	case ebpf.Tracing:
		return v.prog.spec.AttachType == ebpf.AttachTraceIter
	}
	return false
}

// mapAllows is the other direction: maps that only some helpers may touch.
func mapAllows(h *helper.Helper, t ebpf.MapType, k *rules) bool {
	in := func(numbers ...int32) bool {
		for _, n := range numbers {
			if n == h.Number {
				return true
			}
		}
		return false
	}
	switch t {
	case ebpf.ProgramArray:
		return in(helperTailCall)
	case ebpf.PerfEventArray:
		return in(22, 25, 55, 111, 121)
	case ebpf.RingBuf:
		return in(130, 131, 132, 133, 134, 198, 199, 200)
	case ebpf.UserRingbuf:
		return in(helperUserRingbufDrain)
	case ebpf.StackTrace:
		return in(27)
	case ebpf.CGroupArray:
		return in(33, 37)
	case ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage:
		return in(helperGetLocalStorage)
	case ebpf.DevMap, ebpf.DevMapHash:
		return in(51, helperMapLookup)
	case ebpf.CPUMap:
		return in(51)
	case ebpf.XSKMap:
		return in(51, helperMapLookup)
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		return in(helperMapLookup)
	case ebpf.SockMap:
		return in(52, 53, helperMapDelete, 60, 82, helperMapLookup, helperMapUpdate)
	case ebpf.SockHash:
		return in(72, 70, helperMapDelete, 71, 82, helperMapLookup, helperMapUpdate)
	case ebpf.ReusePortSockArray:
		return in(82)
	case ebpf.Queue, ebpf.Stack:
		return in(87, 88, 89)
	case ebpf.BloomFilter:
		return in(87, 89)
	case ebpf.SkStorage:
		return in(107, 108, 194)
	case ebpf.InodeStorage:
		return in(145, 146, 194)
	case ebpf.TaskStorage:
		return in(156, 157, 194)
	case ebpf.CgroupStorage:
		return in(210, 211)
	}
	return true
}
