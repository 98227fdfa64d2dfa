package tools

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"skep/internal/diag"
)

// Header is what the first comment of a script says.
type Header struct {
	Name        string
	About       string // one line
	Group       string
	Usage       string
	Description []string // lines
	Flags       []*Flag
	Args        []Argument
	Exclusive   [][]string // parameters of which only one may be given
	Process     string     // the parameter that is the process to attach to, and to live with, as skep's own -p; or ""
	Command     string     // the parameter that is a command to run, and to live with, as skep's own -c; or ""
	Instead     string     // what answers the question on a kernel that lacks the hooks; or ""
	Sections    []Section  // of free text, in order
}

// Flag is an option. It sets the script's named parameter Param.
type Flag struct {
	Long    []string // without dashes; the first gives the parameter its name
	Short   []string // letters
	Param   string
	Value   // Kind is Bool for a flag without value
	Help    string
	Default string // the value if the flag is not given; "" for none
}

// Value says what a flag or an argument takes.
type Value struct {
	Meta  string // as the manual shows it, such as PID
	Kind  Kind
	List  bool     // several, given together with commas or one after the other
	Words []string // of a Choice
}

// Kind is the kind of one value.
type Kind uint8

const (
	Bool         Kind = iota // none: the flag is there or not
	Text                     // anything
	Integer                  // a number that is not negative
	User                     // a number, or a user's name
	Disk                     // a block device, by name or path
	Errno                    // the number of an error, or its name
	Choice                   // one of the words
	Addition                 // word:value, which is added to the list of the flag of that name
	Probe                    // BCC's specifier of a probe: the parameter NAME_entry is the attach point
	Event                    // BCC specifier of what trace shows: it becomes a probe of the script
	Distribution             // BCC specifier of what argdist counts: it becomes probes of the script
	Function                 // of a function: NAME_return is the attach point of its return, too
)

// Argument is a positional argument. It sets the named parameter Name.
type Argument struct {
	Name     string
	Value    Value
	Required bool
	Default  string
}

// Section is a part of free text, such as "examples".
type Section struct {
	Title string
	Lines []string // without the indentation that all of them have
}

// groups are the rooms of the list of tools.
func groups() []string {
	return []string{"processes", "files", "block", "scheduler", "network", "memory", "libraries", "kernel", "any program"}
}

func freeSections() []string { return []string{"columns", "examples", "hooks", "notes"} }

// kindOf gives the kind of a value by its name; of others it is Text.
var kindOf = sync.OnceValue(func() map[string]Kind {
	kinds := map[string]Kind{
		"UID": User, "DISK": Disk, "ERRNO": Errno, "PROBE": Probe, "SPECIFIER": Distribution, "EVENT": Event, "FUNCTION": Function,
	}
	for _, number := range []string{"N", "PID", "TID", "HZ", "SECONDS", "BYTES", "US", "MS", "NS", "PORT", "CPU", "DEPTH"} {
		kinds[number] = Integer
	}
	return kinds
})

// hasHeader reports whether the text begins like a tool.
func hasHeader(text string) bool {
	rest, ok := strings.CutPrefix(text, "/*\n")
	if !ok {
		return false
	}
	_, rest, ok = strings.Cut(rest, "\n")
	return ok && strings.HasPrefix(rest, "group: ")
}

// headerParser walks over the lines of a header. Each keeps its place in the file for the diagnostics.
type headerParser struct {
	list  *diag.List
	lines []line
	h     *Header
}

type line struct {
	text string
	at   diag.Pos
}

// ParseHeader reads the header of a script. The error is a *diag.List.
func ParseHeader(src *diag.Source) (*Header, error) {
	p := &headerParser{list: &diag.List{Source: src}, h: &Header{}}
	end := strings.Index(src.Text, "*/")
	if !strings.HasPrefix(src.Text, "/*\n") || end < 0 {
		p.list.Errorf(diag.Span{Start: 0, End: 2}, "a tool begins with its header, a comment: /* on a line of its own")
		return nil, p.list
	}
	at := diag.Pos(3)
	for text := range strings.SplitSeq(src.Text[3:end], "\n") {
		p.lines = append(p.lines, line{strings.TrimRight(text, " "), at})
		if strings.Contains(text, "\t") {
			p.fail(p.lines[len(p.lines)-1], "no tabs in a header")
		}
		at += diag.Pos(len(text) + 1)
	}
	p.top(strings.TrimSuffix(src.Name[strings.LastIndexByte(src.Name, '/')+1:], ".bt"))
	p.sections()
	p.finish()
	if p.list.HasErrors() {
		return nil, p.list
	}
	return p.h, nil
}

func (p *headerParser) fail(l line, format string, args ...any) *diag.Diagnostic {
	return p.list.Errorf(diag.Span{Start: l.at, End: l.at + diag.Pos(max(1, len(l.text)))}, format, args...)
}

func (p *headerParser) next() line {
	if len(p.lines) == 0 {
		return line{at: diag.Pos(max(0, len(p.list.Source.Text)-1))}
	}
	l := p.lines[0]
	p.lines = p.lines[1:]
	return l
}

