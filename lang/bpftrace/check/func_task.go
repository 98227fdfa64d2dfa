package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// taskFunctions are about processes, control groups and the script's own parameters.
func taskFunctions() []function {
	return []function{
		{name: "cgroupid", usage: `cgroupid("/sys/fs/cgroup/…")`, min: 1, max: 1, check: checkCgroupID},
		{name: "cgroup_path", usage: "cgroup_path(id [, filter])", min: 1, max: 2, check: checkCgroupPath},
		{name: "path", usage: "path(struct path [, length])", min: 1, max: 2, check: checkPath},
		{name: "argv", usage: "argv(pointers [, first [, quoted [, most]]])", min: 1, max: 4, form: own, check: checkArgv},
		{name: "getopt", usage: `getopt("name" [, default [, description]])`, min: 1, max: 3, check: checkGetopt},
		{name: "target", usage: "target()", check: checkTarget},
		{name: "matches", usage: `matches("kprobe:vfs_*")`, min: 1, max: 1, form: own, check: checkMatches},
		{name: "has", usage: `has("tracepoint:block:block_io_start") or has("struct request.part")`, min: 1, max: 1, form: own, check: checkHas},
		{name: "signal", usage: `signal("KILL") or signal(9)`, min: 1, max: 1, form: effect | unsafe, check: checkSignal},
		{name: "signal_thread", usage: `signal_thread("KILL") or signal_thread(9)`, min: 1, max: 1, form: effect | unsafe, check: checkSignal},
		{name: "override", usage: "override(value)", min: 1, max: 1, form: effect | void | unsafe, check: checkOverride},
	}
}

func checkCgroupID(c *checker, k *call) Expr {
	path, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	if c.CgroupID == nil {
		return &Const{Node{k.at, typeU64}, 0}
	}
	id, err := c.CgroupID(path)
	if err != nil {
		c.list.Errorf(k.args[0].Pos(), "%q is no control group: %v", path, err)
		return bad(k.at)
	}
	return &Const{Node{k.at, typeU64}, int64(id)}
}

func checkCgroupPath(c *checker, k *call) Expr {
	t := typeCgroup
	if len(k.args) == 2 {
		filter, ok := c.constStr(k, 1)
		if !ok {
			return bad(k.at)
		}
		t = &schema.Type{Kind: schema.CgroupPath, Size: 8, Format: filter}
	}
	x := c.intArg(k, 0)
	if isBad(x) {
		return x
	}
	return &Convert{Node{k.at, t}, c.convert(x, typeU64)}
}

func checkPath(c *checker, k *call) Expr {
	switch c.block.kind {
	case probe.Begin, probe.End, probe.SelfSignal, probe.Interval, probe.Test, probe.Bench:
		return c.notHere(k, "path()", "kprobe, fentry, tracepoint, uprobe and other")
	}
	x := c.expr(k.args[0])
	size, length, ok := c.limit(k, c.config.MaxStrlen-1)
	if isBad(x) || !ok {
		return bad(k.at)
	}
	if length != nil {
		c.list.Errorf(k.args[1].Pos(), "the length of path() must be constant")
		return bad(k.at)
	}
	t := x.Type()
	switch {
	case t.Kind == schema.Pointer && t.Elem != nil && t.Elem.Kind == schema.Struct && t.Elem.Name == "path":
	case t.Kind == schema.Struct && t.Name == "path" && inMemory(x):
		x = &AddrOf{Node{x.Pos(), pointerTo(t, spaceAt(x))}, x}
	default:
		return c.argError(k, 0, "a struct path", x)
	}
	return &Call{Node: Node{k.at, stringType(size + 1)}, Fn: "path", Args: []Expr{x}, Index: size + 1}
}

