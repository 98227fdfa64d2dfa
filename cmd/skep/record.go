package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/host/machine"
	"skep/host/replay"
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/lang/bpftrace/lower"
	"skep/probe"
	"skep/recording"
	"skep/schema"
	"skep/trace"
)

// record is a recording in the making. The script is compiled twice: for the place where events happen, and for the machine that plays them
// as they are recorded, whose output is shown.
type record struct {
	*tracing
	asking *replay.Asking
	source *lower.Unit
	types  *probe.Types // nil if there are none
}

// plays reports whether the script runs on recorded events.
func (t *tracing) plays() bool { return t.played != nil || t.recording != nil }

// only is the process of -p, also when the recording was made; 0 for all.
func (t *tracing) only() int {
	if t.played != nil {
		return t.played.Header.PID
	}
	return t.pid
}

// target is what the script is compiled for.
func (t *tracing) target() (*ir.Target, error) {
	target, err := t.place.host.Target()
	if err != nil || t.recording == nil {
		return target, err
	}
	return machine.Target(target.Arch, target.CPUs), nil
}

// prepareRecord is before the script is compiled.
func (t *tracing) prepareRecord() error {
	if t.options.record == "" || t.compileOnly() || t.dryRun || t.explainOnly {
		return nil
	}
	switch {
	case t.trials() != 0:
		return errors.New("--test and --bench have no events to record")
	case t.played != nil:
		return errors.New("a replay has nothing to record: copy the file")
	}
	t.recording = &record{tracing: t, asking: &replay.Asking{}}
	t.answers = t.recording.asking
	t.place.hasRaw = func(probe.Point) bool { return false } // records of tracepoints are recorded
	if types, err := t.place.types(); err == nil {
		types.Remember()
		_, _ = types.Struct("task_struct") // replays may ask for the parent of a task; a kernel that has none says so then
		t.recording.types = types
	}
	return nil
}

// compile compiles for the place where the events happen.
func (r *record) compile(tree *check.Tree, opt lower.Options) (err error) {
	r.source, err = r.compileSource(tree, opt)
	return err
}

func (r *record) compileSource(tree *check.Tree, opt lower.Options) (*lower.Unit, error) {
	opt.Dump, opt.HelperErrors, opt.Played = nil, false, false
	if !r.place.traces {
		target, err := r.place.host.Target()
		if err != nil {
			return nil, err
		}
		opt.Target = lower.RecordTarget(target)
		opt.Record = os.Getpid()
	}
	return lower.Lower(tree, opt)
}

// load loads the script at both places.
func (r *record) load(unit *lower.Unit, attach []probe.Attach, opt host.Options) (host.Session, error) {
	if err := recordable(unit); err != nil {
		return nil, err
	}
	h, err := r.header(unit)
	if err != nil {
		return nil, err
	}
	var types []byte
	if r.types != nil {
		if types, err = r.types.Subset(); err != nil {
			return nil, fmt.Errorf("recording the kernel's types: %w", err)
		}
	}
	// It has memory of the traced processes in it.
	file, err := os.OpenFile(r.options.record, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the recording: %w", err)
	}
	w, err := recording.NewWriter(file, h, types)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	r.asking.Writer = w
	r.asking.Flush()
	played := host.Options{RingMap: opt.RingMap, RingPages: opt.RingPages, ControlMap: opt.ControlMap, StateMap: opt.StateMap, Notice: opt.Notice}
	live, err := replay.NewLive(w, h, r.source.Attach, unit.Spec, attach, played)
	if err != nil {
		return nil, errors.Join(err, w.Close(recording.End{}), file.Close())
	}
	opt.Record = live
	source, err := r.place.host.Load(r.source.Spec, r.source.Attach, opt)
	if err != nil {
		return nil, errors.Join(err, live.Close(), file.Close())
	}
	if !r.place.traces {
		source = replay.FromKernel(source, r.source, live)
	}
	live.SetSource(source)
	return &recordedSession{live, file}, nil
}

// recordedSession closes the file, too.
type recordedSession struct {
	*replay.Live
	file *os.File
}

func (s *recordedSession) Close() error { return errors.Join(s.Live.Close(), s.file.Close()) }

// recordable refuses what a replay could not do.
func recordable(unit *lower.Unit) error {
	for name, m := range unit.Spec.Maps {
		if m.Pinning != ebpf.PinNone {
			return fmt.Errorf("map %s is pinned: what others put into it cannot be recorded", name)
		}
	}
	for _, e := range unit.Script.Events {
		if e.Kind == schema.StackCopy {
			return errors.New("dw_ustack cannot be recorded: ustack can be")
		}
	}
	return nil
}

