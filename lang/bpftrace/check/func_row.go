package check

import (
	"regexp"

	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// rowFunctions are skep's own: what ready-made tools are written with. Their names belong to the script if it has macros or constants
// of the same name.
func rowFunctions() []function {
	const act = effect | void | own
	return []function{
		{name: "row", usage: `row("PID:%-7d COMM:%-16s PATH:%s", pid, comm, str(path))`, min: 2, max: 256, form: act, check: checkRow},
		{name: "count_rows", usage: `count_rows("PID:%-7d COMM:%-16s", pid, comm)`, min: 2, max: 256, form: act, check: checkRow},
		{name: "text", usage: `row("ADDR:%-20s", text("%s:%d", addr, port))`, min: 2, max: 256, form: own, check: textAlone},
		{name: "banner", usage: `banner("Tracing … Hit Ctrl-C to end.\n")`, min: 1, max: 256, form: act, check: checkBanner},
		{name: "refresh", usage: "refresh()", form: act, check: func(c *checker, k *call) Expr { return k.event(&schema.Event{Kind: schema.Refresh}) }},
		{name: "ratio", usage: "ratio(a, b)", min: 2, max: 2, form: own, check: checkRatio},
		{name: "number_in", usage: `number_in("/proc/meminfo", "Cached")`, min: 2, max: 2, form: own, check: checkNumberIn},
		{name: "words", usage: "words(pointer, length [, quoted [, most]])", min: 2, max: 4, form: own, check: checkWords},
		{name: "lines", usage: "lines(pointer, length [, hexadecimal])", min: 2, max: 3, form: own, check: checkLines},
		{name: "oneof", usage: `oneof(x, "80,443,8000-8100") or oneof(comm, "sh,bash")`, min: 2, max: 2, form: own, check: checkOneof},
		{name: "pinned", usage: `pinned("/sys/fs/bpf/…", cgroup)`, min: 2, max: 2, form: own, check: checkPinned},
		{name: "incgroup", usage: `incgroup("/sys/fs/cgroup/…")`, min: 1, max: 1, form: own, check: checkIncgroup},
	}
}

// checkRow is row("columns", value, …). The values of columns that are not shown are not looked at.
func checkRow(c *checker, k *call) Expr {
	columns, ok := c.columns(k, 0)
	if !ok {
		for _, a := range k.args[1:] {
			c.quietly(func() { c.expr(a) })
		}
		return bad(k.at)
	}
	if want := len(columns); want != len(k.args)-1 {
		c.list.Errorf(k.at, "the format of %s() has %s, but there %s", k.f.name, plural(want, "column"), given(len(k.args)-1)).Hint = "each column shows one value"
		return bad(k.at)
	}
	e := &schema.Event{Kind: schema.Row, Late: c.block.kind == probe.End, Counted: k.f.name == "count_rows"}
	e.Format, _ = c.constStr(k, 0)
	var args []Expr
	good := true
	for i, col := range columns {
		if col.numbered {
			c.list.Errorf(formatSpan(k.args[0], col.at), "numbers of parts stand only in print_table()").Hint = "the values of row() can be given in any order"
			return bad(k.at)
		}
		if col.Parts != nil {
			c.list.Errorf(formatSpan(k.args[0], col.at), "braces stand only in print_table(); text() makes one value of several for row()")
			return bad(k.at)
		}
		a := k.args[i+1]
		if shown, _ := c.shows(col.condition); !shown {
			c.drop(a)
			continue
		}
		x, ok := c.columnValue(k, i, &col, a, len(args))
		good = good && ok
		args = append(args, x...)
		if good && !c.matching(k, &col) {
			good = false
		}
		e.Columns = append(e.Columns, col.Column)
	}
	if !good {
		return bad(k.at)
	}
	return k.event(e, args...)
}

// columnValue checks the value of a column, which becomes the event's arguments from first on.
func (c *checker) columnValue(k *call, i int, col *column, a syntax.Expr, first int) (args []Expr, ok bool) {
	if call, isCall := c.resolveParam(a).(*syntax.Call); isCall && call.Name == "text" && c.macros["text"] == nil {
		if col.Verb.Conv != "s" || col.Scale != 0 {
			c.list.Errorf(formatSpan(k.args[0], col.at), "text() is shown by %%s")
			return nil, false
		}
		c.whereWritten(a, func() { col.Parts, args, ok = c.textParts(&callOf{c.function("text"), call}) })
		for j := range col.Parts {
			col.Parts[j].Arg += first
		}
		return args, ok
	}
	x := c.formatArg(a)
	if isBad(x) {
		return []Expr{x}, false
	}
	col.Verb.Arg = first
	return []Expr{x}, c.columnTakes(k, 0, col, x.Type(), a)
}

// columnTakes reports an error if a column's conversion does not show values of a type.
func (c *checker) columnTakes(k *call, format int, col *column, t *schema.Type, a syntax.Expr) bool {
	switch {
	case !takes(col.Verb.Conv, t):
		at := formatSpan(k.args[format], col.at)
		if a != nil {
			at = a.Pos()
		}
		c.list.Errorf(at, "column %s: %%%s does not show a value of type %s", col.Name, col.Verb.Conv, TypeName(t)).Hint = "write " + conversionFor(t)
		return false
	case col.Scale != 0 && !isNumber(t) && t.Kind != schema.Ratio:
		c.list.Errorf(formatSpan(k.args[format], col.at), "a value of type %s cannot be divided", TypeName(t))
		return false
	}
	return true
}

// matching finds the regular expression of a column.
func (c *checker) matching(k *call, col *column) bool {
	if col.match == "" {
		return true
	}
	x := c.parameter(col.match)
	if c.getopts[col.match] == nil {
		// No getopt() says what the parameter is: it is what is needed here.
		c.wantParameter(col.match, "")
		x = c.str(k.args[0].Pos(), c.Named[col.match])
	}
	s, ok := x.(*Str)
	if !ok {
		c.list.Errorf(formatSpan(k.args[0], col.at), "parameter %s of a column must be a string: a regular expression", col.match).Hint =
			`getopt("` + col.match + `", "") makes it one`
		return false
	}
	if _, err := regexp.Compile(s.Value); err != nil {
		c.list.Errorf(formatSpan(k.args[0], col.at), "--%s: %v", col.match, err)
		return false
	}
	col.Match = s.Value
	return true
}

// callOf is a call that stands in place of a value.
type callOf struct {
	f    *function
	call *syntax.Call
}

// textParts checks text("format", value, …).
func (c *checker) textParts(t *callOf) ([]schema.Verb, []Expr, bool) {
	k := &call{at: t.call.Span, f: t.f, args: t.call.Args}
	if !c.countArgs(k) {
		return nil, nil, false
	}
	return c.formatted(k)
}

// formatted checks a format, which is the first argument, with its values.
func (c *checker) formatted(k *call) (verbs []schema.Verb, args []Expr, ok bool) {
	format, ok := c.constStr(k, 0)
	for _, a := range k.args[1:] {
		x := c.formatArg(a)
		ok = ok && !isBad(x)
		args = append(args, x)
	}
	if ok {
		verbs, ok = c.checkFormat(k, format, args)
	}
	return verbs, args, ok
}

func textAlone(c *checker, k *call) Expr {
	c.list.Errorf(k.at, "text() stands only in row()").Hint = "it is used as " + k.f.usage
	return bad(k.at)
}

// checkBanner is printf() for people: it says nothing to programs that read JSON.
func checkBanner(c *checker, k *call) Expr {
	verbs, args, ok := c.formatted(k)
	if !ok {
		return bad(k.at)
	}
	format, _ := c.constStr(k, 0)
	return k.event(&schema.Event{Kind: schema.Printf, Format: format, Verbs: verbs, TextOnly: true}, args...)
}

// checkRatio is ratio(a, b): programs cannot divide but integers, so the numbers are kept and divided when they are shown.
func checkRatio(c *checker, k *call) Expr {
	a, b := c.intArg(k, 0), c.intArg(k, 1)
	if isBad(a) || isBad(b) {
		return bad(k.at)
	}
	signed := a.Type().Signed && !(isLiteral(a) && a.(*Const).Value >= 0) || b.Type().Signed && !(isLiteral(b) && b.(*Const).Value >= 0)
	t := intType(8, signed)
	return k.result(&schema.Type{Kind: schema.Ratio, Size: 16, Signed: signed}, c.convert(a, t), c.convert(b, t))
}

// checkNumberIn is a ratio of one to one, times what user space reads in a file when it is shown.
func checkNumberIn(c *checker, k *call) Expr {
	path, ok := c.constStr(k, 0)
	name, named := c.constStr(k, 1)
	if !ok || !named {
		return bad(k.at)
	}
	if path == "" || name == "" {
		c.list.Errorf(k.at, "number_in() needs a file and the name of a number in it").Hint = "it is used as " + k.f.usage
		return bad(k.at)
	}
	one := c.convert(number(k.at, 1), typeU64)
	return k.result(&schema.Type{Kind: schema.Ratio, Size: 16, Format: path + "\x00" + name}, one, one)
}

// maxWords is how much memory words() reads: with the rest of the event it must fit into the 32 KiB that a CPU's memory in a map has.
const maxWords = 8188

// checkWords is buf() of words that end with NUL, as the arguments of a process stand in its memory.
func checkWords(c *checker, k *call) Expr {
	x := c.addressArg(k, 0)
	length := c.intArg(k, 1)
	t := &schema.Type{Kind: schema.Buffer, Size: maxWords + 4, Format: "words"}
	if !c.wordsForm(k, 2, t) {
		return bad(k.at)
	}
	return c.memory(k, t, x, length)
}

// memory reads so many bytes of memory that are of a type of their own.
func (c *checker) memory(k *call, t *schema.Type, x, length Expr) Expr {
	if isBad(x) || isBad(length) {
		return bad(k.at)
	}
	if n, ok := length.(*Const); ok {
		if n.Value < 0 || n.Value > maxWords {
			c.list.Errorf(length.Pos(), "%s() reads at most %d bytes, not %d", k.f.name, maxWords, n.Value)
			return bad(k.at)
		}
		t.Size = int(n.Value) + 4
		return &Call{Node: Node{k.at, t}, Fn: "buf", Args: []Expr{x}, Index: t.Size - 4}
	}
	return &Call{Node: Node{k.at, t}, Fn: "buf", Args: []Expr{x, c.convert(length, typeU64)}, Index: maxWords}
}

// checkLines is buf() of text that has lines of its own, or of bytes that are shown in hexadecimal.
func checkLines(c *checker, k *call) Expr {
	x := c.addressArg(k, 0)
	length := c.intArg(k, 1)
	t := &schema.Type{Kind: schema.Buffer, Size: maxWords + 4, Format: "lines"}
	if len(k.args) > 2 {
		hex, ok := c.constCond(k, 2)
		if !ok {
			return bad(k.at)
		}
		if hex {
			t.Format = "hex"
		}
	}
	return c.memory(k, t, x, length)
}

// wordsForm checks the arguments from i on that tell how words are shown: quoted, and at most how many.
func (c *checker) wordsForm(k *call, i int, t *schema.Type) bool {
	if len(k.args) > i {
		quoted, ok := c.constCond(k, i)
		if !ok {
			return false
		}
		if quoted {
			t.Format = "quoted"
		}
	}
	if len(k.args) > i+1 {
		most, ok := c.constArg(k, i+1)
		if !ok {
			return false
		}
		if most < 0 {
			c.list.Errorf(k.args[i+1].Pos(), "the number of words cannot be negative").Hint = "0 stands for all"
			return false
		}
		t.Len = int(min(most, maxWords))
	}
	return true
}

// constCond checks a constant that is true or false.
func (c *checker) constCond(k *call, i int) (value, ok bool) {
	x := c.condition(k.args[i], "argument")
	if isBad(x) {
		return false, false
	}
	if value, ok = truth(x); !ok {
		c.list.Errorf(x.Pos(), "argument %d of %s() must be a constant", i+1, k.f.name).Hint = "it is used as " + k.f.usage
	}
	return value, ok
}
