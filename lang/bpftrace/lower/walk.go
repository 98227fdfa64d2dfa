package lower

import (
	"reflect"
	"slices"
	"strings"

	"skep/lang/bpftrace/check"
	"skep/probe"
	"skep/schema"
)

// facts is what must be known of the whole script before the first program is made.
type facts struct {
	hasExit bool
	// writers has the probes that change a map.
	writers map[*check.Map][]*check.Probe
	// bursts are the maps that a probe in an interrupt may change more than once in one run.
	bursts map[*check.Map]bool
	// rapid are the maps that several runs may change while interrupts are off.
	rapid map[*check.Map]bool
	// ready are the maps that a probe changes where the kernel allocates memory: it would see what their entries need, and need more for that.
	ready map[*check.Map]bool
	// shrinking are the maps from which programs delete entries.
	shrinking map[*check.Map]bool
	// elsewhere are the maps that are used in other ways than by the entry of the running CPU.
	elsewhere map[*check.Map]bool
	// data is set if a record goes to the data ring, rush if many may go there before anybody reads them.
	data, rush bool
}

// fewRecords is how many records of a kilobyte, the usual limit of texts, a small ring has room for in any case.
const fewRecords = 64

func gather(t *check.Tree) facts {
	f := facts{writers: map[*check.Map][]*check.Probe{}, bursts: map[*check.Map]bool{}, rapid: map[*check.Map]bool{}, ready: map[*check.Map]bool{},
		shrinking: map[*check.Map]bool{},
		elsewhere: map[*check.Map]bool{}}
	for _, p := range t.Probes {
		wrote := map[*check.Map]int{}
		loops, sends := false, 0
		walkProbe(p, func(n any) bool {
			if m, own := ofThisCPU(n); m != nil && !own {
				f.elsewhere[m] = true
			}
			switch n := n.(type) {
			case *check.SetMap:
				wrote[n.Map]++
			case *check.Aggregate:
				wrote[n.Map]++
			case *check.IncDec:
				if n.Map != nil {
					wrote[n.Map]++
				}
			case *check.ForRange, *check.ForMap, *check.While, *check.Unroll:
				loops = true
			case *check.Call:
				for _, a := range n.Args {
					// What has_key() and delete() are about is an entry, not its value.
					if a, ok := a.(*check.MapGet); ok {
						f.elsewhere[a.Map] = true
					}
				}
				switch n.Fn {
				case "exit":
					f.hasExit = true
				case "delete":
					switch a := n.Args[0].(type) {
					case *check.MapGet:
						f.shrinking[a.Map] = true
					case *check.MapArg:
						f.shrinking[a.Map] = true
					}
				}
				if n.Fn == "dw_ustack" || n.Event != nil && !isControl(n.Event.Kind) {
					sends++
				}
			}
			return true
		})
		f.data = f.data || sends > 0
		f.rush = f.rush || sends > 0 && (loops || sends > fewRecords || slices.ContainsFunc(p.Points, func(pt probe.Point) bool { return !pt.Kind.Own() }))
		for m, n := range wrote {
			f.writers[m] = append(f.writers[m], p)
			if (n > 1 || loops) && inInterrupt(p) {
				f.bursts[m] = true
			}
			if betweenInterrupts(p) {
				f.rapid[m] = true
			}
			if whereAllocated(p) {
				f.ready[m] = true
			}
		}
	}
	return f
}

// ofThisCPU gives the map that a statement or expression itself is about, if there is one, and whether it is about the entry whose key is
// the running CPU.
func ofThisCPU(n any) (m *check.Map, own bool) {
	var key check.Expr
	switch n := n.(type) {
	case *check.MapGet:
		m, key = n.Map, n.Key
	case *check.SetMap:
		m, key = n.Map, n.Key
	case *check.IncDec:
		m, key = n.Map, n.Key
	case *check.Aggregate:
		m = n.Map
	case *check.ForMap:
		m = n.Map
	case *check.MapArg:
		m = n.Map
	}
	c, ok := key.(*check.Call)
	return m, ok && c.Fn == "cpu"
}

