package check

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/btf"

	"skep/internal/diag"
	"skep/probe"
)

// fakeCatalog is a small machine, the same everywhere: a few tracepoints, functions and types.
type fakeCatalog struct{}

var fakeFormats = map[string][]probe.FormatField{
	"syscalls:sys_enter_openat": {
		{Name: "__syscall_nr", Type: "int", Offset: 8, Size: 4, Signed: true},
		{Name: "dfd", Type: "int", Offset: 16, Size: 8},
		{Name: "filename", Type: "const char *", Offset: 24, Size: 8},
		{Name: "flags", Type: "int", Offset: 32, Size: 8},
		{Name: "mode", Type: "umode_t", Offset: 40, Size: 8},
	},
	"syscalls:sys_enter_open": {
		{Name: "__syscall_nr", Type: "int", Offset: 8, Size: 4, Signed: true},
		{Name: "filename", Type: "const char *", Offset: 16, Size: 8},
		{Name: "flags", Type: "int", Offset: 24, Size: 8},
		{Name: "mode", Type: "umode_t", Offset: 32, Size: 8},
	},
	"syscalls:sys_exit_read":   {{Name: "__syscall_nr", Type: "int", Offset: 8, Size: 4, Signed: true}, {Name: "ret", Type: "long", Offset: 16, Size: 8, Signed: true}},
	"syscalls:sys_exit_openat": {{Name: "__syscall_nr", Type: "int", Offset: 8, Size: 4, Signed: true}, {Name: "ret", Type: "long", Offset: 16, Size: 8, Signed: true}},
	"syscalls:sys_enter_execve": {
		{Name: "__syscall_nr", Type: "int", Offset: 8, Size: 4, Signed: true},
		{Name: "filename", Type: "const char *", Offset: 16, Size: 8},
		{Name: "argv", Type: "const char *const *", Offset: 24, Size: 8},
	},
	"raw_syscalls:sys_enter": {{Name: "id", Type: "long", Offset: 8, Size: 8, Signed: true}, {Name: "args", Type: "unsigned long", Array: 6, Offset: 16, Size: 48}},
	"block:block_rq_issue": {
		{Name: "dev", Type: "dev_t", Offset: 8, Size: 4},
		{Name: "sector", Type: "sector_t", Offset: 16, Size: 8},
		{Name: "nr_sector", Type: "unsigned int", Offset: 24, Size: 4},
		{Name: "bytes", Type: "unsigned int", Offset: 28, Size: 4},
		{Name: "rwbs", Type: "char", Array: 10, Offset: 32, Size: 10},
		{Name: "comm", Type: "char", Array: 16, Offset: 42, Size: 16},
		{Name: "cmd", Type: "__data_loc char[]", Offset: 60, Size: 4},
	},
	"block:block_rq_complete": {
		{Name: "dev", Type: "dev_t", Offset: 8, Size: 4},
		{Name: "sector", Type: "sector_t", Offset: 16, Size: 8},
		{Name: "nr_sector", Type: "unsigned int", Offset: 24, Size: 4},
		{Name: "error", Type: "int", Offset: 28, Size: 4, Signed: true},
	},
	"sched:sched_switch": {
		{Name: "prev_comm", Type: "char", Array: 16, Offset: 8, Size: 16},
		{Name: "prev_pid", Type: "pid_t", Offset: 24, Size: 4, Signed: true},
		{Name: "prev_state", Type: "long", Offset: 32, Size: 8, Signed: true},
		{Name: "next_comm", Type: "char", Array: 16, Offset: 40, Size: 16},
		{Name: "next_pid", Type: "pid_t", Offset: 56, Size: 4, Signed: true},
	},
	"sched:sched_process_exec": {
		{Name: "filename", Type: "__data_loc char[]", Offset: 8, Size: 4},
		{Name: "pid", Type: "pid_t", Offset: 12, Size: 4, Signed: true},
	},
	"tcp:tcp_probe": {
		{Name: "saddr", Type: "__u8", Array: -1, Offset: 8, Size: 28},
		{Name: "sport", Type: "__u16", Offset: 36, Size: 2},
		{Name: "skaddr", Type: "const void *", Offset: 40, Size: 8},
		{Name: "state", Type: "enum color", Offset: 48, Size: 4},
	},
}

var fakeFunctions = []string{"vfs_read", "vfs_write", "vfs_open", "do_nanosleep", "tcp_sendmsg"}

