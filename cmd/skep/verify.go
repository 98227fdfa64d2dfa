package main

import (
	"bytes"
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
       skep verify --log FILE [--json]

tells whether the programs of an ELF object or a script will be loaded by these kernels, and if not, why.
With --log it explains what a kernel's verifier has written, whatever the loader has put around it; - is standard input.
`

// verification is one run of "skep verify".
type verification struct {
	*environment
	file, program string
	btf           string // a file with the types of the kernels asked about
	kernels       []verifier.Kernel
	json          bool
	refused       bool
	judged        bool            // accepted or rejected, any program
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
	log := f.String("log", "", "")
	err := f.Parse(args)
	if err == nil && *log != "" && (f.NArg() > 0 || *names != nil || v.program != "" || v.btf != "") {
		err = errors.New("a log is explained by itself, without a program or a kernel")
	} else if err == nil && *log == "" && f.NArg() != 1 {
		err = errors.New("one file is verified at a time")
	}
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(env.stdout, verifyUsage)
		return 0
	}
	for _, name := range []string{"kernel", "program", "btf", "log"} {
		if flag := f.Lookup(name); flag.Changed && (flag.Value.String() == "" || flag.Value.String() == "[]") {
			err = errors.Join(err, fmt.Errorf("--%s names nothing", name))
		}
	}
	for _, name := range *names {
		k, bad := knownKernel(name)
		err = errors.Join(err, bad)
		if !slices.Contains(v.kernels, k) {
			v.kernels = append(v.kernels, k)
		}
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "ERROR: %v\n%s", err, verifyUsage)
		return exitUsage
	}
	if *log != "" {
		if err := v.explainLog(*log); err != nil {
			return fail(env, err)
		}
		return 0
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
	switch {
	case v.refused:
		return 1
	case !v.judged:
		return exitNotJudged
	}
	return 0
}

// exitNotJudged is the exit code when nothing can be said of any program: 0 would pass for an acceptance.
const exitNotJudged = 3

// knownKernel reads the name of a kernel whose rules are known.
func knownKernel(name string) (verifier.Kernel, error) {
	k, err := verifier.ParseKernel(name)
	if err != nil {
		return 0, err
	}
	later := verifier.Linux5_10.Later()
	newest := later[len(later)-1]
	if k == verifier.Linux5_10 || slices.Contains(later, k) || k > newest && k <= verifier.Linux7_2 {
		return k, nil
	}
	list := []string{verifier.Linux5_10.String()}
	for _, l := range later {
		list = append(list, l.String())
	}
	return 0, fmt.Errorf("the rules of Linux %s are not known; known are %s and up to %s", k, strings.Join(list, ", "), verifier.Linux7_2)
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
			v.judged = v.judged || r.Verdict != verifier.NotModelled
			if err := v.print(v.explain(spec, unit, r)); err != nil {
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

// acceptedSince is the first later kernel that accepts the same program, "" if none does, or if of one before it nothing is known. To ask about programs that are too complex
// would take long.
func (v *verification) acceptedSince(spec *ebpf.CollectionSpec, name string, r *verifier.Result) string {
	if r.Verdict != verifier.Rejected || r.Rejection.Rule == "complexity" {
		return ""
	}
	for _, k := range r.Kernel.Later() {
		later, err := verifier.Verify(spec, name, k, v.options(k))
		if err != nil || later.Verdict == verifier.NotModelled {
			return ""
		}
		if later.Verdict == verifier.Accepted {
			return k.String()
		}
	}
	return ""
}