// checkGetopt reads a named parameter: --name=value after "--". Without a default it is a flag.
func checkGetopt(c *checker, k *call) Expr {
	name, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	what := ""
	if len(k.args) == 3 {
		if what, ok = c.constStr(k, 2); !ok {
			return bad(k.at)
		}
	}
	c.wantParameter(name, what)
	text, given := c.Named[name]
	if len(k.args) == 1 {
		return c.boolOption(k, name, text, given, false)
	}
	def := c.expr(k.args[1])
	switch d := def.(type) {
	case *Str:
		if !given {
			text = d.Value
		}
		return c.str(k.at, text)
	case *Const:
		if isBad(d) {
			return d
		}
		if d.T.Kind == schema.Bool {
			return c.boolOption(k, name, text, given, d.Value != 0)
		}
		if !given {
			return &Const{Node{k.at, intType(8, d.Value < 0 || d.T.Kind == schema.Int && d.T.Signed && !isLiteral(d))}, d.Value}
		}
		v, ok := parseNumber(text)
		if !ok {
			c.list.Errorf(k.at, "--%s needs a number, not %q", name, text)
			return bad(k.at)
		}
		return &Const{Node{k.at, intType(8, v < 0 && strings.HasPrefix(text, "-"))}, v}
	}
	c.list.Errorf(def.Pos(), "the default of getopt() must be a constant").Hint = "it is used as " + k.f.usage
	return bad(k.at)
}

func (c *checker) wantParameter(name, what string) {
	if c.parameters == nil {
		c.parameters = map[string]string{}
	}
	if c.parameters[name] == "" {
		c.parameters[name] = what
	}
}

// checkOptions reports named parameters that no getopt asks for, and tells --help what there are.
func (c *checker) checkOptions(broken bool) {
	help := "the script has no parameters of its own"
	if len(c.parameters) > 0 {
		help = "the script's parameters are"
		for _, name := range slices.Sorted(maps.Keys(c.parameters)) {
			help += "\n--" + name
			if what := c.parameters[name]; what != "" {
				help += ": " + what
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Named)) {
		_, known := c.parameters[name]
		switch {
		case known:
		case name == "help":
			c.list.Errorf(diag.Span{}, "not run, because of --help").Hint = help
			return
		case broken || c.list.HasErrors(): // what is wrong with the script may have hidden its parameters
		default:
			c.list.Errorf(diag.Span{}, "the script has no parameter --%s", name).Hint = help
		}
	}
}

func (c *checker) boolOption(k *call, name, text string, given, def bool) Expr {
	if !given {
		return k.boolean(def)
	}
	switch strings.ToLower(text) {
	case "", "true", "1":
		return k.boolean(true)
	case "false", "0":
		return k.boolean(false)
	}
	c.list.Errorf(k.at, "--%s is true or false, not %q", name, text)
	return bad(k.at)
}

// paramText is the text of a positional parameter: str($1) is the parameter as it was given, even if it is a number.
func (c *checker) paramText(x syntax.Expr) (string, bool) {
	p, ok := c.resolveParam(x).(*syntax.PosParam)
	if !ok {
		return "", false
	}
	switch {
	case p.Index == 0:
		return strconv.Itoa(len(c.Args)), true
	case p.Index > len(c.Args):
		return "", true
	}
	return c.Args[p.Index-1], true
}

func checkSignal(c *checker, k *call) Expr {
	switch c.block.kind {
	case probe.Begin, probe.End, probe.Interval, probe.SelfSignal, probe.Test, probe.Bench:
		return c.notHere(k, k.f.name+"()", "kprobe, tracepoint, uprobe, profile and other")
	}
	x := c.expr(k.args[0])
	t := x.Type()
	switch s := x.(type) {
	case *Str:
		n, ok := signalNumber(s.Value)
		if !ok {
			c.list.Errorf(x.Pos(), "there is no signal %q", s.Value).Hint = `such as "TERM" or "SIGTERM"`
			return bad(k.at)
		}
		x = &Const{Node{x.Pos(), typeU32}, int64(n)}
	case *Const:
		if !isBad(s) && (s.Value < 1 || s.Value > 64) {
			c.list.Errorf(x.Pos(), "there is no signal %d", s.Value)
			return bad(k.at)
		}
	default:
		if !isBad(x) && t.Kind != schema.Int {
			return c.argError(k, 0, "a signal's name or number", x)
		}
	}
	return k.result(typeI64, x)
}

// signalNumber knows the signals of amd64 and arm64.
func signalNumber(name string) (int, bool) {
	names := strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU " +
		"URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS")
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	for i, n := range names {
		if n == name {
			return i + 1, true
		}
	}
	return 0, false
}

func checkOverride(c *checker, k *call) Expr {
	if c.block.kind != probe.Kprobe {
		return c.notHere(k, "override()", "kprobe")
	}
	x := c.intArg(k, 0)
	if isBad(x) {
		return x
	}
	return k.result(typeNone, c.convert(x, typeU64))
}
