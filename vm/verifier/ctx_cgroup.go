package verifier

import "github.com/cilium/ebpf"

func deviceField(_ *verifier, a ctxField) bool {
	if a.write {
		return false
	}
	return a.off < 4 && a.size <= 4 || a.size == 4
}

func sysctlField(_ *verifier, a ctxField) bool {
	if a.off < 4 {
		return !a.write && a.size <= 4
	}
	return a.narrow(4)
}

func sockoptField(v *verifier, a ctxField) bool {
	get := v.prog.spec.AttachType == ebpf.AttachCGroupGetsockopt
	if a.write {
		switch a.off {
		case 36:
			return a.size == 4 && get
		case 28, 24:
			return a.size == 4 && !get
		case 32:
			return a.size == 4
		}
		return false
	}
	switch a.off {
	case 0:
		return a.pointer(ptrSocket, 0, 8)
	case 8:
		return a.pointer(ptrPacket, 0, 8)
	case 16:
		return a.pointer(ptrPacketEnd, 0, 8)
	case 36:
		return a.size == 4 && get
	}
	return a.off >= 24 && a.size == 4
}

// bpfSockField is struct bpf_sock, read through a pointer or as the context.
func bpfSockField(v *verifier, a ctxField) bool {
	switch {
	case a.in(48, 52): // dst_port was 4 bytes wide once, and may be read so
		return a.off == 48 && (a.size == 4 || a.size <= 2) || a.off == 49 && a.size == 1
	case a.in(28, 44), a.in(56, 72): // ip6
		return a.narrow(4)
	}
	return a.narrow(4)
}

func sockField(v *verifier, a ctxField) bool {
	attach := v.prog.spec.AttachType
	create := attach == ebpf.AttachCGroupInetSockCreate || attach == ebpf.AttachCgroupInetSockRelease
	switch a.off {
	case 0, 16, 20:
		if !create {
			return false
		}
	case 24:
		if a.write || attach != ebpf.AttachCGroupInet4PostBind {
			return false
		}
	case 44:
		if a.write || attach != ebpf.AttachCGroupInet4PostBind && attach != ebpf.AttachCGroupInet6PostBind {
			return false
		}
	default:
		if a.write || a.in(28, 44) && attach != ebpf.AttachCGroupInet6PostBind {
			return false
		}
	}
	return bpfSockField(v, a)
}

func sockAddrField(v *verifier, a ctxField) bool {
	attach := v.prog.spec.AttachType
	v4, v6 := false, false
	switch attach {
	case ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet4Connect, ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet4GetSockname,
		ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP4Recvmsg:
		v4 = true
	case ebpf.AttachCGroupInet6Bind, ebpf.AttachCGroupInet6Connect, ebpf.AttachCgroupInet6GetPeername, ebpf.AttachCgroupInet6GetSockname,
		ebpf.AttachCGroupUDP6Sendmsg, ebpf.AttachCGroupUDP6Recvmsg:
		v6 = true
	}
	wide := a.size == 8 && a.off%8 == 0
	switch {
	case a.in(4, 8):
		return v4 && a.narrow(4)
	case a.in(8, 24):
		return v6 && (a.narrow(4) || wide && a.off+8 <= 24)
	case a.in(40, 44):
		return attach == ebpf.AttachCGroupUDP4Sendmsg && a.narrow(4)
	case a.in(44, 60):
		return attach == ebpf.AttachCGroupUDP6Sendmsg && (a.narrow(4) || wide && a.off+8 <= 60)
	case a.in(24, 28):
		return a.narrow(4)
	case a.in(64, 72):
		return a.off == 64 && a.pointer(ptrSocket, 0, 8)
	case a.in(60, 64):
		return false
	}
	return !a.write && a.size == 4
}

func skLookupField(_ *verifier, a ctxField) bool {
	if a.write {
		return false
	}
	switch {
	case a.in(0, 8):
		return a.off == 0 && a.pointer(ptrSocket, maybeNull, 8)
	case a.in(36, 40):
		return a.off == 36 && (a.size == 4 || a.size <= 2) || a.off == 37 && a.size == 1
	case a.off >= 68:
		return false
	}
	return a.size <= 4
}

// socketAccess reads fields of a struct bpf_sock.
func (v *verifier) socketAccess(a access, r *reg, off int) {
	if r.nullable() {
		v.rejectReg(a.reg, "null", "r%d may be null (%s): compare it with 0 first", a.reg, r.describe())
	}
	if a.write {
		v.rejectReg(a.reg, "read only", "%s cannot be written", r.describe())
	}
	k, f := scalar, flags(0)
	field := ctxField{off: off, size: a.size, kind: &k, flags: &f}
	ok := off >= 0 && off%a.size == 0 && r.smin >= 0
	switch r.kind {
	case ptrSockCommon:
		// Only type, family and what requests and time-wait sockets have too.
		ok = ok && off+a.size <= 80 && !field.in(8, 24) && !field.in(76, 80) && bpfSockField(v, field)
		if field.in(0, 4) {
			ok = ok && bpfSockField(v, field)
		}
	case ptrSocket:
		ok = ok && off+a.size <= 80 && bpfSockField(v, field)
	case ptrTCPSock:
		ok = ok && tcpSockField(off, a.size)
	case ptrXDPSock:
		ok = ok && off == 0 && a.size == 4
	}
	if !ok || r.bits != (tnum{}) {
		v.rejectReg(a.reg, "socket", "%d bytes at offset %d of a socket cannot be read", a.size, off)
	}
	v.loaded(a)
}
