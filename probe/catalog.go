package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"

	"skep/internal/diag"
	"skep/symbol"
)

// ExpandOptions limit what a pattern means.
type ExpandOptions struct {
	PID int // of -p: names of files are those that this process sees; 0 for none
	Max int // most points, 0 for no limit
	// Unsafe takes places in user programs of which it is not known that an instruction begins there.
	Unsafe bool
	// KeepsStacks says that the host's uretprobes change nothing on the stack, so that functions of Go may have them.
	KeepsStacks bool
}

// Error says why a pattern means nothing. From and To are the bytes of the pattern that are wrong.
type Error struct {
	Pattern  string
	From, To int
	Message  string
	Hint     string // "did you mean …?", or how to get what is missing
	Err      error  // ErrNoMatch, ErrUnreadable or nil
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + " (" + e.Hint + ")"
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// ErrNoMatch is wrapped by an *Error whose pattern is well formed but matches nothing: config missing_probes decides.
var ErrNoMatch = errors.New("no such probe")

// Format is the record of a tracepoint, from its format file in tracefs.
type Format struct {
	ID     int
	Fields []FormatField // without the common_ fields
	Print  string        // print fmt
}

// FormatField is one field as tracefs describes it: "field:const char * filename;	offset:16;	size:8;	signed:0;".
type FormatField struct {
	Name         string
	Type         string // C type without name and array length: "const char *", "char", "u32", "__data_loc char[]"
	Array        int    // elements; 0 if it is no array; -1 if the length is Size divided by the size of Type
	Offset, Size int
	Signed       bool
}

// Catalog finds probes on this machine. Its sources are opened on first use. It is safe for concurrent use.
type Catalog struct {
	Tracefs *Tracefs // nil for the one of this machine

	mu    sync.Mutex
	types *Types
	spec  *btf.Spec
	err   error
	mods  map[string]*btf.Spec

	rawKnown map[string]bool         // raw tracepoints that exist
	binaries map[wantedBinary]string // where they are
	lastFile *openFile               // nil while it is in use
}

func (c *Catalog) tracefs() *Tracefs {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Tracefs == nil {
		c.Tracefs = &Tracefs{}
	}
	return c.Tracefs
}

// Types gives the kernel's types for single questions. Reading them costs milliseconds, so it is done on first use.
func (c *Catalog) Types() (*Types, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.types == nil {
		types, err := LoadTypes()
		if errors.Is(err, fs.ErrNotExist) {
			err = noBTF()
		}
		if err != nil {
			return nil, err
		}
		c.types = types
	}
	return c.types, nil
}

// noBTF tells a kernel without BTF from a place without /sys, such as a bare chroot.
func noBTF() error {
	if _, err := os.Stat("/sys/kernel"); err != nil {
		return errors.New("/sys/kernel/btf/vmlinux, which describes the kernel's types, cannot be read: /sys is not mounted")
	}
	return errors.New("this kernel has no BTF type information (it needs CONFIG_DEBUG_INFO_BTF)")
}

// BTF gives all of the kernel's types, decoded by the library: ten times as slow as Types.
func (c *Catalog) BTF() (*btf.Spec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spec == nil && c.err == nil {
		c.spec, c.err = btf.LoadKernelSpec()
		if errors.Is(c.err, fs.ErrNotExist) || errors.Is(c.err, btf.ErrNotFound) {
			c.err = noBTF()
		}
	}
	return c.spec, c.err
}

func (c *Catalog) moduleBTF(module string) (*btf.Spec, error) {
	if module == "" || module == "vmlinux" {
		return c.BTF()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.mods[module]; s != nil {
		return s, nil
	}
	s, err := btf.LoadKernelModuleSpec(module)
	if err != nil {
		return nil, fmt.Errorf("types of kernel module %s: %w", module, err)
	}
	if c.mods == nil {
		c.mods = map[string]*btf.Spec{}
	}
	c.mods[module] = s
	return s, nil
}

// Format gives the record of a tracepoint.
func (c *Catalog) Format(category, event string) (*Format, error) {
	text, err := c.tracefs().Read("events/" + category + "/" + event + "/format")
	if err == nil {
		return ParseFormat(string(text))
	}
	if category == "syscalls" {
		if f, ok := builtinFormat(event); ok {
			return f, nil
		}
	}
	return nil, fmt.Errorf("format of tracepoint %s:%s: %w", category, event, err)
}

// Signature gives the BTF prototype of a kernel function (of a fentry, fexit, kprobe or kretprobe point) or of a raw
// tracepoint, whose first parameter is then its first argument.
func (c *Catalog) Signature(p Point) (*btf.FuncProto, error) {
	if p.Module == "" || p.Module == "vmlinux" {
		types, err := c.Types()
		if err != nil {
			return nil, err
		}
		if p.Kind != RawTracepoint {
			return types.Func(p.Function)
		}
		if proto, ok := types.RawTracepoint(p.Event); ok {
			return proto, nil
		}
	}
	return c.slowSignature(p)
}

// RawTracepoint gives the prototype of a raw tracepoint, whose first parameter is its first argument.
func (t *Types) RawTracepoint(event string) (*btf.FuncProto, bool) {
	for _, prefix := range tracepointFunctions() {
		if proto, err := t.Func(prefix + event); err == nil && len(proto.Params) > 0 {
			return &btf.FuncProto{Return: proto.Return, Params: proto.Params[1:]}, true
		}
	}
	return nil, false
}

// tracepointFunctions are the beginnings of the names of functions that the kernel has for each tracepoint, with its arguments
// behind one of their own. Which of them BTF describes depends on the tool that made it.
func tracepointFunctions() []string { return []string{"__bpf_trace_", "__traceiter_", "__probestub_"} }

// slowSignature is Signature by the library, which also knows modules, and tracepoints by their type alone.
func (c *Catalog) slowSignature(p Point) (*btf.FuncProto, error) {
	spec, err := c.moduleBTF(p.Module)
	if err != nil {
		return nil, err
	}
	if p.Kind == RawTracepoint {
		var t *btf.Typedef
		if err := spec.TypeByName("btf_trace_"+p.Event, &t); err != nil {
			return nil, fmt.Errorf("raw tracepoint %s: %w", p.Event, err)
		}
		ptr, _ := t.Type.(*btf.Pointer)
		if ptr == nil {
			return nil, fmt.Errorf("raw tracepoint %s: unexpected type in BTF", p.Event)
		}
		proto, _ := ptr.Target.(*btf.FuncProto)
		if proto == nil || len(proto.Params) == 0 {
			return nil, fmt.Errorf("raw tracepoint %s: unexpected type in BTF", p.Event)
		}
		params := append([]btf.FuncParam(nil), proto.Params[1:]...)
		// The type has no names of its parameters; the functions that the kernel makes for each tracepoint have.
		for _, prefix := range tracepointFunctions() {
			var fn *btf.Func
			if spec.TypeByName(prefix+p.Event, &fn) != nil {
				continue
			}
			if named, ok := fn.Type.(*btf.FuncProto); ok && len(named.Params) == len(params)+1 {
				for i := range params {
					params[i].Name = named.Params[i+1].Name
				}
				break
			}
		}
		return &btf.FuncProto{Return: proto.Return, Params: params}, nil
	}
	var fn *btf.Func
	if err := spec.TypeByName(p.Function, &fn); err != nil {
		return nil, fmt.Errorf("function %s: %w", p.Function, err)
	}
	proto, ok := fn.Type.(*btf.FuncProto)
	if !ok {
		return nil, fmt.Errorf("function %s: unexpected type in BTF", p.Function)
	}
	return proto, nil
}

// ownEvents is the category of ftrace's own records, which are described as events are, but cannot be attached to.
const ownEvents = "ftrace"

// tracepoints calls f with every tracepoint whose category and event match the globs.
func (c *Catalog) tracepoints(category, event string, f func(category, event string) bool) error {
	t := c.tracefs()
	categories := []string{category}
	if HasWildcard(category) {
		all, err := t.List("events")
		if err != nil {
			return err
		}
		categories = all
	}
	for _, cat := range categories {
		if cat == ownEvents || !Glob(category, cat) {
			continue
		}
		if !HasWildcard(event) {
			if c.hasTracepoint(cat, event) && !f(cat, event) {
				return nil
			}
			continue
		}
		events, err := t.List("events/" + cat)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			if cat != "syscalls" {
				return err
			}
			events = syscallEvents()
		}
		for _, e := range events {
			if Glob(event, e) && !f(cat, e) {
				return nil
			}
		}
	}
	return nil
}

func (c *Catalog) hasTracepoint(category, event string) bool {
	if category == ownEvents || strings.ContainsAny(category+event, "/\x00") {
		return false
	}
	_, err := c.tracefs().Read("events/" + category + "/" + event + "/id")
	if err == nil {
		return true
	}
	if category == "syscalls" && !errors.Is(err, fs.ErrNotExist) {
		_, ok := builtinFormat(event)
		return ok
	}
	return false
}

// rawTracepoint reports whether there is a raw tracepoint, or may be one, and otherwise the one that was probably meant.
func (c *Catalog) rawTracepoint(event string) (near string, exists bool) {
	c.mu.Lock()
	known := c.rawKnown[event]
	c.mu.Unlock()
	if known {
		return "", true
	}
	if near, exists = c.findRawTracepoint(event); exists {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.rawKnown == nil {
			c.rawKnown = map[string]bool{}
		}
		c.rawKnown[event] = true
	}
	return near, exists
}

// findRawTracepoint looks first where a look costs least. Most are among the events, many in the category that their names begin with; the
// kernel's types and symbols know the others. To look into all categories takes a millisecond.
func (c *Catalog) findRawTracepoint(event string) (near string, exists bool) {
	for end, letter := range event {
		if letter == '_' && event[:end] != "syscalls" && c.hasTracepoint(event[:end], event) {
			return "", true
		}
	}
	if types, err := c.Types(); err == nil {
		for _, prefix := range tracepointFunctions() {
			if _, err := types.Func(prefix + event); err == nil {
				return "", true
			}
		}
	}
	err := c.tracepoints("*", event, func(category, _ string) bool {
		exists = category != "syscalls"
		return !exists
	})
	if exists {
		return "", true
	}
	if err != nil {
		return "", true
	}
	err = symbol.NewKernel().Each(func(_ uint64, _ byte, name, _ []byte) bool {
		exists = string(name) == "__tracepoint_"+event
		return !exists
	})
	if err != nil || exists {
		return "", true
	}
	var names []string
	_ = c.tracepoints("*", "*", func(category, name string) bool {
		if category != "syscalls" {
			names = append(names, name)
		}
		return true
	})
	if near = diag.Nearest(event, names); near != "" {
		near = "rawtracepoint:" + near
	}
	return near, false
}

// TracepointID gives the number that perf_event_open wants.
func (c *Catalog) TracepointID(category, event string) (uint64, error) {
	f, err := c.Format(category, event)
	if err != nil {
		return 0, err
	}
	if f.ID == 0 {
		return 0, fmt.Errorf("tracepoint %s:%s has no number: tracefs cannot be read", category, event)
	}
	return uint64(f.ID), nil
}

// nearestTracepoint gives the name that category:event was probably meant to be.
func (c *Catalog) nearestTracepoint(category, event string) string {
	t := c.tracefs()
	categories, err := t.List("events")
	if err != nil {
		return ""
	}
	for _, cat := range categories {
		if cat != category || cat == ownEvents {
			continue
		}
		events, _ := t.List("events/" + cat)
		if near := diag.Nearest(event, events); near != "" {
			return "tracepoint:" + cat + ":" + near
		}
	}
	if near := diag.Nearest(category, categories); near != "" && near != category {
		if c.hasTracepoint(near, event) || HasWildcard(event) {
			return "tracepoint:" + near + ":" + event
		}
	}
	for _, cat := range categories {
		if c.hasTracepoint(cat, event) {
			return "tracepoint:" + cat + ":" + event
		}
	}
	return ""
}
