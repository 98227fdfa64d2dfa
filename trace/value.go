package trace

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"

	"skep/host"
	"skep/probe"
	"skep/schema"
)

// values turns the memory of values into text.
type values struct {
	script *schema.Script
	names  names
	clock  clock
	stacks *stacks
	hosts  hosts
	tables map[string]*schema.NameTable // by the Format of Names
	args   []arg                        // of the record in work
	now    func() time.Time
	escape bool // the output is a terminal
}

func newValues(script *schema.Script, session host.Session, symbols Symbols) *values {
	v := &values{script: script, now: time.Now}
	v.stacks = &stacks{session: session, symbols: symbols}
	v.stacks.unwound.start(script)
	v.clock.adjust()
	if p, ok := session.(host.Player); ok {
		v.clock.boot, v.clock.monotonic = p.Clocks()
		v.clock.zone, v.now = p.Now().Location(), p.Now
	}
	return v
}

// text appends a value as print() shows it. b is its memory, of at least t.Size bytes.
func (v *values) text(dst []byte, t *schema.Type, b []byte) []byte {
	if len(b) < t.Size {
		return append(dst, '?')
	}
	switch t.Kind {
	case schema.None:
		return dst
	case schema.String:
		return v.stringText(dst, t, b)
	case schema.Buffer:
		if isWords(t) {
			return appendWords(dst, t, bufferContents(b[:t.Size]))
		}
		if isLines(t) {
			return appendLines(dst, t, bufferContents(b[:t.Size]))
		}
		return appendBuffer(dst, bufferContents(b[:t.Size]), 'r')
	case schema.Bool:
		if b[0] != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case schema.Pointer:
		return appendUint(append(dst, "0x"...), unsigned(b, 8), 16)
	case schema.Enum:
		n := integer(t, b)
		if t.Enum != nil {
			if name, ok := t.Enum.NameOf(n); ok {
				return append(dst, name...)
			}
		}
		return appendNumber(dst, t, n)
	case schema.Array:
		dst = append(dst, '[')
		for i := range t.Len {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.text(dst, t.Elem, b[i*t.Elem.Size:])
		}
		return append(dst, ']')
	case schema.Tuple:
		if isRecord(t) {
			return v.structText(dst, t.Fields, b)
		}
		dst = append(dst, '(')
		dst = v.tupleText(dst, t, b)
		return append(dst, ')')
	case schema.Struct:
		return v.structText(dst, t.Def.Fields(), b)
	case schema.Ratio:
		return strconv.AppendFloat(dst, ratio(t, b), 'f', -1, 64)
	case schema.Min, schema.Max:
		return appendNumber(dst, t, int64(unsigned(b, 8)))
	case schema.Stats:
		dst = append(dst, "{ .count = "...)
		dst = appendUint(dst, unsigned(b[8:], 8), 10)
		dst = append(dst, ", .average = "...)
		dst = appendNumber(dst, t, average(t, b))
		dst = append(dst, ", .total = "...)
		dst = appendNumber(dst, t, int64(unsigned(b, 8)))
		return append(dst, " }"...)
	case schema.KStack, schema.UStack:
		return v.stacks.text(dst, t, b, stackIndent)
	case schema.Hist, schema.LHist, schema.TSeries:
		return dst // only of maps, which draw them
	}
	if text, ok := v.named(dst, t, b); ok {
		return text
	}
	return appendNumber(dst, t, integer(t, b))
}

