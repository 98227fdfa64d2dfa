package check

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// typeFunctions are answered while the script is checked, or only change a type.
func typeFunctions() []function {
	is := func(name string, holds func(Expr) bool) function {
		return function{name: name, usage: name + "(value)", min: 1, max: 1, check: func(c *checker, k *call) Expr {
			if t := c.argType(k, 0); t == nil {
				return bad(k.at)
			}
			x := c.exprIn(k.args[0], true)
			return k.boolean(holds(x))
		}}
	}
	ofKind := func(kinds ...schema.Kind) func(Expr) bool {
		return func(x Expr) bool {
			for _, kind := range kinds {
				if x.Type().Kind == kind {
					return true
				}
			}
			return false
		}
	}
	return []function{
		{name: "sizeof", usage: "sizeof(type) or sizeof(value)", min: 1, max: 1, check: checkSizeof},
		{name: "offsetof", usage: "offsetof(struct name, field)", min: 2, max: 2, check: checkOffsetof},
		{name: "kptr", usage: "kptr(pointer)", min: 1, max: 1, check: checkSpace(false)},
		{name: "uptr", usage: "uptr(pointer)", min: 1, max: 1, check: checkSpace(true)},
		{name: "container_of", usage: "container_of(pointer, struct name, field)", min: 3, max: 3, check: checkContainerOf},
		is("is_str", ofKind(schema.String)),
		is("is_ptr", ofKind(schema.Pointer)),
		is("is_array", ofKind(schema.Array)),
		is("is_integer", ofKind(schema.Int)),
		is("is_unsigned_integer", func(x Expr) bool { return x.Type().Kind == schema.Int && !x.Type().Signed }),
		is("is_literal", func(x Expr) bool { return isLiteral(x) || isStr(x) || isBoolConst(x) }),
		{name: "is_err", usage: "is_err(pointer)", min: 1, max: 1, check: checkIsErr},
		{name: "static_assert", usage: `static_assert(condition, "message")`, min: 1, max: 2, form: effect | void, check: checkStaticAssert},
		{name: "assert", usage: `assert(condition, "message")`, min: 1, max: 2, form: effect | void, check: checkAssert},
		{name: "fail", usage: `fail("format", constant, …)`, min: 1, max: 16, form: effect | void, check: checkFail},
		{name: "kfunc_exist", usage: `kfunc_exist("name")`, min: 1, max: 1, check: checkKfunc},
		{name: "kfunc_allowed", usage: `kfunc_allowed("name")`, min: 1, max: 1, check: checkKfunc},
	}
}

func isBoolConst(x Expr) bool {
	k, ok := x.(*Const)
	return ok && k.T.Kind == schema.Bool
}

// argType is the type of an argument that is a type or a value.
func (c *checker) argType(k *call, i int) *schema.Type {
	t := c.typeOf(k.args[i])
	if t != nil && t.Kind == schema.Struct {
		return c.types.complete(t, k.args[i].Pos())
	}
	return t
}

func checkSizeof(c *checker, k *call) Expr {
	t := c.argType(k, 0)
	if t == nil {
		return bad(k.at)
	}
	if s, ok := k.args[0].(*syntax.Call); ok && s.Name == "str" && len(s.Args) == 2 {
		// bpftrace counts a NUL behind the length that is asked for.
		if x, ok := c.exprIn(s, true).(*Call); ok && len(x.Args) == 1 {
			return k.constant(int64(t.Size) + 1)
		}
	}
	return k.constant(int64(t.Size))
}

func checkOffsetof(c *checker, k *call) Expr {
	t := c.argType(k, 0)
	if t == nil {
		return bad(k.at)
	}
	if t.Kind == schema.Pointer && t.Elem != nil {
		if t = c.types.complete(t.Elem, k.args[0].Pos()); t == nil {
			return bad(k.at)
		}
	}
	off, _, ok := c.offset(k, t, k.args[1])
	if !ok {
		return bad(k.at)
	}
	return k.constant(int64(off))
}

