package check

import (
	"io"
	"os"

	"github.com/cilium/ebpf/btf"

	"skep/internal/diag"
	"skep/ir"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/schema"
)

// Catalog answers what can be probed and what arguments there are. *probe.Catalog is the real one.
type Catalog interface {
	// Expand gives the concrete points of a pattern such as "kprobe:vfs_*", or an error that says what is wrong and, if it can,
	// the nearest name (*probe.Error).
	Expand(pattern string, opt probe.ExpandOptions) ([]probe.Point, error)
	// Format gives the record of a tracepoint.
	Format(category, event string) (*probe.Format, error)
	// Types gives the kernel's types; reading them is slow, so it is asked only when they are needed.
	Types() (*probe.Types, error)
	// Signature gives the BTF prototype of a kernel function (fentry, fexit, kprobe) or raw tracepoint.
	Signature(p probe.Point) (*btf.FuncProto, error)
}

// Options are the circumstances of a check.
type Options struct {
	Catalog  Catalog
	Target   *ir.Target
	Args     []string          // positional parameters $1 …
	Named    map[string]string // --name=value after "--", for getopt
	Env      func(string) string
	Unsafe   bool
	PID      int  // -p, or 0
	HasChild bool // -c was given
	ReadFile func(name string) (io.ReadCloser, error)

	// What functions with constant arguments ask about the machine. nil means that it cannot be known.
	KernelAddress func(symbol string) (uint64, bool) // kaddr
	// UserSymbol finds a symbol for uaddr: its address in the file, its size, and the address in the file of the probe's place, at this
	// offset; 0 if the file is always loaded at the addresses that it gives.
	UserSymbol func(binary, symbol string, place uint64) (addr, size, from uint64, ok bool)
	CgroupID   func(path string) (uint64, error) // cgroupid
	Usable     func(probe.Point) error           // has: why a point that exists cannot be attached; nil: all can
	// Has, if not nil, stands between the questions of has() and the machine: it gives why something is not there, "" if it is. ask asks the
	// machine.
	Has func(name string, ask func() string) string
}

// Limits on hostile scripts.
const (
	maxPasses     = 64
	maxExpansions = 10000 // macro calls in one pass over the script
	maxMacroDepth = 32
	maxNesting    = 200     // of expressions
	maxNodes      = 1 << 18 // expressions checked in one pass
	maxSize       = 1 << 16 // bytes of a value
)

// checker holds what is known of a script while it is being checked.
//
// The types of maps and variables come from their uses, which may stand after the place where they are needed. So the script
// is checked again and again, each time with the types found before, until nothing new is found. Only the diagnostics of the
// last pass count.
type checker struct {
	Options
	script  *syntax.Script
	list    *diag.List
	config  Config
	types   *typeTable
	maps    map[string]*mapState
	order   []*mapState // maps in the order of first use
	blocks  []*block
	names   *schema.Type // see nameType
	macros  map[string][]*syntax.Macro
	table   [][]function
	changed bool // a type got wider in this pass
	pending bool // something has no type yet
	final   bool // there is no more to learn: what has no type is an error

	// The place that is being checked.
	block   *block
	frame   *frame
	scope   *scope
	loops   []loop
	nesting int

	expansions, nodes int
	decisions         int
	size              size // of the probe
	stopped           bool // a limit was hit

	parameters map[string]string       // named ones that getopt asks for: what they are
	getopts    map[string]*syntax.Call // the first of each parameter, once they have been looked for
	questions  []Question
	leftOut    []*syntax.Probe // whose predicate is false for constants alone
	idle       map[string]bool // maps in code that is left out
}

// loop is a loop around the statement being checked.
type loop struct{ unrolled bool }

// Check finds names and types. The tree is nil if the list has errors.
func Check(s *syntax.Script, opt Options) (*Tree, *diag.List) {
	if opt.Env == nil {
		opt.Env = os.Getenv
	}
	if opt.Target == nil {
		opt.Target = &ir.Target{Arch: "amd64", CPUs: 1}
	}
	c := &checker{Options: opt, script: s, list: &diag.List{Source: s.Source}, maps: map[string]*mapState{}}
	c.types = &typeTable{c: c}
	c.configure()
	c.unsupported()
	c.types.define(s.C)
	c.declareMacros()
	c.declareMaps()
	c.findProbes()
	before := c.list
	var probes []*Probe
	for i := range maxPasses {
		c.list = &diag.List{Source: s.Source}
		c.changed, c.pending = false, false
		probes = c.pass()
		if c.stopped {
			break
		}
		if !c.changed {
			if c.final || !c.pending || c.list.HasErrors() {
				break
			}
			c.final = true
			c.settle()
		}
		if i == maxPasses-2 {
			c.final = true
		}
	}
	if !c.stopped {
		c.leftovers(before.HasErrors())
	}
	for _, m := range c.order {
		if t := m.value.typ(); m.used && (t == nil || t == typeBad) && !c.list.HasErrors() && !before.HasErrors() && !c.stopped {
			c.undefinedMap(m.Span, m)
		}
	}
	found := c.list
	c.list = before
	for _, d := range found.All {
		c.list.Add(d)
	}
	if c.list.HasErrors() {
		return nil, c.list
	}
	tree := &Tree{Source: s.Source, Probes: probes, Config: c.config, Questions: c.questions}
	for _, m := range c.order {
		if m.used {
			tree.Maps = append(tree.Maps, m.Map)
		}
	}
	return tree, c.list
}

