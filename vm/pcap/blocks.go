package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// Files of the format pcapng are blocks: a type, a length, a body, and the length again. Sections begin with a header that tells the order of
// bytes; interfaces are described before their packets.
const (
	blockSection   = magicBlocks
	blockInterface = 1
	blockPacket    = 2 // of old files
	blockSimple    = 3
	blockEnhanced  = 6

	orderMagic   = 0x1a2b3c4d
	optionEnd    = 0
	optionTime   = 9  // if_tsresol
	optionOffset = 14 // if_tsoffset
	maxBlock     = maxPacket + 1<<16
)

// blocks is the state of a file of blocks.
type blocks struct {
	interfaces []blockInterfaceInfo // of the section
	any        bool                 // an interface is known: the reader's LinkType is its
}

type blockInterfaceInfo struct {
	linkType uint32
	snap     uint32
	units    uint64 // of time in a second
	offset   int64  // seconds
}

// startBlocks reads up to the first interface. The type of the first block has been read, with the rest of a pcap header.
func (p *Reader) startBlocks(start []byte) error {
	p.Nano, p.blocks = true, &blocks{}
	p.r = io.MultiReader(bytes.NewReader(start), p.r)
	for !p.blocks.any {
		_, _, err := p.nextBlock() // packets are of an interface
		if err == io.EOF {
			return errors.New("the file describes no interface")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nextInBlocks is Next for files of blocks.
func (p *Reader) nextInBlocks() (Packet, error) {
	for {
		pkt, ok, err := p.nextBlock()
		if err != nil || ok {
			return pkt, err
		}
	}
}

// nextBlock reads a block, which may have a packet.
func (p *Reader) nextBlock() (pkt Packet, ok bool, err error) {
	fail := func(format string, args ...any) (Packet, bool, error) {
		return Packet{}, false, fmt.Errorf("reading packet %d: %w", p.count+1, fmt.Errorf(format, args...))
	}
	var h [12]byte
	if _, err := io.ReadFull(p.r, h[:8]); err != nil {
		if err == io.EOF {
			return Packet{}, false, err
		}
		return fail("%w", err)
	}
	more := 8 // of the header that have been read
	if binary.LittleEndian.Uint32(h[:]) == blockSection {
		if _, err := io.ReadFull(p.r, h[8:]); err != nil {
			return fail("%w", noEOF(err))
		}
		more = 12
		switch uint32(orderMagic) {
		case binary.LittleEndian.Uint32(h[8:]):
			p.order = binary.LittleEndian
		case binary.BigEndian.Uint32(h[8:]):
			p.order = binary.BigEndian
		default:
			return fail("a section tells no order of bytes")
		}
		p.blocks.interfaces = nil
	}
	if p.order == nil {
		return fail("the file does not begin with a section")
	}
	kind, length := p.order.Uint32(h[:]), p.order.Uint32(h[4:])
	if length < 12 || length%4 != 0 || length > maxBlock || int(length) < more+4 {
		return fail("a block of %d bytes", length)
	}
	body := make([]byte, int(length)-more)
	if _, err := io.ReadFull(p.r, body); err != nil {
		return fail("%w", noEOF(err))
	}
	if again := p.order.Uint32(body[len(body)-4:]); again != length {
		return fail("a block has the lengths %d and %d", length, again)
	}
	body = body[:len(body)-4]
	switch kind {
	case blockInterface:
		if err := p.describe(body); err != nil {
			return fail("%w", err)
		}
	case blockEnhanced, blockPacket, blockSimple:
		pkt, err := p.blockPacket(kind, body)
		if err != nil {
			return fail("%w", err)
		}
		p.count++
		return pkt, true, nil
	}
	return Packet{}, false, nil
}

// describe takes an interface.
func (p *Reader) describe(body []byte) error {
	if len(body) < 8 {
		return errors.New("the description of an interface is cut short")
	}
	i := blockInterfaceInfo{linkType: uint32(p.order.Uint16(body)), snap: p.order.Uint32(body[4:]), units: 1e6}
	for options := body[8:]; len(options) >= 4; {
		code, length := p.order.Uint16(options), int(p.order.Uint16(options[2:]))
		options = options[4:]
		if code == optionEnd || length > len(options) {
			break
		}
		switch {
		case code == optionTime && length == 1:
			i.units = timeUnits(options[0])
		case code == optionOffset && length == 8:
			i.offset = int64(p.order.Uint64(options))
		}
		options = options[min((length+3)&^3, len(options)):]
	}
	if i.units == 0 {
		return errors.New("an interface has a resolution of time that cannot be")
	}
	if !p.blocks.any {
		p.blocks.any, p.LinkType = true, i.linkType
	}
	if i.linkType != p.LinkType {
		return fmt.Errorf("an interface is of link type %d, and the first one of %d", i.linkType, p.LinkType)
	}
	p.blocks.interfaces = append(p.blocks.interfaces, i)
	return nil
}

// timeUnits is how many there are in a second: a power of 10, or of 2 if the highest bit is set; 0 if there would be too many.
func timeUnits(resolution byte) uint64 {
	n := uint64(resolution &^ 0x80)
	if resolution&0x80 != 0 {
		if n > 63 {
			return 0
		}
		return 1 << n
	}
	if n > 19 {
		return 0
	}
	units := uint64(1)
	for range n {
		units *= 10
	}
	return units
}

func (p *Reader) blockPacket(kind uint32, body []byte) (Packet, error) {
	if kind == blockSimple {
		if len(body) < 4 || len(p.blocks.interfaces) == 0 {
			return Packet{}, errors.New("a packet is cut short, or of no interface")
		}
		length := p.order.Uint32(body)
		n := min(length, uint32(len(body)-4))
		if snap := p.blocks.interfaces[0].snap; snap != 0 {
			n = min(n, snap)
		}
		return Packet{Length: length, Data: body[4 : 4+n]}, nil
	}
	if len(body) < 20 {
		return Packet{}, errors.New("a packet is cut short")
	}
	number := p.order.Uint32(body)
	if kind == blockPacket {
		number = uint32(p.order.Uint16(body)) // drops are behind it
	}
	if number >= uint32(len(p.blocks.interfaces)) {
		return Packet{}, fmt.Errorf("a packet of interface %d, which has not been described", number)
	}
	i := p.blocks.interfaces[number]
	captured, length := p.order.Uint32(body[12:]), p.order.Uint32(body[16:])
	if captured > uint32(len(body)-20) || captured > maxPacket {
		return Packet{}, fmt.Errorf("it has %d bytes, and its block less", captured)
	}
	at := uint64(p.order.Uint32(body[4:]))<<32 | uint64(p.order.Uint32(body[8:]))
	hi, lo := bits.Mul64(at%i.units, 1e9)
	fraction, _ := bits.Div64(hi, lo, i.units)
	return Packet{Seconds: uint32(int64(at/i.units) + i.offset), Fraction: uint32(fraction), Length: length, Data: body[20 : 20+captured]}, nil
}