// offset finds where a field such as a.b lies in t.
func (c *checker) offset(k *call, t *schema.Type, path syntax.Expr) (int, *schema.Type, bool) {
	var names []*syntax.Field
	var first *syntax.Ident
	for x := path; first == nil; {
		switch f := x.(type) {
		case *syntax.Field:
			names = append(names, f)
			x = f.X
		case *syntax.Ident:
			first = f
		case *syntax.StrLit:
			first = &syntax.Ident{Span: f.Span, Name: f.Value}
		default:
			c.list.Errorf(path.Pos(), "%s() needs the name of a field", k.f.name).Hint = "it is used as " + k.f.usage
			return 0, nil, false
		}
	}
	names = append(names, &syntax.Field{Span: first.Span, X: first, Name: first.Name, NameSpan: first.Span})
	off := 0
	for i := len(names) - 1; i >= 0; i-- {
		for _, name := range strings.Split(names[i].Name, ".") {
			if t.Kind != schema.Struct {
				c.list.Errorf(names[i].NameSpan, "a value of type %s has no field %q", TypeName(t), name)
				return 0, nil, false
			}
			if t = c.types.complete(t, names[i].NameSpan); t == nil {
				return 0, nil, false
			}
			f, ok := t.Def.Field(name)
			if !ok {
				c.noField(names[i], TypeName(t), t.Def.Fields())
				return 0, nil, false
			}
			if f.BitSize > 0 {
				c.list.Errorf(names[i].NameSpan, "a bit field has no offset in bytes")
				return 0, nil, false
			}
			off += f.Offset
			t = f.Type
		}
	}
	return off, t, true
}

func checkSpace(user bool) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr {
		x := c.expr(k.args[0])
		t := x.Type()
		switch {
		case isBad(x):
			return x
		case t.Kind == schema.Pointer || t.Kind == schema.Int:
		case isArrayPlace(x):
			x = &AddrOf{Node{x.Pos(), pointerTo(t.Elem, spaceAt(x))}, x}
			t = x.Type()
		default:
			return c.argError(k, 0, "a pointer", x)
		}
		u := *t
		u.User, u.Either = user, false
		return &Convert{Node{k.at, &u}, x}
	}
}

func checkContainerOf(c *checker, k *call) Expr {
	x := c.addressArg(k, 0)
	t := c.argType(k, 1)
	if isBad(x) || t == nil {
		return bad(k.at)
	}
	off, _, ok := c.offset(k, t, k.args[2])
	if !ok {
		return bad(k.at)
	}
	p := pointerTo(t, spaceOf(x.Type()))
	back := &Binary{Node{k.at, typeU64}, "-", c.wide(x), &Const{Node{k.at, typeU64}, int64(off)}}
	return &Convert{Node{k.at, p}, back}
}

// checkIsErr compares with -4095, from which on addresses are error numbers.
func checkIsErr(c *checker, k *call) Expr {
	x := c.addressArg(k, 0)
	if isBad(x) {
		return x
	}
	return &Binary{Node{k.at, typeBool}, ">=", c.wide(x), &Const{Node{k.at, typeU64}, -4095}}
}

func checkStaticAssert(c *checker, k *call) Expr {
	x := c.condition(k.args[0], "condition")
	if isBad(x) {
		return x
	}
	n, ok := x.(*Const)
	if !ok {
		c.list.Errorf(x.Pos(), "the condition of static_assert() must be known before the script runs").Hint = "assert() looks at it while the script runs"
		return bad(k.at)
	}
	if n.Value == 0 {
		c.list.Errorf(k.at, "%s", c.assertion(k, "static assertion failed"))
		return bad(k.at)
	}
	return &Seq{Node: Node{k.at, typeNone}}
}

func (c *checker) assertion(k *call, message string) string {
	if len(k.args) == 2 {
		if s, ok := c.constStr(k, 1); ok {
			message += ": " + s
		}
	}
	return message
}

// checkAssert makes if (!condition) { errorf(message); exit(1); }.
func checkAssert(c *checker, k *call) Expr {
	cond := c.condition(k.args[0], "condition")
	if isBad(cond) {
		return cond
	}
	message := c.assertion(k, "assertion failed") + "\n"
	not := &Unary{Node{k.at, typeBool}, "!", cond}
	verbs := []schema.Verb{{Text: message, Width: -1, Precision: -1}}
	tell := &Call{Node: Node{k.at, typeNone}, Fn: "errorf", Event: &schema.Event{Kind: schema.Errorf, Span: k.at, Format: message, Verbs: verbs}}
	code := &Const{Node{k.at, typeI64}, 1}
	exit := &Call{Node: Node{k.at, typeNone}, Fn: "exit", Args: []Expr{code},
		Event: &schema.Event{Kind: schema.Exit, Span: k.at, Args: []schema.Arg{{Type: typeI64, Literal: true, Number: 1}}}}
	return &Seq{Node{k.at, typeNone}, []Stmt{&If{Span: k.at, Cond: not, Then: []Stmt{&Eval{k.at, tell}, &Eval{k.at, exit}}}}, nil}
}

