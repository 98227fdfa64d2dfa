package trace

import (
	"encoding/binary"
	"slices"

	"skep/host"
	"skep/lang/bpftrace/lower"
	"skep/schema"
	"skep/symbol"
)

// Symbols names addresses.
type Symbols interface {
	// Kernel and User name many addresses at once; the result has their order.
	Kernel(addrs []uint64) []symbol.Symbol
	User(pid int, addrs []uint64) []symbol.Symbol
	// BuildID tells from which file the code at an address of a process comes, and where in the file it is.
	BuildID(pid int, addr uint64) (id string, offset uint64, ok bool)
	// Snapshot reads the mappings of a process, or of all if pid is 0, so that their addresses can be named after they
	// have ended.
	Snapshot(pid int)
	// Unwind is that of symbol.Processes.
	Unwind(dst []uint64, pid int, regs *symbol.Registers, stack symbol.UserStack, limit int) ([]uint64, error)
	// Prepare reads the kernel's names, so that nobody waits for it when they are printed.
	Prepare()
}

// stacks reads and prints stacks and symbols.
type stacks struct {
	session host.Session
	symbols Symbols
	maps    map[string]host.Map
	frames  map[stackID][]uint64
	texts   map[stackText]string
	kernel  map[uint64]string
	user    map[userAddress]string
	one     [1]uint64
	unwound unwound
}

// stackID is a stack as programs store it.
type stackID struct {
	user, unwound bool
	depth         int
	value         uint64
}

// stackText is a stack as text, for one process and mode.
type stackText struct {
	stackID
	pid  int
	mode string
}

type userAddress struct {
	pid  int
	addr uint64
}

// Values of a stack; see the comment on stack maps in package lower.
const (
	stackCollided = 1 << 63
	stackNone     = ^uint64(0)
)

// maxRemembered bounds each of the caches.
const maxRemembered = 1 << 16

const stackIndent = "        "

func (s *stacks) id(t *schema.Type, b []byte) (id stackID, pid int) {
	id = stackID{user: t.Kind == schema.UStack, depth: t.StackDepth, value: unsigned(b, 8)}
	if id.user {
		pid = int(unsigned(b[8:], 4))
	}
	if t.Unwound {
		id.unwound, id.value = true, s.unwound.known(b)
	}
	return id, pid
}

// read returns the addresses of a stack, nil if it is empty or was lost.
func (s *stacks) read(id stackID) []uint64 {
	if id.unwound {
		return s.unwound.stack(id.value).ips
	}
	if ips, ok := s.frames[id]; ok {
		return ips
	}
	var ips []uint64
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], uint32(id.value))
	switch {
	case int64(id.value) < 0 && int64(id.value) >= -4095: // an error, such as no stack at all
	case id.value&stackCollided != 0:
		if m := s.lookup(lower.OverflowMapName(id.user, id.depth)); m != nil {
			if v, ok, err := m.Lookup(key[:]); err == nil && ok && len(v) > 0 && len(v[0]) >= 8 {
				n := int(binary.NativeEndian.Uint32(v[0]))
				ips = addresses(v[0][8:], min(n, id.depth))
			}
		}
	default:
		if m := s.lookup(lower.StackMapName(id.user, id.depth)); m != nil {
			if v, ok, err := m.Lookup(key[:]); err == nil && ok && len(v) > 0 {
				ips = addresses(v[0], id.depth)
			}
		}
	}
	if s.frames == nil || len(s.frames) >= maxRemembered {
		s.frames = map[stackID][]uint64{}
	}
	s.frames[id] = ips
	return ips
}

// addresses reads up to n addresses; a zero ends them.
func addresses(b []byte, n int) []uint64 {
	var ips []uint64
	for i := 0; i < n && len(b) >= 8*i+8; i++ {
		ip := binary.NativeEndian.Uint64(b[8*i:])
		if ip == 0 {
			break
		}
		ips = append(ips, ip)
	}
	return ips
}

func (s *stacks) lookup(name string) host.Map {
	m, ok := s.maps[name]
	if !ok {
		m = s.session.Map(name)
		if s.maps == nil {
			s.maps = map[string]host.Map{}
		}
		s.maps[name] = m
	}
	return m
}

