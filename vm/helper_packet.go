package vm

import (
	"encoding/binary"

	"skep/vm/maps"
)

// skb is the packet that the running program sees, if it sees one as a struct __sk_buff; otherwise the program ends.
func (t *Thread) skb(name string) *Packet {
	p := t.packet()
	if p == nil || !p.skb {
		t.fail("%s: the context is not a struct __sk_buff", name)
		return nil
	}
	return p
}

func skbLoadBytes(t *Thread, a *[5]uint64) uint64 {
	return t.copyPacket(a[1], a[2], a[3], false)
}

// skbStoreBytes has flags for checksums and the hash; the hash is that of the fields.
func skbStoreBytes(t *Thread, a *[5]uint64) uint64 {
	const recompute, invalidate = 1, 2
	if a[4]&^(recompute|invalidate) != 0 {
		return errno(maps.EINVAL)
	}
	r := t.copyPacket(a[1], a[2], a[3], true)
	if r == 0 && a[4]&invalidate != 0 {
		t.packet().put(skbHash, 0)
	}
	return r
}

// skbLoadBytesRelative loads from the link-layer or the network header on.
func skbLoadBytesRelative(t *Thread, a *[5]uint64) uint64 {
	p := t.skb("skb_load_bytes_relative")
	if p == nil {
		return 0
	}
	from := p.mac
	switch a[4] {
	case 0:
	case 1:
		from = p.net
	default:
		return errno(maps.EFAULT)
	}
	if uint32(a[1]) > 0xffff {
		return errno(maps.EFAULT)
	}
	to := memoryAt(a[2], a[3])
	at := from + int(uint32(a[1]))
	if at < 0 || at+len(to) > p.end {
		clear(to)
		return errno(maps.EFAULT)
	}
	copy(to, p.buffer.Bytes()[at:])
	return 0
}

// skbPullData has nothing to pull: the packet is in one piece.
func skbPullData(t *Thread, a *[5]uint64) uint64 {
	p := t.skb("skb_pull_data")
	if p == nil {
		return 0
	}
	if uint64(uint32(a[1])) > uint64(p.end-p.start) {
		return errno(maps.ENOMEM)
	}
	return 0
}

// push makes room of n bytes at an offset by moving what is before it, and pop takes it away.
func (p *Packet) push(offset, n int) bool {
	if p.start-n < 0 {
		return false
	}
	b := p.buffer.Bytes()
	copy(b[p.start-n:], b[p.start:p.start+offset])
	clear(b[p.start-n+offset : p.start+offset])
	p.start -= n
	p.mac -= n
	p.net -= n
	return true
}

func (p *Packet) pop(offset, n int) {
	b := p.buffer.Bytes()
	copy(b[p.start+n:], b[p.start:p.start+offset])
	p.start += n
	p.mac += n
	p.net += n
}

func skbChangeHead(t *Thread, a *[5]uint64) uint64 {
	p, n := t.skb("skb_change_head"), int(int32(a[1]))
	if p == nil {
		return 0
	}
	if a[2] != 0 || n < 0 || n > maxPacket {
		return errno(maps.EINVAL)
	}
	if p.start-n < 0 {
		return errno(maps.ENOMEM)
	}
	clear(p.buffer.Bytes()[p.start-n : p.start])
	p.start -= n
	p.mac = p.start
	p.moved(t)
	return 0
}

func skbChangeTail(t *Thread, a *[5]uint64) uint64 {
	p, size := t.skb("skb_change_tail"), int(uint32(a[1]))
	if p == nil {
		return 0
	}
	if a[2] != 0 || size < p.net-p.start || size > len(p.buffer.Bytes())-tailroom-p.start {
		return errno(maps.EINVAL)
	}
	if end := p.start + size; end > p.end {
		clear(p.buffer.Bytes()[p.end:end])
	}
	p.end = p.start + size
	p.moved(t)
	return 0
}

const (
	ipv4Header = 20
	ipv6Header = 40
)

// skbChangeProto makes room for an IPv6 header in place of an IPv4 one, or the other way round. The program fills it in.
func skbChangeProto(t *Thread, a *[5]uint64) uint64 {
	p := t.skb("skb_change_proto")
	if p == nil {
		return 0
	}
	from, to := p.protocol(), networkOrder(uint16(a[1]))
	header := p.net - p.start
	switch {
	case a[2] != 0:
		return errno(maps.EINVAL)
	case from == protoIP && to == protoIPv6:
		if !p.push(header, ipv6Header-ipv4Header) {
			return errno(maps.ENOMEM)
		}
		p.net = p.start + header
	case from == protoIPv6 && to == protoIP:
		if p.end-p.net < ipv6Header {
			return errno(maps.ENOMEM)
		}
		p.pop(header, ipv6Header-ipv4Header)
		p.net = p.start + header
	default:
		return errno(maps.ENOTSUPP)
	}
	p.setProtocol(to)
	p.put(skbHash, 0)
	p.moved(t)
	return 0
}

