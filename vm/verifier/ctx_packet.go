package verifier

import "github.com/cilium/ebpf"

// Offsets in struct __sk_buff.
const (
	skbMark, skbQueue, skbPriority, skbTCIndex = 8, 12, 32, 44
	skbCB, skbCBEnd                            = 48, 68
	skbTCClassID                               = 72
	skbData, skbDataEnd                        = 76, 80
	skbFamily, skbRemoteIP4, skbLocalPortEnd   = 88, 92, 140
	skbDataMeta, skbFlowKeys, skbTstamp        = 140, 144, 152
	skbWireLen, skbSK, skbSKEnd                = 160, 168, 176
	skbTstampType, skbHWTstamp                 = 180, 184
)

// skbField is what all programs with a __sk_buff have in common.
func skbField(v *verifier, a ctxField) bool {
	switch {
	case a.in(skbCB, skbCBEnd):
		return a.off+a.size <= skbCBEnd
	case a.in(skbRemoteIP4, 132):
		return a.size == 4
	case a.in(skbData, skbDataEnd+4), a.in(skbDataMeta, skbDataMeta+4):
		return a.size == 4 && !a.signed
	case a.in(skbFlowKeys, skbTstamp):
		return false
	case a.in(skbTstamp, skbWireLen):
		return a.size == 8
	case a.in(skbSK, skbSKEnd):
		return a.off == skbSK && a.pointer(ptrSockCommon, maybeNull, 8)
	case a.in(skbTstampType, skbHWTstamp):
		return false
	case a.off >= skbHWTstamp:
		return !a.write && a.size == 8 && v.rules.kernel >= linux(5, 16)
	}
	return a.narrow(4)
}

// packetPointers are the fields that are pointers into the packet.
func packetPointers(a ctxField, meta bool) (is, ok bool) {
	switch {
	case a.in(skbData, skbData+4):
		return true, a.off == skbData && a.pointer(ptrPacket, 0, 4)
	case a.in(skbDataEnd, skbDataEnd+4):
		return true, a.off == skbDataEnd && a.pointer(ptrPacketEnd, 0, 4)
	case a.in(skbDataMeta, skbDataMeta+4):
		return true, meta && a.off == skbDataMeta && a.pointer(ptrPacketMeta, 0, 4)
	}
	return false, false
}

func socketFilterField(v *verifier, a ctxField) bool {
	if a.in(skbTCClassID, skbDataEnd+4) || a.in(skbFamily, skbLocalPortEnd) || a.in(skbDataMeta, skbDataMeta+4) || a.in(skbTstamp, skbWireLen+4) ||
		a.off >= skbHWTstamp || a.write && !a.in(skbCB, skbCBEnd) {
		return false
	}
	return skbField(v, a)
}

func tcField(v *verifier, a ctxField) bool {
	if a.write {
		switch {
		case a.in(skbMark, skbMark+4), a.in(skbTCIndex, skbTCIndex+4), a.in(skbPriority, skbPriority+4), a.in(skbTCClassID, skbTCClassID+4),
			a.in(skbCB, skbCBEnd), a.in(skbTstamp, skbTstamp+8), a.in(skbQueue, skbQueue+4):
		default:
			return false
		}
	}
	if is, ok := packetPointers(a, true); is {
		return ok
	}
	if a.in(skbFamily, skbLocalPortEnd) {
		return false
	}
	if a.off == skbTstampType {
		return !a.write && a.size == 1 && v.rules.kernel >= linux(5, 18)
	}
	return skbField(v, a)
}

func cgroupSKBField(v *verifier, a ctxField) bool {
	if a.in(skbTCClassID, skbTCClassID+4) || a.in(skbDataMeta, skbDataMeta+4) || a.in(skbWireLen, skbWireLen+4) {
		return false
	}
	if a.write && !a.in(skbMark, skbMark+4) && !a.in(skbPriority, skbPriority+4) && !a.in(skbCB, skbCBEnd) && !a.in(skbTstamp, skbTstamp+8) {
		return false
	}
	if is, ok := packetPointers(a, false); is {
		return ok
	}
	return skbField(v, a)
}

func lwtField(v *verifier, a ctxField) bool {
	if a.in(skbTCClassID, skbTCClassID+4) || a.in(skbFamily, skbLocalPortEnd) || a.in(skbDataMeta, skbDataMeta+4) || a.in(skbTstamp, skbWireLen+4) ||
		a.off >= skbHWTstamp {
		return false
	}
	if a.write && !a.in(skbMark, skbMark+4) && !a.in(skbPriority, skbPriority+4) && !a.in(skbCB, skbCBEnd) {
		return false
	}
	if is, ok := packetPointers(a, false); is {
		return ok
	}
	return skbField(v, a)
}

func skSKBField(v *verifier, a ctxField) bool {
	if a.in(skbTCClassID, skbTCClassID+4) || a.in(skbDataMeta, skbDataMeta+4) || a.in(skbTstamp, skbWireLen+4) || a.off >= skbHWTstamp ||
		a.in(skbMark, skbMark+4) {
		return false
	}
	if a.write && !a.in(skbTCIndex, skbTCIndex+4) && !a.in(skbPriority, skbPriority+4) {
		return false
	}
	if is, ok := packetPointers(a, false); is {
		return ok
	}
	return skbField(v, a)
}

func xdpField(v *verifier, a ctxField) bool {
	if a.write || a.size != 4 {
		return false
	}
	switch a.off {
	case 0:
		return a.pointer(ptrPacket, 0, 4)
	case 4:
		return a.pointer(ptrPacketEnd, 0, 4)
	case 8:
		return a.pointer(ptrPacketMeta, 0, 4)
	case 20:
		return v.prog.spec.AttachType == ebpf.AttachXDPDevMap
	}
	return true
}
