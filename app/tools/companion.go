package tools

import (
	"slices"
	"strconv"
	"strings"
)

// program takes what follows a flag of a whole command line, such as --exec, and returns what stands before it.
func (c *command) program(args []string) []string {
	g := c.values[c.tool.Header.Command]
	if g == nil || !g.flag.List {
		return args
	}
	for i, a := range args {
		if a == "--" {
			break
		}
		if slices.Contains(g.flag.all(), a) && i+1 < len(args) {
			g.values = slices.Clone(args[i+1:])
			return args[:i]
		}
	}
	return args
}

// companion is the process or the command that the tool lives with.
func (c *command) companion() error {
	if g := c.values[c.tool.Header.Command]; g != nil && len(g.values) > 0 {
		if c.own.Command = g.values; !g.flag.List {
			c.own.Command = strings.Fields(g.values[0])
		}
		delete(c.own.Params, g.flag.Param)
	}
	if text := c.own.Params[c.tool.Process]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return c.fail("%q is no number of a process", text)
		}
		c.own.PID = n
	}
	return nil
}
