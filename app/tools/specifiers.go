package tools

import (
	"slices"
	"strings"

	"skep/app/tools/spec"
)

// regexpFlag is the parameter that makes regular expressions of a tool's specifiers. It is for us, not for the script.
const regexpFlag = "regexp"

func (h *Header) takesProbe() bool {
	return slices.ContainsFunc(h.Args, func(a Argument) bool { return a.Value.Kind == Probe || a.Value.Kind == Function })
}

// points translates specifiers of probes, which are regular expressions if the tool has a flag for that, and it is given.
func (c *command) points() error {
	parse := spec.ParsePoint
	if c.own.Params[regexpFlag] != "" && c.tool.takesProbe() {
		parse = spec.ParseRegexp
		delete(c.own.Params, regexpFlag)
	}
	for _, a := range c.tool.Args {
		text := c.own.Params[a.Name]
		if a.Value.Kind != Probe && a.Value.Kind != Function || text == "" {
			continue
		}
		p, err := parse(text)
		if err != nil {
			return err
		}
		c.own.Params[a.Name+"_entry"] = p.Entry()
		if a.Value.Kind == Function {
			if p.Return() == "" || p.Kind == 'r' {
				return c.fail("argument %s: %s is no function", a.Name, text)
			}
			c.own.Params[a.Name+"_return"] = p.Return()
		}
	}
	return nil
}

// repeat puts the name of a flag of specifiers before each that follows it, as in -C 'p::a()' 'p::b()'.
func (c *command) repeat(args []string) []string {
	var out []string
	flag := ""
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			flag = ""
			for _, f := range c.tool.Flags {
				if f.Kind == Distribution && slices.Contains(f.all(), a) {
					flag = a
				}
			}
			if flag != "" {
				continue
			}
		}
		if flag != "" {
			out = append(out, flag)
		}
		out = append(out, a)
	}
	return out
}

// distributions translates specifiers of counts and histograms.
func (c *command) distributions() error {
	var d spec.Distributions
	var needed []string
	given := 0
	for _, f := range c.tool.Flags {
		if f.Kind != Distribution {
			continue
		}
		needed = append(needed, f.all()[0])
		for _, text := range c.values[f.Param].values {
			given++
			add := d.Count
			if f.Param == "histogram" {
				add = d.Histogram
			}
			if err := add(text); err != nil {
				return err
			}
		}
	}
	if len(needed) > 0 && given == 0 {
		return c.fail("one of %s is needed", strings.Join(needed, " and "))
	}
	if given > 0 {
		c.own.Probes += d.Text()
	}
	return nil
}
