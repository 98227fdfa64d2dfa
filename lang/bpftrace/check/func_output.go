package check

import (
	"slices"
	"strconv"
	"strings"

	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// outputFunctions send events to user space.
func outputFunctions() []function {
	const act = effect | void
	return []function{
		{name: "printf", usage: `printf("format", arg, …)`, min: 1, max: 256, form: act, check: formatted(schema.Printf)},
		{name: "errorf", usage: `errorf("format", arg, …)`, min: 1, max: 256, form: act, check: formatted(schema.Errorf)},
		{name: "warnf", usage: `warnf("format", arg, …)`, min: 1, max: 256, form: act, check: formatted(schema.Warnf)},
		{name: "debugf", usage: `debugf("format", arg, …)`, min: 1, max: 4, form: act, check: checkDebugf},
		{name: "system", usage: `system("command format", arg, …)`, min: 1, max: 256, form: act | unsafe, check: formatted(schema.System)},
		{name: "cat", usage: `cat("path format", arg, …)`, min: 1, max: 256, form: act, check: formatted(schema.Cat)},
		{name: "print", usage: "print(value) or print(@map [, top [, div]])", min: 1, max: 3, form: act, check: checkPrint},
		{name: "clear", usage: "clear(@map)", min: 1, max: 1, form: act, check: wholeMap(schema.ClearMap)},
		{name: "zero", usage: "zero(@map)", min: 1, max: 1, form: act, check: wholeMap(schema.ZeroMap)},
		{name: "time", usage: `time() or time("%H:%M:%S\n")`, max: 1, form: act, check: checkTime},
		{name: "strftime", usage: `strftime("%H:%M:%S", nsecs [, "UTC"])`, min: 2, max: 3, check: checkStrftime},
		{name: "join", usage: `join(argv [, " "])`, min: 1, max: 2, form: act, check: checkJoin},
		{name: "exit", usage: "exit() or exit(code)", max: 1, form: act, check: checkExit},
	}
}

// event makes a call that sends an event.
func (k *call) event(e *schema.Event, args ...Expr) Expr {
	for _, a := range args {
		if isBad(a) {
			return bad(k.at)
		}
	}
	e.Span = k.at
	for _, a := range args {
		arg := schema.Arg{Type: a.Type()}
		switch a := a.(type) {
		case *Str:
			arg.Literal, arg.Text = true, a.Value
		case *Const:
			arg.Literal, arg.Number = true, a.Value
		case *MapArg:
			continue // the map is not sent
		}
		e.Args = append(e.Args, arg)
	}
	return &Call{Node: Node{k.at, typeNone}, Fn: k.f.name, Args: args, Event: e}
}

// formatted is the check of functions that take a format and its arguments.
func formatted(kind schema.EventKind) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr {
		format, ok := c.constStr(k, 0)
		args := make([]Expr, 0, len(k.args)-1)
		for _, a := range k.args[1:] {
			x := c.formatArg(a)
			if isBad(x) {
				ok = false
			}
			args = append(args, x)
		}
		if !ok {
			return bad(k.at)
		}
		verbs, ok := c.checkFormat(k, format, args)
		if !ok {
			return bad(k.at)
		}
		return k.event(&schema.Event{Kind: kind, Format: format, Verbs: verbs}, args...)
	}
}

