package vm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"skep/vm/maps"
	"skep/vm/memory"
)

// A Packet is the context of programs that see packets: a struct xdp_md or a struct __sk_buff, as the kernel shows them to programs,
// and the packet they lead to. The program's changes are in both afterwards.
//
// The packet lies below 4 GB, so that the 32-bit fields for its ends hold true addresses.
type Packet struct {
	// Redirect is where the program has sent the packet, if it asked for that.
	Redirect Redirect
	// TunnelKey is a struct bpf_tunnel_key and TunnelOptions what goes with it: what programs get, and what they have set.
	TunnelKey, TunnelOptions []byte
	// Cgroups are those of the packet's socket, from the root down.
	Cgroups []uint64
	// Cookie and UID are those of the packet's socket; a UID of 0 is root's.
	Cookie uint64
	UID    uint32
	// Socket is the packet's, for programs that see a struct __sk_buff.
	Socket *Socket

	machine     *Machine
	skb         bool
	fields      *memory.Block // xdp_md or __sk_buff
	buffer      *memory.Block
	start, end  int // of the packet in buffer
	meta        int // where XDP metadata begins, at most start
	mac, net    int // headers of an skb in buffer; mac may be before start
	regions     []memory.Region
	first, last int    // of the packet's region
	version     uint64 // of the regions
	headroom    int
	linkHeader  bool // an skb's data begin with the link-layer header
}

// Redirect is where a packet goes.
type Redirect struct {
	Asked   bool
	Ifindex uint32
	Flags   uint64
	Map     maps.Map // of redirect_map; the interface is then that of the entry Key
	Key     uint64
	Next    []byte // struct bpf_redir_neigh of redirect_neigh
}

const (
	// Headroom is how much room there is before a packet, and tailroom behind it, for programs that add headers: like the kernel's
	// XDP_PACKET_HEADROOM and skb_shared_info.
	Headroom = 256
	tailroom = 320
	// frameHeader is struct xdp_frame, which the kernel keeps at the start of the headroom.
	frameHeader = 40
	ethHeader   = 14
	pageSize    = 4096
	maxPacket   = 1 << 20
)

// NewXDP makes a packet for XDP programs, of at most size bytes.
func (m *Machine) NewXDP(size int) (*Packet, error) { return m.newPacket(size, xdpSize, false) }

// NewSKB makes a packet for programs that see a struct __sk_buff, of at most size bytes. The data of traffic control programs begin with
// the link-layer header; those of others (linkHeader is false) behind it.
func (m *Machine) NewSKB(size int, linkHeader bool) (*Packet, error) {
	p, err := m.newPacket(size, skbSize, true)
	if err == nil {
		p.linkHeader = linkHeader
	}
	return p, err
}

func (m *Machine) newPacket(size, fields int, skb bool) (*Packet, error) {
	if size < 0 || size > maxPacket {
		return nil, fmt.Errorf("making a packet of %d bytes: at most %d are possible", size, maxPacket)
	}
	total := max((Headroom+size+tailroom+pageSize-1)&^(pageSize-1), pageSize)
	buffer, err := memory.NewLow(total)
	if err != nil {
		return nil, fmt.Errorf("making a packet: %w", err)
	}
	f, err := memory.New(fields)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a packet: %w", err), buffer.Free())
	}
	p := &Packet{machine: m, skb: skb, fields: f, buffer: buffer, headroom: Headroom, UID: overflowUID}
	m.opened(p)
	return p, p.SetData(nil)
}

// Close frees the packet. No program may run on it.
func (p *Packet) Close() error {
	p.machine.forget(p)
	return errors.Join(p.buffer.Free(), p.fields.Free())
}

// overflowUID is what the kernel says of packets without a socket.
const overflowUID = 65534

// SetData makes the packet a copy of a frame, link-layer header first, and forgets what programs have done to an earlier one. Fields that
// do not come from the frame are as the kernel's BPF_PROG_TEST_RUN has them: the interface is number 1.
func (p *Packet) SetData(frame []byte) error {
	if len(frame) > len(p.buffer.Bytes())-p.headroom-tailroom {
		return fmt.Errorf("a frame of %d bytes is too long for the packet", len(frame))
	}
	clear(p.fields.Bytes())
	p.Redirect = Redirect{}
	p.start, p.meta, p.mac = p.headroom, p.headroom, p.headroom
	p.end = p.start + copy(p.buffer.Bytes()[p.start:], frame)
	p.net = min(p.start+ethHeader, p.end)
	if p.skb {
		if !p.linkHeader {
			p.start = p.net
		}
		p.setSKB(frame)
	} else {
		p.put(xdpIngressIfindex, 1)
	}
	p.refresh()
	return nil
}