func (fakeCatalog) Expand(pattern string, opt probe.ExpandOptions) ([]probe.Point, error) {
	parts := strings.Split(pattern, ":")
	wrong := func(err error, hint, format string, args ...any) ([]probe.Point, error) {
		return nil, &probe.Error{Pattern: pattern, To: len(pattern), Message: fmt.Sprintf(format, args...), Hint: hint, Err: err}
	}
	kinds := map[string]probe.Kind{
		"begin": probe.Begin, "end": probe.End, "tracepoint": probe.Tracepoint, "t": probe.Tracepoint, "rawtracepoint": probe.RawTracepoint,
		"kprobe": probe.Kprobe, "k": probe.Kprobe, "kretprobe": probe.Kretprobe, "fentry": probe.Fentry, "fexit": probe.Fexit,
		"uprobe": probe.Uprobe, "uretprobe": probe.Uretprobe, "profile": probe.Profile, "interval": probe.Interval, "i": probe.Interval,
		"software": probe.Software,
	}
	kind, ok := kinds[strings.ToLower(parts[0])]
	if !ok {
		var names []string
		for n := range kinds {
			names = append(names, n)
		}
		hint := ""
		if near := diag.Nearest(parts[0], names); near != "" {
			hint = "did you mean " + near + "?"
		}
		return wrong(nil, hint, "there is no probe type %q", parts[0])
	}
	last := parts[len(parts)-1]
	if kind > probe.End && len(parts) < 2 {
		return wrong(nil, "", "%s needs a target", parts[0])
	}
	var points []probe.Point
	switch kind {
	case probe.Begin, probe.End:
		return []probe.Point{{Kind: kind, Name: strings.ToUpper(pattern)}}, nil
	case probe.Tracepoint:
		if len(parts) != 3 {
			return wrong(nil, "", "a tracepoint is written tracepoint:category:event")
		}
		var names []string
		for name := range fakeFormats {
			names = append(names, name)
		}
		sortStrings(names)
		for _, name := range names {
			if m, _ := path.Match(parts[1]+":"+last, name); m {
				category, event, _ := strings.Cut(name, ":")
				points = append(points, probe.Point{Kind: kind, Name: "tracepoint:" + name, Category: category, Event: event})
			}
		}
		if len(points) == 0 {
			hint := ""
			if near := diag.Nearest(parts[1]+":"+last, names); near != "" {
				hint = "did you mean tracepoint:" + near + "?"
			}
			return wrong(probe.ErrNoMatch, hint, "no tracepoint matches %s:%s", parts[1], last)
		}
	case probe.Kprobe, probe.Kretprobe, probe.Fentry, probe.Fexit, probe.RawTracepoint:
		names := fakeFunctions
		if kind == probe.RawTracepoint {
			names = []string{"sched_switch", "sys_enter"}
		}
		for _, f := range names {
			if m, _ := path.Match(last, f); m {
				pt := probe.Point{Kind: kind, Name: kindName(kind) + ":" + f, Function: f}
				if kind == probe.RawTracepoint {
					pt.Function, pt.Event = "", f
				}
				points = append(points, pt)
			}
		}
		if len(points) == 0 {
			hint := ""
			if near := diag.Nearest(last, names); near != "" {
				hint = "did you mean " + kindName(kind) + ":" + near + "?"
			}
			return wrong(probe.ErrNoMatch, hint, "there is no function %s", last)
		}
	case probe.Uprobe, probe.Uretprobe:
		points = []probe.Point{{Kind: kind, Name: pattern, Binary: parts[1], Function: last}}
	default:
		n, _ := strconv.Atoi(last)
		points = []probe.Point{{Kind: kind, Name: pattern, Period: time.Duration(n)}}
	}
	if opt.Max > 0 && len(points) > opt.Max {
		points = points[:opt.Max]
	}
	return points, nil
}

