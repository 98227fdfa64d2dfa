package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/spf13/pflag"

	"skep/app/tools"
	"skep/host/kernel"
	"skep/internal/diag"
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/lower"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/vm/verifier"
)

const verifyUsage = `usage: skep verify FILE [--kernel 5.10,6.1,…] [--program NAME] [--btf FILE] [--json]

tells whether the programs of an ELF object or a script will be loaded by these kernels, and if not, why.
`

// verification is one run of "skep verify".
type verification struct {
	*environment
	file, program string
	btf           string // a file with the types of the kernels asked about
	kernels       []verifier.Kernel
	json          bool
	refused       bool
	own           verifier.Kernel // the running one, whose types are known
	types         verifier.Types
}

// runVerify asks the verifier about the programs of a file. It needs neither a kernel of that version nor privileges.
func runVerify(env *environment, args []string) int {
	v := &verification{environment: env}
	f := pflag.NewFlagSet("verify", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	names := f.StringSlice("kernel", nil, "")
	f.StringVar(&v.program, "program", "", "")
	f.StringVar(&v.btf, "btf", "", "")
	f.BoolVar(&v.json, "json", false, "")
	err := f.Parse(args)
	if err == nil && f.NArg() != 1 {
		err = errors.New("one file is verified at a time")
	}
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(env.stdout, verifyUsage)
		return 0
	}
	for _, name := range *names {
		k, bad := verifier.ParseKernel(name)
		v.kernels, err = append(v.kernels, k), errors.Join(err, bad)
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "ERROR: %v\n%s", err, verifyUsage)
		return exitUsage
	}
	if v.kernels == nil {
		v.kernels = verifier.Kernels
	}
	if v.btf != "" {
		types, err := btf.LoadSpec(v.btf)
		if err != nil {
			return fail(env, fmt.Errorf("reading the kernel's types: %w", err))
		}
		v.types = types
	}
	v.file = f.Arg(0)
	if err := v.run(); err != nil {
		return fail(env, err)
	}
	if v.refused {
		return 1
	}
	return 0
}

func (v *verification) run() error {
	text, err := os.ReadFile(v.file)
	if errors.Is(err, os.ErrNotExist) && tools.Exists(v.file) {
		tool, err := tools.Load(v.file)
		if err != nil {
			return err
		}
		return v.tool(tool)
	}
	if err != nil {
		return fmt.Errorf("reading what is to be verified: %w", err)
	}
	if bytes.HasPrefix(text, []byte("\x7fELF")) {
		spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("reading %s: %w", v.file, err)
		}
		return v.each(func(verifier.Kernel) (*ebpf.CollectionSpec, *lower.Unit, error) { return spec, nil, nil })
	}
	if tool, err := tools.Parse(filepath.Base(v.file), string(text)); err == nil {
		return v.tool(tool)
	}
	src := &diag.Source{Name: v.file, Text: string(text)}
	tools.Complete(src)
	return v.script(src, nil)
}

// tool verifies a tool as it is called without flags.
func (v *verification) tool(tool *tools.Tool) error {
	call, err := tool.Command(tools.ThisMachine(), nil)
	if err != nil {
		return err
	}
	return v.script(tool.Run(call), call.Params)
}

// script compiles a script for each kernel: what is made of it depends on what the kernel has.
func (v *verification) script(src *diag.Source, named map[string]string) error {
	o := &options{}
	tree, list := syntax.Parse(src, syntax.Options{})
	if show(v.environment, o, list) {
		return errShown{}
	}
	own, err := kernel.New().Target()
	if err != nil {
		return err
	}
	catalog := &probe.Catalog{}
	return v.each(func(k verifier.Kernel) (*ebpf.CollectionSpec, *lower.Unit, error) {
		target := &ir.Target{Kernel: uint32(k), Arch: own.Arch, CPUs: own.CPUs}
		defer func() { o.noWarnings = true }() // they are the same for each kernel
		checked, list := check.Check(tree, check.Options{Catalog: catalog, Target: target, Unsafe: true, Named: named, Env: os.Getenv})
		if show(v.environment, o, list) {
			return nil, nil, errShown{}
		}
		unit, err := lower.Lower(checked, lower.Options{Target: target, Types: catalog.Types})
		var refused *diag.List
		if errors.As(err, &refused) {
			show(v.environment, o, refused)
			return nil, nil, errShown{}
		}
		if err != nil {
			return nil, nil, err
		}
		return unit.Spec, unit, nil
	})
}

// verified is a result as --json prints it.
type verified struct {
	Program  string         `json:"program"`
	Kernel   string         `json:"kernel"`
	Verdict  string         `json:"verdict"`
	Cost     *verifier.Cost `json:"cost,omitempty"`
	Missing  string         `json:"missing,omitempty"`
	Insn     *int           `json:"insn,omitempty"`
	Place    string         `json:"place,omitempty"`
	Line     string         `json:"line,omitempty"`
	Rule     string         `json:"rule,omitempty"`
	Message  string         `json:"message,omitempty"`
	Required string         `json:"required,omitempty"`
	Known    string         `json:"known,omitempty"`
	Since    string         `json:"accepted_since,omitempty"`
	Path     []step         `json:"path,omitempty"`
	Hottest  []step         `json:"hottest,omitempty"`
}

// step is a place in the program and what it has to do with the rejection.
type step struct {
	Insn  int    `json:"insn"`
	Place string `json:"place,omitempty"`
	Line  string `json:"line,omitempty"`
	Text  string `json:"text,omitempty"`
	Count int    `json:"count,omitempty"`
}

