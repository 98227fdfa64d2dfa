package vm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"skep/vm/memory"
)

// A Socket is one as programs see it, a struct bpf_sock, and as much more as they may ask for. Hosts make sockets and give them to
// programs: by Host.LookupSocket, Packet.Socket or [Record.SetSocket]. It may be in use by several threads at once.
type Socket struct {
	// Cgroups are those of the socket, from the root down.
	Cgroups []uint64
	// Listener is the socket that a request for a connection has come to.
	Listener *Socket

	machine *Machine
	block   *memory.Block // struct bpf_sock and struct bpf_tcp_sock
	hasTCP  bool
}

// Sizes of structs, and fields of struct bpf_sock.
const (
	sockSize     = 80
	tcpSize      = 112
	sockProtocol = 12
	sockState    = 72
)

// States of TCP sockets that are no full sockets, and that of listeners.
const (
	stateTimeWait = 6
	stateListen   = 10
	stateRequest  = 12
)

// NewSocket makes a socket of a struct bpf_sock (80 bytes) and, for one of TCP, a struct bpf_tcp_sock (112 bytes), in this computer's byte
// order. What is missing at their ends is zeros.
func (m *Machine) NewSocket(sock, tcp []byte) (*Socket, error) {
	if len(sock) > sockSize || len(tcp) > tcpSize {
		return nil, fmt.Errorf("making a socket: %d and %d bytes, and the structs have %d and %d", len(sock), len(tcp), sockSize, tcpSize)
	}
	b, err := memory.New(sockSize + tcpSize)
	if err != nil {
		return nil, fmt.Errorf("making a socket: %w", err)
	}
	copy(b.Bytes(), sock)
	copy(b.Bytes()[sockSize:], tcp)
	s := &Socket{machine: m, block: b, hasTCP: tcp != nil}
	m.opened(s)
	return s, nil
}

// Close frees the socket, which no program may use any more.
func (s *Socket) Close() error {
	s.machine.forget(s)
	return s.block.Free()
}

// Bytes is the struct bpf_sock.
func (s *Socket) Bytes() []byte { return s.block.Bytes()[:sockSize:sockSize] }

// TCP is the struct bpf_tcp_sock, nil if the socket is not one of TCP.
func (s *Socket) TCP() []byte {
	if !s.hasTCP {
		return nil
	}
	return s.block.Bytes()[sockSize:]
}

func (s *Socket) field(at int) uint32 { return binary.NativeEndian.Uint32(s.block.Bytes()[at:]) }

// full reports whether it is more than a request or what remains of a connection.
func (s *Socket) full() bool {
	state := s.field(sockState)
	return state != stateTimeWait && state != stateRequest
}

// A SocketQuery is what a program looks for.
type SocketQuery struct {
	TCP bool // and otherwise UDP
	// Common says that requests and connections in TIME_WAIT will do, too.
	Common bool
	// Tuple is a struct bpf_sock_tuple: source and destination address, source and destination port, all in network order. It has 12 bytes for
	// IPv4 and 36 for IPv6.
	Tuple []byte
	// Namespace is the id of a network namespace; -1 means that of the program's context.
	Namespace int32
}

// SetSocket puts a socket's address in a field of the context: of struct bpf_sock_addr at 64, of struct bpf_sock_ops at 184, of struct
// bpf_sockopt and struct bpf_sk_lookup at 0. Nil is no socket.
func (r *Record) SetSocket(field int, s *Socket) error {
	if field < 0 || field+8 > r.size {
		return fmt.Errorf("a context of %d bytes has no field for a socket at %d", r.size, field)
	}
	addr := uint64(0)
	if s != nil {
		addr = s.block.Base()
	}
	binary.NativeEndian.PutUint64(r.Bytes()[field:], addr)
	r.socket = s
	return nil
}

// lent is a socket that the running program has an address of.
type lent struct {
	socket   *Socket
	acquired int // how often it must be released
}

// lend gives the program the address of a socket; acquired is 1 if it must release it.
func (t *Thread) lend(s *Socket, acquired int) uint64 {
	if s == nil {
		return 0
	}
	for i := range t.sockets {
		if t.sockets[i].socket == s {
			t.sockets[i].acquired += acquired
			return s.block.Base()
		}
	}
	t.sockets = append(t.sockets, lent{s, acquired})
	t.space.Add(memory.Region{Base: s.block.Base(), Size: sockSize, ReadOnly: true, Name: "the socket"})
	if s.hasTCP {
		t.space.Add(memory.Region{Base: s.block.Base() + sockSize, Size: tcpSize, ReadOnly: true, Name: "the TCP socket"})
	}
	return s.block.Base()
}

// takeBack ends the use of sockets.
func (t *Thread) takeBack() {
	for _, l := range t.sockets {
		t.space.Remove(l.socket.block.Base())
		t.space.Remove(l.socket.block.Base() + sockSize)
	}
	clear(t.sockets)
	t.sockets = t.sockets[:0]
}

var errNoSocket = errors.New("is not a socket that the program was given")

// socketAt finds what the program means by a socket's address, of whichever of its structs; nil ends the program.
func (t *Thread) socketAt(helper string, addr uint64) *lent {
	for i := range t.sockets {
		if base := t.sockets[i].socket.block.Base(); addr == base || addr == base+sockSize && t.sockets[i].socket.hasTCP {
			return &t.sockets[i]
		}
	}
	t.fail("%s: %#x %w", helper, addr, errNoSocket)
	return nil
}
