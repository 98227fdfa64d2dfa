package check

import (
	"fmt"
	"strings"

	"skep/internal/diag"
	"skep/ir"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// Question is something that the script asked about the machine with has(), and the answer.
type Question struct {
	Name string
	Yes  bool
	Why  string // why not
}

// checkHas is has("probe"), has("probe.argument"), has("struct name.field"), has("enum name.constant") and has("helper name").
func checkHas(c *checker, k *call) Expr {
	name, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	names, ok := c.attachTexts(syntax.AttachPoint{Text: name, Span: k.args[0].Pos()})
	if !ok {
		return bad(k.at)
	}
	any := false
	for _, name := range names {
		any = c.has(name) || any
	}
	return k.boolean(any)
}

// checkMatches is how many points a probe's pattern stands for, as a constant.
func checkMatches(c *checker, k *call) Expr {
	pattern, ok := c.constStr(k, 0)
	if !ok {
		return bad(k.at)
	}
	n := 0
	if c.Catalog != nil {
		// What is wrong with the pattern is told where it is probed.
		points, _ := c.Catalog.Expand(pattern, probe.ExpandOptions{PID: c.PID, Max: c.config.MaxProbes, Unsafe: c.Unsafe})
		n = len(points)
	}
	return number(k.at, int64(n))
}

// has answers a question, once.
func (c *checker) has(name string) bool {
	for _, q := range c.questions {
		if q.Name == name {
			return q.Yes
		}
	}
	q := Question{Name: name}
	ask := func() (why string) {
		c.quietly(func() {
			if tag, rest, ok := strings.Cut(name, " "); ok {
				why = c.whyNoType(tag, strings.TrimSpace(rest))
			} else {
				why = c.whyNoProbe(name)
			}
		})
		return why
	}
	if c.Has != nil {
		q.Why = c.Has(name, ask)
	} else {
		q.Why = ask()
	}
	q.Yes = q.Why == ""
	c.questions = append(c.questions, q)
	return q.Yes
}

// whyNoType says why the kernel has no struct, union or enum, or a member of it; "" if it has it.
func (c *checker) whyNoType(tag, path string) string {
	if tag == "helper" {
		return c.whyNoHelper(path)
	}
	if tag != "struct" && tag != "union" && tag != "enum" {
		return fmt.Sprintf("has() knows struct, union, enum and helper, not %q", tag)
	}
	parts := strings.Split(path, ".")
	t := c.types.find(tag, parts[0])
	if t == nil {
		if why := c.types.noBTF(); why != "" {
			return why
		}
		return "the kernel has no " + tag + " " + parts[0]
	}
	for i, name := range parts[1:] {
		before := strings.Join(parts[:i+1], ".")
		if t.Kind == schema.Enum {
			for _, v := range t.Enum.Values {
				if v.Name == name {
					return ""
				}
			}
			return "enum " + before + " has no constant " + name
		}
		if t.Kind == schema.Pointer && t.Elem != nil {
			t = t.Elem
		}
		if t.Kind == schema.Struct {
			t = c.types.complete(t, diag.Span{})
		}
		if t == nil || t.Kind != schema.Struct {
			return tag + " " + before + " has no members"
		}
		f, ok := t.Def.Field(name)
		if !ok {
			return tag + " " + before + " has no member " + name
		}
		t = f.Type
	}
	return ""
}

// whyNoHelper says why the kernel has no function for programs of this name, among those that a script can do without.
func (c *checker) whyNoHelper(name string) string {
	features := map[string]ir.Feature{"for_each_map_elem": ir.ForEachMapElem, "d_path": ir.DPath, "loop": ir.Loop, "copy_from_user_task": ir.CopyFromUserTask}
	feature, known := features[name]
	switch {
	case !known:
		return fmt.Sprintf("has() does not know the helper %q", name)
	case c.Target == nil || !c.Target.Supports(feature):
		return "the kernel has no helper " + name
	}
	return ""
}

// maxAsked is how many of the points of a pattern are tried.
const maxAsked = 8

// whyNoProbe says why a probe cannot be used; "" if it can.
func (c *checker) whyNoProbe(name string) string {
	if c.Catalog == nil {
		return "nothing is known of the machine"
	}
	pattern, arg := splitArgument(name)
	points, err := c.Catalog.Expand(pattern, probe.ExpandOptions{PID: c.PID, Max: maxAsked, Unsafe: c.Unsafe})
	if err != nil {
		return err.Error()
	}
	why := "nothing matches"
	for _, p := range points[:min(len(points), maxAsked)] {
		if why = c.whyNoPoint(p, arg); why == "" {
			return ""
		}
	}
	return why
}

func (c *checker) whyNoPoint(p probe.Point, arg string) string {
	if c.Usable != nil {
		if err := c.Usable(p); err != nil {
			return err.Error()
		}
	}
	if arg == "" {
		return ""
	}
	args, err := c.argsOf(p)
	if err != nil {
		return err.Error()
	}
	for _, f := range args.Fields {
		if f.Name == arg {
			return ""
		}
	}
	return p.Name + " has no argument " + arg
}

// splitArgument cuts .argument off a probe that has named arguments.
func splitArgument(name string) (pattern, arg string) {
	switch provider, _, _ := strings.Cut(strings.ToLower(name), ":"); provider {
	case "tracepoint", "t", "rawtracepoint", "rt", "fentry", "f", "kfunc", "fexit", "fr", "kretfunc":
		if i := strings.LastIndexByte(name, '.'); i > strings.LastIndexByte(name, ':') {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// leaveOut reports whether a block's predicate is false on this machine and with these parameters, so that nothing of it is needed.
// Blocks that always can be attached stay, empty: a script may consist of them.
func (c *checker) leaveOut(p *syntax.Probe) bool {
	if p.Pred == nil || !c.asks(p.Pred) || len(p.Points) > 0 && isSpecial(p.Points[0].Text) {
		return false
	}
	value, known := c.decide(p.Pred)
	if !known || value {
		return false
	}
	c.drop(p.Pred)
	c.drop(p.Body)
	c.leftOut = append(c.leftOut, p)
	return true
}

func isSpecial(point string) bool {
	switch provider, _, _ := strings.Cut(strings.ToLower(point), ":"); provider {
	case "begin", "end", "self":
		return true
	}
	return false
}

// needsHook reports an error if a script that asked for hooks is left with nothing but timers.
func (c *checker) needsHook() {
	if len(c.leftOut) == 0 {
		return
	}
	for _, b := range c.blocks {
		switch b.kind {
		case probe.Begin, probe.End, probe.SelfSignal, probe.Interval, probe.Test, probe.Bench:
		default:
			return
		}
	}
	var at *syntax.Probe
	for _, p := range c.leftOut {
		if len(p.Points) == 0 {
			continue
		}
		if provider, _, _ := strings.Cut(p.Points[0].Text, ":"); provider != "interval" && provider != "i" {
			at = p
			break
		}
	}
	why := ""
	for _, q := range c.questions {
		if !q.Yes {
			why += "\n" + q.Name + ": " + q.Why
		}
	}
	if at != nil && why != "" {
		c.list.Errorf(attachSpan(at), "this kernel has none of the hooks that the script can use").Hint = "it looked for" + why
	}
}
