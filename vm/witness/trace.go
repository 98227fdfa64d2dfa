package witness

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"

	"skep/vm/code"
	vmmaps "skep/vm/maps"
	"skep/vm/memory"
)

// A source is bytes of the input that a number came from. It is exact if the number is these bytes and nothing was computed.
type source struct {
	at, size int
	exact    bool
}

const maxSources = 6

// join is what a result came from.
func join(a, b []source) []source {
	var all []source
	for _, s := range slices.Concat(a, b) {
		s.exact = false
		if !slices.Contains(all, s) && len(all) < maxSources {
			all = append(all, s)
		}
	}
	return all
}

// A tracer follows a run along the path, and where numbers come from.
type tracer struct {
	s      *search
	regs   [8][11][]source
	stack  map[uint64][]source // by the address of 8 bytes
	left   bool                // the path
	began  bool
	slot   int
	depth  int
	before [11]uint64
	found  []foundValue // by look-ups
	frames [8]uint64    // where those of running functions end
	code   *code.Program
}

// foundValue is a value in a hash table that has come from the input.
type foundValue struct {
	addr uint64
	t    *table
}

func newTracer(s *search) *tracer { return &tracer{s: s, stack: map[uint64][]source{}} }

// watch is told of each instruction before it runs.
func (t *tracer) watch(p *code.Program, slot, depth int, r *[11]uint64) {
	t.code = p
	t.s.steps++
	o := t.s.now
	if depth < 8 {
		t.frames[depth] = r[10]
		clear(t.frames[depth+1:])
	}
	if t.began && depth < 8 && t.depth < 8 {
		t.follow(p.Insns[t.slot], slot, depth, r)
	}
	if !t.left && o.progress < len(t.s.path) {
		if slot == t.s.path[o.progress] {
			o.progress++
			if o.progress == len(t.s.path) {
				t.reach(p.Insns[slot], depth, r)
			}
		} else {
			t.left = true
			t.leave(p.Insns[t.slot])
		}
	}
	if in := p.Insns[slot]; in.Op == code.CallOp && in.Src() == 0 && p.Calls[in.Imm].ID == 1 {
		t.lookUp(r)
	}
	t.began, t.slot, t.depth, t.before = true, slot, depth, *r
}

// reach is called at the refused instruction.
func (t *tracer) reach(in code.Insn, depth int, r *[11]uint64) {
	o := t.s.now
	o.reached, o.regs = true, *r
	o.values = t.s.rejection.Extremes()
	o.strayed = t.strays(in, r)
	if depth >= 8 {
		return
	}
	regs := &t.regs[depth]
	o.sources = append(o.sources, regs[in.Dst()&15%11]...)
	o.sources = append(o.sources, regs[in.Src()&15%11]...)
	if reg := t.s.rejection.Register(); reg >= 0 {
		o.sources = append(o.sources, regs[reg]...)
	}
	if in.Op == code.CallOp {
		for i := 1; i <= 5; i++ {
			o.sources = append(o.sources, regs[i]...)
		}
	}
}

// leave is called where the run leaves the path, with the comparison that it does so at.
func (t *tracer) leave(in code.Insn) {
	o := t.s.now
	if t.depth >= 8 || in.Class() != code.ClassJMP && in.Class() != code.ClassJMP32 {
		return
	}
	regs := &t.regs[t.depth]
	o.sources = slices.Clone(regs[in.Dst()&15%11])
	other := uint64(int64(in.Imm))
	if in.Op&code.SrcReg != 0 {
		o.sources = append(o.sources, regs[in.Src()&15%11]...)
		other = t.before[in.Src()&15%11]
		o.values = append(o.values, t.before[in.Dst()&15%11])
	}
	o.values = append(o.values, other, other+1, other-1)
}

// follow is the flow of the instruction that has run.
func (t *tracer) follow(in code.Insn, slot, depth int, r *[11]uint64) {
	regs := &t.regs[t.depth]
	dst, src := in.Dst()%11, in.Src()%11
	switch in.Class() {
	case code.ClassALU, code.ClassALU64:
		reg := in.Op&code.SrcReg != 0 && in.Alu() != code.END && in.Alu() != code.NEG
		switch {
		case in.Alu() == code.MOV && reg:
			regs[dst] = regs[src]
		case in.Alu() == code.MOV:
			regs[dst] = nil
		case reg:
			regs[dst] = join(regs[dst], regs[src])
		default:
			regs[dst] = join(regs[dst], nil)
		}
	case code.ClassLD:
		if in.Op == code.LoadImm64 {
			regs[dst] = nil
		} else {
			regs[0] = t.s.sourcesOf(content)
		}
	case code.ClassLDX:
		regs[dst] = t.at(t.before[src]+uint64(int64(in.Off)), in.Bytes())
	case code.ClassST:
		delete(t.stack, (t.before[dst]+uint64(int64(in.Off)))&^7)
	case code.ClassSTX:
		if in.Mode() == code.ModeMEM {
			t.stack[(t.before[dst]+uint64(int64(in.Off)))&^7] = regs[src]
		}
	case code.ClassJMP:
		t.call(in, depth, r)
	}
}