// text appends a stack: an empty line's end, then a line for each frame.
func (s *stacks) text(dst []byte, t *schema.Type, b []byte, indent string) []byte {
	id, pid := s.id(t, b)
	key := stackText{id, pid, t.StackMode + indent}
	if text, ok := s.texts[key]; ok {
		return append(dst, text...)
	}
	start := len(dst)
	dst = append(dst, '\n')
	ips := s.read(id)
	switch t.StackMode {
	case "raw":
		for _, ip := range ips {
			dst = append(appendUint(dst, ip, 16), '\n')
		}
	case "build_id":
		for _, ip := range ips {
			if name, offset, ok := s.symbols.BuildID(pid, ip); ok {
				dst = append(dst, name...)
				dst = appendUint(append(dst, " 0x"...), offset, 16)
			} else {
				dst = appendUint(dst, ip, 16)
			}
			dst = append(dst, '\n')
		}
	default:
		for _, f := range s.resolve(id.user, pid, ips) {
			if t.StackMode == "perf" {
				dst = append(append(dst, '\t'), f.Perf()...)
			} else {
				dst = append(append(dst, indent...), f.String()...)
			}
			dst = append(dst, '\n')
		}
	}
	if id.unwound && s.unwound.stack(id.value).cut {
		switch t.StackMode {
		case "perf":
			indent = "\t"
		case "raw", "build_id":
			indent = ""
		}
		dst = append(append(append(dst, indent...), cutOff...), '\n')
	}
	if s.texts == nil || len(s.texts) >= maxRemembered {
		s.texts = map[stackText]string{}
	}
	s.texts[key] = string(dst[start:])
	return dst
}

// resolve names the frames of a stack, the innermost first.
func (s *stacks) resolve(user bool, pid int, ips []uint64) []symbol.Symbol {
	if len(ips) == 0 {
		return nil
	}
	name := s.symbols.Kernel
	if user {
		s.sync()
		name = func(addrs []uint64) []symbol.Symbol { return s.symbols.User(pid, addrs) }
	}
	symbols := name(ips)
	// All but the first are return addresses. Behind a call that does not return, a function may end: the call is in the one before.
	var ends []int
	var calls []uint64
	for i := 1; i < len(symbols); i++ {
		if sym := &symbols[i]; sym.Offset == 0 && !startsFrame(sym.Name) {
			ends, calls = append(ends, i), append(calls, ips[i]-1)
		}
	}
	if len(ends) == 0 {
		return symbols
	}
	symbols = slices.Clone(symbols)
	for i, sym := range name(calls) {
		if sym.Found() {
			sym.Addr, sym.Offset = sym.Addr+1, sym.Offset+1
			symbols[ends[i]] = sym
		}
	}
	return symbols
}

// startsFrame reports whether frames begin at the first byte of a function that nobody calls: signal handlers return to it.
func startsFrame(name string) bool {
	return name == "__restore_rt" || name == "__restore" || name == "__kernel_rt_sigreturn"
}

// sync waits until the process table knows what happened before the events in work.
func (s *stacks) sync() {
	if p, ok := s.session.(host.ProcessSyncer); ok {
		p.SyncProcesses()
	}
}

func (s *stacks) kernelSymbol(addr uint64) string {
	text, ok := s.kernel[addr]
	if !ok {
		s.one[0] = addr
		text = s.symbols.Kernel(s.one[:])[0].Bare()
		if s.kernel == nil || len(s.kernel) >= maxRemembered {
			s.kernel = map[uint64]string{}
		}
		s.kernel[addr] = text
	}
	return text
}

func (s *stacks) userSymbol(pid int, addr uint64) string {
	key := userAddress{pid, addr}
	text, ok := s.user[key]
	if !ok {
		s.sync()
		s.one[0] = addr
		text = s.symbols.User(pid, s.one[:])[0].Bare()
		if s.user == nil || len(s.user) >= maxRemembered {
			s.user = map[userAddress]string{}
		}
		s.user[key] = text
	}
	return text
}

// gather adds the kernel addresses in a value to addrs, so that a map's can be named in one pass.
func (s *stacks) gather(t *schema.Type, b []byte, addrs []uint64) []uint64 {
	if t == nil || len(b) < t.Size {
		return addrs
	}
	switch t.Kind {
	case schema.KSym:
		return append(addrs, unsigned(b, 8))
	case schema.KStack:
		if t.StackMode != "raw" && t.StackMode != "build_id" {
			id, _ := s.id(t, b)
			return append(addrs, s.read(id)...)
		}
	case schema.Tuple:
		for i := range t.Fields {
			addrs = s.gather(t.Fields[i].Type, b[min(len(b), t.Fields[i].Offset):], addrs)
		}
	}
	return addrs
}

// hasKernelAddresses reports whether gather can find any in values of a type.
func hasKernelAddresses(t *schema.Type) bool {
	if t == nil {
		return false
	}
	if t.Kind == schema.Tuple {
		for i := range t.Fields {
			if hasKernelAddresses(t.Fields[i].Type) {
				return true
			}
		}
	}
	return t.Kind == schema.KSym || t.Kind == schema.KStack
}
