package vm

import (
	"encoding/binary"

	"skep/vm/engine"
)

// Fields of struct __sk_buff.
const (
	skbLen            = 0
	skbPktType        = 4
	skbProtocol       = 16
	skbVLANPresent    = 20
	skbVLANTCI        = 24
	skbVLANProto      = 28
	skbIngressIfindex = 36
	skbIfindex        = 40
	skbHash           = 68
	skbData           = 76
	skbDataEnd        = 80
	skbFamily         = 88
	skbRemoteIP4      = 92
	skbLocalIP4       = 96
	skbRemoteIP6      = 100
	skbLocalIP6       = 116
	skbDataMeta       = 140
	skbTstamp         = 152
	skbWireLen        = 160
	skbSocket         = 168
	skbTstampType     = 180
	skbSize           = 192
)

// Ethernet's numbers for protocols.
const (
	protoIP   = 0x0800
	protoIPv6 = 0x86dd
	protoVLAN = 0x8100
	protoQinQ = 0x88a8
)

// setSKB derives the fields of an skb from its frame.
func (p *Packet) setSKB(frame []byte) {
	p.put(skbIngressIfindex, 1)
	p.put(skbIfindex, 1)
	p.put(skbWireLen, uint32(p.end-p.start))
	if len(frame) < ethHeader {
		return
	}
	p.put(skbPktType, packetType(frame))
	proto := binary.BigEndian.Uint16(frame[12:])
	p.setProtocol(proto)
	ip := frame[ethHeader:]
	switch {
	case proto == protoIP && len(ip) >= 20:
		p.put(skbFamily, 2)
		copy(p.fields.Bytes()[skbLocalIP4:], ip[12:16])
		copy(p.fields.Bytes()[skbRemoteIP4:], ip[16:20])
	case proto == protoIPv6 && len(ip) >= 40:
		p.put(skbFamily, 10)
		copy(p.fields.Bytes()[skbLocalIP6:], ip[8:24])
		copy(p.fields.Bytes()[skbRemoteIP6:], ip[24:40])
	}
}

// setProtocol stores the protocol in network order.
func (p *Packet) setProtocol(proto uint16) {
	clear(p.fields.Bytes()[skbProtocol:][:4])
	p.put(skbProtocol, uint32(networkOrder(proto)))
}

func (p *Packet) protocol() uint16 { return networkOrder(uint16(p.get(skbProtocol))) }

// networkOrder swaps between a number and the number whose bytes in memory are in network order.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// packetType is for whom the frame is: the interface's own address is zeros.
func packetType(frame []byte) uint32 {
	const (
		toHost, toAll, toMany, toOther = 0, 1, 2, 3
	)
	own, all := true, true
	for _, b := range frame[:6] {
		own, all = own && b == 0, all && b == 0xff
	}
	switch {
	case all:
		return toAll
	case frame[0]&1 != 0:
		return toMany
	case own:
		return toHost
	}
	return toOther
}

// Offsets of legacy loads that are not from the start of the packet.
const (
	fromNet = -0x100000
	fromMAC = -0x200000
)

// loadPacket is what legacy loads ask: bytes of the packet as a number.
func loadPacket(e *engine.Thread, skb uint64, off int32, size int) (uint64, bool) {
	t := e.Machine.(*Thread)
	if r := t.record; r != nil && r.length && skb == t.ctx {
		// The memory of a bare program is its packet.
		return bigEndian(r.Bytes(), int64(off), size)
	}
	p := t.packet()
	if p == nil || skb != p.fields.Base() {
		return 0, false
	}
	at := int64(p.start) + int64(off)
	switch {
	case off >= 0:
	case off >= fromNet:
		at = int64(p.net) + int64(off) - fromNet
	case off >= fromMAC:
		at = int64(p.mac) + int64(off) - fromMAC
	default:
		return 0, false
	}
	return bigEndian(p.buffer.Bytes()[:p.end], at, size)
}

// bigEndian is the number at a place, if all of it is there.
func bigEndian(b []byte, at int64, size int) (v uint64, ok bool) {
	if at < 0 || at+int64(size) > int64(len(b)) {
		return 0, false
	}
	for _, x := range b[at : at+int64(size)] {
		v = v<<8 | uint64(x)
	}
	return v, true
}
