package tools

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"skep/app/tools/spec"
	"skep/internal/diag"
)

// Invocation is a command line of a tool.
type Invocation struct {
	Params map[string]string // the script's named parameters
	Args   []string          // its positional ones, as given

	Help, Show, Explain, JSON, Verbose, Version bool
	Output                                      string

	PID     int      // the process to attach to; 0 for all
	Command []string // to run while tracing, with its arguments

	Probes string // more text of the script: what specifiers are translated to
}

// UsageError is a mistake in a tool's command line.
type UsageError struct {
	Tool    string
	Message string
	Hint    string // or ""
}

func (e *UsageError) Error() string {
	if e.Hint == "" {
		return e.Tool + ": " + e.Message
	}
	return e.Tool + ": " + e.Message + "; " + e.Hint
}

// command reads the command line of one tool.
type command struct {
	tool    *Tool
	machine *Machine
	set     *pflag.FlagSet
	values  map[string]*given // by parameter
	own     Invocation
	format  string
	filter  filter
}

// filter holds the flags by which every tool that calls filtered() drops events.
type filter struct{ cgroup, container, mntns, cgroupMap, mntnsMap string }

// given collects what the command line says for one flag. It is the flag's pflag.Value.
type given struct {
	flag   *Flag
	values []string
}

func (g *given) String() string   { return strings.Join(g.values, ",") }
func (g *given) Type() string     { return g.flag.Meta }
func (g *given) IsBoolFlag() bool { return g.flag.Kind == Bool }

func (g *given) Set(text string) error {
	if err := g.flag.check(text); err != nil {
		return err
	}
	if g.flag.Kind == Bool {
		text = "true"
	}
	if !g.flag.List {
		g.values = nil
	}
	g.values = append(g.values, text)
	return nil
}

// bareFlag stands for the value of a flag that takes none: no command line has it.
const bareFlag = "\x00"

var (
	errNoValue = errors.New("it takes no value")
	// errEmpty is for what a shell makes of a variable that is not set: without a filter, the whole machine would be seen.
	errEmpty = errors.New("its value is empty")
)

// filled is a flag, of those that all tools have, with a value that is not empty.
type filled string

func (v *filled) String() string { return string(*v) }
func (v *filled) Type() string   { return "string" }

func (v *filled) Set(text string) error {
	if text == "" {
		return errEmpty
	}
	*v = filled(text)
	return nil
}

// switched is a flag that takes no value, of those that all tools have.
type switched bool

func (s *switched) String() string { return strconv.FormatBool(bool(*s)) }
func (s *switched) Type() string   { return "bool" }

func (s *switched) Set(text string) error {
	if text != bareFlag {
		return errNoValue
	}
	*s = true
	return nil
}

// Command reads the command line of the tool. An error is a *UsageError, or a *diag.List of what is wrong with a specifier.
func (t *Tool) Command(m *Machine, args []string) (*Invocation, error) {
	c := &command{tool: t, machine: m, values: map[string]*given{}}
	c.declare()
	args = c.repeat(c.program(asLibbpf(args)))
	if err := c.set.Parse(args); err != nil {
		if c.own.Help {
			return &c.own, nil
		}
		return nil, c.explain(err)
	}
	if c.own.Help || c.own.Version {
		return &c.own, nil
	}
	if c.format != "" {
		c.own.JSON = c.format == "json"
		if c.format != "json" && c.format != "text" {
			return nil, c.fail("--format is text or json, not %q", c.format)
		}
	}
	if g := c.values["json"]; g != nil && g.flag.Kind == Bool && len(g.values) > 0 {
		c.own.JSON = true
	}
	c.own.Params = map[string]string{}
	for _, step := range []func() error{c.exclusive, c.params, c.additions, c.positional, c.positive, c.points, c.distributions, c.filters, c.companion} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &c.own, nil
}

// asLibbpf knows the ways to ask for help of libbpf-tools.
func asLibbpf(args []string) []string {
	if len(args) == 1 && (args[0] == "-?" || args[0] == "--usage") {
		return []string{"--help"}
	}
	return args
}

// positive refuses 0 as the time between two events of a probe.
func (c *command) positive() error {
	timers := timer().FindAllStringSubmatch(c.tool.Text, -1)
	for _, m := range timers {
		if name := m[1]; c.own.Params[name] == "0" && !strings.Contains(c.tool.Text, `getopt("`+name+`", 0)`) {
			if f := c.tool.flag(name); f != nil {
				name = strings.Join(f.all(), "/")
			} else {
				name = "argument " + name
			}
			return c.fail("%s: a number above 0 is needed", name)
		}
	}
	return nil
}

var timer = pattern(`(?m)^(?:interval|profile|software):[a-z-]+:\$([a-z_]+)`)

// BufferFlag is the flag that sets the size of the event ring, "" if the tool has none.
func (t *Tool) BufferFlag() string {
	if m := ringSize().FindStringSubmatch(t.Text); m != nil && t.flag(m[1]) != nil {
		return strings.Join(t.flag(m[1]).all(), "/")
	}
	return ""
}

