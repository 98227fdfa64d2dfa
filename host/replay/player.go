package replay

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/host/machine"
	"skep/probe"
	"skep/recording"
	"skep/vm"
)

// player runs programs on events.
type player struct {
	*machine.Loaded
	header *recording.Header
	start  recording.Start
	types  *probe.Types // nil if there are none
	attach []probe.Attach
	opt    host.Options
	zone   *time.Location

	recorded map[key]int // the recorded probe of each point
	hooks    [][]hook    // what is to run, by recorded probe

	threads []*vm.Thread // by CPU, made when needed
	now     uint64       // boot clock of the event in work
	playing playing

	words  *vm.Record // of raw tracepoints
	regs   *vm.Record // to which the first of the words of system calls leads
	perf   *vm.Record
	record *vm.Record // of tracepoints
	probe  *vm.Record // of functions
	regsAt uint64     // address of regs

	missing missing
	fault   bool // the user knows of a fault
}

// key is a point of an attachment.
type key struct{ attach, point int }

// hook is a program for a point.
type hook struct {
	program *vm.Program
	how     probe.How
	cookie  uint64
}

const (
	// recordSize is the most that a context has here.
	recordSize = 16 << 10
	// regsSize is room for the registers of every kind of computer.
	regsSize = 512
)

func newPlayer(h *recording.Header, spec *ebpf.CollectionSpec, attach []probe.Attach, opt host.Options) (p *player, err error) {
	p = &player{header: h, attach: attach, opt: opt, zone: time.FixedZone(h.Zone, h.ZoneOffset), recorded: map[key]int{}}
	for _, a := range attach {
		if spec.Programs[a.Program] == nil {
			return nil, fmt.Errorf("program %s to attach is not in the collection", a.Program)
		}
	}
	in := vm.Options{CPUs: max(h.CPUs, 1), Host: p.machineHost(), Clock: clock{p}, Random: p.random, Repeatable: true}
	if p.Loaded, err = machine.Load(spec, in, opt); err != nil {
		return nil, err
	}
	p.threads = make([]*vm.Thread, in.CPUs)
	var errs [5]error
	p.words, errs[0] = p.Machine.NewContext(ebpf.RawTracepoint, nil)
	p.regs, errs[1] = p.Machine.NewRecord(make([]byte, regsSize))
	p.perf, errs[2] = p.Machine.NewContext(ebpf.PerfEvent, nil)
	p.record, errs[3] = p.Machine.NewRecord(make([]byte, recordSize))
	p.probe, errs[4] = p.Machine.NewContext(ebpf.Kprobe, nil)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, p.Loaded.Close())
	}
	p.regsAt = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p.regs.Bytes()))))
	p.match()
	return p, nil
}

// match finds the recorded events of each point: where several probes are on one, each has its own, and what the script has more of them
// sees those of the last.
func (p *player) match() {
	byName := map[string][]int{}
	for i, r := range p.header.Probes {
		byName[r.Point.Name] = append(byName[r.Point.Name], i)
	}
	p.hooks = make([][]hook, len(p.header.Probes))
	met := map[string]int{}
	for n, a := range p.attach {
		for i, point := range a.Points {
			all := byName[point.Name]
			if len(all) == 0 {
				continue
			}
			at := all[min(met[point.Name], len(all)-1)]
			met[point.Name]++
			if p.header.Probes[at].Form != FormOf(a) {
				continue
			}
			p.recorded[key{n, i}] = at
			p.hooks[at] = append(p.hooks[at], p.hookOf(n, i))
		}
	}
}

func (p *player) hookOf(n, i int) hook {
	a := p.attach[n]
	h := hook{program: p.Collection.Programs[a.Program], how: a.How}
	if i < len(a.Cookies) {
		h.cookie = a.Cookies[i]
	}
	return h
}

// attachOf finds the attachment of a program.
func (p *player) attachOf(name string) (int, bool) {
	for n, a := range p.attach {
		if a.Program == name {
			return n, true
		}
	}
	return 0, false
}

// FormOf is what programs of an attachment get as their context.
func FormOf(a probe.Attach) recording.Form {
	switch a.How {
	case probe.RawTP:
		if len(a.Points) > 0 && a.Points[0].Kind == probe.Tracepoint && a.Points[0].Category == "syscalls" {
			return recording.Syscall
		}
		return recording.Words
	case probe.TracepointPerf:
		return recording.Record
	case probe.KprobePerf, probe.KprobeMulti, probe.UprobePerf, probe.UprobeMulti:
		return recording.Regs
	case probe.PerfClock, probe.PerfSoftware:
		return recording.Perf
	}
	return recording.None
}