// named appends the values that stand for a name; ok is false for other kinds.
func (v *values) named(dst []byte, t *schema.Type, b []byte) (text []byte, ok bool) {
	switch t.Kind {
	case schema.KSym, schema.USym:
		if unsigned(b, 8) == 0 {
			return append(dst, '0'), true
		}
	}
	switch t.Kind {
	case schema.Inet:
		if t.Format != "" {
			return v.appendHost(dst, b), true
		}
		return appendInet(dst, b), true
	case schema.Names:
		return v.nameTable(t.Format).Append(dst, unsigned(b, 8)), true
	case schema.MAC:
		for i, c := range b[:6] {
			if i > 0 {
				dst = append(dst, ':')
			}
			dst = append(dst, "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
		return dst, true
	case schema.KSym:
		return append(dst, v.stacks.kernelSymbol(unsigned(b, 8))...), true
	case schema.USym:
		return append(dst, v.stacks.userSymbol(int(unsigned(b[8:], 4)), unsigned(b, 8))...), true
	case schema.Timestamp:
		at := v.clock.time(t.Clock, unsigned(b, 8))
		if t.UTC {
			at = at.UTC()
		}
		return appendStrftime(dst, t.Format, at, true), true
	case schema.CgroupPath:
		return v.appendTraced(dst, []byte(v.names.cgroup(unsigned(b, 8), t.Format))), true
	case schema.ProbeName:
		if i := unsigned(b, 4); i < uint64(len(v.script.ProbeNames)) {
			name := v.script.ProbeNames[i]
			if t.Format == schema.TargetFormat {
				name = schema.Target(name)
			}
			return append(dst, name...), true
		}
		return append(dst, '?'), true
	case schema.Username:
		return append(dst, v.names.user(uint32(unsigned(b, 4)))...), true
	case schema.Errno:
		return append(dst, schema.ErrnoText(int(int32(unsigned(b, 4))))...), true
	case schema.SignalName:
		return append(dst, schema.SignalText(int(int32(unsigned(b, 4))))...), true
	case schema.SyscallName:
		if name, ok := probe.SyscallName(int(unsigned(b, t.Size))); ok {
			return append(dst, name...), true
		}
		return append(dst, schema.UnknownSyscall...), true
	}
	return dst, false
}

// literal appends a constant of the script.
func (v *values) literal(dst []byte, t *schema.Type, n int64) []byte {
	if t == nil {
		return appendInt(dst, n)
	}
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(n)) // little endian: the low bytes come first
	return v.text(dst, t, b[:])
}

// minTrailer is the smallest size of a string whose missing NUL means that it was cut: shorter ones are names of fixed
// length, such as that of a task or of a disk, which the kernel may fill entirely.
const minTrailer = 64

func (v *values) stringText(dst []byte, t *schema.Type, b []byte) []byte {
	s := b[:t.Size]
	if i := bytes.IndexByte(s, 0); i >= 0 {
		dst = v.appendTraced(dst, s[:i])
		if v.filled(t, i) {
			dst = append(dst, v.script.Config.TruncTrailer...)
		}
		return dst
	}
	dst = v.appendTraced(dst, s)
	if t.Size >= minTrailer {
		dst = append(dst, v.script.Config.TruncTrailer...)
	}
	return dst
}

// taskName is the size of comm: the kernel cuts names of tasks itself.
const taskName = 16

// filled reports whether a string of n bytes has all that str() reads.
func (v *values) filled(t *schema.Type, n int) bool {
	return n == t.Size-1 && t.Size == v.script.Config.StrSize && t.Size != taskName
}

// isRecord tells tuples with named fields, (a = 1, b = 2), from those whose fields are numbered.
func isRecord(t *schema.Type) bool {
	return len(t.Fields) > 0 && t.Fields[0].Name != "" && t.Fields[0].Name != "0"
}

// tupleText appends the fields of a tuple without its parentheses: as the key of a map shows them.
func (v *values) tupleText(dst []byte, t *schema.Type, b []byte) []byte {
	for i := range t.Fields {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		f := &t.Fields[i]
		dst = v.text(dst, f.Type, b[min(f.Offset, len(b)):])
	}
	return dst
}

func (v *values) structText(dst []byte, fields []schema.Field, b []byte) []byte {
	dst = append(dst, "{ "...)
	for i := range fields {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, '.')
		dst = append(dst, fields[i].Name...)
		dst = append(dst, " = "...)
		if n, t, ok := bitField(&fields[i], b); ok {
			dst = appendNumber(dst, t, n)
		} else {
			dst = v.text(dst, fields[i].Type, b[min(fields[i].Offset, len(b)):])
		}
	}
	return append(dst, " }"...)
}

// bitField loads a field that is a part of an integer.
func bitField(f *schema.Field, b []byte) (n int64, t *schema.Type, ok bool) {
	if f.BitSize == 0 {
		return 0, nil, false
	}
	u := unsigned(b[min(f.Offset, len(b)):], f.Type.Size) >> f.BitOffset
	u &= 1<<f.BitSize - 1
	if f.Type.Signed && f.BitSize < 64 {
		return int64(u<<(64-f.BitSize)) >> (64 - f.BitSize), f.Type, true
	}
	return int64(u), f.Type, true
}

// key appends the key of a map as its brackets hold it: several parts without parentheses.
func (v *values) key(dst []byte, t *schema.Type, b []byte) []byte {
	if t.Kind == schema.Tuple && !isRecord(t) && len(b) >= t.Size {
		return v.tupleText(dst, t, b)
	}
	return v.text(dst, t, b)
}

func appendInet(dst, b []byte) []byte {
	if addr, ok := inetAddr(b); ok {
		return addr.AppendTo(dst)
	}
	return dst
}

func (v *values) nameTable(format string) *schema.NameTable {
	t := v.tables[format]
	if t == nil {
		t = schema.ParseNames(format)
		if v.tables == nil {
			v.tables = map[string]*schema.NameTable{}
		}
		v.tables[format] = t
	}
	return t
}
