package symbol

import "encoding/binary"

// cfiBytes reads the numbers of call frame information one after the other. Behind the end all are 0, and bad is set.
type cfiBytes struct {
	b    []byte
	addr uint64 // that the file gives to b's first byte
	bad  bool
}

func (c *cfiBytes) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	c.addr += n
	return b
}

// number reads n bytes, little end first.
func (c *cfiBytes) number(n uint64) uint64 {
	b := c.take(n)
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cfiBytes) u8() uint8   { return uint8(c.number(1)) }
func (c *cfiBytes) u32() uint32 { return uint32(c.number(4)) }

// signed reads n bytes with a sign.
func (c *cfiBytes) signed(n uint64) int64 {
	shift := 64 - 8*n
	return int64(c.number(n)<<shift) >> shift
}

// uleb and sleb read LEB128. What does not fit 64 bits is cut off.
func (c *cfiBytes) uleb() uint64 { return c.leb(false) }
func (c *cfiBytes) sleb() int64  { return int64(c.leb(true)) }

func (c *cfiBytes) leb(signed bool) uint64 {
	var v uint64
	for i, b := range c.b {
		shift := 7 * uint(i)
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		if b&0x80 == 0 {
			if shift += 7; signed && b&0x40 != 0 && shift < 64 {
				v |= ^uint64(0) << shift
			}
			c.take(uint64(i) + 1)
			return v
		}
	}
	c.b, c.bad = nil, true
	return 0
}

// text reads up to a zero byte.
func (c *cfiBytes) text() string {
	for i, b := range c.b {
		if b == 0 {
			s := c.b[:i]
			c.take(uint64(i) + 1)
			return cfiAugmentation(s)
		}
	}
	c.b, c.bad = nil, true
	return ""
}

// cfiAugmentation avoids a copy for what compilers write.
func cfiAugmentation(b []byte) string {
	for _, s := range [...]string{"", "zR", "zPLR", "zRS", "zPR", "zLR", "zRB"} {
		if string(b) == s {
			return s
		}
	}
	return string(b[:min(len(b), 16)])
}

// The encoding of a pointer: its form, what it is relative to, and whether it is only the place of the pointer.
const (
	pointerForm     = 0x0f
	pointerRelative = 0x70
	pointerIndirect = 0x80
	pointerOmitted  = 0xff

	relativeToPlace   = 0x10
	relativeToData    = 0x30
	pointerAligned    = 0x50
	pointerUleb       = 0x01
	pointerSleb       = 0x09
	pointerSignedForm = 0x08
)

// pointerSize returns how many bytes a pointer of a fixed length takes; 0 for the others.
func pointerSize(encoding uint8) uint64 {
	switch encoding & pointerForm {
	case 0x00, 0x04, 0x08, 0x0c:
		return 8
	case 0x02, 0x0a:
		return 2
	case 0x03, 0x0b:
		return 4
	}
	return 0
}

// pointer reads a pointer. data is what those relative to data are relative to; 0 if nothing is known for that. Pointers
// relative to the start of the text or of a function have no use in a table that is searched by address; they are read over.
func (c *cfiBytes) pointer(encoding uint8, data uint64) (v uint64, ok bool) {
	if encoding == pointerOmitted {
		return 0, false
	}
	relative := encoding & pointerRelative
	if relative == pointerAligned {
		c.take(-c.addr & 7)
	}
	place := c.addr
	switch size := pointerSize(encoding); {
	case size != 0 && encoding&pointerSignedForm != 0:
		v = uint64(c.signed(size))
	case size != 0:
		v = c.number(size)
	case encoding&pointerForm == pointerUleb:
		v = c.uleb()
	case encoding&pointerForm == pointerSleb:
		v = uint64(c.sleb())
	default:
		c.b, c.bad = nil, true
	}
	based := true
	switch relative {
	case 0, pointerAligned:
	case relativeToPlace:
		v += place
	case relativeToData:
		v += data
		based = data != 0
	default:
		based = false
	}
	return v, based && !c.bad && encoding&pointerIndirect == 0
}
