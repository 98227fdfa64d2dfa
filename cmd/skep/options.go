package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"skep/internal/diag"
)

const usage = `skep runs bpftrace scripts and ready-made tools, compiled to eBPF without LLVM

USAGE
    skep [options] FILE [ARG…] [-- --name=value…]
    skep [options] -e 'program' [ARG…] [-- --name=value…]
    skep [options] -              (the script is on standard input)
    skep -l [-v] ['tracepoint:sched:*' | 'struct task_struct' | FILE]
    skep TOOL [flags]      a ready-made tool, such as opensnoop
    skep tools             lists them; skep help TOOL is a tool's manual
    skep replay FILE [options] [-e 'program' | SCRIPT]   runs a script on recorded events; without one, the one that recorded
    skep verify FILE       tells which kernels will load the programs of a script or ELF object, and why not
    skep links DIR         makes a link for each tool in DIR
    skep completion SHELL  prints the completion for bash, zsh or fish
    skep vm run|exec       runs eBPF programs in user space; skep vm help tells more
    skep disasm FILE       shows the instructions of an eBPF object

OPTIONS
    -e PROGRAM     run this program
    -l, --list     list probes, types, or the probes of a script
    -v, --verbose  say more; with -l, show arguments and members
    -c, --cmd CMD  run CMD and trace while it lives; cpid is its pid
    -p, --pid PID  trace this process, while it lives; only interval fires for all
    -o, --output FILE   write the output to FILE
    --record FILE  record the events that the script sees, for skep replay
    -f, --format FORMAT text or json (one object a line)
    -B MODE        buffering of the output: line, full or none
    -q, --quiet    no messages besides the output
    -k             warn when a helper of the kernel fails
    --no-warnings  no warnings at all
    --unsafe       allow system(), signal() and the like
    --dry-run      stop when everything is attached
    --explain      tell what the script asks about the kernel, and what it is attached to; then stop
    --host HOST    kernel, or user: a command (-c) or process (-p) and its children, without privileges;
                   the default where the kernel refuses
    -d STAGE       print a stage of the compiler: ast, types, ir, ir-opt, asm or all
    --fmt          print the script in the usual form
    --test         run the probes test:… of the script, each on its own; --bench times its probes bench:…
    --info         show what this kernel can do
    -V, --version  show the version
    -h, --help     show this help

Called through a link named bpftrace, skep takes all of bpftrace's options; those that only make sense with LLVM do nothing.

EXAMPLES
    skep -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args.filename)); }'
    skep -e 'tracepoint:syscalls:sys_exit_read { @bytes = hist(args.ret); }'
    skep -e 'profile:hz:99 { @[kstack] = count(); }'
    skep -l '*sleep*'
`

// options is a command line.
type options struct {
	source      *diag.Source // of a ready-made tool
	program     []string     // -e
	file        string       // "" with -e, "-" for standard input
	args        []string     // positional parameters
	named       map[string]string
	list        bool
	search      string // of -l
	verbose     bool
	help        bool
	version     bool
	info        bool
	pid         int
	about       int      // of a tool: the process that its script looks for by itself, where -p is none of skep's
	child       []string // a command with its arguments
	output      string
	record      string // the file for a recording
	format      string
	buffering   string
	quiet       bool
	bare        bool // no empty lines before the maps at the end: of a tool
	helperCheck bool
	noWarnings  bool
	unsafe      bool
	dryRun      bool
	explainOnly bool
	bufferFlag  string // of a tool; see trace.Options
	fmt         bool
	host        string
	stages      []string
	probeFilter string
	includes    []string
	headers     []string // of --include
	mode        string
}

// noProgram begins the message of a command line without a script.
const noProgram = "no program: "

// errUsage is a mistake in the command line.
type errUsage struct{ message string }

func (e *errUsage) Error() string { return e.message }

