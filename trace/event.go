package trace

import (
	"encoding/binary"
	"math"
	"strings"

	"skep/schema"
)

// event is a call site, prepared for its records.
type event struct {
	schema *schema.Event
	ops    []op
	rows   *rows // Row, and PrintMap of a table
	hasVar bool
}

// op is a piece of a format.
type op struct {
	text      string // literal text, if conv is 0
	conv      byte   // d u x X o c s p, r (buffer), R (\x61), H (61 62), g (gfp flags)
	length    byte   // 0, h, H (hh), l (l, ll, z, j, t: all 64 bits here)
	minus     bool
	zero      bool
	plus      bool
	space     bool
	alt       bool
	plain     bool // none of the flags, no width and no precision
	width     int
	precision int
	arg       int
}

func newEvent(e *schema.Event) event {
	ev := event{schema: e, ops: make([]op, 0, len(e.Verbs))}
	for i := range e.Verbs {
		ev.ops = append(ev.ops, newOp(&e.Verbs[i]))
	}
	if len(e.Verbs) == 0 && e.Format != "" {
		ev.ops = []op{{text: e.Format}}
	}
	switch {
	case e.Kind == schema.Row:
		ev.ops, ev.rows = nil, newRows(e.Columns)
	case e.View != nil && e.View.Form == schema.FormTable:
		ev.rows = newRows(e.View.Columns)
	}
	for i := range e.Args {
		ev.hasVar = ev.hasVar || e.Args[i].Var
	}
	return ev
}

func newOp(v *schema.Verb) op {
	if v.Conv == "" {
		return op{text: v.Text}
	}
	o := op{minus: v.Minus, zero: v.Zero, plus: v.Plus, space: v.Space, alt: v.Alt, width: max(0, v.Width),
		precision: max(-1, v.Precision), arg: v.Arg}
	o.plain = !v.Minus && !v.Zero && !v.Plus && !v.Space && !v.Alt && v.Width <= 0 && v.Precision < 0
	switch v.Conv {
	case "i":
		o.conv = 'd'
	case "rx":
		o.conv = 'R'
	case "rh":
		o.conv = 'H'
	case "gr":
		o.conv = 'g'
	default:
		o.conv = v.Conv[0]
	}
	switch v.Length {
	case "":
	case "h":
		o.length = 'h'
	case "hh":
		o.length = 'H'
	default:
		o.length = 'l'
	}
	return o
}

// arg is one argument of the record in work.
type arg struct {
	typ    *schema.Type
	bytes  []byte // of the value; of Var args their bytes
	number int64  // Literal integers
	text   string // Literal strings
	kind   argKind
	cut    bool // a string that was cut at its limit
}

type argKind uint8

const (
	argMemory  argKind = iota // laid out as typ says
	argBytes                  // the bytes of a string or buffer
	argText                   // text
	argNumber                 // number
	argMissing                // the record is too short
)

// varEnd is the length that ends the list of join's strings.
const varEnd = math.MaxUint32

// cutBit is set in the length of a string that was cut.
const cutBit = 1 << 31

// decode finds the arguments of a record; they are valid until the next record. Their memory is v.args.
func (v *values) decode(e *event, record []byte) {
	args := v.args[:0]
	rest := e.schema.Size
	for i := range e.schema.Args {
		s := &e.schema.Args[i]
		a := arg{typ: s.Type}
		switch {
		case s.Literal && s.Type != nil && s.Type.Kind == schema.String:
			a.kind, a.text = argText, s.Text
		case s.Literal:
			a.kind, a.number = argNumber, s.Number
		case s.Var:
			if s.Offset+4 > len(record) {
				a.kind = argMissing
				break
			}
			n := binary.NativeEndian.Uint32(record[s.Offset:])
			if n == varEnd {
				v.args = args
				return
			}
			a.kind, a.cut = argBytes, n&cutBit != 0
			length := int(n &^ cutBit)
			if rest > len(record) || length > len(record)-rest {
				a.kind = argMissing
				break
			}
			a.bytes = record[rest : rest+length]
			rest += length
		case s.Type == nil || s.Offset+s.Type.Size > len(record):
			a.kind = argMissing
		default:
			a.bytes = record[s.Offset : s.Offset+s.Type.Size]
		}
		args = append(args, a)
	}
	v.args = args
}

// appendFormat appends the event's text: its format with the arguments that decode found.
func (v *values) appendFormat(dst []byte, e *event) []byte {
	for i := range e.ops {
		o := &e.ops[i]
		if o.conv == 0 {
			dst = append(dst, o.text...)
			continue
		}
		if o.arg >= len(v.args) {
			continue
		}
		dst = v.appendOp(dst, o, &v.args[o.arg])
	}
	return dst
}

func (v *values) appendOp(dst []byte, o *op, a *arg) []byte {
	switch o.conv {
	case 's':
		start := len(dst)
		dst = v.appendArg(dst, a)
		if o.plain {
			return dst
		}
		if o.precision >= 0 && len(dst)-start > o.precision {
			dst = dst[:start+o.precision]
		}
		return pad(dst, start, o, ' ')
	case 'c':
		start := len(dst)
		dst = append(dst, byte(v.number(a)))
		if o.plain {
			return dst
		}
		return pad(dst, start, o, ' ')
	case 'r', 'R', 'H':
		start := len(dst)
		dst = appendBuffer(dst, a.contents(), o.conv)
		return pad(dst, start, o, ' ')
	case 'f':
		return appendFloat(dst, o, v.float(a))
	case 'g':
		start := len(dst)
		dst = appendGFP(dst, uint64(v.number(a)))
		return pad(dst, start, o, ' ')
	case 'p':
		start := len(dst)
		n := uint64(v.number(a))
		if n == 0 {
			dst = append(dst, '0')
		} else {
			dst = append(dst, "0x"...)
			dst = appendUint(dst, n, 16)
		}
		return pad(dst, start, o, ' ')
	}
	return appendInteger(dst, o, v.number(a))
}

