package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/host/replay"
	"skep/internal/diag"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/lower"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
	"skep/recording"
	"skep/trace"
	"skep/vm/verifier"
)

// runTrace compiles a script and runs it: the main job, and bpftrace's command line.
func runTrace(env *environment, args []string) int {
	o, err := parseOptions(args)
	if err != nil {
		fmt.Fprintf(env.stderr, "ERROR: %v (%s --help shows the options)\n", err, env.name)
		return 1
	}
	switch {
	case o.help:
		return runHelp(env, nil)
	case o.version:
		return runVersion(env, nil)
	case o.info:
		return runInfo(env)
	case o.list:
		return runList(env, o)
	}
	return runScript(env, o)
}

// runScript compiles the script that the options name, and runs it.
func runScript(env *environment, o *options) int {
	t := &tracing{environment: env, options: o}
	if t.needsSupervisor() {
		if code, supervised := supervise(env, len(o.program) == 0 && o.file == "-" && isTerminal(os.Stdin)); !supervised {
			return code
		}
	}
	code, err := t.run()
	if err != nil && !errors.Is(err, trace.ErrInterrupted) {
		return fail(env, err)
	}
	return code
}

// tracing is one run of a script.
type tracing struct {
	*environment
	*options
	place *place
	asked []check.Question // what the script asked about the kernel

	played    *recording.Reader // the recording to replay, nil if there is none
	recording *record           // that is made, nil if there is none
	answers   trace.Answers     // between the script and the machine; nil if nobody is
}

func (t *tracing) run() (exit int, err error) {
	src, err := readSource(t.environment, t.options)
	if err != nil {
		return 0, err
	}
	for _, h := range t.headers {
		if !t.noWarnings {
			fmt.Fprintf(t.stderr, "WARNING: the header %s is not read\nHINT: kernel types come from its BTF; define other types and constants in the script\n", h)
		}
	}
	collect(startGarbage)
	t.expectTypes(src)
	script, list := syntax.Parse(src, parseOptionsOf(t.options))
	if show(t.environment, t.options, list) {
		return 0, errShown{}
	}
	if t.fmt {
		_, err := io.WriteString(t.stdout, syntax.Print(script))
		return 0, err
	}
	t.dump("ast", func() string { return syntax.Dump(script) })
	if err := t.pickTrials(script); err != nil {
		return 0, err
	}
	if err := t.choose(script); err != nil {
		return 0, err
	}
	if err := t.prepareRecord(); err != nil {
		return 0, err
	}
	unit, err := t.compile(script)
	if err != nil || t.compileOnly() {
		return 0, err
	}
	dropCode() // of the compiler
	return t.trace(unit)
}

// expectTypes begins to read the kernel's types beside the parser, if the script looks as if it needs them.
func (t *tracing) expectTypes(src *diag.Source) {
	if t.fmt || t.played != nil || runtime.GOMAXPROCS(0) == 1 {
		return
	}
	for _, kind := range []string{"tracepoint:", "fentry:", "fexit:"} {
		if strings.Contains(src.Text, kind) {
			go func() { _, _ = probe.LoadTypes() }() // who needs them is told what is wrong with them
			return
		}
	}
}

// compileOnly reports whether -d asks for the compiler's stages: bpftrace, too, does not run the script then.
func (t *tracing) compileOnly() bool {
	if t.mode == "codegen" || t.mode == "compiler-bench" {
		return true
	}
	for _, s := range t.stages {
		if s != "verifier" && s != "libbpf" {
			return true
		}
	}
	return false
}

func (t *tracing) compile(script *syntax.Script) (*lower.Unit, error) {
	target, err := t.target()
	if err != nil {
		return nil, err
	}
	m := t.machineFacts()
	dropCode() // of the parser
	tree, list := check.Check(script, check.Options{
		Catalog: t.place.probes, Target: target,
		Args: t.args, Named: t.named, Env: os.Getenv,
		Unsafe: t.unsafe, PID: t.only(), HasChild: t.child != nil || t.played != nil && t.played.Header.Child,
		KernelAddress: m.kernelAddress, UserSymbol: m.userSymbol, CgroupID: m.cgroupID, Usable: t.place.usable, Has: m.has,
	})
	if tree != nil && !t.sees(script, tree) {
		return nil, errors.New("this needs the kernel: the user-space host has none of its probes (run as root, or with CAP_BPF and CAP_PERFMON, and with --host=kernel)")
	}
	if show(t.environment, t.options, t.rootCauses(list)) {
		return nil, errShown{}
	}
	t.asked = tree.Questions
	t.dump("types", func() string { return check.Dump(tree) })
	opt := lower.Options{
		Target: target, Types: t.place.types, KernelAddress: m.kernelAddress,
		Dump:             t.stageDump(),
		HasRawTracepoint: t.place.hasRaw,
		OtherPIDNS:       t.place.otherPIDs,
		PID:              t.only(),
		Played:           t.plays(),
		HelperErrors:     t.helperCheck || t.plays(), // what was not recorded is told of
	}
	dropCode() // of the checker
	unit, err := lower.Lower(tree, opt)
	if err == nil && t.recording != nil {
		err = t.recording.compile(tree, opt)
	}
	var refused *diag.List
	if errors.As(err, &refused) {
		show(t.environment, t.options, refused)
		return nil, errShown{}
	}
	if err == nil && unit.Warnings != nil {
		show(t.environment, t.options, unit.Warnings)
	}
	return unit, err
}