var ringSize = pattern(`(?m)^config = .*\bperf_rb_pages = \$([a-z_]+)`)

func (c *command) fail(format string, args ...any) *UsageError {
	return &UsageError{Tool: c.tool.Name, Message: fmt.Sprintf(format, args...)}
}

// declare makes the flags of the header known, and those that all tools have.
func (c *command) declare() {
	f := pflag.NewFlagSet(c.tool.Name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	c.set = f
	for _, flag := range c.tool.Flags {
		g := &given{flag: flag}
		c.values[flag.Param] = g
		add := func(long, short string) {
			f.VarPF(g, long, short, "").NoOptDefVal = map[bool]string{true: bareFlag}[flag.Kind == Bool]
		}
		for i := range max(len(flag.Long), len(flag.Short)) {
			long, short := "", ""
			if i < len(flag.Short) {
				short = flag.Short[i]
			}
			if long = "\x00" + short; i < len(flag.Long) {
				long = flag.Long[i]
			}
			add(long, short)
		}
	}
	own := func(to *bool, long, short string) { f.VarPF((*switched)(to), long, short, "").NoOptDefVal = bareFlag }
	own(&c.own.Help, "help", c.tool.free("h"))
	if !c.tool.long("json") {
		own(&c.own.JSON, "json", "")
	}
	if c.tool.free("f") != "" && !c.tool.long("format") {
		f.StringVarP(&c.format, "format", "f", "", "")
	}
	own(&c.own.Show, "show", "")
	if !c.tool.long("version") {
		own(&c.own.Version, "version", c.tool.free("V"))
	}
	own(&c.own.Explain, "explain", "")
	for _, free := range []struct {
		long, short string
		add         func(long, short string)
	}{
		{"verbose", "v", func(l, s string) { own(&c.own.Verbose, l, s) }},
		{"output", "o", func(l, s string) { f.VarP((*filled)(&c.own.Output), l, s, "") }},
	} {
		if !c.tool.long(free.long) {
			free.add(free.long, c.tool.free(free.short))
		}
	}
	if c.tool.filters() {
		for name, to := range map[string]*string{"cgroup": &c.filter.cgroup, "container": &c.filter.container, "mntns": &c.filter.mntns,
			"cgroupmap": &c.filter.cgroupMap, "mntnsmap": &c.filter.mntnsMap} {
			if !c.tool.long(name) {
				f.Var((*filled)(to), name, "")
			}
		}
	}
	c.abbreviate()
}

// free gives the letter, or "" if a flag of the tool has it.
func (h *Header) free(letter string) string {
	for _, flag := range h.Flags {
		if slices.Contains(flag.Short, letter) {
			return ""
		}
	}
	return letter
}

// long reports whether a flag of the tool has this name.
func (h *Header) long(name string) bool {
	return slices.ContainsFunc(h.Flags, func(f *Flag) bool { return slices.Contains(f.Long, name) })
}

// abbreviate lets long flags be written in other ways: with - for _, and shortened as far as only one flag begins like this.
func (c *command) abbreviate() {
	known := c.longNames()
	c.set.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if slices.Contains(known, name) {
			return pflag.NormalizedName(name)
		}
		var fits []string
		for _, long := range known {
			if dashed(long) == dashed(name) {
				return pflag.NormalizedName(long)
			}
			if strings.HasPrefix(dashed(long), dashed(name)) && (len(fits) == 0 || !c.same(long, fits[0])) {
				fits = append(fits, long)
			}
		}
		if len(fits) == 1 {
			name = fits[0]
		}
		return pflag.NormalizedName(name)
	})
}

func dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

// same reports whether two long names are of one flag.
func (c *command) same(a, b string) bool {
	for _, f := range c.tool.Flags {
		if slices.Contains(f.Long, a) {
			return slices.Contains(f.Long, b)
		}
	}
	return false
}

func (c *command) longNames() []string {
	var all []string
	c.set.VisitAll(func(f *pflag.Flag) {
		if f.Name[0] != 0 {
			all = append(all, f.Name)
		}
	})
	return all
}

// explain says what pflag found wrong.
func (c *command) explain(err error) *UsageError {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return c.fail("unknown flag -%s", name)
		}
		e := c.fail("unknown flag --%s", name)
		var fits []string
		for _, long := range c.longNames() {
			if strings.HasPrefix(long, name) {
				fits = append(fits, "--"+long)
			}
		}
		if near := diag.Nearest(name, c.longNames()); len(fits) > 1 {
			e.Message = fmt.Sprintf("--%s may be %s", name, strings.Join(fits, " or "))
		} else if near != "" {
			e.Hint = "did you mean --" + near + "?"
		}
		return e
	case errors.As(err, &missing):
		return c.fail("%s needs a value%s", c.name(missing.GetFlag()), of(c.meta(missing.GetFlag())))
	case errors.As(err, &invalid):
		return c.fail("%s%s: %v", c.name(invalid.GetFlag()), of(c.meta(invalid.GetFlag())), invalid.Unwrap())
	}
	return c.fail("%v", err)
}