func parseOptions(args []string) (*options, error) {
	o := &options{named: map[string]string{}}
	f := pflag.NewFlagSet("skep", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.SortFlags = false

	f.StringArrayVarP(&o.program, "execute", "e", nil, "")
	f.BoolVarP(&o.list, "list", "l", false, "")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "")
	f.BoolVarP(&o.help, "help", "h", false, "")
	f.BoolVarP(&o.version, "version", "V", false, "")
	f.BoolVar(&o.info, "info", false, "")
	pid := f.StringP("pid", "p", "", "")
	child := f.StringP("cmd", "c", "", "")
	f.StringVarP(&o.output, "output", "o", "", "")
	f.StringVar(&o.record, "record", "", "")
	f.StringVarP(&o.format, "format", "f", "text", "")
	f.StringVarP(&o.buffering, "buffering", "B", "line", "")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "")
	warn := f.CountP("warnings", "k", "")
	f.BoolVar(&o.noWarnings, "no-warnings", false, "")
	f.BoolVar(&o.unsafe, "unsafe", false, "")
	f.BoolVar(&o.dryRun, "dry-run", false, "")
	f.BoolVar(&o.explainOnly, "explain", false, "")
	f.BoolVar(&o.fmt, "fmt", false, "")
	f.StringVar(&o.host, "host", "", "")
	f.StringArrayVarP(&o.stages, "debug", "d", nil, "")
	f.StringVar(&o.probeFilter, "probe-filter", "", "")
	f.StringVar(&o.mode, "mode", "", "")
	f.StringArrayVarP(&o.includes, "include-dir", "I", nil, "")
	f.StringArrayVar(&o.headers, "include", nil, "")
	test, bench := f.Bool("test", false, ""), f.Bool("bench", false, "")
	ignoredOptions(f)

	// What follows "--" belongs to the script.
	var rest []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	if err := f.Parse(completed(f, args)); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			o.help = true
			return o, nil
		}
		return nil, &errUsage{err.Error()}
	}
	o.helperCheck = *warn > 0
	switch {
	case *test:
		o.mode = "test"
	case *bench:
		o.mode = "bench"
	}
	if *child != "" {
		o.child = strings.Fields(*child)
	}
	positional := f.Args()
	switch {
	case o.list:
		if len(positional) > 0 {
			o.search, positional = positional[0], positional[1:]
		}
	case len(o.program) == 0 && len(positional) > 0:
		o.file, positional = positional[0], positional[1:]
	}
	o.args = positional
	o.scriptArgs(rest)
	if *pid != "" {
		n, err := strconv.Atoi(*pid)
		if err != nil || n <= 0 {
			return nil, &errUsage{fmt.Sprintf("-p wants the number of a process, not %q", *pid)}
		}
		o.pid = n
	}
	return o, o.validate()
}

// completed writes out long options of which only the start is given, as getopt_long(3) takes them.
func completed(f *pflag.FlagSet, args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		name, value, given := strings.Cut(a, "=")
		name, long := strings.CutPrefix(name, "--")
		if !long || name == "" || f.Lookup(name) != nil {
			continue
		}
		var found []string
		f.VisitAll(func(flag *pflag.Flag) {
			if strings.HasPrefix(flag.Name, name) {
				found = append(found, flag.Name)
			}
		})
		if len(found) == 1 {
			args[i] = "--" + found[0]
			if given {
				args[i] += "=" + value
			}
		}
	}
	return args
}

// ignoredOptions are bpftrace's options without a meaning here: there is no LLVM, no C compiler and no debug information to
// configure.
func ignoredOptions(f *pflag.FlagSet) {
	for _, name := range []string{"debuginfo", "dwarf-pid", "traceable-functions", "no-feature", "emit-elf", "emit-llvm", "aot"} {
		f.StringArray(name, nil, "")
	}
	for _, name := range []string{"usdt-file-activation", "verify-llvm-ir", "no-pager"} {
		f.Bool(name, false, "")
	}
}

// scriptArgs reads --name=value and --name (which is "true"); other words are positional parameters.
func (o *options) scriptArgs(args []string) {
	for _, a := range args {
		name, ok := strings.CutPrefix(a, "--")
		if !ok || name == "" {
			o.args = append(o.args, a)
			continue
		}
		name, value, given := strings.Cut(name, "=")
		if !given {
			value = "true"
		}
		o.named[name] = value
	}
}

func (o *options) validate() error {
	if !slices.Contains([]string{"text", "json"}, o.format) {
		return &errUsage{fmt.Sprintf("-f wants text or json, not %q", o.format)}
	}
	if !slices.Contains([]string{"line", "full", "none"}, o.buffering) {
		return &errUsage{fmt.Sprintf("-B wants line, full or none, not %q", o.buffering)}
	}
	if !slices.Contains([]string{"", "kernel", "user"}, o.host) {
		return &errUsage{fmt.Sprintf("--host wants kernel or user, not %q", o.host)}
	}
	if o.pid != 0 && o.child != nil {
		return &errUsage{"-p and -c cannot be used together"}
	}
	for _, s := range o.stages {
		if !slices.Contains(stageNames(), s) {
			return &errUsage{fmt.Sprintf("-d wants one of %s, not %q", strings.Join(stageNames(), ", "), s)}
		}
	}
	if modes := []string{"", "test", "bench", "format", "codegen", "compiler-bench"}; !slices.Contains(modes, o.mode) {
		return &errUsage{fmt.Sprintf("--mode wants one of %s, not %q", strings.Join(modes[1:], ", "), o.mode)}
	}
	if _, err := regexp.Compile(o.probeFilter); err != nil {
		return &errUsage{"--probe-filter: " + err.Error()}
	}
	if o.mode == "format" {
		o.fmt = true
	}
	if !o.help && !o.version && !o.info && !o.list && o.file == "" && len(o.program) == 0 {
		return &errUsage{noProgram + "give a file or -e 'program'"}
	}
	return nil
}

// stageNames lists what -d takes. bpftrace's names of LLVM's stages stand for the nearest of ours.
func stageNames() []string {
	return []string{"ast", "types", "ir", "ir-opt", "asm", "verifier", "all", "parse", "codegen", "codegen-opt", "dis", "libbpf"}
}

// wants reports whether a stage is to be printed.
func (o *options) wants(stage string) bool {
	alias := map[string]string{"parse": "ast", "codegen": "ir", "codegen-opt": "ir-opt", "dis": "asm"}
	for _, s := range o.stages {
		if s == stage || s == "all" || alias[s] == stage {
			return true
		}
	}
	return false
}