// Data is the packet as it is now, for an skb that begins behind its link-layer header without that. It is valid until the next change.
func (p *Packet) Data() []byte { return p.buffer.Bytes()[p.start:p.end] }

// Frame is the packet with its link-layer header.
func (p *Packet) Frame() []byte {
	if p.skb {
		return p.buffer.Bytes()[min(p.mac, p.start):p.end]
	}
	return p.Data()
}

// Meta is the metadata in front of an XDP packet.
func (p *Packet) Meta() []byte { return p.buffer.Bytes()[p.meta:p.start] }

// SetMeta puts metadata in front of an XDP packet.
func (p *Packet) SetMeta(meta []byte) error {
	if len(meta) > 252 || len(meta)%4 != 0 || len(meta) > p.start-frameHeader {
		return fmt.Errorf("metadata of %d bytes: not a multiple of 4 up to 252", len(meta))
	}
	p.meta = p.start - len(meta)
	copy(p.buffer.Bytes()[p.meta:], meta)
	p.refresh()
	return nil
}

// Fields is the struct xdp_md or __sk_buff. What leads to the packet is set by the machine.
func (p *Packet) Fields() []byte { return p.fields.Bytes() }

func (p *Packet) put(field int, v uint32) {
	binary.NativeEndian.PutUint32(p.fields.Bytes()[field:], v)
}

func (p *Packet) get(field int) uint32 { return binary.NativeEndian.Uint32(p.fields.Bytes()[field:]) }

// refresh makes the fields and the regions fit the packet.
func (p *Packet) refresh() {
	base := uint32(p.buffer.Base())
	data, end, meta := base+uint32(p.start), base+uint32(p.end), base+uint32(p.meta)
	if p.skb {
		p.put(skbData, data)
		p.put(skbDataEnd, end)
		p.put(skbDataMeta, data)
		p.put(skbLen, uint32(p.end-p.start))
	} else {
		p.put(xdpData, data)
		p.put(xdpDataEnd, end)
		p.put(xdpDataMeta, meta)
	}
	first := p.start
	if !p.skb {
		first = p.meta
	}
	if p.regions != nil && first == p.first && p.end == p.last {
		return
	}
	p.first, p.last = first, p.end
	p.version++
	p.regions = append(p.regions[:0], memory.Region{Base: p.fields.Base(), Size: uint64(len(p.fields.Bytes())), Name: "the context"})
	if p.end > first {
		p.regions = append(p.regions, memory.Region{Base: p.buffer.Base() + uint64(first), Size: uint64(p.end - first), Name: "the packet"})
	}
}

// moved is called by helpers that have changed where the packet is.
func (p *Packet) moved(t *Thread) {
	p.refresh()
	if t.version != p.version {
		t.version = p.version
		t.setRegions(p.regions)
	}
}

func (p *Packet) enter(t *Thread, args *[5]uint64) (changed bool) {
	p.Redirect = Redirect{}
	if p.skb {
		binary.NativeEndian.PutUint64(p.fields.Bytes()[skbSocket:], t.lend(p.Socket, 0))
	}
	p.refresh() // a program before may have written over the ends
	args[0] = p.fields.Base()
	changed = t.record != nil || t.packet() != p || t.version != p.version
	t.record, t.version = nil, p.version
	return changed
}

func (p *Packet) memory() []memory.Region { return p.regions }

func (p *Packet) fits(t ebpf.ProgramType) bool { return SeesPackets(t) && p.skb == (t != ebpf.XDP) }

// packet is the context of the running program if it is a packet.
func (t *Thread) packet() *Packet {
	p, _ := t.context.(*Packet)
	return p
}

// room is the part of the packet from an offset on, nil if it is not in the packet.
func (p *Packet) room(offset, size uint64) []byte {
	length := uint64(p.end - p.start)
	if offset > length || size > length-offset {
		return nil
	}
	return p.buffer.Bytes()[p.start:p.end][offset : offset+size]
}

// NewPacket makes a packet for programs of a type that sees packets.
func (m *Machine) NewPacket(t ebpf.ProgramType, size int) (*Packet, error) {
	switch t {
	case ebpf.XDP:
		return m.NewXDP(size)
	case ebpf.SchedCLS, ebpf.SchedACT:
		return m.NewSKB(size, true)
	}
	if !SeesPackets(t) {
		return nil, fmt.Errorf("making a packet: programs of type %s do not see packets", t)
	}
	return m.NewSKB(size, false)
}

// SeesPackets reports whether programs of the type run on packets.
func SeesPackets(t ebpf.ProgramType) bool {
	return t == ebpf.XDP || ContextSize(t) == skbSize
}