func checkFail(c *checker, k *call) Expr {
	format, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	verbs, _, err := parseFormat(format)
	if err != nil {
		c.list.Errorf(k.args[0].Pos(), "%v", err)
		return bad(k.at)
	}
	message := ""
	for _, v := range verbs {
		if v.Conv == "" {
			message += v.Text
			continue
		}
		if v.Arg+1 >= len(k.args) {
			c.list.Errorf(k.at, "the format of fail() asks for more values than there are")
			return bad(k.at)
		}
		switch x := c.expr(k.args[v.Arg+1]).(type) {
		case *Const:
			message += fmt.Sprint(x.Value)
		case *Str:
			message += x.Value
		default:
			c.list.Errorf(x.Pos(), "fail() shows constants only")
			return bad(k.at)
		}
	}
	c.list.Errorf(k.at, "%s", strings.TrimSpace(message))
	return bad(k.at)
}

func checkKfunc(c *checker, k *call) Expr {
	name, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	if k.f.name == "kfunc_allowed" {
		return k.boolean(false) // programs are compiled without kfuncs
	}
	found := false
	if types := c.types.kernelTypes(); types != nil {
		_, err := types.Func(name)
		found = err == nil
	}
	return k.boolean(found)
}

// arg checks argN and sargN.
func (c *checker) arg(at diag.Span, kind string, n int) Expr {
	k := &call{at: at}
	if kind == "sarg" {
		c.list.Errorf(at, "sarg%d has been removed from the language", n).Hint = fmt.Sprintf(`*(reg("sp") + %d) reads the stack`, 8*(n+1))
		return bad(at)
	}
	t := typeU64
	switch c.block.kind {
	case probe.Kprobe:
	case probe.Uprobe:
		t = typeUser64
	case probe.USDT:
		if n >= c.usdtArgs() {
			c.list.Errorf(at, "arg%d does not exist: %s has %s", n, c.block.points[0].Name, countedArgs(c.usdtArgs()))
			return bad(at)
		}
		if c.usdtSigned(n) {
			t = typeUserSigned64
		} else {
			t = typeUser64
		}
		return &Call{Node: Node{at, t}, Fn: "arg", Index: n}
	case probe.RawTracepoint:
		if n > 11 {
			c.list.Errorf(at, "arg%d does not exist: raw tracepoints have at most 12 arguments, from arg0", n)
			return bad(at)
		}
		if have := c.rawArgs(); n >= have {
			c.list.Errorf(at, "arg%d does not exist: %s has %s", n, c.block.points[0].Name, countedArgs(have)).Hint =
				"skep -lv " + c.block.points[0].Name + " shows them"
			return bad(at)
		}
		return &Call{Node: Node{at, t}, Fn: "arg", Index: n}
	case probe.Fentry, probe.Fexit, probe.Tracepoint:
		c.notHere(k, fmt.Sprintf("arg%d", n), "kprobe, uprobe, usdt and rawtracepoint")
		c.list.All[len(c.list.All)-1].Hint = "args.name is an argument by its name"
		return bad(at)
	default:
		return c.notHere(k, fmt.Sprintf("arg%d", n), "kprobe, uprobe, usdt and rawtracepoint")
	}
	most := 6
	if c.Target.Arch == "arm64" {
		most = 8
	}
	if n >= most {
		c.list.Errorf(at, "arg%d is not in a register: there are arg0 to arg%d", n, most-1).Hint =
			fmt.Sprintf(`further arguments are on the stack: *(uint64 *)(reg("sp") + %d)`, 8*(n-most+1))
		return bad(at)
	}
	return &Call{Node: Node{at, t}, Fn: "arg", Index: n}
}

// usdtArgs is the number of arguments that each place of the block's USDT probes has; no number is too large if there are no such probes.
func (c *checker) usdtArgs() int {
	least := math.MaxInt
	for _, pt := range c.block.points {
		least = min(least, len(pt.USDT.Args))
	}
	return least
}

// usdtSigned is true for an argument that is a signed number at each place.
func (c *checker) usdtSigned(n int) bool {
	return !slices.ContainsFunc(c.block.points, func(pt probe.Point) bool { return !pt.USDT.Args[n].Signed })
}

// rawArgs is the number of arguments of the block's raw tracepoint, 12 if it is not known. Of several tracepoints, the kernel refuses
// those that have too few.
func (c *checker) rawArgs() int {
	if b := c.block; b.words == 0 {
		b.words = 12
		if len(b.points) == 1 {
			if proto, err := c.Catalog.Signature(b.points[0]); err == nil {
				b.words = len(proto.Params)
			}
		}
	}
	return c.block.words
}

func countedArgs(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "one argument, arg0"
	}
	return fmt.Sprintf("%d arguments, arg0 to arg%d", n, n-1)
}