func (t *tracing) trace(unit *lower.Unit) (exit int, err error) {
	opt := trace.Options{
		Answers: t.answers, HelperErrors: t.helperCheck, BufferFlag: t.bufferFlag,
		JSON: t.format == "json", Output: t.stdout, Errors: t.stderr,
		Quiet: t.quiet, Bare: t.bare, Colour: colours(t.stderr), PID: t.pid,
		Terminal: t.output == "" && isTerminal(t.stdout.file),
		Trials:   t.trials(),
	}
	if os.Getenv("__BPFTRACE_NOTIFY_PROBES_ATTACHED") != "" {
		opt.Notify = t.stdout // also if the output goes to a file
	}
	switch t.buffering {
	case "none":
		opt.Buffer = trace.FlushLines
	case "full":
		opt.Buffer = trace.FlushFull
	}
	if t.output != "" {
		f, err := os.Create(t.output)
		if err != nil {
			return 0, fmt.Errorf("opening the output: %w", err)
		}
		defer func() {
			if e := f.Close(); err == nil && e != nil {
				err = fmt.Errorf("writing the output: %w", e)
			}
		}()
		opt.Output = f
	}
	if opt.NoWarnings = t.noWarnings; t.noWarnings {
		opt.Warn = func(*host.AttachError) {}
	}
	load := host.Options{
		PID: t.pid, RingMap: lower.MapEvents, RingPages: unit.Script.Config.RingPages, ControlMap: lower.MapControl, StateMap: lower.MapState,
	}
	if t.place.traces {
		load.PID = t.followed()
	}
	if t.wants("verifier") {
		load.VerifierLog = func(program, log string) {
			fmt.Fprintf(t.stderr, "The verifier's log of %s:\n%s\n\n", program, log)
		}
	}
	load.Main, opt.Main = mainThread()
	if t.explainOnly {
		return 0, t.explainHooks(unit, t.asked, load)
	}
	if t.dryRun {
		return 0, t.tryAttaching(unit, load)
	}
	switch {
	case t.played != nil:
		opt.Symbols = replay.Nameless{}
	case unit.NeedsUserSymbols:
		load.TrackProcesses, opt.Symbols = trace.Track(unit.Script)
	}
	if t.child != nil {
		if opt.Child, err = trace.StartChild(t.child...); err != nil {
			return 0, err
		}
		defer opt.Child.Stop()
		load.Child = opt.Child.PID()
	}
	load.Notice = t.warnOnce
	session, err := t.load(unit, unit.Attach, load)
	if err != nil {
		return 0, t.explain(unit, err)
	}
	collect(100)
	exit, err = trace.Run(context.Background(), session, unit, opt)
	return exit, t.explain(unit, err)
}

// slowLoad is when the user is told what takes so long. Tests have it earlier, since some machines verify the largest programs in a second.
var slowLoad = time.Second

func (t *tracing) load(unit *lower.Unit, attach []probe.Attach, opt host.Options) (host.Session, error) {
	if !t.quiet {
		var notice *time.Timer
		opt.Loading = func() {
			notice = time.AfterFunc(slowLoad, func() {
				fmt.Fprintln(t.stderr, "The kernel's verifier is still checking the script: it follows each round of a loop (Ctrl-C ends it)")
			})
		}
		defer func() {
			if notice != nil {
				notice.Stop()
			}
		}()
	}
	if t.recording != nil {
		return t.recording.load(unit, attach, opt)
	}
	return t.place.host.Load(unit.Spec, attach, opt)
}

// tryAttaching loads and attaches everything, but runs nothing, not even begin.
func (t *tracing) tryAttaching(unit *lower.Unit, load host.Options) error {
	session, err := t.load(unit, withoutRuns(unit.Attach), load)
	if err != nil {
		return t.explain(unit, err)
	}
	failed, err := t.attachOnly(session)
	if err == nil {
		for _, f := range failed {
			fmt.Fprintln(t.stderr, "WARNING:", f)
		}
	}
	session.Disable()
	return errors.Join(t.explain(unit, err), session.Close())
}

