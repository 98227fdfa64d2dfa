package symbol

import (
	"encoding/binary"
	"errors"
	"io"
)

// xz decompresses the .xz format as .gnu_debugdata uses it: blocks of one LZMA2 filter each. The checks of blocks are
// not verified: what comes out is parsed as carefully as any hostile file.
//
//	stream  FD '7zXZ' 00 · flags (2: the second has the kind of check) · CRC32 · blocks · index (begins with 00)
//	block   header size/4-1 · flags (1) · [sizes] · filter 21 01 dictionary · padding · CRC32 · LZMA2 · padding · check
//	LZMA2   chunks, until one of type 0
//
// The result is limited to maxOut bytes; it serves as the dictionary, so memory is the result's size, whatever dictionary
// the file asks for.
func xz(in []byte, maxOut int) ([]byte, error) {
	const magic = "\xfd7zXZ\x00"
	if len(in) < 12 || string(in[:6]) != magic || in[6] != 0 {
		return nil, errXZ
	}
	checkSize := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[in[7]&15]
	d := &lzma{maxOut: maxOut}
	for at := 12; at < len(in) && in[at] != 0; {
		size := (int(in[at]) + 1) * 4
		if at+size > len(in) {
			return d.out, errXZ
		}
		if err := checkBlockHeader(in[at : at+size]); err != nil {
			return d.out, err
		}
		begin := at + size
		d.blockStart = len(d.out)
		n, err := d.lzma2(in[begin:])
		if err != nil {
			return d.out, err
		}
		at = begin + (n+3)&^3 + checkSize
	}
	return d.out, nil
}

var (
	errXZ      = errors.New("broken or unsupported xz data")
	errXZLarge = errors.New("xz data unpack to too much")
)