func (r *record) header(unit *lower.Unit) (*recording.Header, error) {
	probes, err := replay.Probes(r.source.Attach)
	if err != nil {
		return nil, err
	}
	target, err := r.place.host.Target()
	if err != nil {
		return nil, err
	}
	h := &recording.Header{
		Script: unit.Script.Source.Text, Name: unit.Script.Source.Name, Args: r.args, Named: r.named, Host: r.place.host.Name(), Arch: runtime.GOARCH, CPUs: target.CPUs,
		PID: r.pid, Child: r.child != nil, OtherPIDNS: r.place.otherPIDs, Probes: probes, Formats: map[string]*probe.Format{},
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	h.Zone, h.ZoneOffset = time.Now().Zone()
	for _, p := range probes {
		if p.Point.Kind != probe.Tracepoint {
			continue
		}
		name := p.Point.Category + ":" + p.Point.Event
		if h.Formats[name] == nil {
			if h.Formats[name], err = r.place.probes.Format(p.Point.Category, p.Point.Event); err != nil {
				delete(h.Formats, name) // a replay that uses its fields says so
			}
		}
	}
	return h, nil
}

// runReplay is skep replay FILE: the usual options, and a recording in place of the kernel.
func runReplay(env *environment, args []string) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(env.stderr, "usage: skep replay FILE [options] [-e 'program' | SCRIPT]")
		return exitUsage
	}
	file, err := os.Open(args[0])
	if err != nil {
		return fail(env, fmt.Errorf("opening the recording: %w", err))
	}
	defer file.Close()
	var seeker io.ReadSeeker = file
	if _, err := file.Seek(0, io.SeekCurrent); err != nil { // a pipe: it is read twice
		content, err := io.ReadAll(file)
		if err != nil {
			return fail(env, fmt.Errorf("reading the recording: %w", err))
		}
		seeker = bytes.NewReader(content)
	}
	r, err := recording.Open(seeker)
	if err != nil {
		return fail(env, fmt.Errorf("%s: %w", args[0], err))
	}
	o, err := parseOptions(args[1:])
	var wrong *errUsage
	if errors.As(err, &wrong) && strings.HasPrefix(wrong.message, noProgram) {
		o, err = parseOptions(append([]string{"-e", r.Header.Script}, args[1:]...))
		if err == nil && len(o.args)+len(o.named) == 0 {
			o.args, o.named = r.Header.Args, r.Header.Named
		}
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "ERROR: %v (%s --help shows the options)\n", err, env.name)
		return exitUsage
	}
	switch {
	case o.help:
		return runHelp(env, nil)
	case o.info:
		return describe(env, r)
	case o.child != nil || o.pid != 0 || o.host != "":
		return fail(env, errors.New("a replay has no processes: -c, -p and --host are for recording"))
	case r.Header.Arch != runtime.GOARCH:
		return fail(env, fmt.Errorf("the recording is of %s, and this is %s: their system calls have other numbers", r.Header.Arch, runtime.GOARCH))
	}
	o.unsafe = true // what may do harm has been done
	asked := replay.NewAsked(r.Answers)
	t := &tracing{environment: env, options: o, played: r, answers: asked}
	code, err := t.run()
	if asked.Missing > 0 {
		t.warnOnce(fmt.Sprintf("WARNING: %d names were not looked up while recording: they are shown as numbers, or not at all", asked.Missing))
	}
	if err != nil && !errors.Is(err, trace.ErrInterrupted) {
		return fail(env, err)
	}
	return code
}

func replayPlace(r *recording.Reader) *place {
	catalog := replay.NewCatalog(r)
	return &place{
		host: &replay.Host{Reader: r}, probes: catalog, types: catalog.Types, otherPIDs: r.Header.OtherPIDNS,
		hasRaw: func(probe.Point) bool { return false },
	}
}

// describe tells what a recording has.
func describe(env *environment, r *recording.Reader) int {
	counts := make([]int, len(r.Header.Probes))
	first, last := uint64(0), uint64(0)
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		if first == 0 {
			first = e.Boot
		}
		last = max(last, e.Boot)
		counts[e.Probe]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "recorded on    Linux %s, %s, %d CPUs, host %s\n", r.Header.Kernel, r.Header.Arch, r.Header.CPUs, r.Header.Host)
	if r.Started {
		zone := time.FixedZone(r.Header.Zone, r.Header.ZoneOffset)
		fmt.Fprintf(&b, "begun          %s\n", time.Unix(0, int64(r.Start.Boot)+r.Start.Wall).In(zone).Format("2006-01-02 15:04:05 MST"))
	}
	fmt.Fprintf(&b, "events         %d in %v\n", r.Events, time.Duration(last-first).Round(time.Microsecond))
	if r.End.Lost > 0 {
		fmt.Fprintf(&b, "lost           %d\n", r.End.Lost)
	}
	switch {
	case r.Broken != nil:
		fmt.Fprintf(&b, "not complete   %v\n", r.Broken)
	case !r.Ended:
		b.WriteString("not complete   it was not ended in order\n")
	}
	b.WriteString("\n")
	for i, p := range r.Header.Probes {
		fmt.Fprintf(&b, "%10d  %s\n", counts[i], p.Point.Name)
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(r.Header.Script, "\n"))
	return write(env, b.String())
}
