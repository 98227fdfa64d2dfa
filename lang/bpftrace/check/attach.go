package check

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// findProbes expands the attach points of all action blocks, and groups points with the same arguments.
func (c *checker) findProbes() {
	total := 0
	c.block, c.scope = &block{frames: map[frameKey]*frame{}}, &scope{} // of predicates that are decided here
	for _, p := range c.script.Probes {
		if c.leaveOut(p) {
			continue
		}
		points, ok := c.points(p)
		if !ok && len(points) == 0 {
			c.standIn(p)
			continue
		}
		total += len(points)
		if total > c.config.MaxProbes {
			c.list.Errorf(attachSpan(p), "the script has more than %d probes", c.config.MaxProbes).Hint =
				"max_probes in the config, or BPFTRACE_MAX_PROBES, allows more"
			return
		}
		c.group(p, points)
	}
	if len(c.script.Probes) == 0 && !c.list.HasErrors() {
		c.list.Errorf(diag.Span{}, "the script has no probes").Hint = "such as BEGIN { … }"
	}
	if !c.list.HasErrors() {
		c.needsHook()
	}
	if len(c.blocks) == 0 && !c.list.HasErrors() {
		if len(c.leftOut) > 0 {
			c.list.Errorf(attachSpan(c.leftOut[0]), "nothing is left to do: the predicates of all probes are false")
		} else {
			c.list.Errorf(diag.Span{}, "none of the script's probes exists")
		}
	}
}

func attachSpan(p *syntax.Probe) diag.Span {
	if len(p.Points) == 0 {
		return p.Span
	}
	return p.Points[0].Span.To(p.Points[len(p.Points)-1].Span)
}

// points expands the attach points of one block.
func (c *checker) points(p *syntax.Probe) ([]probe.Point, bool) {
	var points []probe.Point
	seen := map[string]bool{}
	good := true
	for _, ap := range p.Points {
		texts, ok := c.attachTexts(ap)
		if !ok || c.Catalog == nil {
			good = false
			continue
		}
		for _, text := range texts {
			// One more than is allowed is enough to know that there are too many.
			found, err := c.Catalog.Expand(text, probe.ExpandOptions{PID: c.PID, Max: c.config.MaxProbes + 1, Unsafe: c.Unsafe})
			if err != nil {
				if !c.attachError(ap, text, err) {
					good = false
				}
				continue
			}
			for _, pt := range found {
				if !seen[pt.Name] || pt.Kind == probe.Uprobe || pt.Kind == probe.Uretprobe || pt.Kind == probe.USDT {
					seen[pt.Name] = true
					points = append(points, pt)
				}
			}
		}
	}
	return points, good
}

// attachTexts is attachText for each combination of parameters that are lists: uprobe:$libs:malloc with --libs=a,b stands for two points.
func (c *checker) attachTexts(ap syntax.AttachPoint) (all []string, good bool) {
	for i := range len(ap.Text) {
		name := parameterName(ap.Text[i:])
		if name == "" {
			continue
		}
		value, ok := c.attachParameter(name)
		if !ok || !strings.Contains(value, ",") {
			continue
		}
		c.wantParameter(name, "")
		for part := range strings.SplitSeq(value, ",") {
			one := ap
			one.Text = ap.Text[:i] + part + ap.Text[i+1+len(name):]
			texts, ok := c.attachTexts(one)
			if !ok {
				return nil, false
			}
			all = append(all, texts...)
		}
		return all, true
	}
	text, good := c.attachText(ap)
	return []string{text}, good
}

// attachText puts the parameters into a probe's text: $1, and $name for what --name gives.
func (c *checker) attachText(ap syntax.AttachPoint) (string, bool) {
	if !strings.Contains(ap.Text, "$") {
		return ap.Text, true
	}
	var b strings.Builder
	for i := 0; i < len(ap.Text); i++ {
		if name := parameterName(ap.Text[i:]); name != "" {
			if value, ok := c.attachParameter(name); ok {
				c.wantParameter(name, "")
				b.WriteString(value)
				i += len(name)
				continue
			}
		}
		n, end := 0, i+1
		for end < len(ap.Text) && ap.Text[end] >= '0' && ap.Text[end] <= '9' && n < 1<<20 {
			n = n*10 + int(ap.Text[end]-'0')
			end++
		}
		if ap.Text[i] != '$' || end == i+1 {
			b.WriteByte(ap.Text[i])
			continue
		}
		if n < 1 || n > len(c.Args) {
			c.list.Errorf(ap.Span, "positional parameter $%d is not given", n).Hint = "parameters stand after the script on the command line"
			return "", false
		}
		b.WriteString(c.Args[n-1])
		i = end - 1
	}
	return b.String(), true
}

