package vm

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"skep/vm/maps"
	"skep/vm/memory"
)

// maxFormatArgs is MAX_BPRINTF_VARARGS.
const maxFormatArgs = 12

// maxFormatText is the room that the kernel has for the strings of one call (MAX_BPRINTF_BUF).
const maxFormatText = 512

// A formatter makes text of a format string and arguments as the kernel's bpf_bprintf does.
type formatter struct {
	t    *Thread
	out  []byte
	args []uint64
	used int
}

// format appends to the thread's buffer the text that a format string means. The format ends with its first 0.
func (t *Thread) format(format []byte, args []uint64) ([]byte, maps.Errno) {
	f := formatter{t: t, out: t.text[:0], args: args}
	e := f.run(format)
	t.text = f.out[:0]
	return f.out, e
}

func (f *formatter) run(format []byte) maps.Errno {
	for i := 0; i < len(format) && format[i] != 0; i++ {
		c := format[i]
		if (c < ' ' || c > '~') && !(c >= '\t' && c <= '\r') {
			return maps.EINVAL
		}
		if c != '%' {
			f.out = append(f.out, c)
			continue
		}
		n, e := f.verb(format[i+1:])
		if e != 0 {
			return e
		}
		i += n
	}
	return 0
}

// layout is how wide a value is shown and with what around it.
type layout struct {
	zero, plus, minus, space bool
	width                    int
}

// verb shows one argument as what follows a percent sign says, and returns how much that was.
func (f *formatter) verb(s []byte) (used int, e maps.Errno) {
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	i := 0
	if at(0) == '%' {
		f.out = append(f.out, '%')
		return 1, 0
	}
	var l layout
	for ; at(i) == '0' || at(i) == '+' || at(i) == '-' || at(i) == ' '; i++ {
		l.zero, l.plus, l.minus, l.space = l.zero || at(i) == '0', l.plus || at(i) == '+', l.minus || at(i) == '-', l.space || at(i) == ' '
	}
	for ; at(i) >= '0' && at(i) <= '9'; i++ {
		l.width = min(l.width*10+int(at(i)-'0'), maxFormatText)
	}
	if f.used >= len(f.args) {
		return 0, maps.EINVAL
	}
	arg := f.args[f.used]
	f.used++
	switch at(i) {
	case 'p':
		n, e := f.pointer(s[min(i+1, len(s)):], arg, l)
		return i + 1 + n, e
	case 's':
		f.pad(f.text(arg, f.t.readKernel), l)
		return i + 1, 0
	case 'c':
		f.pad([]byte{byte(arg)}, l)
		return i + 1, 0
	}
	bits := 32
	for ; at(i) == 'l' && bits < 64+64; i++ {
		bits += 64
	}
	return i + 1, f.number(at(i), arg, bits > 32, l)
}

func (f *formatter) number(verb byte, arg uint64, wide bool, l layout) maps.Errno {
	signed := verb == 'd' || verb == 'i'
	if !wide {
		arg = uint64(uint32(arg))
		if signed {
			arg = uint64(int64(int32(arg)))
		}
	}
	var digits []byte
	sign := ""
	switch verb {
	case 'd', 'i':
		n := arg
		switch {
		case int64(arg) < 0:
			sign, n = "-", -arg
		case l.plus:
			sign = "+"
		case l.space:
			sign = " "
		}
		digits = strconv.AppendUint(nil, n, 10)
	case 'u':
		digits = strconv.AppendUint(nil, arg, 10)
	case 'x', 'X':
		digits = strconv.AppendUint(nil, arg, 16)
		if verb == 'X' {
			digits = fmt.Appendf(nil, "%X", arg)
		}
	default:
		return maps.EINVAL
	}
	if l.zero && !l.minus {
		f.out = append(f.out, sign...)
		for n := l.width - len(sign) - len(digits); n > 0; n-- {
			f.out = append(f.out, '0')
		}
		f.out = append(f.out, digits...)
		return 0
	}
	f.pad(append([]byte(sign), digits...), l)
	return 0
}

// pad shows a text at its width.
func (f *formatter) pad(text []byte, l layout) {
	fill := func() {
		for n := l.width - len(text); n > 0; n-- {
			f.out = append(f.out, ' ')
		}
	}
	if !l.minus {
		fill()
	}
	f.out = append(f.out, text...)
	if l.minus {
		fill()
	}
}

// pointer shows what follows %p.
func (f *formatter) pointer(s []byte, arg uint64, l layout) (used int, e maps.Errno) {
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	switch at(0) {
	case 'k', 'u':
		if at(1) != 's' {
			return 0, maps.EINVAL
		}
		read := f.t.readKernel
		if at(0) == 'u' {
			read = f.t.readUser
		}
		f.pad(f.text(arg, read), l)
		return 2, 0
	case 'i', 'I':
		return 2, f.address(at(0), at(1), arg, l)
	case 'B', 'S', 's':
		f.pad(fmt.Appendf(nil, "0x%x", arg), l)
		return 1, 0
	case 'x', 'K':
		f.hex(arg, l)
		return 1, 0
	case 0, ' ', '\t', '\n', '\v', '\f', '\r':
		f.hex(arg, l)
		return 0, 0
	}
	if c := at(0); c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
		return 0, maps.EINVAL
	}
	f.hex(arg, l)
	return 0, 0
}

// hex shows an address. The machine has no secrets, so that those of %p are not hashed.
func (f *formatter) hex(arg uint64, l layout) { f.pad(fmt.Appendf(nil, "%016x", arg), l) }

// address shows the IP address that a pointer leads to: after a small i, with leading zeros or without colons.
func (f *formatter) address(style, version byte, arg uint64, l layout) maps.Errno {
	size := 4
	if version == '6' {
		size = 16
	} else if version != '4' {
		return maps.EINVAL
	}
	var b [16]byte
	if f.t.readKernel(arg, b[:size]) != nil {
		clear(b[:])
	}
	switch {
	case size == 4 && style == 'I':
		f.pad(fmt.Appendf(nil, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]), l)
	case size == 4:
		f.pad(fmt.Appendf(nil, "%03d.%03d.%03d.%03d", b[0], b[1], b[2], b[3]), l)
	default:
		var text []byte
		for i := 0; i < 16; i += 2 {
			if i > 0 && style == 'I' {
				text = append(text, ':')
			}
			text = fmt.Appendf(text, "%04x", binary.BigEndian.Uint16(b[i:]))
		}
		f.pad(text, l)
	}
	return 0
}

// text is a string in memory, or nothing if it cannot be read.
func (f *formatter) text(addr uint64, read func(uint64, []byte) error) []byte {
	b := make([]byte, maxFormatText)
	n, err := readString(addr, b, read)
	if err != nil {
		return nil
	}
	return b[:n-1]
}

// numbers are the arguments of a format that stand in memory.
func numbers(addr, size uint64) ([]uint64, maps.Errno) {
	if size%8 != 0 || size > maxFormatArgs*8 || size != 0 && addr == 0 {
		return nil, maps.EINVAL
	}
	args := make([]uint64, size/8)
	b := memory.At(addr, int(size))
	for i := range args {
		args[i] = binary.NativeEndian.Uint64(b[i*8:])
	}
	return args, 0
}
