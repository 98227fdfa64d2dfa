package check

import (
	"fmt"
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
)

// declareMacros collects the macros by name. Those of one name differ in the number or kinds of their parameters.
func (c *checker) declareMacros() {
	c.macros = map[string][]*syntax.Macro{}
	for _, m := range c.script.Macros {
		seen := map[string]bool{}
		for _, p := range m.Params {
			if seen[p.Name] {
				c.list.Errorf(p.Span, "macro %s has two parameters %s", m.Name, p.Name)
			}
			seen[p.Name] = true
		}
		for _, o := range c.macros[m.Name] {
			if sameParams(m, o) {
				c.list.Errorf(m.NameSpan, "macro %s is defined twice", m.Name).Related = []diag.Related{{Span: o.NameSpan, Message: "the first one"}}
			}
		}
		c.macros[m.Name] = append(c.macros[m.Name], m)
	}
}

func sameParams(a, b *syntax.Macro) bool {
	if len(a.Params) != len(b.Params) {
		return false
	}
	for i := range a.Params {
		if a.Params[i].Kind != b.Params[i].Kind {
			return false
		}
	}
	return true
}

// param returns the index of the parameter of that name, or -1.
func (f *frame) param(name string) int {
	for i, p := range f.macro.Params {
		if p.Name == name {
			return i
		}
	}
	return -1
}

// inCaller does something where the macro was called.
func (c *checker) inCaller(do func()) {
	f, s, l := c.frame, c.scope, c.loops
	c.frame, c.scope, c.loops = f.caller, f.scope, f.loops
	do()
	c.frame, c.scope, c.loops = f, s, l
}

// whereWritten does something where the argument that an expression stands for is written: outside of the macros that pass it on.
func (c *checker) whereWritten(x syntax.Expr, do func()) {
	if id, ok := x.(*syntax.Ident); ok && c.frame != nil {
		if i := c.frame.param(id.Name); i >= 0 {
			arg := c.frame.args[i]
			c.inCaller(func() { c.whereWritten(arg, do) })
			return
		}
	}
	do()
}

// expand checks the body of a macro in place of a call. node is the call, which tells this expansion from others.
func (c *checker) expand(node syntax.Expr, name string, at diag.Span, args []syntax.Expr) Expr {
	m := c.chooseMacro(name, at, args)
	if m == nil {
		return bad(at)
	}
	key := frameKey{c.frame, node}
	f := c.block.frames[key]
	if f == nil {
		f = &frame{macro: m, args: args, call: at, caller: c.frame}
		if c.frame != nil {
			f.depth = c.frame.depth + 1
		}
		c.block.frames[key] = f
	}
	if c.expansions++; c.expansions > maxExpansions {
		c.stop(at, fmt.Sprintf("macros expand to more than %d calls", maxExpansions))
		return bad(at)
	}
	if f.depth >= maxMacroDepth {
		c.stop(at, "macro "+name+" is nested too deeply: does it use itself?")
		return bad(at)
	}
	f.macro, f.args, f.scope, f.loops = m, args, c.scope, c.loops
	caller, scopeBefore, loops := c.frame, c.scope, c.loops
	before := len(c.list.All)
	c.frame, c.scope, c.loops = f, &scope{}, nil
	x := c.seq(at, m.Body)
	c.frame, c.scope, c.loops = caller, scopeBefore, loops
	for i := before; i < len(c.list.All); i++ {
		// What is wrong inside a macro may be the fault of the call.
		d := &c.list.All[i]
		if within(d.Span, m.Span) && len(d.Related) < 3 && !mentions(d.Related, at) {
			d.Related = append(d.Related, diag.Related{Span: at, Message: "macro " + name + " is used here"})
		}
	}
	return x
}

func mentions(list []diag.Related, at diag.Span) bool {
	for _, r := range list {
		if r.Span == at {
			return true
		}
	}
	return false
}

func within(a, b diag.Span) bool { return a.Start >= b.Start && a.End <= b.End }

// chooseMacro finds the macro whose parameters take these arguments.
func (c *checker) chooseMacro(name string, at diag.Span, args []syntax.Expr) *syntax.Macro {
	var best *syntax.Macro
	for _, m := range c.macros[name] {
		if len(m.Params) != len(args) || !c.paramsTake(m, args) {
			continue
		}
		// A parameter that takes only variables or maps is a better match than one that takes all.
		if best == nil || specific(m) > specific(best) {
			best = m
		}
	}
	if best == nil {
		var forms []string
		for _, m := range c.macros[name] {
			forms = append(forms, signature(m))
		}
		c.list.Errorf(at, "no macro %s takes these %d arguments", name, len(args)).Hint = "there is " + strings.Join(forms, " and ")
	}
	return best
}

func specific(m *syntax.Macro) int {
	n := 0
	for _, p := range m.Params {
		if p.Kind != syntax.ParamExpr {
			n++
		}
	}
	return n
}

func (c *checker) paramsTake(m *syntax.Macro, args []syntax.Expr) bool {
	for i, p := range m.Params {
		switch p.Kind {
		case syntax.ParamVar:
			if _, ok := args[i].(*syntax.Var); !ok {
				return false
			}
		case syntax.ParamMap:
			if r, ok := args[i].(*syntax.MapRef); !ok || r.Keys != nil {
				return false
			}
		}
	}
	return true
}

func signature(m *syntax.Macro) string {
	names := make([]string, len(m.Params))
	for i, p := range m.Params {
		names[i] = p.Name
	}
	return m.Name + "(" + strings.Join(names, ", ") + ")"
}