// checkBlockHeader accepts a header whose one filter is LZMA2.
func checkBlockHeader(h []byte) error {
	flags, rest := h[1], h[2:]
	if flags&^0xc0 != 0 { // one filter, nothing reserved
		return errXZ
	}
	for _, bit := range []byte{0x40, 0x80} { // compressed and uncompressed size
		if flags&bit != 0 {
			_, n := binary.Uvarint(rest)
			if n <= 0 {
				return errXZ
			}
			rest = rest[n:]
		}
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 {
		return errXZ
	}
	return nil
}

// lzma decodes LZMA2: an adaptive binary range coder over a model of literals and of matches in what was decoded before.
type lzma struct {
	out        []byte
	maxOut     int
	blockStart int // matches do not reach behind it

	in         []byte // of the current chunk
	rng, code  uint32
	lc, lp, pb uint
	state      int
	rep        [4]uint32

	// The probabilities of a zero bit, in 1/2048.
	isMatch    [12 << 4]uint16
	isRep      [12]uint16
	isRepG0    [12]uint16
	isRepG1    [12]uint16
	isRepG2    [12]uint16
	isRep0Long [12 << 4]uint16
	slot       [4][64]uint16
	special    [115]uint16
	align      [16]uint16
	length     lengthModel
	repLength  lengthModel
	literal    []uint16
}

type lengthModel struct {
	choice, choice2 uint16
	low, mid        [16][8]uint16
	high            [256]uint16
}

const evens = 1 << 10

func fill(p []uint16) {
	for i := range p {
		p[i] = evens
	}
}

func (m *lengthModel) reset() {
	m.choice, m.choice2 = evens, evens
	for i := range m.low {
		fill(m.low[i][:])
		fill(m.mid[i][:])
	}
	fill(m.high[:])
}

// lzma2 decodes chunks up to the end marker and returns how many bytes of input they took.
func (d *lzma) lzma2(in []byte) (int, error) {
	haveState, haveProperties, haveDictionary := false, false, false
	for at := 0; at < len(in); {
		control := in[at]
		if control == 0 {
			return at + 1, nil
		}
		if control >= 3 && control < 0x80 || len(in)-at < 3 {
			return 0, errXZ
		}
		if control == 1 || control >= 0xe0 {
			haveDictionary = true
			d.blockStart = len(d.out)
		}
		if !haveDictionary {
			return 0, errXZ
		}
		size := int(in[at+1])<<8 + int(in[at+2]) + 1
		if control < 0x80 { // not compressed
			at += 3
			if size > len(in)-at {
				return 0, errXZ
			}
			if len(d.out)+size > d.maxOut {
				return 0, errXZLarge
			}
			d.out = append(d.out, in[at:at+size]...)
			at += size
			continue
		}
		if len(in)-at < 6 {
			return 0, errXZ
		}
		size += int(control&0x1f) << 16
		packed := int(in[at+3])<<8 + int(in[at+4]) + 1
		at += 5
		switch reset := control >> 5 & 3; {
		case reset >= 2:
			if !d.properties(in[at]) {
				return 0, errXZ
			}
			at++
			haveProperties = true
			d.resetState()
			haveState = true
		case reset == 1 && haveProperties:
			d.resetState()
			haveState = true
		}
		if !haveState || packed > len(in)-at {
			return 0, errXZ
		}
		if len(d.out)+size > d.maxOut {
			return 0, errXZLarge
		}
		if err := d.chunk(in[at:at+packed], len(d.out)+size); err != nil {
			return 0, err
		}
		at += packed
	}
	return 0, io.ErrUnexpectedEOF
}

func (d *lzma) properties(p byte) bool {
	if p >= 9*5*5 {
		return false
	}
	d.lc, d.lp, d.pb = uint(p%9), uint(p/9%5), uint(p/9/5)
	if d.lc+d.lp > 4 {
		return false
	}
	d.literal = make([]uint16, 0x300<<(d.lc+d.lp))
	return true
}

func (d *lzma) resetState() {
	d.state, d.rep = 0, [4]uint32{}
	for _, p := range [][]uint16{
		d.isMatch[:], d.isRep[:], d.isRepG0[:], d.isRepG1[:], d.isRepG2[:], d.isRep0Long[:],
		d.slot[0][:], d.slot[1][:], d.slot[2][:], d.slot[3][:], d.special[:], d.align[:], d.literal,
	} {
		fill(p)
	}
	d.length.reset()
	d.repLength.reset()
}

// chunk decodes until out has the length end.
func (d *lzma) chunk(in []byte, end int) error {
	if len(in) < 5 {
		return errXZ
	}
	d.rng, d.code, d.in = 0xffffffff, binary.BigEndian.Uint32(in[1:]), in[5:]
	for len(d.out) < end {
		position := len(d.out) - d.blockStart
		posState := position & (1<<d.pb - 1)
		if d.bit(&d.isMatch[d.state<<4+posState]) == 0 {
			if d.state >= 7 && d.distanceBad() {
				return errXZ
			}
			d.literalByte(position)
			continue
		}
		n := 0
		if d.bit(&d.isRep[d.state]) == 0 {
			d.rep[3], d.rep[2], d.rep[1] = d.rep[2], d.rep[1], d.rep[0]
			n = d.matchLength(&d.length, posState)
			d.rep[0] = d.distance(n)
			d.state = after(d.state, 7, 10)
		} else {
			short := false
			if d.bit(&d.isRepG0[d.state]) == 0 {
				short = d.bit(&d.isRep0Long[d.state<<4+posState]) == 0
			} else {
				i := 1
				if d.bit(&d.isRepG1[d.state]) == 1 {
					i = 2 + int(d.bit(&d.isRepG2[d.state]))
				}
				chosen := d.rep[i]
				copy(d.rep[1:i+1], d.rep[:i])
				d.rep[0] = chosen
			}
			if short {
				n = 1
				d.state = after(d.state, 9, 11)
			} else {
				n = d.matchLength(&d.repLength, posState)
				d.state = after(d.state, 8, 11)
			}
		}
		if d.distanceBad() || n > end-len(d.out) {
			return errXZ
		}
		for from := len(d.out) - int(d.rep[0]) - 1; n > 0; n-- {
			d.out = append(d.out, d.out[from])
			from++
		}
	}
	return nil
}

// after is the state after a match: one value if a literal came before it, another if not.
func after(state, literal, match int) int {
	if state < 7 {
		return literal
	}
	return match
}

// distanceBad reports whether the last distance reaches behind the dictionary.
func (d *lzma) distanceBad() bool { return uint64(d.rep[0]) >= uint64(len(d.out)-d.blockStart) }

// bit decodes one bit and adapts its probability. Past the input's end zeros are read; the output's length ends it.
func (d *lzma) bit(p *uint16) uint32 {
	if d.rng < 1<<24 {
		d.normalize()
	}
	bound := d.rng >> 11 * uint32(*p)
	if d.code < bound {
		d.rng = bound
		*p += (1<<11 - *p) >> 5
		return 0
	}
	d.rng -= bound
	d.code -= bound
	*p -= *p >> 5
	return 1
}

func (d *lzma) normalize() {
	d.rng <<= 8
	d.code <<= 8
	if len(d.in) > 0 {
		d.code |= uint32(d.in[0])
		d.in = d.in[1:]
	}
}

// direct decodes n bits that have no model.
func (d *lzma) direct(n int) (v uint32) {
	for ; n > 0; n-- {
		if d.rng < 1<<24 {
			d.normalize()
		}
		d.rng >>= 1
		v <<= 1
		if d.code >= d.rng {
			d.code -= d.rng
			v |= 1
		}
	}
	return v
}

// tree decodes a number of n bits, the highest first.
func (d *lzma) tree(p []uint16, n int) uint32 {
	m := uint32(1)
	for range n {
		m = m<<1 | d.bit(&p[m])
	}
	return m - 1<<n
}

// reverse decodes a number of n bits, the lowest first; the models begin at p[1].
func (d *lzma) reverse(p []uint16, n int) (v uint32) {
	m := uint32(1)
	for i := range n {
		b := d.bit(&p[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

func (d *lzma) literalByte(position int) {
	previous := uint32(0)
	if position > 0 {
		previous = uint32(d.out[len(d.out)-1])
	}
	context := uint32(position)&(1<<d.lp-1)<<d.lc + previous>>(8-d.lc)
	p := d.literal[0x300*context:][:0x300]
	m := uint32(1)
	if d.state >= 7 {
		// After a match the byte that would have followed it is a hint.
		match := uint32(d.out[len(d.out)-int(d.rep[0])-1])
		for m < 0x100 {
			match <<= 1
			hint := match & 0x100
			b := d.bit(&p[0x100+hint+m])
			m = m<<1 | b
			if hint>>8 != b {
				break
			}
		}
	}
	for m < 0x100 {
		m = m<<1 | d.bit(&p[m])
	}
	d.out = append(d.out, byte(m))
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
}

func (d *lzma) matchLength(m *lengthModel, posState int) int {
	if d.bit(&m.choice) == 0 {
		return 2 + int(d.tree(m.low[posState][:], 3))
	}
	if d.bit(&m.choice2) == 0 {
		return 10 + int(d.tree(m.mid[posState][:], 3))
	}
	return 18 + int(d.tree(m.high[:], 8))
}

// distance decodes how far back a match of length n is, less 1.
func (d *lzma) distance(n int) uint32 {
	slot := d.tree(d.slot[min(n-2, 3)][:], 6)
	if slot < 4 {
		return slot
	}
	bits := int(slot>>1) - 1
	v := (2 | slot&1) << bits
	if slot < 14 {
		// The models of all slots follow each other; those of this one begin at v - slot.
		return v + d.reverse(d.special[v-slot:], bits)
	}
	return v + d.direct(bits-4)<<4 + d.reverse(d.align[:], 4)
}