// top reads the lines that each header has: name, group, usage, description.
func (p *headerParser) top(file string) {
	l := p.next()
	name, about, ok := strings.Cut(l.text, ": ")
	if !ok || about == "" || name != file {
		p.fail(l, "the first line of the header is %q and what the tool does", file+": ")
	}
	p.h.Name, p.h.About = name, about
	p.h.Group, l = p.field("group")
	if !slices.Contains(groups(), p.h.Group) {
		p.fail(l, "group %q is none of %s", p.h.Group, strings.Join(groups(), ", "))
	}
	p.h.Usage, l = p.field("usage")
	if word, _, _ := strings.Cut(p.h.Usage, " "); word != name {
		p.fail(l, "the usage begins with the tool's name")
	}
	if l := p.next(); l.text != "" {
		p.fail(l, "an empty line separates the usage from the description")
	}
	for len(p.lines) > 0 && !isTitle(p.lines[0].text) {
		p.h.Description = append(p.h.Description, p.next().text)
	}
	p.h.Description = trimBlank(p.h.Description)
	if len(p.h.Description) == 0 {
		p.fail(l, "a description follows the usage")
	}
}

func (p *headerParser) field(name string) (string, line) {
	l := p.next()
	text, ok := strings.CutPrefix(l.text, name+": ")
	if !ok || text == "" {
		p.fail(l, "this line of the header is %q", name+": …")
	}
	return text, l
}

var title = pattern(`^[a-z]+:( |$)`)

func isTitle(text string) bool { return title().MatchString(text) }