// call follows calls and returns.
func (t *tracer) call(in code.Insn, depth int, r *[11]uint64) {
	regs := &t.regs[t.depth]
	switch {
	case in.Op == code.Exit && depth < t.depth:
		t.regs[depth][0] = regs[0]
	case in.Op != code.CallOp:
	case depth > t.depth:
		t.regs[depth] = [11][]source{}
		copy(t.regs[depth][1:6], regs[1:6])
	default:
		regs[0] = t.returned(t.code.Calls[in.Imm].ID, r[0])
	}
}

// returned is what a helper's result came from.
func (t *tracer) returned(id int32, r0 uint64) []source {
	switch id {
	case 1, 195: // map_lookup_elem, map_lookup_percpu_elem
		m := t.s.tableOf(t.before[1])
		if m == nil {
			return nil
		}
		var all []source
		if m.presence >= 0 {
			all = []source{{m.presence, 1, true}}
		}
		m.used = true
		if f := (foundValue{r0, m}); r0 != 0 && !slices.Contains(t.found, f) {
			t.found = append(t.found, f)
		}
		return slices.Concat(all, t.stack[t.before[2]&^7])
	case 131: // ringbuf_reserve
		if m := t.s.tableOf(t.before[1]); m != nil && m.presence >= 0 {
			m.used = true
			return []source{{m.presence, 1, true}}
		}
	case 7: // get_prandom_u32
		p := t.s.layout.find(numbers)
		return []source{{p.at + (t.s.calls-1)%(p.size/4)*4, 4, true}}
	case 14, 15: // get_current_pid_tgid, get_current_uid_gid
		p := t.s.layout.find(task)
		return []source{{p.at + int(id-14)*8, 8, true}}
	case 4, 45, 112, 113, 114, 115: // probe_read and its like
		p := t.s.layout.find(foreign)
		for i := uint64(0); i < min(t.before[2], 512); i += 8 {
			t.stack[(t.before[1]+i)&^7] = []source{{p.at + int(i)%p.size, 8, true}}
		}
		return t.regs[t.depth][2]
	}
	return nil
}

// lookUp puts into a table what is going to be looked up, if the input says that it is there.
func (t *tracer) lookUp(r *[11]uint64) {
	m := t.s.tableOf(r[1])
	if m == nil || m.presence < 0 || t.s.now.input[m.presence] == 0 {
		return
	}
	key := slices.Clone(memory.At(r[2], m.KeySize()))
	if m.Lookup(0, key) == 0 {
		_ = m.Update(0, key, t.s.now.input[m.value:m.value+m.ValueSize()], vmmaps.Any)
	}
}

func (s *search) tableOf(handle uint64) *table {
	for _, t := range s.tables {
		if t.Handle() == handle && t.Type() != ebpf.ProgramArray {
			return t
		}
	}
	return nil
}

func (s *search) sourcesOf(k kind) []source {
	if p := s.layout.find(k); p != nil {
		return []source{{p.at, min(p.size, 64), false}}
	}
	return nil
}

// at is where the bytes at an address came from.
func (t *tracer) at(addr uint64, size int) []source {
	if s, ok := t.stack[addr&^7]; ok {
		return s
	}
	inside := func(base uint64, n, at int) []source {
		if off := addr - base; off < uint64(n) {
			return []source{{at + int(off), min(size, n-int(off)), true}}
		}
		return nil
	}
	s := t.s
	if s.packet != nil {
		fields, data, frame := s.packet.Fields(), s.packet.Data(), s.packet.Frame()
		if len(data) > 0 {
			if got := inside(address(data), len(data), s.layout.find(content).at+len(frame)-len(data)); got != nil {
				return got
			}
		}
		if off := addr - address(fields); off < uint64(len(fields)) {
			return []source{{s.layout.find(length).at, 1, true}}
		}
	} else if got := inside(address(s.record), len(s.record), s.layout.find(content).at); got != nil {
		return got
	}
	for _, m := range s.tables {
		for i, base := range m.elements {
			if got := inside(base, m.ValueSize(), m.value+i*m.ValueSize()); got != nil {
				return got
			}
		}
	}
	for _, f := range t.found {
		if f.t.presence < 0 || f.t.value < 0 {
			continue
		}
		if got := inside(f.addr, f.t.ValueSize(), f.t.value); got != nil {
			return got
		}
	}
	return nil
}

// mutate changes what matters in an input, or something else.
func (s *search) mutate(o *outcome) []byte {
	input := slices.Clone(o.input)
	if len(o.sources) == 0 || s.random.IntN(16) == 0 {
		input[s.random.IntN(len(input))] = byte(s.random.Uint32())
		return input
	}
	for range 1 + s.random.IntN(2) {
		src := o.sources[s.random.IntN(len(o.sources))]
		v := s.value(o.values)
		if !src.exact && s.random.IntN(2) == 0 {
			v >>= s.random.IntN(16)
		}
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], v)
		if s.random.IntN(4) == 0 {
			binary.NativeEndian.PutUint64(b[:], bits.ReverseBytes64(v)>>(64-8*min(src.size, 8)))
		}
		copy(input[src.at:src.at+src.size], b[:])
	}
	return input
}

func (s *search) value(near []uint64) uint64 {
	v := s.random.Uint64()
	switch n := s.random.IntN(8); {
	case n < 4 && len(near) > 0:
		return near[v%uint64(len(near))]
	case n == 4:
		return uint64(1)<<(v&63) - v>>63
	case n == 5:
		return v & 0xff
	case n == 6:
		return -(v & 0xff)
	}
	return v >> (v & 63)
}

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
