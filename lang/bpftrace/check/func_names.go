package check

import (
	"fmt"
	"strings"

	"skep/schema"
)

// nameFunctions give values that user space shows as names.
func nameFunctions() []function {
	return []function{
		{name: "nameof", usage: `nameof(x, mask, value, "name" [, mask, value, "name" …] [, "no name"])`, min: 4, max: 256, form: own, check: checkNameof},
		{name: "dns_answer", usage: "dns_answer(pointer, length)", min: 2, max: 2, form: effect | void | own, check: checkDNSAnswer},
		{name: "dns_name", usage: "dns_name(ntop(…))", min: 1, max: 1, form: own, check: checkDNSName},
	}
}

// checkNameof is nameof(flags, 1 << 11, 1 << 11, "Sync-", 0xff, 1, "Write"): the names whose bits under the mask have the value. The
// table travels in the type.
func checkNameof(c *checker, k *call) Expr {
	x := c.intArg(k, 0)
	var table schema.NameTable
	rest := k.args[1:]
	for i := 0; i+2 < len(rest); i += 3 {
		mask, ok1 := c.foldedArg(k, i+1)
		value, ok2 := c.foldedArg(k, i+2)
		name, ok3 := c.constStr(k, i+3)
		if !ok1 || !ok2 || !ok3 {
			return bad(k.at)
		}
		if strings.ContainsRune(name, 0) {
			c.list.Errorf(rest[i+2].Pos(), "a name cannot contain NUL")
			return bad(k.at)
		}
		table.Names = append(table.Names, schema.MaskedName{Mask: uint64(mask), Value: uint64(value), Name: name})
	}
	switch len(rest) % 3 {
	case 1:
		name, ok := c.constStr(k, len(k.args)-1)
		if !ok {
			return bad(k.at)
		}
		table.Other = name
	case 2:
		c.list.Errorf(k.at, "each name needs a mask and a value").Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	if isBad(x) {
		return x
	}
	return &Convert{Node{k.at, &schema.Type{Kind: schema.Names, Size: 8, Format: table.String()}}, c.convert(x, typeU64)}
}

// foldedArg checks an integer that can be computed from constants, such as 1 << __REQ_SYNC.
func (c *checker) foldedArg(k *call, i int) (int64, bool) {
	x := c.intArg(k, i)
	if isBad(x) {
		return 0, false
	}
	v, ok := folded(x)
	if !ok {
		c.list.Errorf(x.Pos(), "argument %d of %s() must be a constant integer", i+1, k.f.name).Hint = "it is used as " + k.f.usage
	}
	return v, ok
}

// folded computes an expression of constants.
func folded(x Expr) (int64, bool) {
	switch x := x.(type) {
	case *Const:
		return x.Value, !isBad(x)
	case *Convert:
		if v, ok := folded(x.X); ok && x.T.Kind == schema.Int {
			return truncate(v, x.T), true
		}
	case *Unary:
		if v, ok := folded(x.X); ok {
			switch x.Op {
			case "-":
				return -v, true
			case "~":
				return ^v, true
			}
		}
	case *Binary:
		a, ok1 := folded(x.X)
		b, ok2 := folded(x.Y)
		if ok1 && ok2 {
			v, ok := foldUint(x.Op, uint64(a), uint64(b))
			return int64(v), ok
		}
	}
	return 0, false
}

// maxAnswer is how much of an answer is read. Resolvers take no more over UDP, but for one that asks for it.
const maxAnswer = 1232

// checkDNSAnswer sends what a name server has answered, so that dns_name() knows the addresses in it.
func checkDNSAnswer(c *checker, k *call) Expr {
	x, length := c.addressArg(k, 0), c.intArg(k, 1)
	if isBad(x) || isBad(length) {
		return bad(k.at)
	}
	t := &schema.Type{Kind: schema.Buffer, Size: maxAnswer + 4}
	buf := &Call{Node: Node{k.at, t}, Fn: "buf", Args: []Expr{x, c.convert(length, typeU64)}, Index: maxAnswer}
	return k.event(&schema.Event{Kind: schema.DNSAnswer}, buf)
}

// checkDNSName makes an address one that is shown as the name by which it was asked for.
func checkDNSName(c *checker, k *call) Expr {
	x := c.expr(k.args[0])
	if isBad(x) {
		return x
	}
	if x.Type().Kind != schema.Inet {
		return c.argError(k, 0, fmt.Sprintf("an address (%s)", TypeName(typeInet)), x)
	}
	t := *typeInet
	t.Format = "dns"
	return k.result(&t, x)
}
