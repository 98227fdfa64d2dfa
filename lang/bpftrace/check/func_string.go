package check

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"skep/schema"
)

// stringFunctions work on strings, bytes and addresses of the network.
func stringFunctions() []function {
	return []function{
		{name: "str", usage: "str(pointer [, length])", min: 1, max: 2, check: checkStr},
		{name: "buf", usage: "buf(pointer [, length])", min: 1, max: 2, check: checkBuf},
		{name: "strlen", usage: "strlen(string)", min: 1, max: 1, check: checkStrlen},
		{name: "strncmp", usage: "strncmp(a, b, length)", min: 3, max: 3, check: checkStrncmp},
		{name: "strcontains", usage: "strcontains(text, part)", min: 2, max: 2, check: checkContains},
		{name: "strstr", usage: "strstr(text, part)", min: 2, max: 2, check: checkContains},
		{name: "strcap", usage: "strcap(string)", min: 1, max: 1, check: func(c *checker, k *call) Expr {
			if x := c.text(k, 0); !isBad(x) {
				return k.constant(int64(x.Type().Size))
			}
			return bad(k.at)
		}},
		{name: "str_concat", usage: "str_concat(a, b)", min: 2, max: 2, check: checkConcat},
		{name: "memcmp", usage: "memcmp(a, b, length)", min: 3, max: 3, check: checkMemcmp},
		{name: "strerror", usage: "strerror(errno)", min: 1, max: 1, check: named(typeErrno)},
		{name: "signal_name", usage: "signal_name(number)", min: 1, max: 1, check: named(typeSignal)},
		{name: "syscall_name", usage: "syscall_name(number)", min: 1, max: 1, check: named(typeSyscall)},
		{name: "ntop", usage: "ntop([family,] address)", min: 1, max: 2, check: checkNtop},
		{name: "pton", usage: `pton("127.0.0.1")`, min: 1, max: 1, check: checkPton},
		{name: "macaddr", usage: "macaddr(address)", min: 1, max: 1, check: checkMacaddr},
		{name: "bswap", usage: "bswap(integer)", min: 1, max: 1, check: checkBswap},
	}
}

// named is the check of functions that give a number a type by which it is shown as a name.
func named(t *schema.Type) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr {
		x := c.intArg(k, 0)
		if isBad(x) {
			return x
		}
		return &Convert{Node{k.at, t}, c.convert(x, intType(t.Size, t.Signed))}
	}
}

// limit checks the length argument of str and buf: a constant gives the size, anything else is an argument at run time.
func (c *checker) limit(k *call, most int) (size int, x Expr, ok bool) {
	if len(k.args) < 2 {
		return most, nil, true
	}
	x = c.intArg(k, 1)
	if isBad(x) {
		return 0, nil, false
	}
	n, isConst := x.(*Const)
	if !isConst {
		return most, c.convert(x, typeU64), true
	}
	if n.Value < 0 {
		c.list.Errorf(x.Pos(), "a length cannot be negative")
		return 0, nil, false
	}
	if n.Value > int64(most) {
		c.list.Warnf(x.Pos(), "the length %d is cut to %d", n.Value, most).Hint = "max_strlen in the config, or BPFTRACE_MAX_STRLEN, allows more"
		return most, nil, true
	}
	return int(n.Value), nil, true
}

func checkStr(c *checker, k *call) Expr {
	var x Expr
	if text, ok := c.paramText(k.args[0]); ok {
		x = c.str(k.args[0].Pos(), text)
	} else {
		x = c.expr(k.args[0])
	}
	size, length, ok := c.limit(k, c.config.StrSize())
	if isBad(x) || !ok {
		return bad(k.at)
	}
	t := x.Type()
	full := len(k.args) < 2
	room := max(size, 1) // a length counts the NUL, as bpftrace's does
	switch v := x.(type) {
	case *Str:
		if length == nil {
			s := v.Value
			if !full {
				s = s[:min(size, len(s))]
			}
			return c.str(k.at, s)
		}
	case *Const:
		if isLiteral(v) {
			return c.str(k.at, strconv.FormatInt(v.Value, 10))
		}
	}
	switch {
	case t.Kind == schema.String:
		if full || length == nil && room >= t.Size {
			return x
		}
		if length == nil {
			return &Convert{Node{k.at, stringType(room)}, x}
		}
		if !inMemory(x) {
			c.list.Errorf(k.args[1].Pos(), "a string that has been read already is cut at a constant length only")
			return bad(k.at)
		}
		x = &AddrOf{Node{x.Pos(), pointerTo(charType, spaceAt(x))}, x}
	case t.Kind == schema.Array && t.Elem.Size == 1 && inMemory(x):
		if t.Len > 0 && length == nil {
			room = min(room, t.Len+1)
		}
		x = &AddrOf{Node{x.Pos(), pointerTo(t.Elem, spaceAt(x))}, x}
	case t.Kind == schema.Array && t.Elem.Size == 1:
		return &Convert{Node{k.at, stringType(t.Size)}, x}
	case t.Kind == schema.Pointer || t.Kind == schema.Int:
	default:
		return c.argError(k, 0, "a pointer or a string", x)
	}
	args := []Expr{x}
	if length != nil {
		args = append(args, length)
	}
	return &Call{Node: Node{k.at, stringType(room)}, Fn: "str", Args: args, Index: room}
}

