package check

import (
	"fmt"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/schema"
)

// function is a builtin or function of the language.
type function struct {
	name     string
	usage    string // as it is shown when it is used wrongly
	min, max int    // number of arguments
	form     form
	check    func(c *checker, k *call) Expr
	// aggregate is the kind of value that the function puts into a map.
	aggregate schema.Kind
}

// form says how a function may be used. Its parts can be combined.
type form uint8

const (
	bare   form = 1 << iota // may be written without parentheses
	effect                  // does something: its value need not be used
	void                    // has no value
	unsafe                  // asks for --unsafe
	own                     // not bpftrace's: the name without parentheses may be a constant's
)

// call is one use of a function.
type call struct {
	at   diag.Span
	f    *function
	args []syntax.Expr
}

// functions is the whole language.
func functions() [][]function {
	return [][]function{builtins(), outputFunctions(), stringFunctions(), symbolFunctions(), mapFunctions(), typeFunctions(), taskFunctions(), rowFunctions(), viewFunctions(), nameFunctions()}
}

// function finds a function by name, or returns nil.
func (c *checker) function(name string) *function {
	if c.table == nil {
		c.table = functions()
	}
	for _, group := range c.table {
		for i := range group {
			if group[i].name == name {
				return &group[i]
			}
		}
	}
	return nil
}

func (c *checker) functionNames() []string {
	c.function("")
	var names []string
	for _, group := range c.table {
		for i := range group {
			names = append(names, group[i].name)
		}
	}
	for name := range c.macros {
		names = append(names, name)
	}
	return names
}

// ident checks a bare name: a parameter of a macro, a macro, a builtin, or a constant.
func (c *checker) ident(x *syntax.Ident) Expr {
	if arg := c.exprParam(x); arg != nil {
		var e Expr
		c.inCaller(func() { e = c.exprIn(arg, true) })
		return e
	}
	if c.macros[x.Name] != nil {
		return c.expand(x, x.Name, x.Span, nil)
	}
	if n, kind, ok := argName(x.Name); ok {
		return c.arg(x.Span, kind, n)
	}
	if f := c.function(x.Name); f != nil && (f.form&own == 0 || c.types.constant(x.Name) == nil) {
		if f.form&bare == 0 {
			c.list.Errorf(x.Span, "%s is a function: it is written with parentheses", x.Name).Hint = "such as " + f.usage
			return bad(x.Span)
		}
		return c.use(f, &call{at: x.Span, f: f})
	}
	if x.Name == "args" {
		c.list.Errorf(x.Span, "args is no value of its own").Hint = "args.name is one of the probe's arguments"
		return bad(x.Span)
	}
	if k := c.types.constant(x.Name); k != nil {
		return &Const{Node{x.Span, k.T}, k.Value}
	}
	d := c.list.Errorf(x.Span, "unknown name: %s", x.Name)
	names := c.functionNames()
	for n := range c.types.consts {
		names = append(names, n)
	}
	if value, ok := headerMacro(x.Name); ok {
		d.Hint = "headers are not read: write #define " + x.Name + " " + value
		return bad(x.Span)
	}
	switch near := diag.Nearest(x.Name, append(names, "args", "arg0", "arg1", "arg2")); {
	case c.scope.find("$"+x.Name) != nil:
		d.Hint = "did you mean $" + x.Name + "?"
	case c.maps["@"+x.Name] != nil:
		d.Hint = "did you mean @" + x.Name + "?"
	case near != "":
		d.Hint = "did you mean " + near + "?"
	}
	return bad(x.Span)
}

// headerMacro gives the value of what scripts often take from C headers, and the kernel's types do not have.
func headerMacro(name string) (value string, ok bool) {
	switch name {
	case "AF_UNSPEC":
		return "0", true
	case "AF_UNIX", "AF_LOCAL":
		return "1", true
	case "AF_INET":
		return "2", true
	case "AF_INET6":
		return "10", true
	case "AF_NETLINK":
		return "16", true
	case "AF_PACKET":
		return "17", true
	case "IPPROTO_TCP":
		return "6", true
	case "IPPROTO_UDP":
		return "17", true
	}
	return "", false
}

// argName reads arg0 … arg127 and sarg0 ….
func argName(name string) (n int, kind string, ok bool) {
	kind = "arg"
	if len(name) > 1 && name[0] == 's' {
		name, kind = name[1:], "sarg"
	}
	if len(name) < 4 || len(name) > 6 || name[:3] != "arg" {
		return 0, "", false
	}
	for _, b := range []byte(name[3:]) {
		if b < '0' || b > '9' {
			return 0, "", false
		}
		n = n*10 + int(b-'0')
	}
	return n, kind, true
}

// call checks name(args).
func (c *checker) call(x *syntax.Call) Expr {
	if c.macros[x.Name] != nil {
		return c.expand(x, x.Name, x.Span, x.Args)
	}
	f := c.function(x.Name)
	if f == nil {
		switch x.Name {
		case "typeinfo", "write_user", "skboutput", "socket_cookie", "unwatch": // of bpftrace's language
			c.list.Errorf(x.NameSpan, "%s() is not supported yet", x.Name)
			return bad(x.Span)
		}
		d := c.list.Errorf(x.NameSpan, "unknown function: %s", x.Name)
		if near := diag.Nearest(x.Name, c.functionNames()); near != "" {
			d.Hint = "did you mean " + near + "?"
		}
		return bad(x.Span)
	}
	return c.use(f, &call{at: x.Span, f: f, args: x.Args})
}