// attachParameter is the text of a named parameter: as it was given, or the default that a getopt() of the script has for it.
func (c *checker) attachParameter(name string) (string, bool) {
	if value, ok := c.Named[name]; ok {
		return value, true
	}
	if c.getopts == nil {
		c.findGetopts()
	}
	if known := c.getopts[name]; known == nil || len(known.Args) < 2 {
		return "", false
	}
	switch x := c.parameter(name).(type) {
	case *Str:
		return x.Value, true
	case *Const:
		return strconv.FormatInt(x.Value, 10), !isBad(x)
	}
	return "", false
}

// parameterName gives the name at the start of "$name…", "" if there is none.
func parameterName(text string) string {
	if text[0] != '$' {
		return ""
	}
	end := 1
	for end < len(text) && (text[end] == '_' || text[end] >= 'a' && text[end] <= 'z' || text[end] >= 'A' && text[end] <= 'Z' ||
		end > 1 && text[end] >= '0' && text[end] <= '9') {
		end++
	}
	return text[1:end]
}

// attachError reports that a probe cannot be expanded; it is true if the script can go on without it.
func (c *checker) attachError(ap syntax.AttachPoint, text string, err error) bool {
	at, message, hint := ap.Span, err.Error(), ""
	var pe *probe.Error
	if errors.As(err, &pe) {
		message, hint = pe.Message, pe.Hint
		if int(at.End-at.Start) == len(text) && pe.From >= 0 && pe.To > pe.From && pe.To <= len(text) && !strings.Contains(ap.Text, "$") {
			at = diag.Span{Start: at.Start + diag.Pos(pe.From), End: at.Start + diag.Pos(pe.To)}
		}
	}
	if errors.Is(err, probe.ErrNoMatch) {
		switch c.config.MissingProbes {
		case "ignore":
			return true
		case "warn":
			c.list.Warnf(at, "%s", message).Hint = hint
			return true
		}
	}
	c.list.Errorf(at, "%s", message).Hint = hint
	return false
}

// group makes blocks of points that have the same arguments, in the order of their first point.
func (c *checker) group(p *syntax.Probe, points []probe.Point) {
	var uses argUses
	uses.probe(c, p)
	byKey := map[string]*block{}
	for _, pt := range points {
		key := kindName(pt.Kind)
		var args Args
		var err error
		if uses.args || uses.retval && pt.Kind == probe.Fexit {
			if args, err = c.argsOf(pt); err == nil {
				key += argsKey(args)
			} else {
				key += err.Error()
			}
		} else {
			switch pt.Kind {
			case probe.Kretprobe:
				args.Retval = typeU64
			case probe.Uretprobe:
				args.Retval = typeUser64
			}
		}
		b := byKey[key]
		if b == nil {
			b = &block{probe: p, kind: pt.Kind, args: args, argsErr: err, frames: map[frameKey]*frame{}, vars: map[varKey]*variable{}}
			byKey[key] = b
			c.blocks = append(c.blocks, b)
		}
		b.points = append(b.points, pt)
	}
}

// standIn makes a block of a probe that does not exist, so that the other mistakes in it are reported, too.
func (c *checker) standIn(p *syntax.Probe) {
	for _, ap := range p.Points {
		if kind, ok := probe.KindOf(ap.Text); ok {
			c.blocks = append(c.blocks, &block{probe: p, kind: kind, missing: true, frames: map[frameKey]*frame{}, vars: map[varKey]*variable{}})
			return
		}
	}
}

// argsKey tells sets of arguments apart.
func argsKey(a Args) string {
	var b strings.Builder
	field := func(f schema.Field) {
		fmt.Fprintf(&b, " %s:%s@%d,%d,%d,%t,%t", f.Name, TypeName(f.Type), f.Offset, f.BitOffset, f.BitSize, f.DataLoc, f.Type.User)
	}
	for _, f := range a.Fields {
		field(f)
	}
	if a.Retval != nil {
		field(schema.Field{Name: "retval", Type: a.Retval, Offset: a.NParams})
	}
	return b.String()
}

// argUses finds out whether a block looks at args or retval. If not, its points need not be told apart, and where their
// arguments are need not be looked up.
type argUses struct{ args, retval bool }

func (u *argUses) probe(c *checker, p *syntax.Probe) {
	visit := func(n any) {
		switch n := n.(type) {
		case *syntax.Ident:
			u.args = u.args || n.Name == "args"
			u.retval = u.retval || n.Name == "retval"
		case *syntax.Call:
			u.retval = u.retval || n.Name == "retval" || n.Name == "returned"
		}
	}
	if p.Pred != nil {
		c.walkMacros(p.Pred, visit)
	}
	c.walkMacros(p.Body, visit)
}
