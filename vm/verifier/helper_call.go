package verifier

import (
	"github.com/cilium/ebpf/btf"

	"skep/vm/helper"
)

// Numbers of helpers that have rules of their own.
const (
	helperMapLookup         = 1
	helperMapUpdate         = 2
	helperMapDelete         = 3
	helperTailCall          = 12
	helperProbeReadStr      = 45
	helperGetStack          = 67
	helperGetLocalStorage   = 81
	helperSpinLock          = 93
	helperSpinUnlock        = 94
	helperSkStorageGet      = 107
	helperProbeReadUserStr  = 114
	helperProbeReadKernStr  = 115
	helperGetTaskStack      = 141
	helperGetSmpProcessorID = 8
	helperForEachMapElem    = 164
	helperSnprintf          = 165
	helperTimerInit         = 169
	helperTimerSetCallback  = 170
	helperFindVMA           = 180
	helperLoop              = 181
	helperDynptrFromMem     = 197
	helperDynptrWrite       = 202
	helperUserRingbufDrain  = 209
)

// A helperCall is what the arguments of a call tell about it.
type helperCall struct {
	*helper.Helper
	mp       *mapDef
	mapReg   reg
	ref      uint32 // of the argument that owns one
	hasKey   bool   // the key is a known number
	key      uint64
	memSize  int64 // of AllocSize
	sizeMax  uint64
	fillReg  int // memory to be filled, and its size
	fillSize int
	fill     bool
	sub      int  // the callback
	kptr     kptr // the field that is exchanged
	hasKptr  bool
	dynptr   dynptr   // the initialized one among the arguments
	mapOf    string   // what mp is known of already, if it is not the map itself
	perCPU   btf.Type // of which the address of one CPU's is returned
	function string   // what is called, if it is no helper
}

// title is what is called, in messages.
func (c *helperCall) title() string {
	if c.function != "" {
		return c.function
	}
	return "bpf_" + c.Name
}

func (v *verifier) callHelper(in insn) (end bool) {
	at := v.insn
	h := helper.ByNumber(in.Imm)
	if h == nil {
		if in.Imm > 0 && in.Imm <= 300 {
			v.reject("helper", "there is no helper %d", in.Imm)
		}
		v.reject("helper", "there is no helper %d", in.Imm)
	}
	v.checkHelper(h)
	c := &helperCall{Helper: h, fillReg: -1, sub: -1}
	for i, a := range h.Args {
		if a == helper.None {
			break
		}
		v.checkArg(c, i, a)
	}
	v.checkMapHelper(c)
	if c.fill {
		for i := range c.fillSize {
			v.access(access{reg: c.fillReg, off: i, size: 1, write: true, value: -1})
		}
	}
	v.releaseArg(c)
	if ended, done := v.specialHelper(c); done {
		return ended
	}
	regs := v.regs()
	for r := range 6 {
		regs[r].setNotInit()
		regs[r].life.marks |= liveWritten
	}
	v.returned(c, &regs[0])
	if h.Flags&helper.ChangesData != 0 || h.Number == helperTailCall && v.rules.globalPackets && !v.rules.tailReachable {
		v.forgetPackets()
	}
	if h.Number == helperDynptrWrite && (c.dynptr.kind == dynptrSKB || c.dynptr.kind == dynptrSKBMeta) {
		v.forgetPackets()
	}
	v.insn = at + 1
	return false
}

// checkHelper asks that programs of this type may call the helper.
func (v *verifier) checkHelper(h *helper.Helper) {
	spec := v.prog.spec
	if Kernel(h.Kernel()) > v.rules.kernel {
		v.reject("helper", "bpf_%s exists since Linux %s", h.Name, Kernel(h.Kernel()))
	}
	if !v.allowsHelper(h) {
		v.reject("helper", "programs of type %s may not call bpf_%s", spec.Type, h.Name)
	}
	if h.Flags&helper.GPL != 0 && !gplCompatible(spec.License) {
		v.reject("license", "bpf_%s may be called by programs with a GPL-compatible license only, this one is under %q", h.Name, spec.License)
	}
	sleeps := spec.Flags&sleepable != 0 || v.sleeps() && v.rules.kernel >= Linux6_18
	if h.Flags&helper.Sleeps != 0 && !sleeps {
		v.reject("sleep", "bpf_%s may sleep, this program may not", h.Name)
	}
	if h.Flags&helper.Sleeps != 0 {
		v.noSleepHere("bpf_" + h.Name)
	}
}

func gplCompatible(license string) bool {
	switch license {
	case "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL":
		return true
	}
	return false
}

func (v *verifier) releaseArg(c *helperCall) {
	for i, a := range c.Args {
		if !a.Has(helper.Release) {
			continue
		}
		r := &v.regs()[i+1]
		if a.Kind() == helper.Dynptr {
			v.releaseDynptr(c.dynptr)
			return
		}
		if r.isNull() {
			return
		}
		if c.ref == 0 || !v.cur.release(c.ref) {
			v.rejectReg(i+1, "reference", "r%d is not something acquired that %s could release", i+1, c.title())
		}
		if c.hasKptr && v.inRCU() {
			v.keepPerCPU(c.ref)
		}
		v.forgetReference(c.ref)
		return
	}
}