// checkDebugf checks a line for the kernel's trace_pipe, which the kernel formats: it has no other conversions than these.
func checkDebugf(c *checker, k *call) Expr {
	format, ok := c.constStr(k, 0)
	args := []Expr{}
	for _, a := range k.args[1:] {
		args = append(args, c.asText(c.formatArg(a)))
	}
	if !ok || slices.ContainsFunc(args, isBad) {
		return bad(k.at)
	}
	verbs, ok := c.checkFormat(k, format, args)
	if !ok {
		return bad(k.at)
	}
	text := ""
	for _, v := range verbs {
		if v.Conv == "" {
			text += strings.ReplaceAll(v.Text, "%", "%%")
			continue
		}
		x := &args[v.Arg]
		t := (*x).Type()
		start := "%"
		if v.Minus {
			start += "-"
		}
		if v.Zero {
			start += "0"
		}
		if v.Width > 0 {
			start += strconv.Itoa(v.Width)
		}
		switch {
		case v.Conv == "s" && t.Kind == schema.String:
			text += start + "s"
		case v.Conv == "p":
			text += "0x" + start + "llx" // the kernel's own %p hides addresses
			*x = c.wide(*x)
		case strings.Contains("d i u x X", v.Conv) && isNumber(t):
			text += start + "ll" + v.Conv
			*x = c.convert(*x, intType(8, t.Signed))
		default:
			c.list.Errorf((*x).Pos(), "debugf() cannot show this: the kernel, which formats it, knows %%d %%i %%u %%x %%X and %%p of integers, and %%s of strings")
			return bad(k.at)
		}
	}
	return &Call{Node: Node{k.at, typeNone}, Fn: "debugf", Args: append([]Expr{c.str(k.args[0].Pos(), text)}, args...)}
}

// formatArg checks an argument of a format: everything that can be shown.
func (c *checker) formatArg(a syntax.Expr) Expr {
	x := c.expr(a)
	if isEmptyTuple(x.Type()) {
		c.list.Errorf(a.Pos(), "() has no value")
		return bad(a.Pos())
	}
	if t := x.Type(); !isBad(x) && t.Size > maxSize {
		c.list.Errorf(a.Pos(), "a value of %d bytes is too large to be sent", t.Size)
		return bad(a.Pos())
	}
	return x
}