func trimBlank(lines []string) []string {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func (p *headerParser) sections() {
	seen := map[string]bool{}
	for len(p.lines) > 0 {
		head := p.next()
		name, rest, _ := strings.Cut(head.text, ":")
		rest = strings.TrimSpace(rest)
		var body []line
		for len(p.lines) > 0 && !isTitle(p.lines[0].text) {
			body = append(body, p.next())
		}
		if seen[name] && name != "exclusive" && name != "values" {
			p.fail(head, "there are two sections %q", name)
		}
		seen[name] = true
		switch {
		case name == "flags":
			p.flags(body)
		case name == "arguments":
			p.arguments(head, rest)
		case name == "exclusive":
			p.h.Exclusive = append(p.h.Exclusive, splitList(rest))
			p.exclusive(head, splitList(rest))
		case name == "values":
			for _, l := range body {
				rest += " " + strings.TrimSpace(l.text)
			}
			p.words(head, rest)
		case name == "process" || name == "command":
			if p.h.flag(rest) == nil {
				p.fail(head, "there is no flag %q (flags stand before this line)", rest)
			}
			*map[string]*string{"process": &p.h.Process, "command": &p.h.Command}[name] = rest
		case name == "instead":
			for _, l := range body {
				rest += " " + strings.TrimSpace(l.text)
			}
			p.h.Instead = strings.TrimSpace(rest)
		case slices.Contains(freeSections(), name):
			p.h.Sections = append(p.h.Sections, Section{name, freeText(rest, body)})
		default:
			p.fail(head, "unknown section %q", name).Hint = "there are flags, values, arguments, exclusive, process, command, instead, " + strings.Join(freeSections(), ", ")
		}
	}
}

func splitList(text string) []string {
	var words []string
	for word := range strings.SplitSeq(text, ",") {
		words = append(words, strings.TrimSpace(word))
	}
	return words
}

// freeText takes away the indentation that all lines have.
func freeText(first string, body []line) []string {
	indent := 1 << 10
	for _, l := range body {
		if l.text != "" {
			indent = min(indent, len(l.text)-len(strings.TrimLeft(l.text, " ")))
		}
	}
	var lines []string
	if first != "" {
		lines = append(lines, first)
	}
	for _, l := range body {
		lines = append(lines, l.text[min(indent, len(l.text)):])
	}
	return trimBlank(lines)
}

var flagLine = pattern(`^ {2,6}(-\S.*?)(?: {2,}(\S.*))?$`)

func (p *headerParser) flags(body []line) {
	for _, l := range body {
		if l.text == "" {
			continue
		}
		m := flagLine().FindStringSubmatch(l.text)
		switch {
		case m != nil:
			f := p.flag(l, m[1])
			f.Help = m[2]
			p.h.Flags = append(p.h.Flags, f)
		case strings.HasPrefix(l.text, "        ") && len(p.h.Flags) > 0:
			f := p.h.Flags[len(p.h.Flags)-1]
			f.Help = strings.TrimSpace(f.Help + " " + strings.TrimSpace(l.text))
		default:
			p.fail(l, "a flag is written as %q", "  -x, --long-name VALUE   what it does")
		}
	}
}

var names = pattern(`^(?:-([A-Za-z0-9])|--([A-Za-z][A-Za-z0-9_-]+))$`)

// flag reads "-m, --max-args N=20".
func (p *headerParser) flag(l line, spec string) *Flag {
	f := &Flag{}
	for i, part := range strings.Split(spec, ", ") {
		name, value, hasValue := strings.Cut(part, " ")
		m := names().FindStringSubmatch(name)
		if m == nil {
			p.fail(l, "%q is no name of a flag", name)
			return f
		}
		if m[1] != "" {
			f.Short = append(f.Short, m[1])
		} else {
			f.Long = append(f.Long, m[2])
		}
		if hasValue {
			if i != strings.Count(spec, ", ") {
				p.fail(l, "the value stands behind the last name")
			}
			value, f.Default, _ = strings.Cut(value, "=")
			f.Value = valueOf(value)
			if f.Default != "" && f.check(f.Default) != nil {
				p.fail(l, "the default %q is no %s", f.Default, f.Meta)
			}
		}
	}
	f.Param = strings.ReplaceAll(append(slices.Clone(f.Long), f.Short...)[0], "-", "_")
	return f
}

// valueOf reads the name of a value: "PID", "PORT,...", "FLAG...", "text|json".
func valueOf(meta string) Value {
	v := Value{Meta: meta}
	if base, ok := strings.CutSuffix(meta, "..."); ok {
		meta, v.List = strings.TrimSuffix(base, ","), true
	}
	words, _, added := strings.Cut(meta, ":")
	switch kind, known := kindOf()[meta]; {
	case known:
		v.Kind = kind
	case !strings.Contains(meta, "|"):
		v.Kind = Text
	case added:
		v.Kind, v.Words = Addition, strings.Split(words, "|")
	default:
		v.Kind, v.Words = Choice, strings.Split(meta, "|")
	}
	return v
}

var argument = pattern(`^(\[*)([a-z][a-z0-9_]*)(?::([A-Z]+(?:\.\.\.)?))?(?:=([^\]\[]*))?(\]*)$`)

// arguments reads "pattern [interval=99999999 [count=99999999]]". An argument is a number if its default is one.
func (p *headerParser) arguments(l line, spec string) {
	depth := 0
	for word := range strings.FieldsSeq(spec) {
		m := argument().FindStringSubmatch(word)
		if m == nil {
			p.fail(l, "%q is no argument", word).Hint = "such as [interval=1 [count]], or [pid:PID]"
			return
		}
		depth += len(m[1])
		a := Argument{Name: m[2], Required: depth == 0, Default: m[4], Value: Value{Meta: m[2], Kind: Text}}
		if _, err := strconv.ParseUint(m[4], 0, 63); err == nil {
			a.Value.Kind = Integer
		}
		if m[3] != "" {
			a.Value = valueOf(m[3])
		}
		p.h.Args = append(p.h.Args, a)
		depth -= len(m[5])
	}
	if depth != 0 {
		p.fail(l, "brackets are not closed")
	}
}

func (p *headerParser) exclusive(l line, params []string) {
	for _, name := range params {
		if p.h.flag(name) == nil && name != "json" {
			p.fail(l, "there is no flag %q (flags stand before this line)", name)
		}
	}
	if len(params) < 2 {
		p.fail(l, "only one flag of at least two is exclusive")
	}
}

// words reads "FLAG = O_RDONLY, O_WRONLY": what a value can be.
func (p *headerParser) words(l line, text string) {
	meta, list, ok := strings.Cut(text, " = ")
	used := false
	for _, f := range p.h.Flags {
		if f.is(strings.TrimSpace(meta)) {
			f.Kind, f.Words, used = Choice, splitList(list), true
		}
	}
	if !ok || !used {
		p.fail(l, "this line is %q, for the value of a flag before it", "values: NAME = word, word, …")
	}
}

// flag finds a flag by the name of its parameter.
func (h *Header) flag(param string) *Flag {
	for _, f := range h.Flags {
		if f.Param == param {
			return f
		}
	}
	return nil
}

// finish checks what concerns the whole.
func (p *headerParser) finish() {
	seen := map[string]bool{}
	for _, f := range p.h.Flags {
		for _, name := range f.all() {
			if seen[name] {
				p.list.Errorf(diag.Span{}, "flag %s is declared twice", name)
			}
			seen[name] = true
		}
		if f.Help == "" && len(f.all()) > 0 {
			p.list.Errorf(diag.Span{}, "flag %s has no description", f.all()[0])
		}
	}
	for i, a := range p.h.Args {
		if p.h.flag(a.Name) != nil {
			p.list.Errorf(diag.Span{}, "argument %s has the name of a flag", a.Name)
		}
		if a.Value.List && i != len(p.h.Args)-1 {
			p.list.Errorf(diag.Span{}, "only the last argument may be repeated")
		}
	}
}

// ignored reports whether a flag is there for command lines that are made for BCC only: the script has no such parameter.
func (f *Flag) ignored() bool { return strings.HasPrefix(f.Help, "ignored") }

// refusal is how the description of a flag begins that BCC's tool has, but this one has not; what to do instead follows.
const refusal = "not supported: "

func (f *Flag) refused() bool { return strings.HasPrefix(f.Help, refusal) }

// all lists the names of a flag with their dashes, short ones first.
func (f *Flag) all() []string {
	var all []string
	for _, s := range f.Short {
		all = append(all, "-"+s)
	}
	for _, l := range f.Long {
		all = append(all, "--"+l)
	}
	return all
}

// pattern compiles a regular expression when it is first used: most runs of skep need none.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