// use checks what all functions have in common, and then what is special to f.
func (c *checker) use(f *function, k *call) Expr {
	if f.aggregate != 0 {
		c.list.Errorf(k.at, "%s() must be assigned directly to a map", f.name).Hint = "such as @x = " + f.usage
		return bad(k.at)
	}
	if !c.countArgs(k) {
		return bad(k.at)
	}
	if f.form&unsafe != 0 && !c.Unsafe {
		c.list.Errorf(k.at, "%s() can do harm, and is only allowed with --unsafe", f.name)
		return bad(k.at)
	}
	return f.check(c, k)
}

func (c *checker) countArgs(k *call) bool {
	n := len(k.args)
	if n >= k.f.min && n <= k.f.max {
		return true
	}
	want := fmt.Sprint(k.f.min)
	switch {
	case k.f.max > 100 && n < k.f.min:
		want = fmt.Sprintf("at least %d", k.f.min)
	case k.f.max > k.f.min:
		want = fmt.Sprintf("%d to %d", k.f.min, k.f.max)
	}
	noun := "arguments"
	if want == "1" || want == "at least 1" {
		noun = "argument"
	}
	at := k.at
	if n > k.f.max {
		at = k.args[k.f.max].Pos().To(k.args[n-1].Pos())
	}
	c.list.Errorf(at, "%s() takes %s %s, not %d", k.f.name, want, noun, n).Hint = "it is used as " + k.f.usage
	return false
}

// The following methods check one argument each. They report an error and return a bad expression, or false.

func (c *checker) argError(k *call, i int, want string, x Expr) Expr {
	c.list.Errorf(x.Pos(), "argument %d of %s() must be %s, not %s", i+1, k.f.name, want, describe(x)).Hint = "it is used as " + k.f.usage
	return bad(x.Pos())
}

// describe says what an argument is.
func describe(x Expr) string {
	if isStr(x) {
		return "a string"
	}
	return TypeName(x.Type())
}

// intArg checks an integer.
func (c *checker) intArg(k *call, i int) Expr {
	x := c.expr(k.args[i])
	if isBad(x) || isNumber(x.Type()) {
		return x
	}
	if isCondition(x.Type()) && x.Type().Kind != schema.Pointer {
		return c.asNumber(x)
	}
	return c.argError(k, i, "an integer", x)
}

// constArg checks a constant integer.
func (c *checker) constArg(k *call, i int) (int64, bool) {
	x := c.expr(k.args[i])
	if isBad(x) {
		return 0, false
	}
	if n, ok := x.(*Const); ok && isNumber(n.T) {
		return n.Value, true
	}
	c.list.Errorf(x.Pos(), "argument %d of %s() must be a constant integer", i+1, k.f.name).Hint = "it is used as " + k.f.usage
	return 0, false
}

// constStr checks a constant string.
func (c *checker) constStr(k *call, i int) (string, bool) {
	x := c.expr(k.args[i])
	if s, ok := x.(*Str); ok {
		return s.Value, true
	}
	if !isBad(x) {
		c.list.Errorf(x.Pos(), "argument %d of %s() must be a constant string, not %s", i+1, k.f.name, TypeName(x.Type())).Hint = "it is used as " + k.f.usage
	}
	return "", false
}

// addressArg checks a pointer, or an integer that is an address.
func (c *checker) addressArg(k *call, i int) Expr {
	x := c.expr(k.args[i])
	switch t := x.Type(); {
	case isBad(x), t.Kind == schema.Pointer, t.Kind == schema.Int, t.Kind == schema.KSym:
		return x
	case isArrayPlace(x):
		return &AddrOf{Node{x.Pos(), pointerTo(t.Elem, spaceAt(x))}, x}
	}
	return c.argError(k, i, "a pointer", x)
}

// wordArg reads a name such as monotonic; ok is false if the argument is something else.
func wordArg(x syntax.Expr) (string, bool) {
	switch x := x.(type) {
	case *syntax.Ident:
		return x.Name, true
	case *syntax.StrLit:
		return x.Value, true
	}
	return "", false
}

// choice checks that an argument is one of some words.
func (c *checker) choice(k *call, i int, words ...string) (int, bool) {
	w, ok := wordArg(k.args[i])
	for n, o := range words {
		if ok && o == w {
			return n, true
		}
	}
	d := c.list.Errorf(k.args[i].Pos(), "argument %d of %s() must be one of %s", i+1, k.f.name, join(words))
	if near := diag.Nearest(w, words); ok && near != "" {
		d.Hint = "did you mean " + near + "?"
	}
	return 0, false
}

// result makes the call of a function with checked arguments.
func (k *call) result(t *schema.Type, args ...Expr) Expr {
	for _, a := range args {
		if isBad(a) {
			return bad(k.at)
		}
	}
	return &Call{Node: Node{k.at, t}, Fn: k.f.name, Args: args}
}

// constant makes an integer that is known now.
func (k *call) constant(v int64) Expr { return number(k.at, v) }

func (k *call) boolean(v bool) Expr { return &Const{Node{k.at, typeBool}, b2i(v)} }
