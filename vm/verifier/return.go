package verifier

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// checkReturn asks that the program returns what its type may return.
func (v *verifier) checkReturn() {
	f := v.cur.frame()
	if v.returnsNothing(f) || f.sub != 0 && !f.async && v.subs[f.sub].void() {
		return
	}
	v.checkResult(0)
}

// checkResult asks that a register has what the function that runs may return: it does so, or the program ends with that.
func (v *verifier) checkResult(n int) {
	f := v.cur.frames[0]
	r := v.read(uint8(n))
	if f.async {
		v.asyncReturn(n, r)
		return
	}
	if f.sub != 0 {
		if r.kind != scalar {
			v.rejectReg(n, "return value", "a global function must return a number")
		}
		return
	}
	lo, hi, ok := v.resultRange()
	if !ok {
		return
	}
	if r.kind != scalar {
		v.rejectReg(n, "return value", "the program must return a number from %d to %d, not %s", lo, hi, r.describe())
	}
	v.markPrecise(n)
	if v.prog.spec.Type == ebpf.LSM && v.prog.spec.AttachType != ebpf.AttachLSMCgroup {
		if int64(r.s32min) < lo || int64(r.s32max) > hi { // the hook returns an int
			v.rejectReg(n, "return value", "the program must return a number from %d to %d", lo, hi)
		}
		return
	}
	v.returnWithin(n, r, lo, hi, "the program")
}

// resultRange is what the program may return; false if that is anything.
func (v *verifier) resultRange() (lo, hi int64, limited bool) {
	switch v.prog.spec.Type {
	case ebpf.LSM:
		return v.lsmReturn()
	case ebpf.Syscall, ebpf.StructOps:
		return 0, 0, false
	}
	return returnRange(v.prog.spec, v.rules.kernel)
}

// void reports whether a function has no result, as its types say.
func (s *subprogram) void() bool {
	if s.typ == nil {
		return false
	}
	_, void := btf.UnderlyingType(s.typ.Return).(*btf.Void)
	return void
}

// returnsNothing reports whether what the program implements has no result.
func (v *verifier) returnsNothing(f *frame) bool {
	if f.async || f.sub != 0 || v.hook == nil {
		return false
	}
	if v.prog.spec.Type != ebpf.StructOps && (v.prog.spec.Type != ebpf.LSM || v.prog.spec.AttachType == ebpf.AttachLSMCgroup) {
		return false
	}
	_, void := btf.UnderlyingType(v.hook.Return).(*btf.Void)
	return void
}

func (v *verifier) asyncReturn(n int, r *reg) {
	if r.kind != scalar {
		v.rejectReg(n, "return value", "a timer's callback must return 0")
	}
	v.markPrecise(n)
	v.returnWithin(n, r, 0, 0, "a timer's callback")
}

func (v *verifier) returnWithin(n int, r *reg, lo, hi int64, who string) {
	ok := r.smin >= lo && r.smax <= hi
	if v.rules.kernel < linux(6, 8) {
		ok = tnumRange(uint64(lo), uint64(hi)).has(r.bits)
	}
	if !ok {
		v.rejectReg(n, "return value", "%s must return a number from %d to %d", who, lo, hi)
	}
}

// returnRange is what programs of a type may return; false if that is anything.
func returnRange(s *ebpf.ProgramSpec, kernel Kernel) (lo, hi int64, limited bool) {
	switch s.Type {
	case ebpf.CGroupSockAddr:
		switch s.AttachType {
		case ebpf.AttachCGroupUDP4Recvmsg, ebpf.AttachCGroupUDP6Recvmsg, ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet6GetPeername,
			ebpf.AttachCgroupInet4GetSockname, ebpf.AttachCgroupInet6GetSockname:
			return 1, 1, true
		case ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind:
			if kernel < linux(5, 12) {
				return 0, 1, true
			}
			return 0, 3, true
		}
		return 0, 1, true
	case ebpf.CGroupSKB:
		if s.AttachType == ebpf.AttachCGroupInetEgress {
			return 0, 3, true
		}
		return 0, 1, true
	case ebpf.CGroupSock, ebpf.SockOps, ebpf.CGroupDevice, ebpf.CGroupSysctl, ebpf.CGroupSockopt, ebpf.SkLookup, ebpf.Netfilter:
		return 0, 1, true
	case ebpf.Tracing:
		switch s.AttachType {
		case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit:
			return 0, 0, true
		case ebpf.AttachTraceIter:
			return 0, 1, true
		}
	case ebpf.Kprobe:
		if s.AttachType == ebpf.AttachTraceKprobeSession {
			return 0, 1, true
		}
	}
	return 0, 0, false
}