// attachOnly attaches everything to see what can be. In user space that is known when all is loaded, and there is no process yet.
func (t *tracing) attachOnly(session host.Session) ([]*host.AttachError, error) {
	if t.place.traces {
		return nil, nil
	}
	_, failed, err := session.Attach(context.Background())
	return failed, err
}

// withoutRuns leaves out what is run by us, such as begin.
func withoutRuns(all []probe.Attach) []probe.Attach {
	return slices.DeleteFunc(slices.Clone(all), func(a probe.Attach) bool { return a.How == probe.TestRun })
}

// explain shows where in the script a program comes from that the kernel refuses.
func (t *tracing) explain(unit *lower.Unit, err error) error {
	if errors.Is(err, unix.EMFILE) {
		return fmt.Errorf("%w; raise the limit of open files (ulimit -n)", unix.EMFILE)
	}
	var failed *host.AttachError
	if errors.As(err, &failed) && unit.Programs[failed.Attach.Program] != nil {
		list := &diag.List{Source: unit.Script.Source}
		list.Errorf(pointSpan(unit, failed.Attach.Program), "%v", failed)
		show(t.environment, t.options, list)
		return errShown{}
	}
	var rejected *host.Rejected
	if refused := (*verifier.Rejection)(nil); errors.As(err, &refused) { // by the machine
		rejected = &host.Rejected{Program: refused.Program, Insn: refused.Insn, Reason: refused.Text, Err: err}
	}
	if rejected != nil || errors.As(err, &rejected) {
		program := unit.Programs[rejected.Program]
		if program == nil {
			return err
		}
		at := program.Probe
		if program.Object != nil && rejected.Insn >= 0 && rejected.Insn < len(program.Object.Spans) {
			if s := program.Object.Spans[rejected.Insn]; s != (diag.Span{}) {
				at = s
			}
		}
		list := &diag.List{Source: unit.Script.Source}
		if endless(rejected.Reason) {
			list.Errorf(at, "the kernel's verifier finds no end of this loop, or gives up following it").Hint =
				"a loop must end after a number of rounds that the kernel can see: count up to a constant, in a while of fewer rounds or with for ($i : 0..n)"
		} else {
			who := "the kernel's verifier"
			if t.place.traces {
				who = "the verifier"
			}
			where := "here"
			if list.Source.Embedded {
				where = "of " + pointName(unit, rejected.Program)
			}
			list.Errorf(at, "%s rejects the program %s: %s", who, where, rejected.Reason).Hint =
				"-v shows the verifier's whole log; this is a mistake of skep, not of the script, unless the script is very long"
		}
		show(t.environment, t.options, list)
		if !list.Source.Embedded {
			t.explainRejection(unit, rejected)
		}
		if (t.verbose || t.wants("verifier")) && rejected.Log != "" {
			fmt.Fprintln(t.stderr, strings.TrimRight(rejected.Log, "\n"))
		}
		return errShown{}
	}
	return err
}

// endless reports whether the verifier's reason is a loop.
func endless(reason string) bool {
	for _, words := range []string{"infinite loop", "too large", "too complex", "back-edge"} {
		if strings.Contains(reason, words) {
			return true
		}
	}
	return false
}

// pointSpan is the place of a program's first probe in the script.
func pointSpan(unit *lower.Unit, program string) diag.Span {
	at := unit.Programs[program].Probe
	text := unit.Script.Source.Text
	if at.Start < 0 || int(at.End) > len(text) || at.Start >= at.End {
		return at
	}
	if n := strings.IndexAny(text[at.Start:at.End], " \t\n{,"); n > 0 {
		at.End = at.Start + diag.Pos(n)
	}
	return at
}

// pointName is what a program was to be attached to first.
func pointName(unit *lower.Unit, program string) string {
	for _, a := range unit.Attach {
		if a.Program == program && len(a.Points) > 0 {
			return a.Points[0].Name
		}
	}
	return program
}

// dump prints a stage if -d asks for it.
func (t *tracing) dump(stage string, text func() string) {
	if t.wants(stage) {
		fmt.Fprintf(t.stdout, "%s\n", strings.TrimRight(text(), "\n"))
	}
}

func (t *tracing) stageDump() func(stage, text string) {
	if !t.wants("ir") && !t.wants("ir-opt") && !t.wants("asm") {
		return nil
	}
	return func(stage, text string) { t.dump(stage, func() string { return text }) }
}
