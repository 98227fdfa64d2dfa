package check

import (
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

const (
	defaultStackDepth = 127
	maxStackDepth     = 127
)

// symbolFunctions give stacks, names of addresses, addresses of names, and registers.
func symbolFunctions() []function {
	return []function{
		{name: "kstack", usage: "kstack, kstack(frames) or kstack(perf|bpftrace|raw, frames)", max: 2, form: bare, check: stack(schema.KStack, 8)},
		{name: "ustack", usage: "ustack, ustack(frames) or ustack(perf|bpftrace|raw, frames)", max: 2, form: bare, check: stack(schema.UStack, 16)},
		{name: "dw_ustack", usage: "dw_ustack, dw_ustack(frames) or dw_ustack(perf|bpftrace|raw, frames)", max: 2, form: bare, check: stack(schema.UStack, 16)},
		{name: "ksym", usage: "ksym(address)", min: 1, max: 1, check: checkKsym},
		{name: "usym", usage: "usym(address)", min: 1, max: 1, check: checkUsym},
		{name: "kaddr", usage: `kaddr("symbol")`, min: 1, max: 1, check: checkKaddr},
		{name: "percpu_kaddr", usage: `percpu_kaddr("symbol" [, cpu])`, min: 1, max: 2, check: checkPercpuKaddr},
		{name: "uaddr", usage: `uaddr("symbol")`, min: 1, max: 1, check: checkUaddr},
		{name: "reg", usage: `reg("ip")`, min: 1, max: 1, check: checkReg},
	}
}

func stack(kind schema.Kind, size int) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr {
		t := &schema.Type{Kind: kind, Size: size, StackMode: c.config.StackMode, StackDepth: defaultStackDepth, Unwound: k.f.name == "dw_ustack"}
		rest := 0
		if len(k.args) > 0 {
			if _, ok := k.args[0].(*syntax.Ident); ok && c.exprParam(k.args[0]) == nil && !c.isConstant(k.args[0]) {
				n, ok := c.choice(k, 0, "bpftrace", "perf", "raw", "build_id")
				if !ok {
					return bad(k.at)
				}
				t.StackMode = [...]string{"bpftrace", "perf", "raw", "build_id"}[n]
				rest = 1
			}
		}
		if len(k.args)-rest > 1 {
			c.list.Errorf(k.args[0].Pos(), "the mode of a stack must be one of bpftrace, perf, raw, build_id").Hint = "it is used as " + k.f.usage
			return bad(k.at)
		}
		if len(k.args) > rest {
			n, ok := c.constArg(k, rest)
			if !ok {
				return bad(k.at)
			}
			if n < 0 {
				c.list.Errorf(k.args[rest].Pos(), "a stack cannot have %d frames", n)
				return bad(k.at)
			}
			if n > 1024 {
				c.list.Errorf(k.args[rest].Pos(), "a stack has at most 1024 frames, not %d", n)
				return bad(k.at)
			}
			if n > maxStackDepth && !t.Unwound {
				c.list.Warnf(k.args[rest].Pos(), "the kernel gives at most %d frames", maxStackDepth)
				n = maxStackDepth
			}
			if n == 0 {
				n = 1
			}
			t.StackDepth = int(n)
		}
		return k.result(t)
	}
}

// isConstant reports whether a name is an enum constant.
func (c *checker) isConstant(x syntax.Expr) bool {
	id, ok := x.(*syntax.Ident)
	return ok && c.types.consts[id.Name] != nil
}

func checkKsym(c *checker, k *call) Expr {
	x := c.addressArg(k, 0)
	if isBad(x) {
		return x
	}
	return k.result(typeKSym, c.wide(x))
}

// wide makes a 64-bit integer of an address.
func (c *checker) wide(x Expr) Expr {
	if x.Type().Kind == schema.Int {
		return c.convert(x, typeU64)
	}
	return c.address(x)
}

func checkUsym(c *checker, k *call) Expr {
	x := c.addressArg(k, 0)
	if isBad(x) {
		return x
	}
	return k.result(typeUSym, c.wide(x))
}

func checkKaddr(c *checker, k *call) Expr {
	name, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	if c.KernelAddress == nil {
		return &Const{Node{k.at, typeU64}, 0}
	}
	addr, ok := c.KernelAddress(name)
	if !ok {
		c.list.Errorf(k.args[0].Pos(), "the kernel has no symbol %q", name)
		return bad(k.at)
	}
	return &Const{Node{k.at, typeU64}, int64(addr)}
}

func checkPercpuKaddr(c *checker, k *call) Expr {
	name, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	args := []Expr{&Str{Node{k.args[0].Pos(), stringType(len(name) + 1)}, name}}
	if len(k.args) == 2 {
		args = append(args, c.intArg(k, 1))
	}
	return k.result(typeU64, args...)
}

func checkUaddr(c *checker, k *call) Expr {
	name, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	if c.block.kind != probe.Uprobe && c.block.kind != probe.Uretprobe {
		return c.notHere(k, "uaddr", "uprobe and uretprobe")
	}
	if c.UserSymbol == nil || c.block.missing {
		return &Const{Node{k.at, pointerTo(typeU64, userSpace)}, 0}
	}
	at := c.block.points[0]
	addr, size, from, ok := c.UserSymbol(at.Binary, name, at.FileOffset)
	if !ok {
		c.list.Errorf(k.args[0].Pos(), "%s has no symbol %q", c.block.points[0].Binary, name)
		return bad(k.at)
	}
	if from != 0 {
		return c.movedSymbol(k, at, addr-from, size)
	}
	elem := typeU64
	switch size {
	case 1, 2, 4:
		elem = intType(int(size), false)
	}
	return &Const{Node{k.at, pointerTo(elem, userSpace)}, int64(addr)}
}

func checkReg(c *checker, k *call) Expr {
	name, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	t := typeU64
	switch c.block.kind {
	case probe.Kprobe, probe.Kretprobe, probe.Profile, probe.Software:
	case probe.Uprobe, probe.Uretprobe, probe.USDT:
		t = typeUser64
	default:
		return c.notHere(k, "reg()", "kprobe, kretprobe, uprobe, uretprobe, profile and software")
	}
	return k.result(t, &Str{Node{k.args[0].Pos(), stringType(len(name) + 1)}, name})
}

// movedSymbol is the address of a symbol of a file that is loaded somewhere else in each process: at a distance from the probe, which
// tells where that is.
func (c *checker) movedSymbol(k *call, at probe.Point, distance, size uint64) Expr {
	if len(c.block.points) != 1 || at.Kind != probe.Uprobe {
		c.list.Errorf(k.at, "uaddr() works in a uprobe on a single place only: %s is loaded at another address in each process", at.Binary)
		return bad(k.at)
	}
	register := "ip"
	if c.Target.Arch == "arm64" {
		register = "pc"
	}
	elem := typeU64
	if size == 1 || size == 2 || size == 4 {
		elem = intType(int(size), false)
	}
	t := &schema.Type{Kind: schema.Pointer, Size: 8, Elem: elem, User: true}
	here := &Call{Node: Node{k.at, typeUser64}, Fn: "reg", Args: []Expr{&Str{Node{k.at, stringType(len(register) + 1)}, register}}}
	return &Convert{Node{k.at, t}, &Binary{Node{k.at, typeU64}, "+", here, &Const{Node{k.at, typeU64}, int64(distance)}}}
}
