package lower

import (
	"skep/ir"
	"skep/lang/bpftrace/check"
	"skep/probe"
)

// knownSource is the context of a tracepoint whose record is a plain function of the raw tracepoint's arguments, so that the
// record need not be made.
type knownSource struct {
	noArgs
	event string
	typed bool
}

// knownTracepoint returns the source of a tracepoint if all that is used of its record can be had from the raw tracepoint's
// arguments, nil otherwise.
func (u *unit) knownTracepoint(pt probe.Point, use uses) rawSource {
	if use.ctx || use.stack || !use.args {
		return nil
	}
	if pt.Category == "raw_syscalls" {
		return &knownSource{event: pt.Event}
	}
	s := &derivedSource{at: map[string]derived{}}
	for name := range use.fields {
		d, ok := derive(pt.Category, pt.Event, name)
		if !ok {
			return nil
		}
		if d.member != "" {
			if !u.target.Supports(ir.BTFTracepoint) {
				return nil
			}
			off, ok := u.kernelOffset(d.of, d.member)
			if !ok {
				return nil
			}
			d.off = off
		}
		s.at[name] = d
	}
	return s
}

// rawSource is a source for a raw tracepoint. It is told whether the arguments are typed.
type rawSource interface {
	source
	needsMemory(use uses) bool
	setTyped(typed bool)
}

func (s *knownSource) setTyped(typed bool) { s.typed = typed }

// derived says where a raw tracepoint has what a field of the record is a copy of: in argument arg, or in a member of
// the struct that it points to.
type derived struct {
	arg        int
	of, member string
	off        int64
}

// derive knows the fields of a few tracepoints that are hit often, whose arguments have been the same since Linux 5.10.
func derive(category, event, field string) (derived, bool) {
	task := func(arg int, member string) (derived, bool) {
		return derived{arg: arg, of: "task_struct", member: member}, true
	}
	switch category + ":" + event {
	case "sched:sched_switch":
		switch field {
		case "prev_comm", "prev_pid", "prev_prio":
			return task(1, field[5:])
		case "next_comm", "next_pid", "next_prio":
			return task(2, field[5:])
		}
	case "sched:sched_wakeup", "sched:sched_wakeup_new", "sched:sched_waking", "sched:sched_process_exit":
		switch field {
		case "comm", "pid", "prio":
			return task(0, field)
		}
	case "sched:sched_stat_runtime":
		switch field {
		case "comm", "pid":
			return task(0, field)
		case "runtime":
			return derived{arg: 1}, true
		}
	case "irq:softirq_entry", "irq:softirq_exit", "irq:softirq_raise":
		if field == "vec" {
			return derived{}, true
		}
	case "power:cpu_idle", "power:cpu_frequency":
		switch field {
		case "state":
			return derived{}, true
		case "cpu_id":
			return derived{arg: 1}, true
		}
	}
	return derived{}, false
}

// derivedSource is the context of a raw tracepoint of which each field that is used is known.
type derivedSource struct {
	noArgs
	at    map[string]derived
	typed bool
}

func (s *derivedSource) setTyped(typed bool) { s.typed = typed }

func (s *derivedSource) needsMemory(use uses) bool {
	for _, d := range s.at {
		if d.member != "" {
			return true
		}
	}
	return false
}

func (s *derivedSource) field(f *fn, x *check.ArgsField) operand {
	d := s.at[x.Field.Name]
	if d.member == "" {
		return operand{v: f.wrap(f.b.Load(f.context(), int64(8*d.arg), 8, false), x.Field.Type)}
	}
	p := place{space: typed, nullable: true, base: f.b.LoadPointer(f.context(), int64(8*d.arg)), off: d.off}
	if isScalar(x.Field.Type) {
		return operand{v: f.load(p, x.Field.Type)}
	}
	return operand{place: p}
}

// needsMemory reports whether what is used lies behind the arguments.
func (s *knownSource) needsMemory(use uses) bool {
	return use.fields["args"] || s.event == "sys_exit" && use.fields["id"]
}

func (s *knownSource) field(f *fn, x *check.ArgsField) operand {
	r := regsOf(f.target.Arch)
	sys := &syscallSource{unit: f.unit, tracepoint: s.event, typed: s.typed, regs: r}
	switch {
	case x.Field.Name == "id" && s.event == "sys_enter", x.Field.Name == "ret":
		return operand{v: f.b.Load(f.context(), 8, size(x.Field.Type), isSigned(x.Field.Type))}
	case x.Field.Name == "id":
		return operand{v: sys.register(f, r.nr, r.nrSize, true)}
	case x.Field.Name == "args":
		slot := f.slot("args", 48, 8)
		for i, off := range r.syscall {
			f.b.Store(slot, int64(8*i), 8, sys.register(f, off, 8, false))
		}
		return operand{place: place{base: slot}}
	}
	f.fail(x.Span, "args.%s of this tracepoint is not known", x.Field.Name)
	return operand{}
}

// element gives args.args[i] without the others.
func (s *knownSource) element(f *fn, x *check.ArgsField, i int) (operand, bool) {
	r := regsOf(f.target.Arch)
	if x.Field.Name != "args" || i >= len(r.syscall) {
		return operand{}, false
	}
	sys := &syscallSource{unit: f.unit, tracepoint: s.event, typed: s.typed, regs: r}
	return operand{v: sys.register(f, r.syscall[i], 8, false)}, true
}