func skbChangeType(t *Thread, a *[5]uint64) uint64 {
	p := t.skb("skb_change_type")
	if p == nil {
		return 0
	}
	const last = 3 // PACKET_OTHERHOST
	if p.get(skbPktType) > last || uint32(a[1]) > last {
		return errno(maps.EINVAL)
	}
	p.put(skbPktType, uint32(a[1]))
	return 0
}

// Flags of skb_adjust_room.
const (
	roomEncapIPv4 = 1 << 1
	roomEncapIPv6 = 1 << 2
	roomDecapIPv4 = 1 << 7
	roomDecapIPv6 = 1 << 8
	roomFlags     = 1<<9 - 1 | 0xff<<56
)

// skbAdjustRoom makes or takes away room behind the network header (mode 0) or the link-layer header (mode 1).
func skbAdjustRoom(t *Thread, a *[5]uint64) uint64 {
	p, by, mode, flags := t.skb("skb_adjust_room"), int(int32(a[1])), uint32(a[2]), a[3]
	if p == nil {
		return 0
	}
	least, size := ipv4Header, by
	if by < 0 {
		size = -by
	}
	switch {
	case flags&^roomFlags != 0:
		return errno(maps.EINVAL)
	case size > 0xfff:
		return errno(maps.EFAULT)
	case p.protocol() == protoIPv6:
		least = ipv6Header
	case p.protocol() != protoIP:
		return errno(maps.ENOTSUPP)
	}
	offset := p.net - p.start
	switch mode {
	case 0:
		offset += least
	case 1:
	default:
		return errno(maps.ENOTSUPP)
	}
	if flags&(roomDecapIPv4|roomDecapIPv6) != 0 {
		switch {
		case by >= 0, flags&roomDecapIPv4 != 0 && flags&roomDecapIPv6 != 0:
			return errno(maps.EINVAL)
		case flags&roomDecapIPv4 != 0:
			least = ipv4Header
		default:
			least = ipv6Header
		}
	}
	length := p.end - p.net
	if by < 0 && (size >= length || length-size < least) || offset > p.end-p.start {
		return errno(maps.ENOTSUPP)
	}
	header := p.net - p.start
	if by < 0 {
		p.pop(offset, size)
	} else if !p.push(offset, size) {
		return errno(maps.ENOMEM)
	}
	p.net = p.start + header
	p.adjusted(flags)
	p.moved(t)
	return 0
}

// adjusted changes the protocol of a packet that got or lost an outer header.
func (p *Packet) adjusted(flags uint64) {
	switch {
	case flags&(roomEncapIPv4|roomDecapIPv4) != 0 && flags&roomEncapIPv6 == 0:
		p.setProtocol(protoIP)
	case flags&(roomEncapIPv6|roomDecapIPv6) != 0:
		p.setProtocol(protoIPv6)
	}
	p.put(skbHash, 0)
}

// skbVlanPush puts a tag beside the packet; one that is there already moves into it.
func skbVlanPush(t *Thread, a *[5]uint64) uint64 {
	p, proto := t.skb("skb_vlan_push"), networkOrder(uint16(a[1]))
	if p == nil {
		return 0
	}
	if proto != protoVLAN && proto != protoQinQ {
		proto = protoVLAN
	}
	if p.get(skbVLANPresent) != 0 {
		if p.mac != p.start || p.end-p.start < ethHeader || !p.push(12, 4) {
			return errno(maps.ENOMEM)
		}
		inner := networkOrder(uint16(p.get(skbVLANProto)))
		b := p.buffer.Bytes()[p.start:]
		binary.BigEndian.PutUint16(b[12:], inner)
		binary.BigEndian.PutUint16(b[14:], uint16(p.get(skbVLANTCI)))
		p.mac, p.net = p.start, p.start+ethHeader
		p.setProtocol(inner)
	}
	p.setVLAN(true, proto, uint16(a[2]))
	p.moved(t)
	return 0
}

func (p *Packet) setVLAN(present bool, proto, tci uint16) {
	if !present {
		p.put(skbVLANPresent, 0)
		p.put(skbVLANTCI, 0)
		p.put(skbVLANProto, 0)
		return
	}
	p.put(skbVLANPresent, 1)
	p.put(skbVLANTCI, uint32(tci))
	p.put(skbVLANProto, uint32(networkOrder(proto)))
}