// acquire notes a reference that must be released.
func (v *verifier) acquire() uint32 {
	id := v.newID()
	s := v.cur
	s.refs = append(s.refs, reference{int(id), v.insn, s.frame().number})
	return id
}

// release ends a reference.
func (s *state) release(id uint32) bool {
	for i, r := range s.refs {
		if r.id == int(id) {
			last := len(s.refs) - 1
			s.refs[i] = s.refs[last]
			s.refs = s.refs[:last]
			return true
		}
	}
	return false
}

// keepPerCPU lets what was given to a value be used on, as if it had been read from there, if each CPU has its own.
func (v *verifier) keepPerCPU(id uint32) {
	v.cur.each(func(r *reg) {
		if r.ref == id && r.flags&(allocated|perCPU) == allocated|perCPU {
			r.ref = 0
			r.flags = r.flags&^allocated | rcu
		}
	})
}

// forgetReference makes all pointers of a reference unusable.
func (v *verifier) forgetReference(id uint32) {
	v.cur.each(func(r *reg) {
		if r.ref == id {
			life := r.life
			if v.rules.kernel >= linux(6, 1) {
				r.setNotInit()
				r.setUnknown()
			} else {
				r.setUnknown()
			}
			r.life = life
		}
	})
}

// returned gives r0 what the helper returns.
func (v *verifier) returned(c *helperCall, r *reg) {
	switch c.Ret {
	case helper.Void:
		return
	case helper.Integer:
		r.setUnknown()
		v.refineResult(c, r)
		return
	case helper.RetMapValue, helper.RetMapValueOrNull:
		if c.mp == nil {
			v.unmodelled("bpf_" + c.Name + " without a map")
		}
		r.setPointer(ptrMapValue, 0)
		r.mp = c.mp
		r.uid = c.mapReg.uid
		inRange := c.Number == helperMapLookup && c.hasKey && int64(c.key) >= 0 && c.key < uint64(c.mp.spec.MaxEntries)
		if c.Ret == helper.RetMapValueOrNull && !inRange {
			r.flags |= maybeNull
		} else if v.mayHoldLock(r) {
			r.id = v.newID()
		}
	case helper.RetSocketOrNull:
		r.setPointer(ptrSocket, maybeNull)
	case helper.RetTCPSockOrNull:
		r.setPointer(ptrTCPSock, maybeNull)
	case helper.RetSockCommonOrNull:
		r.setPointer(ptrSockCommon, maybeNull)
	case helper.RetRingbufMemOrNull:
		r.setPointer(ptrMem, maybeNull|ringbufMem)
		r.size = int32(c.memSize)
	case helper.RetDynptrMemOrNull:
		r.setPointer(ptrMem, maybeNull|v.sliceFlags(c.dynptr.kind))
		r.size = int32(c.memSize)
		r.dyn, r.ref = c.dynptr.id, c.dynptr.ref
	case helper.RetBTF, helper.RetBTFOrNull:
		v.returnedBTF(c, r)
	case helper.RetMemOrBTF, helper.RetMemOrBTFOrNull:
		r.setPointer(ptrBTF, allocated|rcu)
		r.typ = c.perCPU
	default:
		v.unmodelled("bpf_" + c.Name)
	}
	if r.nullable() {
		r.id = v.newID()
	}
	switch {
	case c.Flags&helper.Acquires != 0, c.Number == helperMapLookup && c.mp.isSocketMap():
		r.id = v.acquire()
		r.ref = r.id
	case castsSocket(c.Number):
		r.ref = c.ref
	}
}

// castsSocket reports whether the helper returns the socket that it is given as another type: there is one reference then, which may be
// released through both.
func castsSocket(n int32) bool {
	switch n {
	case 95, 96, // sk_fullsock, tcp_sock
		136, 137, 138, 139, 140, // skc_to_tcp6_sock, tcp_sock, tcp_timewait_sock, tcp_request_sock, udp6_sock
		196: // skc_to_mptcp_sock
		return true
	}
	return false
}

// refineResult limits the numbers that some helpers return.
func (v *verifier) refineResult(c *helperCall, r *reg) {
	switch c.Number {
	case helperGetStack, helperGetTaskStack, helperProbeReadStr, helperProbeReadUserStr, helperProbeReadKernStr:
		if c.Number == helperGetTaskStack && v.rules.kernel < linux(5, 13) {
			return
		}
		r.smax, r.s32max = int64(c.sizeMax), int32(c.sizeMax)
		r.smin, r.s32min = -maxErrno, -maxErrno
		r.sync(v.rules)
	case helperGetSmpProcessorID:
		if !v.rules.cpuRange {
			return
		}
		n := v.opt.CPUs
		if n == 0 {
			n = maxCPUs
		}
		r.umin, r.umax, r.smin, r.smax = 0, uint64(n-1), 0, int64(n-1)
		r.u32min, r.u32max, r.s32min, r.s32max = 0, uint32(n-1), 0, int32(n-1)
		r.sync(v.rules)
	}
}

const maxErrno = 4095

// maxCPUs is how many CPUs a kernel may have.
const maxCPUs = 8192
