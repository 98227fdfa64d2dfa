package vm

import (
	"bytes"
	"math"

	"skep/vm/maps"
	"skep/vm/memory"
)

// Lengths of struct bpf_sock_tuple.
const (
	tupleIPv4 = 12
	tupleIPv6 = 36
)

func skLookupTCP(t *Thread, a *[5]uint64) uint64 { return t.lookupSocket(a, SocketQuery{TCP: true}) }
func skLookupUDP(t *Thread, a *[5]uint64) uint64 { return t.lookupSocket(a, SocketQuery{}) }
func skcLookupTCP(t *Thread, a *[5]uint64) uint64 {
	return t.lookupSocket(a, SocketQuery{TCP: true, Common: true})
}

// lookupSocket asks the host. The program must release what it gets.
func (t *Thread) lookupSocket(a *[5]uint64, q SocketQuery) uint64 {
	const here = -1 // BPF_F_CURRENT_NETNS
	tuple, netns, flags := memoryAt(a[1], a[2]), a[3], a[4]
	f := t.machine.options.Host.LookupSocket
	switch {
	case f == nil, flags != 0, int32(netns) >= 0 && netns > math.MaxInt32, len(tuple) != tupleIPv4 && len(tuple) != tupleIPv6:
		return 0
	}
	q.Tuple, q.Namespace = bytes.Clone(tuple), max(int32(netns), here)
	s := f(t, q)
	if s == nil || !q.Common && !s.full() {
		return 0
	}
	return t.lend(s, 1)
}

func skRelease(t *Thread, a *[5]uint64) uint64 {
	l := t.socketAt("sk_release", a[0])
	switch {
	case l == nil:
	case l.acquired == 0:
		t.fail("sk_release: the socket at %#x was not looked up, or is released already", a[0])
	default:
		l.acquired--
	}
	return 0
}

// skFullsock is the socket again, if it is a full one.
func skFullsock(t *Thread, a *[5]uint64) uint64 {
	l := t.socketAt("sk_fullsock", a[0])
	if l == nil || !l.socket.full() {
		return 0
	}
	return l.socket.block.Base()
}

func tcpSock(t *Thread, a *[5]uint64) uint64 {
	l := t.socketAt("tcp_sock", a[0])
	if l == nil || !l.socket.full() || !l.socket.hasTCP {
		return 0
	}
	return l.socket.block.Base() + sockSize
}

// listenerSock is the socket that listens: itself, or the one that a request has come to.
func listenerSock(t *Thread, a *[5]uint64) uint64 {
	l := t.socketAt("get_listener_sock", a[0])
	if l == nil {
		return 0
	}
	s := l.socket
	if s.field(sockState) == stateRequest {
		s = s.Listener
	}
	if s == nil || s.field(sockState) != stateListen {
		return 0
	}
	return t.lend(s, 0)
}

func skCgroupID(t *Thread, a *[5]uint64) uint64 {
	l := t.socketAt("sk_cgroup_id", a[0])
	if l == nil || len(l.socket.Cgroups) == 0 {
		return 0
	}
	return l.socket.Cgroups[len(l.socket.Cgroups)-1]
}

func skAncestorCgroupID(t *Thread, a *[5]uint64) uint64 {
	l := t.socketAt("sk_ancestor_cgroup_id", a[0])
	if l == nil {
		return 0
	}
	return ancestor(l.socket.Cgroups, a[1])
}

// skAssign chooses the socket that gets the packet or the connection.
func skAssign(t *Thread, a *[5]uint64) uint64 {
	const replace, noReuseport = 1, 2
	lookup := t.packet() == nil // a program that chooses among listeners may choose none
	var s *Socket
	if a[1] != 0 || !lookup {
		l := t.socketAt("sk_assign", a[1])
		if l == nil {
			return 0
		}
		s = l.socket
	}
	switch {
	case !lookup && a[2] != 0, a[2]&^(replace|noReuseport) != 0:
		return errno(maps.EINVAL)
	case lookup && s != nil && !s.full():
		return errno(esocktnosupport)
	case lookup && t.Assigned != nil && a[2]&replace == 0:
		return errno(maps.EEXIST)
	}
	t.Assigned = s
	return 0
}

// esocktnosupport is ESOCKTNOSUPPORT.
const esocktnosupport maps.Errno = 94

// socketOption is setsockopt and getsockopt on the context's socket.
func (t *Thread) socketOption(a *[5]uint64, set bool) uint64 {
	f := t.machine.options.Host.SocketOption
	value := memory.At(a[3], int(uint32(a[4])))
	e := errno(maps.EOPNOTSUPP)
	if f != nil {
		e = result(f(t, set, uint32(a[1]), uint32(a[2]), value))
	}
	if e != 0 && !set {
		clear(value)
	}
	return e
}

func setSockopt(t *Thread, a *[5]uint64) uint64 { return t.socketOption(a, true) }
func getSockopt(t *Thread, a *[5]uint64) uint64 { return t.socketOption(a, false) }
