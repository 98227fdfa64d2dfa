package vm

import (
	"github.com/cilium/ebpf"

	"skep/vm/maps"
	"skep/vm/memory"
)

// Verdicts.
const (
	xdpAborted  = 0
	xdpRedirect = 4
	tcShot      = 2
	tcRedirect  = 7
)

// redirect sends the packet out of, or with flag 1 into, an interface. It is redirect_peer, too.
func redirect(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	if p == nil {
		return t.fail("redirect: the context is not a packet")
	}
	allowed, wrong, right := uint64(1), uint64(tcShot), uint64(tcRedirect)
	if !p.skb {
		allowed, wrong, right = 0, xdpAborted, xdpRedirect
	}
	if a[1]&^allowed != 0 {
		return wrong
	}
	p.Redirect = Redirect{Asked: true, Ifindex: uint32(a[0]), Flags: a[1]}
	return right
}

// redirectNeigh sends the packet to a neighbour, which struct bpf_redir_neigh may name.
func redirectNeigh(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	if p == nil {
		return t.fail("redirect_neigh: the context is not a packet")
	}
	const size = 20 // of struct bpf_redir_neigh
	if a[2] != 0 && a[2] < size || a[3] != 0 {
		return tcShot
	}
	p.Redirect = Redirect{Asked: true, Ifindex: uint32(a[0])}
	if a[2] != 0 {
		p.Redirect.Next = append([]byte(nil), memory.At(a[1], int(uint32(a[2])))...)
	}
	return tcRedirect
}

// redirectMap sends the packet to what an entry of a map stands for. Without the entry, the lower bits of the flags are the verdict.
func redirectMap(t *Thread, a *[5]uint64) uint64 {
	p, m := t.packet(), t.machine.mapAt(a[0])
	if p == nil {
		return t.fail("redirect_map: the context is not a packet")
	}
	const (
		action           = 3
		broadcast        = 1 << 3
		excludeInterface = 1 << 4
	)
	allowed := uint64(action)
	if m.Type() == ebpf.DevMap || m.Type() == ebpf.DevMapHash {
		allowed |= broadcast | excludeInterface
	}
	if a[2]&^allowed != 0 {
		return xdpAborted
	}
	targets, ok := m.(interface{ Target(key uint32) uint64 })
	if !ok {
		return t.fail("redirect_map: map %s is not one of targets", m.Name())
	}
	key := a[1] & 0xffffffff
	if a[2]&broadcast == 0 && targets.Target(uint32(key)) == 0 {
		return a[2] & action
	}
	p.Redirect = Redirect{Asked: true, Map: m, Key: key, Flags: a[2]}
	return xdpRedirect
}

// cloneRedirect gives a copy of the packet to the host.
func cloneRedirect(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	if p == nil {
		return t.fail("clone_redirect: the context is not a packet")
	}
	f := t.machine.options.Host.Clone
	if a[2]&^1 != 0 || f == nil {
		return errno(maps.EINVAL)
	}
	return result(f(t, p.Frame(), uint32(a[1]), a[2]))
}

// fibSize is the size of struct bpf_fib_lookup.
const fibSize = 64

func fibLookup(t *Thread, a *[5]uint64) uint64 {
	const notForwarded = 4 // BPF_FIB_LKUP_RET_NOT_FWDED
	if a[2] < fibSize || a[3]&^0x3f != 0 {
		return errno(maps.EINVAL)
	}
	f := t.machine.options.Host.FibLookup
	if f == nil {
		return notForwarded
	}
	return uint64(f(t, memory.At(a[1], int(uint32(a[2]))), uint32(a[3])))
}

// checkMTU compares the packet's length, or the one at r3, with the interface's MTU, which it stores there.
func checkMTU(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	if p == nil {
		return t.fail("check_mtu: the context is not a packet")
	}
	mtuOf := t.machine.options.Host.MTU
	if a[4]&^1 != 0 {
		return errno(maps.EINVAL)
	}
	if mtuOf == nil {
		return errno(maps.ENODEV)
	}
	ifindex := uint32(a[1])
	if ifindex == 0 {
		ifindex = p.get(xdpIngressIfindex)
		if p.skb {
			ifindex = p.get(skbIfindex)
		}
	}
	mtu, ok := mtuOf(t, ifindex)
	if !ok {
		return errno(maps.ENODEV)
	}
	length := word(a[2])
	size := p.end - p.start
	if *length != 0 {
		size = int(*length) + ethHeader
	}
	size += int(int32(a[3]))
	*length = uint32(mtu)
	if size > mtu+ethHeader {
		return 1 // BPF_MTU_CHK_RET_FRAG_NEEDED
	}
	return 0
}

func skbGetTunnelKey(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	to := memory.At(a[1], int(uint32(a[2])))
	clear(to)
	if p == nil || p.TunnelKey == nil {
		return errno(maps.EINVAL)
	}
	copy(to, p.TunnelKey)
	return 0
}

func skbSetTunnelKey(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	if p == nil {
		return errno(maps.EINVAL)
	}
	p.TunnelKey = append(p.TunnelKey[:0], memory.At(a[1], int(uint32(a[2])))...)
	return 0
}

func skbGetTunnelOpt(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	to := memory.At(a[1], int(uint32(a[2])))
	clear(to)
	switch {
	case p == nil || p.TunnelOptions == nil:
		return errno(maps.ENOENT)
	case len(p.TunnelOptions) > len(to):
		return errno(maps.ENOMEM)
	}
	return uint64(copy(to, p.TunnelOptions))
}

func skbSetTunnelOpt(t *Thread, a *[5]uint64) uint64 {
	p := t.packet()
	if p == nil || a[2]%4 != 0 || a[2] > 255 {
		return errno(maps.EINVAL)
	}
	p.TunnelOptions = append(p.TunnelOptions[:0], memory.At(a[1], int(uint32(a[2])))...)
	return 0
}
