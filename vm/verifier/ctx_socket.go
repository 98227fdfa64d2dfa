package verifier

import "github.com/cilium/ebpf"

// sockOpsField is struct bpf_sock_ops.
func sockOpsField(v *verifier, a ctxField) bool {
	switch {
	case a.write:
		return (a.off == 4 || a.off == 164) && a.size == 4 // reply, sk_txhash
	case a.in(168, 184): // bytes_received, bytes_acked
		return a.size == 8
	case a.in(184, 192):
		return a.off == 184 && a.pointer(ptrSocket, maybeNull, 8)
	case a.in(192, 200):
		return a.off == 192 && a.pointer(ptrPacket, 0, 8)
	case a.in(200, 208):
		return a.off == 200 && a.pointer(ptrPacketEnd, 0, 8)
	case a.in(212, 216): // skb_tcp_flags
		return a.narrow(4)
	case a.in(216, 224): // skb_hwtstamp
		return a.size == 8 && v.rules.kernel >= linux(6, 2)
	}
	return a.size == 4
}

// skMsgField is struct sk_msg_md.
func skMsgField(_ *verifier, a ctxField) bool {
	switch {
	case a.write:
		return false
	case a.in(0, 8):
		return a.off == 0 && a.pointer(ptrPacket, 0, 8)
	case a.in(8, 16):
		return a.off == 8 && a.pointer(ptrPacketEnd, 0, 8)
	case a.in(72, 80):
		return a.off == 72 && a.pointer(ptrSocket, 0, 8)
	}
	return a.size == 4
}

// reuseportField is struct sk_reuseport_md.
func reuseportField(v *verifier, a ctxField) bool {
	switch {
	case a.write:
		return false
	case a.in(0, 8):
		return a.off == 0 && a.pointer(ptrPacket, 0, 8)
	case a.in(8, 16):
		return a.off == 8 && a.pointer(ptrPacketEnd, 0, 8)
	case a.in(20, 24): // eth_protocol
		return a.size >= 2 && a.narrow(4)
	case a.in(16, 32):
		return a.narrow(4)
	case a.off == 32: // hash
		return a.size == 4
	case v.rules.kernel < linux(5, 14):
		return false
	case a.off == 40:
		return a.pointer(ptrSocket, 0, 8)
	case a.off == 48:
		return a.pointer(ptrSockCommon, maybeNull, 8)
	}
	return false
}

func flowDissectorField(_ *verifier, a ctxField) bool {
	if is, ok := packetPointers(a, false); is {
		return ok
	}
	return a.off == skbFlowKeys && a.pointer(ptrFlowKeys, 0, 8)
}

// writableTracepointField is what a raw tracepoint gives: numbers, and first a buffer that may be written.
func writableTracepointField(_ *verifier, a ctxField) bool {
	if a.off == 0 {
		return a.pointer(ptrTracepointBuffer, 0, 8)
	}
	return !a.write
}

// lircField is a number of four bytes.
func lircField(_ *verifier, a ctxField) bool { return !a.write && a.off == 0 && a.size == 4 }

// tcpSockField is struct bpf_tcp_sock, without writes.
func tcpSockField(off, size int) bool {
	const bytesReceived, end = 80, 112
	if off < 0 || off+size > end || off%size != 0 {
		return false
	}
	if off >= bytesReceived && off < bytesReceived+16 {
		return size == 8
	}
	return size == 4
}

// flowKeysAccess reads or writes what a flow dissector has found.
func (v *verifier) flowKeysAccess(a access, off int) {
	const length = 56
	if off < 0 || off+a.size > length {
		v.rejectReg(a.reg, "bounds", "%d bytes at offset %d do not lie in the flow's keys, which have %d bytes", a.size, off, length)
	}
	v.loaded(a)
}

// bufferAccess is of memory whose length the kernel knows when the program is attached: only the offset must be known.
func (v *verifier) bufferAccess(a access, r *reg, off int) {
	if a.write && r.flags&readOnly != 0 {
		v.rejectReg(a.reg, "read only", "r%d is %s, which cannot be written", a.reg, r.describe())
	}
	if r.nullable() {
		v.rejectReg(a.reg, "null", "r%d may be null (%s): compare it with 0 first", a.reg, r.describe())
	}
	v.bufferOffset(a.reg, off)
	v.loaded(a)
}

func (v *verifier) bufferOffset(at, off int) {
	r := &v.regs()[at]
	if off < 0 {
		v.rejectReg(at, "bounds", "r%d: the offset %d is before the start of the buffer", at, off)
	}
	if r.bits != (tnum{}) {
		v.rejectReg(at, "bounds", "r%d: the offset in the buffer must be known", at)
	}
}

// anyHelperReadsPacket reports whether all helpers may be given memory of the packet: of options of sockets, which the kernel calls a packet, too.
func anyHelperReadsPacket(t ebpf.ProgramType) bool { return t == ebpf.CGroupSockopt }