func skbVlanPop(t *Thread, _ *[5]uint64) uint64 {
	p := t.skb("skb_vlan_pop")
	if p == nil {
		return 0
	}
	if p.get(skbVLANPresent) != 0 {
		p.setVLAN(false, 0, 0)
	} else if isVLAN(p.protocol()) {
		p.popTag()
	}
	// A tag that is next in the packet moves beside it.
	if p.get(skbVLANPresent) == 0 && isVLAN(p.protocol()) && p.end-p.start >= ethHeader+4 && p.mac == p.start {
		proto, tci := p.protocol(), binary.BigEndian.Uint16(p.buffer.Bytes()[p.start+14:])
		p.popTag()
		p.setVLAN(true, proto, tci)
	}
	p.moved(t)
	return 0
}

func isVLAN(proto uint16) bool { return proto == protoVLAN || proto == protoQinQ }

// popTag takes the first tag out of the packet.
func (p *Packet) popTag() {
	if p.mac != p.start || p.end-p.start < ethHeader+4 {
		return
	}
	p.pop(12, 4)
	p.mac, p.net = p.start, p.start+ethHeader
	p.setProtocol(binary.BigEndian.Uint16(p.buffer.Bytes()[p.start+12:]))
}

func getHash(t *Thread, _ *[5]uint64) uint64 {
	p := t.skb("get_hash_recalc")
	if p == nil {
		return 0
	}
	h := p.get(skbHash)
	if h == 0 {
		h = 2166136261 // FNV, of the addresses and what follows them
		for _, b := range p.buffer.Bytes()[p.net:min(p.net+ipv4Header+4, p.end)] {
			h = (h ^ uint32(b)) * 16777619
		}
		h = max(h, 1)
		p.put(skbHash, h)
	}
	return uint64(h)
}

func setHash(t *Thread, a *[5]uint64) uint64 {
	if p := t.skb("set_hash"); p != nil {
		p.put(skbHash, uint32(a[1]))
	}
	return 0
}

func setHashInvalid(t *Thread, _ *[5]uint64) uint64 {
	if p := t.skb("set_hash_invalid"); p != nil {
		p.put(skbHash, 0)
	}
	return 0
}

func skbSetTstamp(t *Thread, a *[5]uint64) uint64 {
	p := t.skb("skb_set_tstamp")
	if p == nil {
		return 0
	}
	if proto := p.protocol(); proto != protoIP && proto != protoIPv6 {
		return errno(maps.EOPNOTSUPP)
	}
	switch uint32(a[2]) {
	case 0:
		if a[1] != 0 {
			return errno(maps.EINVAL)
		}
	case 1, 2:
		if a[1] == 0 {
			return errno(maps.EINVAL)
		}
	default:
		return errno(maps.EINVAL)
	}
	binary.NativeEndian.PutUint64(p.fields.Bytes()[skbTstamp:], a[1])
	p.fields.Bytes()[skbTstampType] = byte(a[2])
	return 0
}

// skbEcnSetCE marks the IP header as having met congestion, if its flow can take that.
func skbEcnSetCE(t *Thread, _ *[5]uint64) uint64 {
	p := t.skb("skb_ecn_set_ce")
	if p == nil {
		return 0
	}
	b := p.buffer.Bytes()[p.net:p.end]
	const able, congested = 3, 3
	switch {
	case p.protocol() == protoIP && len(b) >= ipv4Header:
		ecn := b[1] & able
		if ecn == 0 {
			return 0
		}
		old := binary.BigEndian.Uint16(b)
		b[1] |= congested
		sum := binary.BigEndian.Uint16(b[10:])
		binary.BigEndian.PutUint16(b[10:], replace16(sum, old, binary.BigEndian.Uint16(b)))
		return 1
	case p.protocol() == protoIPv6 && len(b) >= ipv6Header:
		if b[1]>>4&able == 0 {
			return 0
		}
		b[1] |= congested << 4
		return 1
	}
	return 0
}

func socketCookie(t *Thread, _ *[5]uint64) uint64 {
	if p := t.packet(); p != nil {
		return p.Cookie
	}
	return 0
}

func socketUID(t *Thread, _ *[5]uint64) uint64 {
	if p := t.packet(); p != nil {
		return uint64(p.UID)
	}
	return overflowUID
}

// netnsCookie is 1, as that of the first network namespace.
func netnsCookie(*Thread, *[5]uint64) uint64 { return 1 }

func skbCgroupID(t *Thread, _ *[5]uint64) uint64 {
	p := t.packet()
	if p == nil || len(p.Cgroups) == 0 {
		return 0
	}
	return p.Cgroups[len(p.Cgroups)-1]
}

func skbAncestorCgroupID(t *Thread, a *[5]uint64) uint64 {
	if p := t.packet(); p != nil {
		return ancestor(p.Cgroups, a[1])
	}
	return 0
}