// contents is the argument as the bytes of a buffer.
func (a *arg) contents() []byte {
	switch a.kind {
	case argBytes:
		return a.bytes
	case argText:
		return []byte(a.text)
	case argMemory:
		if a.typ.Kind == schema.Buffer {
			return bufferContents(a.bytes)
		}
		return a.bytes
	}
	return nil
}

// bufferContents is the data of a Buffer in memory.
func bufferContents(b []byte) []byte {
	if len(b) < 4 {
		return nil
	}
	n := int(binary.NativeEndian.Uint32(b) &^ cutBit)
	return b[4:min(len(b), 4+n)]
}

// appendArg appends an argument as %s and print() show it.
func (v *values) appendArg(dst []byte, a *arg) []byte {
	switch a.kind {
	case argMemory:
		return v.text(dst, a.typ, a.bytes)
	case argText:
		return append(dst, a.text...)
	case argNumber:
		return v.literal(dst, a.typ, a.number)
	case argBytes:
		if isWords(a.typ) {
			return appendWords(dst, a.typ, a.bytes)
		}
		if isLines(a.typ) {
			return appendLines(dst, a.typ, a.bytes)
		}
		if a.typ != nil && a.typ.Kind == schema.Buffer {
			dst = appendBuffer(dst, a.bytes, 'r')
		} else {
			dst = v.appendTraced(dst, a.bytes)
		}
		if a.cut || a.typ != nil && a.typ.Kind == schema.String && v.filled(a.typ, len(a.bytes)) {
			dst = append(dst, v.script.Config.TruncTrailer...)
		}
		return dst
	}
	return append(dst, '?')
}

// number is an argument as an integer, extended to 64 bits as its type says.
func (v *values) number(a *arg) int64 {
	switch a.kind {
	case argNumber:
		return a.number
	case argMemory:
		return integer(a.typ, a.bytes)
	}
	return 0
}

// pad widens what was appended since start to the width of o.
func pad(dst []byte, start int, o *op, with byte) []byte {
	n := o.width - (len(dst) - start)
	if n <= 0 {
		return dst
	}
	for range n {
		dst = append(dst, with)
	}
	if o.minus {
		return dst
	}
	copy(dst[start+n:], dst[start:len(dst)-n])
	for i := range n {
		dst[start+i] = with
	}
	return dst
}

// appendInteger formats as C does: without a length modifier only 32 bits are seen, as in bpftrace.
func appendInteger(dst []byte, o *op, n int64) []byte {
	var u uint64
	negative := false
	if o.conv == 'd' {
		switch o.length {
		case 0:
			n = int64(int32(n))
		case 'h':
			n = int64(int16(n))
		case 'H':
			n = int64(int8(n))
		}
		if o.plain {
			return appendInt(dst, n)
		}
		negative = n < 0
		u = uint64(n)
		if negative {
			u = -u
		}
	} else {
		u = uint64(n)
		switch {
		case o.length == 'h':
			u = uint64(uint16(u))
		case o.length == 'H':
			u = uint64(uint8(u))
		case o.length == 0:
			u = uint64(uint32(u))
		}
	}
	start := len(dst)
	switch {
	case negative:
		dst = append(dst, '-')
	case o.conv == 'd' && o.plus:
		dst = append(dst, '+')
	case o.conv == 'd' && o.space:
		dst = append(dst, ' ')
	case o.alt && u != 0 && o.conv == 'x':
		dst = append(dst, "0x"...)
	case o.alt && u != 0 && o.conv == 'X':
		dst = append(dst, "0X"...)
	case o.alt && o.conv == 'o':
		dst = append(dst, '0')
	}
	digits := len(dst)
	switch o.conv {
	case 'x':
		dst = appendUint(dst, u, 16)
	case 'X':
		dst = appendUint(dst, u, 16)
		for i := digits; i < len(dst); i++ {
			if dst[i] >= 'a' {
				dst[i] -= 'a' - 'A'
			}
		}
	case 'o':
		if u != 0 || !o.alt {
			dst = appendUint(dst, u, 8)
		}
	default:
		dst = appendUint(dst, u, 10)
	}
	if o.precision == 0 && u == 0 {
		dst = dst[:digits]
	}
	least := o.precision
	if o.zero && !o.minus && o.precision < 0 {
		least = o.width - (digits - start)
	}
	if missing := least - (len(dst) - digits); missing > 0 {
		dst = append(dst, strings.Repeat("0", missing)...)
		copy(dst[digits+missing:], dst[digits:])
		for i := range missing {
			dst[digits+i] = '0'
		}
	}
	return pad(dst, start, o, ' ')
}

const lowerHex = "0123456789abcdef"

// appendBuffer appends bytes as %r (printable ones as they are, others as \x01), %rx ('R': all as \x01) or %rh ('H':
// 01 02).
func appendBuffer(dst, b []byte, conv byte) []byte {
	for i, c := range b {
		switch {
		case conv == 'H':
			if i > 0 {
				dst = append(dst, ' ')
			}
		case conv == 'r' && c >= ' ' && c < 0x7f:
			dst = append(dst, c)
			continue
		default:
			dst = append(dst, '\\', 'x')
		}
		dst = append(dst, lowerHex[c>>4], lowerHex[c&15])
	}
	return dst
}