func (p *player) state() []uint64 { return p.Loaded.State() }

// crowded reports whether who reads the rings should do so now.
func (p *player) crowded() bool {
	for _, name := range [...]string{p.opt.ControlMap, p.opt.RingMap} {
		r := p.Ring(name)
		if r == nil {
			continue
		}
		if waiting := r.Produced() - r.Position(); waiting > uint64(r.Size())/2 || waiting > 0 && name == p.opt.ControlMap {
			return true
		}
	}
	return false
}

// play runs what waits for an event.
func (p *player) play(e *recording.Event) error {
	p.now = max(p.now, e.Boot)
	hooks := p.hooks[e.Probe]
	for _, h := range hooks {
		p.playing.set(e, h)
		if err := p.run(h, e.CPU, p.context(e)); err != nil {
			return err
		}
	}
	if len(hooks) > 0 && e.Incomplete {
		p.missing.incomplete++
	}
	return nil
}

// self runs a program for an event that was not recorded, of the tracer itself.
func (p *player) self(h hook) error {
	p.playing.set(&recording.Event{Boot: p.now, Task: p.start.Self}, h)
	ctx := p.words
	if h.program.Type == ebpf.PerfEvent {
		ctx = p.perf
	}
	clear(ctx.Bytes())
	return p.run(h, 0, ctx)
}

func (p *player) run(h hook, cpu int, ctx vm.Context) error {
	if p.threads[cpu] == nil {
		t, err := p.Machine.NewThread(cpu)
		if err != nil {
			return err
		}
		p.threads[cpu] = t
	}
	t := p.threads[cpu]
	t.Cookie = h.cookie
	if _, err := t.Run(h.program, ctx); err != nil && !p.fault {
		p.fault = true
		p.notice("WARNING: a program was ended, which is a mistake of skep's: %v", err)
	}
	return nil
}

// context makes the context of an event.
func (p *player) context(e *recording.Event) *vm.Record {
	fill := func(r *vm.Record, content []byte) *vm.Record {
		b := r.Bytes()
		clear(b[copy(b, content):])
		return r
	}
	switch p.header.Probes[e.Probe].Form {
	case recording.Syscall:
		fill(p.regs, e.Context[min(8, len(e.Context)):])
		fill(p.words, nil)
		words := p.words.Bytes()
		*(*uint64)(unsafe.Pointer(&words[0])) = p.regsAt // a context begins at a word
		copy(words[8:16], e.Context)
		return p.words
	case recording.Record:
		return fill(p.record, e.Context)
	case recording.Regs:
		return fill(p.probe, e.Context)
	case recording.Perf:
		return fill(p.perf, e.Context)
	case recording.Words:
		return fill(p.words, e.Context)
	}
	if p.playing.hook.program.Type == ebpf.PerfEvent {
		return fill(p.perf, nil)
	}
	return fill(p.words, nil)
}

// Now is the time of the event that was played last.
func (p *player) Now() time.Time {
	return time.Unix(0, int64(p.now)+p.start.Wall).In(p.zone)
}

// Clocks are what to add to clocks to get nanoseconds since 1970.
func (p *player) Clocks() (boot, monotonic time.Duration) {
	return time.Duration(p.start.Wall), time.Duration(p.start.Wall - p.start.Monotonic)
}

func (p *player) notice(format string, args ...any) {
	if p.opt.Notice != nil {
		p.opt.Notice(fmt.Sprintf(format, args...))
	}
}

// missing counts what programs asked for and nobody has recorded.
type missing struct{ stacks, incomplete uint64 }

// report tells of it. Memory is told of with its place, by who reads the script's errors.
func (p *player) report() {
	for _, m := range []struct {
		n    uint64
		what string
	}{
		{p.missing.stacks, "stacks were asked for that are not in the recording: they are empty"},
		{p.missing.incomplete, "events are not complete: what was read for them was lost while recording"},
	} {
		if m.n > 0 {
			p.notice("WARNING: %d %s", m.n, m.what)
		}
	}
	p.missing = missing{}
}

// errNotRecorded is what programs get for memory that nobody has read: no helper of the kernel fails with it.
const errNotRecorded = unix.ENODATA