// pass checks the whole script once.
func (c *checker) pass() []*Probe {
	c.expansions, c.nodes, c.decisions = 0, 0, 0
	var probes []*Probe
	for _, b := range c.blocks {
		probes = append(probes, c.checkBlock(b))
		if c.stopped {
			return nil
		}
	}
	for _, m := range c.order {
		m.finish()
	}
	return probes
}

// settle decides what no use has decided: what is only read, or only copied around, is an integer.
func (c *checker) settle() {
	for _, m := range c.order {
		if m.value.typ() == nil && (m.read || c.isIdle(m)) {
			m.value.join(shapeOf(typeI64, m.Span))
			m.neverSet = !m.assigned && !c.isIdle(m)
		}
	}
	for _, b := range c.blocks {
		for _, v := range b.order {
			if v.slot.typ() == nil && v.read {
				v.slot.join(shapeOf(typeI64, v.Span))
			}
		}
	}
}

// leftovers reports what can only be seen when all is known. A broken script has mistakes that were found before.
func (c *checker) leftovers(broken bool) {
	c.checkOptions(broken)
	for _, m := range c.order {
		c.checkKind(m)
		c.checkUnwound(m)
		if m.neverSet && !c.list.HasErrors() {
			d := c.list.Warnf(m.Span, "map %s is read, but nothing is ever put into it", m.Name)
			if near := diag.Nearest(m.Name, c.assignedMaps()); near != "" {
				d.Hint = "did you mean " + near + "?"
			}
		}
	}
	for _, b := range c.blocks {
		for _, v := range b.order {
			if v.declared && !v.assigned {
				c.list.Warnf(v.Span, "variable %s is never assigned to", v.Name)
			}
		}
	}
}

func (c *checker) assignedMaps() []string {
	var names []string
	for _, m := range c.order {
		if !m.neverSet && m.value.typ() != nil {
			names = append(names, m.Name)
		}
	}
	return names
}

// unsupported reports the parts of the language that do not exist here yet.
func (c *checker) unsupported() {
	for _, i := range c.script.Imports {
		c.list.Errorf(i.Span, "import is not supported yet")
	}
	for _, f := range c.script.Funcs {
		c.list.Errorf(f.NameSpan, "functions (fn) are not supported yet").Hint = "write it as a macro: macro " + f.Name + "(…) { … }"
	}
}

// block is an action block for points that have the same arguments.
type block struct {
	probe  *syntax.Probe
	points []probe.Point
	kind   probe.Kind
	args   Args
	// argsErr says why there are no args, if there are none.
	argsErr error
	frames  map[frameKey]*frame
	vars    map[varKey]*variable
	order   []*variable
	words   int  // see rawArgs; 0 until asked for
	missing bool // no point of it exists, which has been reported: its arguments are not known

	usesProbe, usesFunc bool
}

// frame is one expansion of a macro; nil is the script itself.
type frame struct {
	macro  *syntax.Macro
	args   []syntax.Expr
	call   diag.Span
	caller *frame
	scope  *scope // of the call
	loops  []loop
	depth  int
}

type frameKey struct {
	caller *frame
	call   syntax.Expr
}

type varKey struct {
	frame *frame
	node  *syntax.Var
}

// variable is a scratch variable while its type is being found.
type variable struct {
	*Var
	slot     slot
	declared bool // by let
	fixed    *schema.Type
	assigned bool
	read     bool
}

// scope is a block's variables.
type scope struct {
	outer *scope
	vars  map[string]*variable
}

func (s *scope) find(name string) *variable {
	for ; s != nil; s = s.outer {
		if v := s.vars[name]; v != nil {
			return v
		}
	}
	return nil
}

// checkBlock checks one action block with the types known so far.
func (c *checker) checkBlock(b *block) *Probe {
	c.block, c.frame, c.scope, c.loops = b, nil, &scope{}, nil
	c.size = size{}
	b.usesProbe, b.usesFunc = false, false
	for _, v := range b.order {
		v.assigned, v.read = false, false
	}
	p := &Probe{Span: b.probe.Span, Points: b.points, Args: b.args}
	if b.probe.Pred != nil && !c.predicate(p, b.probe) {
		return p
	}
	p.Body = c.stmts(b.probe.Body.Stmts, false)
	if b.probe.Body.Value != nil {
		p.Body = append(p.Body, c.exprStmt(&syntax.ExprStmt{Span: b.probe.Body.Value.Pos(), X: b.probe.Body.Value}))
	}
	for _, v := range b.order {
		if t := v.slot.typ(); t != nil {
			v.Var.Type = t
		}
	}
	p.UsesProbe, p.UsesFunc = b.usesProbe, b.usesFunc
	return p
}

// predicate checks the predicate of a block. It reports false if the block never runs.
func (c *checker) predicate(p *Probe, s *syntax.Probe) bool {
	value, known := c.decide(s.Pred)
	if known = known && c.asks(s.Pred); !known || c.constant(s.Pred) {
		p.Pred = c.condition(s.Pred, "predicate")
	}
	if !known {
		return true
	}
	p.Pred = nil
	if !value {
		c.drop(s.Pred)
		c.drop(s.Body)
	}
	return value
}
