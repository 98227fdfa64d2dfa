package kernellog

import (
	"fmt"
	"strings"
)

// String is the explanation as people read it.
func (e *Explanation) String() string {
	var b strings.Builder
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "    %-6s %s\n", name, strings.ReplaceAll(text, "\n", "\n           "))
		}
	}
	if e.Text == "" {
		fmt.Fprintf(&b, "  %s\n", "the message is not known here")
	} else {
		fmt.Fprintf(&b, "  %s\n", e.Text)
	}
	row("kernel", e.Kernel)
	row("at", e.At.String())
	row("rule", e.Required())
	row("known", e.Known)
	name := "from"
	for _, c := range e.Path {
		row(name, c.Text+", "+c.Place.String())
		name = ""
	}
	row("do", e.Advice)
	if e.Partial {
		row("note", "the beginning of the log is missing; a larger log buffer tells more")
	}
	return b.String()
}

// String is the place with its source, "" if none is known.
func (p Place) String() string {
	if p.Insn < 0 {
		return ""
	}
	text := fmt.Sprintf("instruction %d", p.Insn)
	if p.File != "" {
		text += " (" + p.File + ")"
	}
	if p.Source != "" {
		return text + "  " + p.Source
	}
	if p.Code != "" {
		text += "  " + p.Code
	}
	return text
}
