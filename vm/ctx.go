package vm

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// A Context is what a program is given: the memory behind r1. It belongs to one thread at a time.
type Context interface {
	// enter sets the program's arguments, which are zeros, and gives it the sockets in the context. It reports whether the thread knows
	// the context's regions otherwise than they are.
	enter(t *Thread, args *[5]uint64) (changed bool)
	// memory is what the program may touch.
	memory() []memory.Region
	// fits reports whether it is what a verifier assumes that programs of the type are given.
	fits(t ebpf.ProgramType) bool
}

// A Record is a context that is only bytes: the record of a tracepoint, the arguments of a raw tracepoint, registers, or a struct of the
// cgroup kinds. The program may change it.
type Record struct {
	machine *Machine
	block   *memory.Block
	size    int
	regions []memory.Region
	length  bool    // r2 is the length
	socket  *Socket // of SetSocket
}

// NewRecord makes a context of a copy of the bytes.
func (m *Machine) NewRecord(content []byte) (*Record, error) {
	return m.newRecord(content, "the context")
}

func (m *Machine) newRecord(content []byte, name string) (*Record, error) {
	b, err := memory.New(max(len(content), minRecord))
	if err != nil {
		return nil, fmt.Errorf("making a context: %w", err)
	}
	copy(b.Bytes(), content)
	r := &Record{machine: m, block: b, size: len(content)}
	m.opened(r)
	if len(content) > 0 {
		r.regions = []memory.Region{{Base: b.Base(), Size: uint64(len(content)), Name: name}}
	}
	return r, nil
}

// minRecord is the memory of a record, longer than any context: a verified program may look at all that its type's has.
const minRecord = 512

// NewMemory makes a context of a copy of the bytes for programs that take memory in r1 and its length in r2.
func (m *Machine) NewMemory(content []byte) (*Record, error) {
	r, err := m.newRecord(content, "the memory")
	if err == nil {
		r.length = true
	}
	return r, err
}

// NewWords makes the context of a raw tracepoint or a BTF-typed program: its arguments, 8 bytes each.
func (m *Machine) NewWords(words ...uint64) (*Record, error) {
	b := make([]byte, 0, len(words)*8)
	for _, w := range words {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return m.NewRecord(b)
}

// NewContext makes a context of the size that programs of the type have, beginning with the content.
func (m *Machine) NewContext(t ebpf.ProgramType, content []byte) (*Record, error) {
	size := ContextSize(t)
	if len(content) < size {
		content = append(append([]byte(nil), content...), make([]byte, size-len(content))...)
	}
	return m.NewRecord(content)
}

// Close frees the record. No program may run on it.
func (r *Record) Close() error {
	r.machine.forget(r)
	return r.block.Free()
}

// Bytes is the record, which stays the same memory. It must not be used after the machine is closed.
func (r *Record) Bytes() []byte { return r.block.Bytes()[:r.size:r.size] }

func (r *Record) enter(t *Thread, args *[5]uint64) (changed bool) {
	if r.socket != nil {
		t.lend(r.socket, 0)
	}
	if r.size > 0 {
		args[0] = r.block.Base()
	}
	if r.length {
		args[1] = uint64(r.size)
	}
	changed = t.record != r
	t.record = r
	return changed
}

func (r *Record) memory() []memory.Region { return r.regions }

func (r *Record) fits(t ebpf.ProgramType) bool {
	return t == ebpf.UnspecifiedProgram || !SeesPackets(t) && r.size > 0
}

// ContextSize is the size of the context of programs of a type, 0 if it varies.
func ContextSize(t ebpf.ProgramType) int {
	switch t {
	case ebpf.XDP:
		return xdpSize
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.CGroupSKB, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local,
		ebpf.SkSKB, ebpf.FlowDissector:
		return skbSize
	case ebpf.CGroupSockAddr:
		return 72 // struct bpf_sock_addr
	case ebpf.SockOps:
		return 224 // struct bpf_sock_ops
	case ebpf.CGroupDevice:
		return 12 // struct bpf_cgroup_dev_ctx
	case ebpf.CGroupSysctl:
		return 8 // struct bpf_sysctl
	case ebpf.CGroupSockopt:
		return 40 // struct bpf_sockopt
	case ebpf.CGroupSock:
		return 80 // struct bpf_sock
	case ebpf.SkMsg:
		return 80 // struct sk_msg_md
	case ebpf.SkLookup:
		return 72 // struct bpf_sk_lookup
	case ebpf.SkReuseport:
		return 56 // struct sk_reuseport_md
	case ebpf.PerfEvent:
		return regsSize + 16 // struct bpf_perf_event_data
	case ebpf.Kprobe:
		return regsSize
	case ebpf.RawTracepoint, ebpf.RawTracepointWritable, ebpf.Tracing, ebpf.LSM:
		return 12 * 8 // as many arguments as there may be
	}
	return 0
}