func of(meta string) string {
	if meta == "" || strings.Contains(meta, "|") {
		return ""
	}
	return " " + meta
}

func (c *command) meta(f *pflag.Flag) string {
	if g, ok := f.Value.(*given); ok {
		return g.flag.Meta
	}
	if f.NoOptDefVal != "" {
		return ""
	}
	return strings.ToUpper(f.Name)
}

// name is how a flag is called in messages.
func (c *command) name(f *pflag.Flag) string {
	if g, ok := f.Value.(*given); ok {
		return strings.Join(g.flag.all(), "/")
	}
	return "--" + f.Name
}

func (c *command) exclusive() error {
	for _, group := range c.tool.Exclusive {
		var names []string
		for _, param := range group {
			if c.tool.flag(param) == nil { // one that all tools have
				if param == "json" && c.own.JSON {
					names = append(names, "--json")
				}
			} else if g := c.values[param]; len(g.values) > 0 {
				names = append(names, g.flag.all()[0])
			}
		}
		if len(names) > 1 {
			return c.fail("only one of %s can be given", strings.Join(names, " and "))
		}
	}
	return nil
}

// params turns flags into parameters.
func (c *command) params() error {
	for param, g := range c.values {
		switch {
		case g.flag.Kind == Addition: // below, when all flags have their values
		case g.flag.refused() && len(g.values) > 0:
			return &UsageError{c.tool.Name, strings.Join(g.flag.all(), "/") + " is not supported", strings.TrimPrefix(g.flag.Help, refusal)}
		case g.flag.ignored(), g.flag.refused(), g.flag.Kind == Distribution, param == "json" && !strings.Contains(c.tool.Text, `getopt("json")`):
		case len(g.values) > 0:
			text, err := c.resolve(g.flag.Value, g.String())
			if err != nil {
				return c.fail("%s: %v", strings.Join(g.flag.all(), "/"), err)
			}
			c.own.Params[param] = text
		case g.flag.Default != "":
			c.own.Params[param] = g.flag.Default
		}
	}
	return nil
}

func (c *command) positional() error {
	rest := c.set.Args()
	c.own.Args = rest
	for _, a := range c.tool.Args {
		if len(rest) == 0 {
			if a.Required {
				return c.fail("the argument %s is missing", a.Name)
			}
			if a.Default != "" {
				c.own.Params[a.Name] = a.Default
			}
			continue
		}
		text := rest[0]
		rest = rest[1:]
		if a.Value.Kind == Event {
			for _, one := range append([]string{text}, rest...) {
				more, err := spec.Trace(one)
				if err != nil {
					return err
				}
				c.own.Probes += more
			}
			return nil
		}
		if a.Value.List {
			text, rest = strings.Join(append([]string{text}, rest...), ","), nil
		}
		err := a.Value.check(text)
		if err == nil {
			text, err = c.resolve(a.Value, text)
		}
		if err != nil {
			return c.fail("argument %s: %v", a.Name, err)
		}
		c.own.Params[a.Name] = text
	}
	if len(rest) > 0 {
		return c.fail("%q is one argument too many", rest[0])
	}
	return nil
}

// selfFlag is the parameter with which events of skep itself are not dropped. It is for us, not for the script.
const selfFlag = "include_self"

// filters sets the parameters of the macro filtered().
func (c *command) filters() error {
	if !c.tool.filters() {
		return nil
	}
	if _, ours := c.own.Params[selfFlag]; !ours {
		c.own.Params["self"] = strconv.Itoa(c.machine.PID)
	}
	delete(c.own.Params, selfFlag)
	if c.tool.long("cgroup") {
		c.filter.cgroup = c.own.Params["cgroup"]
	}
	if c.filter.cgroup != "" && c.filter.container != "" {
		return c.fail("only one of --cgroup and --container can be given")
	}
	var path string
	var err error
	switch {
	case c.filter.cgroup != "":
		path, err = c.machine.cgroup(c.filter.cgroup)
	case c.filter.container != "":
		path, err = c.machine.container(c.filter.container)
	}
	if err != nil {
		return c.fail("%v", err)
	}
	if path != "" {
		c.own.Params["cgroup"] = path
	}
	for name, path := range map[string]string{"cgroupmap": c.filter.cgroupMap, "mntnsmap": c.filter.mntnsMap} {
		if path == "" {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			return c.fail("--%s: %v", name, err)
		}
		c.own.Params[name] = path
	}
	if c.filter.mntns != "" {
		inode, err := c.machine.mountNamespace(c.filter.mntns)
		if err != nil {
			return c.fail("--mntns: %v", err)
		}
		c.own.Params["mntns"] = strconv.FormatUint(inode, 10)
	}
	return nil
}