func sortStrings(s []string) {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

func (fakeCatalog) Format(category, event string) (*probe.Format, error) {
	return &probe.Format{Fields: fakeFormats[category+":"+event]}, nil
}

func (fakeCatalog) Signature(p probe.Point) (*btf.FuncProto, error) {
	types, err := fakeTypes()
	if err != nil {
		return nil, err
	}
	name := p.Function
	if p.Kind == probe.RawTracepoint {
		name = "btf_trace_" + p.Event
	}
	proto, err := types.Func(name)
	if err != nil {
		return nil, &probe.Error{Message: "the function has no prototype in the kernel's BTF"}
	}
	return proto, nil
}

func (fakeCatalog) Types() (*probe.Types, error) { return fakeTypes() }

// fakeTypes are built from types written here.
var fakeTypes = sync.OnceValues(func() (*probe.Types, error) {
	integer := func(name string, size uint32, enc btf.IntEncoding) *btf.Int {
		return &btf.Int{Name: name, Size: size, Encoding: enc}
	}
	i32, u32, u64 := integer("int", 4, btf.Signed), integer("unsigned int", 4, btf.Unsigned), integer("unsigned long", 8, btf.Unsigned)
	u8, char, boolean := integer("unsigned char", 1, btf.Unsigned), integer("char", 1, btf.Signed), integer("_Bool", 1, btf.Bool)
	pid := &btf.Typedef{Name: "pid_t", Type: i32}
	color := &btf.Enum{Name: "color", Size: 4, Values: []btf.EnumValue{{Name: "RED"}, {Name: "GREEN", Value: 1}, {Name: "BLUE", Value: 2}}}
	array := func(t btf.Type, n uint32) btf.Type { return &btf.Array{Index: u32, Type: t, Nelems: n} }
	uts := &btf.Struct{Name: "new_utsname", Size: 130, Members: []btf.Member{
		{Name: "sysname", Type: array(char, 65)}, {Name: "nodename", Type: array(char, 65), Offset: 65 * 8}}}
	ns := &btf.Struct{Name: "uts_namespace", Size: 136, Members: []btf.Member{{Name: "name", Type: uts, Offset: 32}}}
	task := &btf.Struct{Name: "task_struct", Size: 256}
	anon := &btf.Union{Size: 8, Members: []btf.Member{{Name: "first", Type: u64}, {Name: "second", Type: i32}}}
	task.Members = []btf.Member{
		{Name: "pid", Type: pid, Offset: 0},
		{Name: "tgid", Type: pid, Offset: 32},
		{Name: "comm", Type: array(char, 16), Offset: 64},
		{Name: "real_parent", Type: &btf.Pointer{Target: task}, Offset: 192},
		{Name: "sched_reset_on_fork", Type: u32, Offset: 256, BitfieldSize: 1},
		{Name: "in_execve", Type: u32, Offset: 257, BitfieldSize: 3},
		{Type: anon, Offset: 320},
		{Name: "uts", Type: &btf.Pointer{Target: ns}, Offset: 384},
		{Name: "clear_child_tid", Type: &btf.Pointer{Target: &btf.TypeTag{Value: "user", Type: i32}}, Offset: 448},
		{Name: "cpus", Type: array(u64, 4), Offset: 512},
		{Name: "color", Type: color, Offset: 768},
		{Name: "on_rq", Type: boolean, Offset: 800},
		{Name: "nsproxy", Type: &btf.Pointer{Target: &btf.Fwd{Name: "nsproxy"}}, Offset: 832},
		{Name: "data", Type: &btf.Pointer{Target: &btf.Void{}}, Offset: 896},
	}
	iovec := &btf.Struct{Name: "iovec", Size: 16, Members: []btf.Member{
		{Name: "iov_base", Type: &btf.Pointer{Target: &btf.Void{}}}, {Name: "iov_len", Type: u64, Offset: 64}}}
	file := &btf.Struct{Name: "file", Size: 32, Members: []btf.Member{
		{Name: "f_flags", Type: u32}, {Name: "f_path", Type: &btf.Struct{Name: "path", Size: 16, Members: []btf.Member{{Name: "dentry", Type: u64}}}, Offset: 64}}}
	proto := func(ret btf.Type, params ...btf.FuncParam) *btf.FuncProto {
		return &btf.FuncProto{Return: ret, Params: params}
	}
	read := proto(integer("long", 8, btf.Signed), btf.FuncParam{Name: "file", Type: &btf.Pointer{Target: file}},
		btf.FuncParam{Name: "buf", Type: &btf.Pointer{Target: &btf.TypeTag{Value: "user", Type: char}}}, btf.FuncParam{Name: "count", Type: u64})
	sched := proto(&btf.Void{}, btf.FuncParam{Name: "preempt", Type: boolean},
		btf.FuncParam{Name: "prev", Type: &btf.Pointer{Target: task}}, btf.FuncParam{Name: "next", Type: &btf.Pointer{Target: task}})
	types := []btf.Type{task, iovec, u8, color,
		&btf.Func{Name: "vfs_read", Type: read}, &btf.Func{Name: "vfs_write", Type: read},
		&btf.Func{Name: "vfs_open", Type: proto(i32, btf.FuncParam{Name: "path", Type: &btf.Pointer{Target: file}})},
		&btf.Func{Name: "btf_trace_sched_switch", Type: sched}}
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		return nil, err
	}
	buf, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.NativeEndian})
	if err != nil {
		return nil, err
	}
	return probe.NewTypes(buf)
})