// inInterrupt reports whether a probe's program runs in an interrupt, of a timer or of the CPU's counters.
func inInterrupt(p *check.Probe) bool {
	for _, pt := range p.Points {
		switch pt.Kind {
		case probe.Profile, probe.Interval, probe.Software:
			return true
		}
	}
	return false
}

// betweenInterrupts reports whether a probe's program may run several times while interrupts are off, as where one of them wakes threads. For
// values of each CPU, the kernel has one or a few in stock, and makes more in an interrupt: until then, insertions fail with ENOMEM.
func betweenInterrupts(p *check.Probe) bool {
	for _, pt := range p.Points {
		switch pt.Kind {
		case probe.Kprobe, probe.Kretprobe, probe.Fentry, probe.Fexit:
			for _, part := range []string{"sched", "ttwu", "wake_up", "wakeup", "enqueue_", "dequeue_", "pick_next", "pick_task", "update_curr", "_rq", "irq", "timer", "tick_"} {
				if strings.Contains(pt.Function, part) {
					return true
				}
			}
		case probe.RawTracepoint, probe.Tracepoint:
			for _, prefix := range []string{"sched_", "irq_", "softirq_", "timer_", "hrtimer_"} {
				if strings.HasPrefix(pt.Event, prefix) {
					return true
				}
			}
		}
	}
	return false
}

// whereAllocated reports whether a probe's program runs when the kernel allocates memory.
func whereAllocated(p *check.Probe) bool {
	for _, pt := range p.Points {
		for _, part := range []string{"kmalloc", "kmem_cache_alloc", "mm_page_alloc", "percpu_alloc", "alloc_percpu", "alloc_pages"} {
			if strings.Contains(pt.Event, part) || pt.Binary == "" && strings.Contains(pt.Function, part) {
				return true
			}
		}
	}
	return false
}

func isControl(k schema.EventKind) bool { return k >= schema.PrintMap && k != schema.SkbOutput }

// walkProbe calls f with each statement and expression of a probe.
func walkProbe(p *check.Probe, f func(any) bool) {
	if p.Pred != nil {
		walk(p.Pred, f)
	}
	walkBody(p.Body, f)
}

func walkBody(body []check.Stmt, f func(any) bool) {
	for _, s := range body {
		walk(s, f)
	}
}

// walk calls f with a statement or expression and, where f returns true, with those inside it.
func walk(n any, f func(any) bool) {
	if n == nil || reflect.ValueOf(n).IsNil() || !f(n) {
		return
	}
	exprs := func(list ...check.Expr) {
		for _, x := range list {
			if x != nil {
				walk(x, f)
			}
		}
	}
	switch n := n.(type) {
	case *check.Eval:
		exprs(n.X)
	case *check.SetVar:
		exprs(n.X)
	case *check.SetMap:
		exprs(n.Key, n.X)
	case *check.Aggregate:
		exprs(n.Key, n.X, n.Weight)
	case *check.If:
		exprs(n.Cond)
		walkBody(n.Then, f)
		walkBody(n.Else, f)
	case *check.While:
		exprs(n.Cond)
		walkBody(n.Body, f)
	case *check.Unroll:
		walkBody(n.Body, f)
	case *check.ForMap:
		walkBody(n.Body, f)
	case *check.ForRange:
		exprs(n.From, n.To)
		walkBody(n.Body, f)
	case *check.Group:
		walkBody(n.Body, f)
	case *check.MapGet:
		exprs(n.Key)
	case *check.IncDec:
		exprs(n.Key)
	case *check.Unary:
		exprs(n.X)
	case *check.Binary:
		exprs(n.X, n.Y)
	case *check.Cond:
		exprs(n.C, n.Then, n.Else)
	case *check.Convert:
		exprs(n.X)
	case *check.Deref:
		exprs(n.X)
	case *check.Member:
		exprs(n.X)
	case *check.Index:
		exprs(n.X, n.I)
	case *check.AddrOf:
		exprs(n.X)
	case *check.Tuple:
		exprs(n.Elems...)
	case *check.Call:
		exprs(n.Args...)
	case *check.Seq:
		walkBody(n.Stmts, f)
		exprs(n.X)
	}
}
