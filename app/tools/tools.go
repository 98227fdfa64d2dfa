// Package tools makes commands of scripts: the header of a script is its manual and declares its flags.
//
// The scripts are embedded, by make in a compressed form (see [Pack]). Nothing is read of them until one is asked for.
package tools

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"skep/app/tools/spec"
	"skep/internal/diag"
)

// extension is that of scripts.
const extension = ".bt"

// prelude has the macros that all tools may use, owners the probes of those that call its macro.
const (
	prelude   = "prelude"
	owners    = "owners"
	ownersUse = "of_asked"
)

// shared reports whether the script of this name is a part of others.
func shared(name string) bool { return name == prelude || name == owners }

// Tool is a script with its header.
type Tool struct {
	Header
	Text string // of the whole script
}

// Exists reports whether there is a tool of this name.
func Exists(name string) bool {
	return !shared(name) && slices.Contains(scriptNames(), name)
}

// Names lists all tools in alphabetical order.
func Names() []string {
	return slices.DeleteFunc(scriptNames(), shared)
}

// Load reads the tool of that name.
func Load(name string) (*Tool, error) {
	text, ok := scriptText(name)
	if !ok || shared(name) {
		return nil, fmt.Errorf("there is no tool %s", name)
	}
	return Parse(name+extension, text)
}

// Parse reads a script that begins with a header. The name is that of its file.
func Parse(name, text string) (*Tool, error) {
	h, err := ParseHeader(&diag.Source{Name: name, Text: text})
	if err != nil {
		return nil, err
	}
	return &Tool{*h, text}, nil
}

// All loads every tool.
func All() ([]*Tool, error) {
	var all []*Tool
	for _, name := range Names() {
		t, err := Load(name)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// Nearest is the tool whose name is most like the given one, or "".
func Nearest(name string) string { return diag.Nearest(name, Names()) }

// Source is the script as it is compiled: with the shared macros behind it.
func (t *Tool) Source() *diag.Source {
	src := &diag.Source{Name: t.Name + ".bt", Text: t.Text}
	Complete(src)
	return src
}

// translated is the name of the part of the source that specifiers have become.
const translated = "probes"

// noHooks is what the checker says of a script that is left with nothing but timers.
const noHooks = "this kernel has none of the hooks"

// Trace adds to what is said of a tool's script: the specifier that lines have been made of, and what answers the question where the
// kernel lacks a hook. Of a script that is not shown, it names the flags instead.
func Trace(list *diag.List) {
	h, err := ParseHeader(&diag.Source{Name: list.Source.Name, Text: list.Source.Text})
	if err != nil {
		return // not a tool
	}
	for i := range list.All {
		d := &list.All[i]
		lacking := strings.Contains(d.Message, noHooks)
		if h.Instead != "" && (lacking || strings.Contains(d.Message, "is not available on this kernel")) {
			d.Hint = strings.TrimPrefix(d.Hint+"\n"+h.Instead, "\n")
		}
		if list.Source.Embedded {
			h.attribute(d, list.Source, lacking)
			continue
		}
		if d.Span == (diag.Span{}) || list.Source.File(d.Span.Start) != translated {
			continue
		}
		if from, to, ok := spec.Of(list.Source.Text, int(d.Span.Start)); ok {
			d.Related = append(d.Related, diag.Related{Span: diag.Span{Start: diag.Pos(from), End: diag.Pos(to)}, Message: "it is what this specifier has become"})
		}
	}
}

// attribute says of a script that is not shown what of the command line a message is about: a specifier or a flag.
func (h *Header) attribute(d *diag.Diagnostic, src *diag.Source, lacking bool) {
	at := d.Span
	about := h.Name
	switch {
	case lacking: // the hint has what was looked for
		d.Message = "there is none of the hooks that " + h.Name + " can use"
		return
	case at == (diag.Span{}):
		return
	case src.File(at.Start) == translated:
		if from, to, ok := spec.Of(src.Text, int(at.Start)); ok {
			about += ": " + src.Text[from:to]
		}
	default:
		for _, m := range parameter().FindAllStringSubmatch(src.Text[at.Start:at.End], -1) {
			if f := h.flag(m[1] + m[2]); f != nil {
				about += ": " + strings.Join(f.all(), "/")
				break
			}
		}
	}
	d.Message = about + ": " + d.Message
}

var parameter = pattern(`\$([a-z_]+)|getopt\("([a-z_]+)"`)

// Run is the source with the probes that a call of the tool asks for.
func (t *Tool) Run(call *Invocation) *diag.Source {
	src := t.Source()
	if call.Probes != "" {
		src.Add(translated, call.Probes)
	}
	return src
}

// Complete adds the shared macros to a script that is a tool. Other scripts stay as they are.
func Complete(src *diag.Source) {
	if !hasHeader(src.Text) || strings.Contains(src.Text, "macro filtered(") {
		return
	}
	parts := []string{prelude}
	if strings.Contains(src.Text, ownersUse) {
		parts = append(parts, owners)
	}
	for _, name := range parts {
		text, ok := scriptText(name)
		if !ok {
			panic("the script of all tools " + name + " is missing") // it is part of the binary
		}
		src.Add(name+extension, text)
	}
}

// filters reports whether the script drops events by the filters that all such tools have.
func (t *Tool) filters() bool {
	return strings.Contains(t.Text, "filtered(") || strings.Contains(t.Text, "unasked(") || strings.Contains(t.Text, ownersUse) || strings.Contains(t.Text, `getopt("self"`)
}

// List shows the tools by group with a line each.
func List() (string, error) {
	all, err := All()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, group := range groups() {
		members := slices.DeleteFunc(slices.Clone(all), func(t *Tool) bool { return t.Group != group })
		if len(members) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n", group)
		for _, t := range members {
			fmt.Fprintf(&b, "    %-14s %s\n", t.Name, t.About)
		}
	}
	return b.String(), nil
}

// Show is the script as it is run, shared macros included, and a line that tells how to run it by itself.
func (t *Tool) Show(call *Invocation) string {
	var b strings.Builder
	b.WriteString(t.Run(call).Text)
	b.WriteString("\n// skep")
	if call.PID != 0 {
		fmt.Fprintf(&b, " -p %d", call.PID)
	}
	if call.Command != nil {
		b.WriteString(" -c " + quote(strings.Join(call.Command, " ")))
	}
	fmt.Fprintf(&b, " %s.bt", t.Name)
	for _, arg := range call.Args {
		b.WriteString(" " + quote(arg))
	}
	named := maps.Clone(call.Params)
	delete(named, "self") // of this process, which ends now
	for i, name := range slices.Sorted(maps.Keys(named)) {
		if i == 0 {
			b.WriteString(" --")
		}
		b.WriteString(" " + quote("--"+name+"="+call.Params[name]))
	}
	b.WriteByte('\n')
	return b.String()
}

// quote quotes a word for the shell, if that is needed.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=/.,:@%+") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