func (v *verification) each(of func(verifier.Kernel) (*ebpf.CollectionSpec, *lower.Unit, error)) error {
	found := false
	for _, k := range v.kernels {
		spec, unit, err := of(k)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
			if v.program != "" && name != v.program && spec.Programs[name].Name != v.program {
				continue
			}
			found = true
			r, err := verifier.Verify(spec, name, k, v.options(k))
			if err != nil {
				return err
			}
			v.refused = v.refused || r.Verdict == verifier.Rejected
			if err := v.print(r, unit, v.acceptedSince(spec, name, r)); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("%s has no program %s", v.file, v.program)
	}
	return nil
}

// options gives the verifier what is known of the kernel: of the running one, its types and its number of processors.
func (v *verification) options(k verifier.Kernel) verifier.Options {
	if v.own == 0 {
		v.own = 1
		if target, err := kernel.New().Target(); err == nil {
			v.own = verifier.Kernel(target.Kernel &^ 0xff)
		}
		if types, err := btf.LoadKernelSpec(); err == nil && v.btf == "" {
			v.types = types
		}
	}
	if v.btf != "" {
		return verifier.Options{Types: v.types}
	}
	if k != v.own {
		return verifier.Options{}
	}
	cpus, _ := ebpf.PossibleCPU()
	return verifier.Options{CPUs: cpus, Types: v.types}
}

// locate gives the place of an instruction in the source, and that line's text.
func locate(unit *lower.Unit, program string, insn int, line *verifier.Line) (place, text string) {
	if unit == nil {
		if line == nil {
			return "", ""
		}
		return line.String(), strings.TrimSpace(line.Text)
	}
	p := unit.Programs[program]
	if p == nil {
		return "", ""
	}
	at := p.Probe
	if p.Object != nil && insn >= 0 && insn < len(p.Object.Spans) && p.Object.Spans[insn] != (diag.Span{}) {
		at = p.Object.Spans[insn]
	}
	src := unit.Script.Source
	n, col := src.Line(at.Start)
	return fmt.Sprintf("%s:%d:%d", src.File(at.Start), n, col), strings.TrimSpace(src.LineText(at.Start))
}

// acceptedSince is the first later kernel that accepts the same program, "" if none does. To ask about programs that are too complex
// would take long.
func (v *verification) acceptedSince(spec *ebpf.CollectionSpec, name string, r *verifier.Result) string {
	if r.Verdict != verifier.Rejected || r.Rejection.Rule == "complexity" {
		return ""
	}
	for _, k := range r.Kernel.Later() {
		if later, err := verifier.Verify(spec, name, k, v.options(k)); err == nil && later.Verdict == verifier.Accepted {
			return k.String()
		}
	}
	return ""
}

func (v *verification) print(r *verifier.Result, unit *lower.Unit, since string) error {
	out := verified{Program: r.Program, Kernel: r.Kernel.String(), Verdict: r.Verdict.String(), Missing: r.Missing, Since: since}
	if r.Verdict != verifier.NotModelled {
		out.Cost = &r.Cost
	}
	if e := r.Rejection; e != nil {
		out.Insn, out.Rule, out.Message, out.Required, out.Known = &e.Insn, e.Rule, e.Text, e.Required, e.Known
		out.Place, out.Line = locate(unit, r.Program, e.Insn, e.Line)
		for _, c := range e.Path {
			s := step{Insn: c.Insn, Text: c.Text}
			s.Place, s.Line = locate(unit, r.Program, c.Insn, c.Line)
			out.Path = append(out.Path, s)
		}
		for _, h := range e.Hottest {
			s := step{Insn: h.Insn, Count: h.Count}
			s.Place, s.Line = locate(unit, r.Program, h.Insn, h.Line)
			out.Hottest = append(out.Hottest, s)
		}
	}
	if v.json {
		return json.NewEncoder(v.stdout).Encode(out)
	}
	_, err := io.WriteString(v.stdout, out.String())
	return err
}

// String is the result as people read it.
func (r verified) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s %-24s %s", r.Kernel, r.Program, r.Verdict)
	switch {
	case r.Missing != "":
		fmt.Fprintf(&b, ": %s\n", r.Missing)
		return b.String()
	case r.Message == "":
		fmt.Fprintf(&b, "  %d instructions walked, %d states, %d bytes of stack\n", r.Cost.Insns, r.Cost.PeakStates, r.Cost.Stack)
		return b.String()
	}
	fmt.Fprintf(&b, "\n  %s\n    at     %s\n", r.Message, where(*r.Insn, r.Place, r.Line))
	if r.Required != "" {
		fmt.Fprintf(&b, "    rule   %s\n", r.Required)
	}
	if r.Known != "" {
		fmt.Fprintf(&b, "    known  %s\n", r.Known)
	}
	if r.Since != "" {
		fmt.Fprintf(&b, "    since  Linux %s accepts it\n", r.Since)
	}
	for i, s := range r.Path {
		head := "    from   "
		if i > 0 {
			head = "           "
		}
		fmt.Fprintf(&b, "%s%s, %s\n", head, s.Text, where(s.Insn, s.Place, s.Line))
	}
	for i, s := range r.Hottest {
		head := "    walked "
		if i > 0 {
			head = "           "
		}
		fmt.Fprintf(&b, "%s%d times: %s\n", head, s.Count, where(s.Insn, s.Place, s.Line))
	}
	return b.String()
}

func where(insn int, place, line string) string {
	s := fmt.Sprintf("instruction %d", insn)
	if place != "" {
		s += " (" + place + ")"
	}
	if line != "" {
		s += "  " + line
	}
	return s
}