func checkBuf(c *checker, k *call) Expr {
	x := c.expr(k.args[0])
	size, length, ok := c.limit(k, c.config.MaxStrlen-4)
	if isBad(x) || !ok {
		return bad(k.at)
	}
	t := x.Type()
	switch t.Kind {
	case schema.Array, schema.String, schema.Struct:
		if len(k.args) < 2 {
			size = t.Size
			if size == 0 || size > maxSize-4 {
				c.list.Errorf(k.at, "buf() of an array of unknown length needs a length").Hint = "it is used as " + k.f.usage
				return bad(k.at)
			}
		} else if length == nil && t.Size > 0 {
			size = min(size, t.Size)
		}
		if inMemory(x) {
			x = &AddrOf{Node{x.Pos(), pointerTo(typeU8, spaceAt(x))}, x}
		}
	case schema.Pointer, schema.Int:
		if len(k.args) < 2 {
			if t.Kind == schema.Int {
				c.list.Errorf(k.at, "buf() of a pointer needs a length").Hint = "it is used as " + k.f.usage
				return bad(k.at)
			}
			c.list.Errorf(k.at, "buf() of a pointer needs a length").Hint = "it is used as " + k.f.usage
			return bad(k.at)
		}
	default:
		return c.argError(k, 0, "a pointer or an array", x)
	}
	args := []Expr{x}
	if length != nil {
		args = append(args, length)
	}
	return &Call{Node: Node{k.at, &schema.Type{Kind: schema.Buffer, Size: size + 4}}, Fn: "buf", Args: args, Index: size}
}

// text checks a string, or a pointer that is then read as one.
func (c *checker) text(k *call, i int) Expr {
	x := c.asText(c.expr(k.args[i]))
	t := x.Type()
	switch {
	case isBad(x), t.Kind == schema.String:
		return x
	case t.Kind == schema.Pointer && t.Elem != nil && t.Elem.Size == 1:
		room := c.config.StrSize()
		return &Call{Node: Node{x.Pos(), stringType(room)}, Fn: "str", Args: []Expr{x}, Index: room}
	}
	return c.argError(k, i, "a string", x)
}

func checkStrlen(c *checker, k *call) Expr {
	x := c.text(k, 0)
	if s, ok := x.(*Str); ok {
		return k.constant(int64(len(s.Value)))
	}
	return k.result(typeU64, x)
}

func checkStrncmp(c *checker, k *call) Expr {
	a, b := c.text(k, 0), c.text(k, 1)
	n, ok := c.constArg(k, 2)
	if !ok || isBad(a) || isBad(b) {
		return bad(k.at)
	}
	if n < 1 || n > int64(maxSize) {
		c.list.Errorf(k.args[2].Pos(), "the length of a comparison must be positive, not %d", n)
		return bad(k.at)
	}
	if s, ok := a.(*Str); ok {
		if t, ok := b.(*Str); ok {
			return k.constant(b2i(s.Value[:min(len(s.Value), int(n))] != t.Value[:min(len(t.Value), int(n))]))
		}
	}
	return &Call{Node: Node{k.at, typeI64}, Fn: "strncmp", Args: []Expr{a, b, &Const{Node{k.args[2].Pos(), typeU64}, n}}, Index: int(n)}
}

