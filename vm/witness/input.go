package witness

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"skep/vm"
	vmmaps "skep/vm/maps"
	"skep/vm/memory"
)

// A part of an input is bytes that the program gets in one way.
type part struct {
	kind     kind
	name     string
	at, size int
	start    []byte // what it is if nothing is said of it
}

type kind uint8

const (
	content  kind = iota // of the packet or the context
	length               // of the packet
	numbers              // that bpf_get_prandom_u32 returns, 4 bytes each
	task                 // tgid, pid, uid, gid
	foreign              // what is read from memory of the kernel or of a process
	values               // of an array's element, or of what a look-up finds
	presence             // whether a look-up finds something, or a ring buffer has room
)

// A layout is where the parts of an input are.
type layout struct {
	parts []part
	size  int
}

func (l *layout) add(k kind, name string, size int, start []byte) *part {
	l.parts = append(l.parts, part{k, name, l.size, size, start})
	l.size += size
	return &l.parts[len(l.parts)-1]
}

func (l *layout) initial() []byte {
	b := make([]byte, l.size)
	for _, p := range l.parts {
		copy(b[p.at:p.at+p.size], p.start)
	}
	return b
}

// find gives the first part of a kind.
func (l *layout) find(k kind) *part {
	for i := range l.parts {
		if l.parts[i].kind == k {
			return &l.parts[i]
		}
	}
	return nil
}

// A table is a map of the program and where its input is.
type table struct {
	vmmaps.Map
	name     string
	used     bool // by a run
	value    int  // where its values are in the input, -1 if they are not
	elements []uint64
	presence int // -1 if it has none
	taken    []uint64
}

const (
	packetMost  = 256
	packetUsual = 64
	elementMost = 4
)

// prepare loads the program and lays out its input.
func (s *search) prepare(coll *ebpf.CollectionSpec, name string, o Options) (err error) {
	spec := coll.Programs[name]
	if spec == nil {
		return fmt.Errorf("there is no program %s", name)
	}
	s.machine, err = vm.New(vm.Options{
		CPUs: max(o.CPUs, 1), KernelVersion: uint32(o.Kernel), KernelTypes: o.Types, MapMemory: 64 << 20, Random: s.number,
		Host: vm.Host{ReadKernel: s.readForeign, ReadUser: s.readForeign, Task: s.task},
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.machine.Close())
		}
	}()
	one := *coll
	one.Programs = map[string]*ebpf.ProgramSpec{name: spec}
	one.Maps = map[string]*ebpf.MapSpec{}
	for n, m := range coll.Maps {
		if one.Maps[n] = m; m.Type != ebpf.RingBuf && m.MaxEntries > 1<<10 {
			one.Maps[n] = m.Copy()
			one.Maps[n].MaxEntries = 1 << 10
		}
	}
	c, err := s.machine.Load(&one, &vm.LoadOptions{Engine: vm.Interpreter, Raw: true})
	if err != nil {
		return err
	}
	s.program = c.Programs[name]
	if s.thread, err = s.machine.NewThread(0); err != nil {
		return err
	}
	if err := s.prepareContext(spec.Type); err != nil {
		return err
	}
	s.layout.add(numbers, "random", 4*8, nil)
	s.layout.add(task, "task", 16, nil)
	s.layout.add(foreign, "memory", 64, nil)
	for _, n := range slices.Sorted(maps.Keys(c.Maps)) {
		s.prepareMap(n, c.Maps[n])
	}
	return nil
}

func (s *search) prepareContext(t ebpf.ProgramType) (err error) {
	if !vm.SeesPackets(t) {
		size := vm.ContextSize(t)
		if size == 0 {
			size = 512
		}
		s.layout.add(content, "the context", size, nil)
		r, err := s.machine.NewContext(t, make([]byte, size))
		if err != nil {
			return err
		}
		s.ctx, s.record = r, r.Bytes()
		return nil
	}
	s.layout.add(content, "the packet", packetMost, nil)
	s.layout.add(length, "length", 1, []byte{packetUsual})
	if t == ebpf.XDP {
		s.packet, err = s.machine.NewXDP(packetMost)
	} else {
		s.packet, err = s.machine.NewSKB(packetMost, t == ebpf.SchedCLS || t == ebpf.SchedACT)
	}
	s.ctx = s.packet
	return err
}

func (s *search) prepareMap(name string, m vmmaps.Map) {
	t := &table{Map: m, name: name, value: -1, presence: -1}
	switch m.Type() {
	case ebpf.Array, ebpf.PerCPUArray:
		const rdonlyProg = 1 << 7
		if m.Flags()&rdonlyProg != 0 || m.Fields() != (vmmaps.Fields{Lock: -1, Timer: -1, WorkQueue: -1}) || m.ValueSize() > 1<<16 {
			break
		}
		for i := range min(m.MaxEntries(), elementMost) {
			addr := m.Lookup(0, binary.NativeEndian.AppendUint32(nil, uint32(i)))
			p := s.layout.add(values, fmt.Sprintf("%s[%d]", name, i), m.ValueSize(), slices.Clone(memory.At(addr, m.ValueSize())))
			if i == 0 {
				t.value = p.at
			}
			t.elements = append(t.elements, addr)
		}
	case ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.LRUCPUHash:
		if m.ValueSize() <= 1<<16 {
			t.presence = s.layout.add(presence, name, 1, nil).at
			t.value = s.layout.add(values, "the value found in "+name, m.ValueSize(), nil).at
		}
	case ebpf.RingBuf:
		t.presence = s.layout.add(presence, name, 1, nil).at
	}
	s.tables = append(s.tables, t)
}

