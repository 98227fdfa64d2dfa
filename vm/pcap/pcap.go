// Package pcap reads files of captured packets in the formats of libpcap (pcap) and of Wireshark (pcapng), and writes pcap.
package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A Packet is one packet of a file.
type Packet struct {
	Seconds  uint32 // since 1970
	Fraction uint32 // microseconds or nanoseconds, as the file has them
	Length   uint32 // on the wire
	Data     []byte // what was captured of it
}

// Ethernet is the link type of packets that begin with an Ethernet header.
const Ethernet = 1

const (
	magicMicro  = 0xa1b2c3d4
	magicNano   = 0xa1b23c4d
	magicBlocks = 0x0a0d0d0a // pcapng

	headerSize = 24
	recordSize = 16
	maxPacket  = 1 << 20
)

// A Reader reads the packets of a file one after the other.
type Reader struct {
	LinkType uint32
	Nano     bool // times are in nanoseconds; those of pcapng always are

	r      io.Reader
	order  binary.ByteOrder
	count  int
	blocks *blocks // of pcapng; else nil
}

// NewReader reads the header of a file.
func NewReader(r io.Reader) (*Reader, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, fmt.Errorf("reading the header of a pcap file: %w", noEOF(err))
	}
	p := &Reader{r: r}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(h[:]) {
		case magicMicro:
			p.order = order
		case magicNano:
			p.order, p.Nano = order, true
		case magicBlocks:
			return p, p.startBlocks(h[:])
		}
	}
	if p.order == nil {
		return nil, errors.New("the file is not a pcap file")
	}
	// The upper bits say how long checksums are at the end of packets.
	p.LinkType = p.order.Uint32(h[20:]) & 0xffff
	return p, nil
}

// Next is the next packet; io.EOF after the last.
func (p *Reader) Next() (Packet, error) {
	if p.blocks != nil {
		return p.nextInBlocks()
	}
	var h [recordSize]byte
	if _, err := io.ReadFull(p.r, h[:]); err != nil {
		if err == io.EOF {
			return Packet{}, err
		}
		return Packet{}, fmt.Errorf("reading packet %d: %w", p.count+1, err)
	}
	size := p.order.Uint32(h[8:])
	if size > maxPacket {
		return Packet{}, fmt.Errorf("reading packet %d: it has %d bytes, and at most %d are possible", p.count+1, size, maxPacket)
	}
	pkt := Packet{p.order.Uint32(h[:]), p.order.Uint32(h[4:]), p.order.Uint32(h[12:]), make([]byte, size)}
	if _, err := io.ReadFull(p.r, pkt.Data); err != nil {
		return Packet{}, fmt.Errorf("reading packet %d: %w", p.count+1, noEOF(err))
	}
	p.count++
	return pkt, nil
}

// noEOF is for places where a file may not end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A Writer writes packets to a file.
type Writer struct{ w io.Writer }

// NewWriter writes the header of a file.
func NewWriter(w io.Writer, linkType uint32, nano bool) (*Writer, error) {
	h := make([]byte, headerSize)
	magic := uint32(magicMicro)
	if nano {
		magic = magicNano
	}
	binary.LittleEndian.PutUint32(h, magic)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], maxPacket)
	binary.LittleEndian.PutUint32(h[20:], linkType)
	if _, err := w.Write(h); err != nil {
		return nil, fmt.Errorf("writing the header of a pcap file: %w", err)
	}
	return &Writer{w}, nil
}

// Write appends a packet.
func (w *Writer) Write(p Packet) error {
	b := make([]byte, recordSize, recordSize+len(p.Data))
	binary.LittleEndian.PutUint32(b, p.Seconds)
	binary.LittleEndian.PutUint32(b[4:], p.Fraction)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(p.Data)))
	binary.LittleEndian.PutUint32(b[12:], max(p.Length, uint32(len(p.Data))))
	if _, err := w.w.Write(append(b, p.Data...)); err != nil {
		return fmt.Errorf("writing a packet: %w", err)
	}
	return nil
}