func checkContains(c *checker, k *call) Expr {
	t := typeBool
	if k.f.name == "strstr" {
		t = typeI64
	}
	x, y := c.text(k, 0), c.text(k, 1)
	if s, ok := x.(*Str); ok {
		if part, ok := y.(*Str); ok {
			at := strings.Index(s.Value, part.Value)
			if t == typeBool {
				return k.boolean(at >= 0)
			}
			if at < 0 {
				at = -int(unix.ENOENT) // as the kernel says
			}
			return k.constant(int64(at))
		}
	}
	return k.result(t, x, y)
}

func checkConcat(c *checker, k *call) Expr {
	a, b := c.text(k, 0), c.text(k, 1)
	if s, ok := a.(*Str); ok {
		if t, ok := b.(*Str); ok {
			return c.str(k.at, s.Value+t.Value)
		}
	}
	return k.result(stringType(c.config.StrSize()), a, b)
}

func checkMemcmp(c *checker, k *call) Expr {
	a, b := c.expr(k.args[0]), c.expr(k.args[1])
	n, ok := c.constArg(k, 2)
	if !ok || isBad(a) || isBad(b) {
		return bad(k.at)
	}
	if n < 1 || n > int64(maxSize) {
		c.list.Errorf(k.args[2].Pos(), "the length of a comparison must be positive, not %d", n)
		return bad(k.at)
	}
	for i, x := range []Expr{a, b} {
		switch t := x.Type(); t.Kind {
		case schema.Pointer:
		case schema.String, schema.Array, schema.Buffer, schema.Struct, schema.Int, schema.Inet, schema.MAC:
			if t.Size < int(n) && t.Kind != schema.Int {
				c.list.Errorf(x.Pos(), "argument %d of memcmp() has only %d bytes", i+1, t.Size)
				return bad(k.at)
			}
		default:
			return c.argError(k, i, "memory", x)
		}
	}
	return &Call{Node: Node{k.at, typeI32}, Fn: "memcmp", Args: []Expr{a, b, &Const{Node{k.args[2].Pos(), typeU64}, n}}, Index: int(n)}
}

func checkNtop(c *checker, k *call) Expr {
	args := []Expr{}
	if len(k.args) == 2 {
		args = append(args, c.intArg(k, 0))
	}
	last := len(k.args) - 1
	x := c.expr(k.args[last])
	t := x.Type()
	switch {
	case isBad(x), t.Kind == schema.Int:
	case (t.Kind == schema.Array || t.Kind == schema.String) && (t.Size == 4 || t.Size == 16):
	case t.Kind == schema.Pointer && len(k.args) == 2:
	case t.Kind == schema.Struct && (t.Size == 4 || t.Size == 16):
	default:
		d := c.list.Errorf(x.Pos(), "argument %d of ntop() must be an integer or an array of 4 or 16 bytes, not %s", last+1, TypeName(t))
		d.Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	return k.result(typeInet, append(args, x)...)
}

func checkPton(c *checker, k *call) Expr {
	s, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		c.list.Errorf(k.args[0].Pos(), "%q is no IP address", s)
		return bad(k.at)
	}
	b := a.AsSlice()
	t := &schema.Type{Kind: schema.Array, Size: len(b), Elem: typeU8, Len: len(b)}
	if len(b) == 4 {
		return &Convert{Node{k.at, t}, &Const{Node{k.at, typeU32}, int64(binary.LittleEndian.Uint32(b))}}
	}
	return &Convert{Node{k.at, t}, &Str{Node{k.args[0].Pos(), stringType(len(b) + 1)}, string(b)}}
}

func checkMacaddr(c *checker, k *call) Expr {
	x := c.expr(k.args[0])
	t := x.Type()
	switch {
	case isBad(x), t.Kind == schema.Pointer, t.Kind == schema.Int:
	case (t.Kind == schema.Array || t.Kind == schema.String) && t.Size == 6:
	default:
		return c.argError(k, 0, "a pointer or an array of 6 bytes", x)
	}
	return k.result(typeMAC, x)
}

func checkBswap(c *checker, k *call) Expr {
	x := c.intArg(k, 0)
	if isBad(x) {
		return x
	}
	t := intType(x.Type().Size, false)
	if t.Size == 1 {
		return c.convert(x, t)
	}
	if n, ok := x.(*Const); ok {
		v := bits.ReverseBytes64(uint64(n.Value)) >> (64 - 8*t.Size)
		return &Const{Node{k.at, t}, int64(v)}
	}
	return k.result(t, c.convert(x, t))
}
