package probe

import "strings"

// provider is one kind of probe as users write it.
type provider struct {
	name    string
	aliases []string
	kind    Kind
	usage   string // what is to stand after the name
	expand  func(e *expansion, kind Kind) error
}

// providers is the table of all kinds. Those without expand are known, but not supported yet.
func providers() []provider {
	return []provider{
		{"begin", nil, Begin, "begin", expandBare},
		{"end", nil, End, "end", expandBare},
		{"self", nil, SelfSignal, "self:signal:SIGUSR1", expandSelf},
		{"tracepoint", []string{"t"}, Tracepoint, "tracepoint:category:event", expandTracepoint},
		{"rawtracepoint", []string{"rt"}, RawTracepoint, "rawtracepoint:event", expandRawTracepoint},
		{"kprobe", []string{"k"}, Kprobe, "kprobe:function, kprobe:function+offset or kprobe:module:function", expandKprobe},
		{"kretprobe", []string{"kr"}, Kretprobe, "kretprobe:function or kretprobe:module:function", expandKprobe},
		{"fentry", []string{"f", "kfunc"}, Fentry, "fentry:function or fentry:module:function", expandFentry},
		{"fexit", []string{"fr", "kretfunc"}, Fexit, "fexit:function or fexit:module:function", expandFentry},
		{"uprobe", []string{"u"}, Uprobe, "uprobe:file:function, uprobe:file:function+offset or uprobe:file:address", expandUprobe},
		{"uretprobe", []string{"ur"}, Uretprobe, "uretprobe:file:function", expandUprobe},
		{"usdt", []string{"U"}, USDT, "usdt:file:probe or usdt:file:provider:probe", expandUSDT},
		{"profile", []string{"p"}, Profile, "profile:hz:99, profile:ms:10 or profile:10ms", expandTimer},
		{"interval", []string{"i"}, Interval, "interval:s:1, interval:hz:10 or interval:100ms", expandTimer},
		{"software", []string{"s"}, Software, "software:event or software:event:count", expandSoftware},
		{"test", nil, Test, "test:name", expandTest},
		{"bench", nil, Bench, "bench:name", expandTest},
		{"hardware", []string{"h"}, 0, "", nil},
		{"iter", []string{"it"}, 0, "", nil},
		{"watchpoint", []string{"w"}, 0, "", nil},
		{"asyncwatchpoint", []string{"aw"}, 0, "", nil},
	}
}

// String gives the provider's name.
func (k Kind) String() string {
	for _, p := range providers() {
		if p.kind == k && p.expand != nil {
			return p.name
		}
	}
	return "probe"
}

func findProvider(name string) (provider, bool) {
	for _, p := range providers() {
		if strings.EqualFold(p.name, name) {
			return p, true
		}
		for _, a := range p.aliases {
			if a == name || len(a) > 2 && strings.EqualFold(a, name) {
				return p, true
			}
		}
	}
	return provider{}, false
}

// KindOf gives the kind that a pattern is about; ok is false if there is none such.
func KindOf(pattern string) (kind Kind, ok bool) {
	name, _, _ := strings.Cut(pattern, ":")
	p, ok := findProvider(name)
	return p.kind, ok && p.expand != nil
}

func providerNames() []string {
	var names []string
	for _, p := range providers() {
		names = append(names, p.name)
		names = append(names, p.aliases...)
	}
	return names
}

// softwareEvent is one event of PERF_TYPE_SOFTWARE with the count after which it fires by default.
type softwareEvent struct {
	name   string
	config uint64
	count  uint64
}

func softwareEvents() []softwareEvent {
	return []softwareEvent{
		{"alignment-faults", 7, 1},
		{"bpf-output", 10, 1},
		{"context-switches", 3, 1000},
		{"cpu-clock", 0, 1000000},
		{"cpu-migrations", 4, 1},
		{"cpu", 0, 1000000},
		{"cs", 3, 1000},
		{"dummy", 9, 1},
		{"emulation-faults", 8, 1},
		{"faults", 2, 100},
		{"major-faults", 6, 1},
		{"minor-faults", 5, 100},
		{"page-faults", 2, 100},
		{"task-clock", 1, 1000000},
	}
}