func checkPrint(c *checker, k *call) Expr {
	ref, ok := k.args[0].(*syntax.MapRef)
	if !ok {
		if arg, isParam := c.resolveParam(k.args[0]).(*syntax.MapRef); isParam && arg.Keys == nil {
			ref, ok = arg, true
		}
	}
	if ok && ref.Keys == nil {
		return c.printMap(k, ref)
	}
	if len(k.args) > 1 {
		c.list.Errorf(k.args[1].Pos(), "only whole maps are printed with a limit").Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	if ok {
		if m := c.maps[c.mapRef(ref)]; m != nil && m.value.typ() != nil && isAggregate(m.value.typ().Kind) && aggregateResult(m.value.typ()) == nil {
			c.findMap(ref)
			c.list.Errorf(k.at, "a single value of type %s cannot be printed", TypeName(m.value.typ())).Hint = "print(" + m.Name + ") prints the whole map"
			return bad(k.at)
		}
	}
	x := c.formatArg(k.args[0])
	return k.event(&schema.Event{Kind: schema.PrintValue}, x)
}

// resolveParam follows parameters of macros to what the caller gave.
func (c *checker) resolveParam(x syntax.Expr) syntax.Expr {
	f := c.frame
	for f != nil {
		id, ok := x.(*syntax.Ident)
		if !ok {
			break
		}
		i := f.param(id.Name)
		if i < 0 {
			break
		}
		x, f = f.args[i], f.caller
	}
	return x
}

// mapArg checks an argument that must be a whole map. It returns nil if it is none.
func (c *checker) mapArg(k *call, i int) (*mapState, Expr) {
	ref, ok := c.resolveParam(k.args[i]).(*syntax.MapRef)
	if !ok {
		x := c.expr(k.args[i])
		if !isBad(x) {
			c.argError(k, i, "a map", x)
		}
		return nil, nil
	}
	if ref.Keys != nil {
		c.list.Errorf(ref.Span, "%s() takes a whole map, without key", k.f.name).Hint = "it is used as " + k.f.usage
		return nil, nil
	}
	m := c.findMap(ref)
	switch k.f.name {
	case "delete", "has_key", "find", "len":
		m.inside = &ref.Span
	}
	if m.value.typ() == nil {
		c.pending = true
		if c.final {
			c.undefinedMap(ref.Span, m)
			return nil, nil
		}
	}
	t := typeNone
	if v := m.value.typ(); v != nil {
		t = v
	}
	return m, &MapArg{Node{ref.Span, t}, m.Map}
}

func (c *checker) printMap(k *call, ref *syntax.MapRef) Expr {
	m, arg := c.mapArg(k, 0)
	if m == nil {
		return bad(k.at)
	}
	args := []Expr{arg}
	for i := 1; i < len(k.args); i++ {
		n, ok := c.constArg(k, i)
		if !ok {
			return bad(k.at)
		}
		if n < 0 || i == 2 && n == 0 {
			c.list.Errorf(k.args[i].Pos(), "%s of print() must be positive, not %d", [...]string{"", "the limit", "the divisor"}[i], n)
			return bad(k.at)
		}
		args = append(args, &Const{Node{k.args[i].Pos(), typeI64}, n})
	}
	if t := m.value.typ(); len(args) > 1 && t != nil {
		switch t.Kind {
		case schema.Stats:
			c.list.Warnf(k.at, "top and div of print() are ignored for maps of stats()")
		}
	}
	return k.event(&schema.Event{Kind: schema.PrintMap}, args...)
}

func wholeMap(kind schema.EventKind) func(*checker, *call) Expr {
	return func(c *checker, k *call) Expr {
		m, arg := c.mapArg(k, 0)
		if m == nil {
			return bad(k.at)
		}
		return k.event(&schema.Event{Kind: kind}, arg)
	}
}

func checkTime(c *checker, k *call) Expr {
	format := "%H:%M:%S\n"
	if len(k.args) == 1 {
		f, ok := c.constStr(k, 0)
		if !ok {
			return bad(k.at)
		}
		format = f
	}
	return k.event(&schema.Event{Kind: schema.Time, Format: format})
}

func checkStrftime(c *checker, k *call) Expr {
	format, ok := c.constStr(k, 0)
	x := c.intArg(k, 1)
	if !ok || isBad(x) {
		return bad(k.at)
	}
	t := &schema.Type{Kind: schema.Timestamp, Size: 8, Format: format, Clock: schema.Boot}
	if len(k.args) == 3 {
		zone, ok := c.constStr(k, 2)
		if ok && zone != "UTC" {
			c.list.Errorf(k.args[2].Pos(), "strftime() knows the time of the machine and that of UTC, not %q", zone)
			ok = false
		}
		if !ok {
			return bad(k.at)
		}
		t.UTC = true
	}
	if ts := x.Type(); ts.Kind == schema.Timestamp {
		t.Clock = ts.Clock
	}
	if n, isCall := x.(*Call); isCall && n.Fn == "nsecs" {
		switch n.Index {
		case 1:
			t.Clock = schema.Monotonic
		case 2, 3:
			t.Clock = schema.Wall
		}
	}
	return &Convert{Node{k.at, t}, c.convert(x, typeU64)}
}

func checkJoin(c *checker, k *call) Expr {
	sep := " "
	if len(k.args) == 2 {
		s, ok := c.constStr(k, 1)
		if !ok {
			return bad(k.at)
		}
		sep = s
	}
	x := c.addressArg(k, 0)
	if isBad(x) {
		return x
	}
	return &Call{Node: Node{k.at, typeNone}, Fn: "join", Args: []Expr{x}, Event: &schema.Event{Kind: schema.Join, Span: k.at, Format: sep}}
}

func checkExit(c *checker, k *call) Expr {
	e := &schema.Event{Kind: schema.Exit}
	if len(k.args) == 0 {
		return k.event(e)
	}
	x := c.intArg(k, 0)
	if isBad(x) {
		return x
	}
	return k.event(e, c.convert(x, typeI64))
}
