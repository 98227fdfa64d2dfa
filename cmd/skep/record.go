package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
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
	usable := t.place.usable
	t.place.usable = func(p probe.Point) error { // so that scripts that can do without take another way
		if p.Kind == probe.Fentry || p.Kind == probe.Fexit {
			return errors.New(p.Kind.String() + " cannot be recorded")
		}
		if usable == nil {
			return nil
		}
		return usable(p)
	}
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