// set gives the program its input.
func (s *search) set(input []byte) {
	s.calls = 0
	for _, p := range s.layout.parts {
		b := input[p.at : p.at+p.size]
		switch {
		case p.kind == content && s.packet != nil:
			_ = s.packet.SetData(b[:input[s.layout.find(length).at]])
		case p.kind == content:
			copy(s.record, b)
		}
	}
	for _, t := range s.tables {
		for i, addr := range t.elements {
			copy(memory.At(addr, t.ValueSize()), input[t.value+i*t.ValueSize():])
		}
		if ring, ok := t.Map.(*vmmaps.RingBuf); ok && input[t.presence] != 0 {
			t.taken = fill(ring)
		}
	}
}

// fill takes all room of a ring buffer.
func fill(ring *vmmaps.RingBuf) (taken []uint64) {
	for size := uint64(ring.MaxEntries()); size >= 8; size /= 2 {
		for {
			r := ring.Reserve(size-8, 0)
			if r == 0 {
				break
			}
			taken = append(taken, r)
		}
	}
	return taken
}

// clear takes out what a run has left in maps.
func (s *search) clear() {
	for _, t := range s.tables {
		switch m := t.Map.(type) {
		case *vmmaps.RingBuf:
			for _, r := range t.taken {
				m.Discard(r, 0)
			}
			t.taken = nil
			consumer, producer := m.Pages()
			copy(consumer[:8], producer[:8])
		case *vmmaps.Hash:
			var keys [][]byte
			_, _ = m.ForEach(0, func(key []byte, _ uint64) bool {
				keys = append(keys, slices.Clone(key))
				return true
			})
			for _, k := range keys {
				_ = m.Delete(k)
			}
		}
	}
}

func (s *search) number() uint32 {
	p := s.layout.find(numbers)
	at := p.at + s.calls%(p.size/4)*4
	s.calls++
	return binary.NativeEndian.Uint32(s.now.input[at:])
}

func (s *search) task(*vm.Thread) vm.Task {
	b := s.now.input[s.layout.find(task).at:]
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return vm.Task{TID: word(0), PID: word(1), UID: word(2), GID: word(3), Comm: "task"}
}

func (s *search) readForeign(_ *vm.Thread, _ uint64, to []byte) error {
	p := s.layout.find(foreign)
	for i := range to {
		to[i] = s.now.input[p.at+i%p.size]
	}
	return nil
}

// describe says in words what differs from the usual.
func (s *search) describe(input []byte) (all []string) {
	for _, p := range s.layout.parts {
		b := input[p.at : p.at+p.size]
		usual := make([]byte, p.size)
		copy(usual, p.start)
		switch p.kind {
		case length:
			if b[0] == packetUsual {
				break
			}
			all = append(all, fmt.Sprintf("a packet of %d bytes", b[0]))
		case numbers:
			for i := 0; i < p.size; i += 4 {
				if v := binary.NativeEndian.Uint32(b[i:]); v != 0 {
					all = append(all, fmt.Sprintf("bpf_get_prandom_u32 returns %d (call %d)", v, i/4+1))
				}
			}
		case task:
			for i, name := range []string{"tid", "pid", "uid", "gid"} {
				if v := binary.NativeEndian.Uint32(b[4*i:]); v != 0 {
					all = append(all, fmt.Sprintf("the task's %s is %d", name, v))
				}
			}
		case presence:
			if t := s.tableAt(p.at); t != nil && t.Type() == ebpf.RingBuf && b[0] != 0 {
				all = append(all, "no room in "+p.name)
			} else if t != nil && t.used && t.Type() != ebpf.RingBuf && b[0] == 0 {
				all = append(all, "nothing in "+p.name)
			} else if t != nil && t.used && t.Type() != ebpf.RingBuf {
				all = append(all, "what is looked up is in "+p.name)
			}
		default:
			name := p.name
			if p.kind == foreign {
				name = "memory that is read"
			}
			all = append(all, differences(name, b, usual)...)
		}
	}
	return all
}

func (s *search) tableAt(at int) *table {
	for _, t := range s.tables {
		if t.presence == at {
			return t
		}
	}
	return nil
}

// differences are the runs of bytes that are not as usual.
func differences(name string, b, usual []byte) (all []string) {
	for i := 0; i < len(b); i++ {
		if b[i] == usual[i] {
			continue
		}
		end := i + 1
		for end < len(b) && b[end] != usual[end] {
			end++
		}
		all = append(all, fmt.Sprintf("%s at offset %d: %s", name, i, spaced(b[i:end])))
		i = end
	}
	return all
}

func spaced(b []byte) string {
	var words []string
	for _, c := range b {
		words = append(words, hex.EncodeToString([]byte{c}))
	}
	return strings.Join(words, " ")
}
