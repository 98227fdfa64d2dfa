package maps

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// programs do to a kernel's map what programs can. Arguments and results lie in an array's only value:
// u64 flags, u64 result, the key and the value, each rounded up to 8 bytes.
type programs struct {
	by        map[string]*ebpf.Program
	arguments *ebpf.Map
	keySize   int
	valueSize int
}

// newPrograms makes a program for each helper that takes a map of this kind.
func newPrograms(t *testing.T, s *subject, m *ebpf.Map) *programs {
	p := &programs{by: map[string]*ebpf.Program{}, keySize: int(s.keySize), valueSize: int(s.attr.valueSize)}
	var err error
	p.arguments, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(p.size()), MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.arguments.Close() })
	helpers := map[string]asm.BuiltinFunc{"lookup": asm.FnMapLookupElem, "update": asm.FnMapUpdateElem, "delete": asm.FnMapDeleteElem}
	switch s.kind {
	case ebpf.Queue, ebpf.Stack:
		helpers = map[string]asm.BuiltinFunc{"push": asm.FnMapPushElem, "pop": asm.FnMapPopElem, "peek": asm.FnMapPeekElem}
	case ebpf.BloomFilter:
		helpers = map[string]asm.BuiltinFunc{"push": asm.FnMapPushElem, "peek": asm.FnMapPeekElem}
	case ebpf.Array, ebpf.PerCPUArray:
		delete(helpers, "delete") // always EINVAL, which others show
	case ebpf.DevMap, ebpf.DevMapHash:
		helpers = map[string]asm.BuiltinFunc{"lookup": asm.FnMapLookupElem}
	}
	for name, helper := range helpers {
		spec := &ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: p.instructions(name, helper, m)}
		if s.kind == ebpf.DevMap || s.kind == ebpf.DevMapHash {
			spec.Type = ebpf.XDP
		}
		prog, err := ebpf.NewProgram(spec)
		if err != nil {
			t.Fatalf("program for %s: %+v", name, err)
		}
		t.Cleanup(func() { prog.Close() })
		p.by[name] = prog
	}
	return p
}

func (p *programs) keyAt() int   { return 16 }
func (p *programs) valueAt() int { return 16 + roundUp8(p.keySize) }
func (p *programs) size() int    { return p.valueAt() + roundUp8(p.valueSize) }

func (p *programs) instructions(name string, helper asm.BuiltinFunc, m *ebpf.Map) asm.Instructions {
	ins := asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, p.arguments.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.Mov.Reg(asm.R6, asm.R0),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.R6),
	}
	flags := asm.LoadMem(asm.R4, asm.R6, 0, asm.DWord)
	key, value := asm.Add.Imm(asm.R2, int32(p.keyAt())), int32(p.valueAt())
	switch name {
	case "lookup":
		ins = append(ins, key, helper.Call(), asm.JEq.Imm(asm.R0, 0, "result"))
		for at := 0; at < p.valueSize; at++ {
			ins = append(ins, asm.LoadMem(asm.R1, asm.R0, int16(at), asm.Byte), asm.StoreMem(asm.R6, int16(int(value)+at), asm.R1, asm.Byte))
		}
		ins = append(ins, asm.Mov.Imm(asm.R0, 1))
	case "update":
		ins = append(ins, key, asm.Mov.Reg(asm.R3, asm.R6), asm.Add.Imm(asm.R3, value), flags, helper.Call())
	case "delete":
		ins = append(ins, key, helper.Call())
	case "push":
		ins = append(ins, asm.Add.Imm(asm.R2, value), asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord), helper.Call())
	case "pop", "peek":
		ins = append(ins, asm.Add.Imm(asm.R2, value), helper.Call())
	}
	return append(ins,
		asm.StoreMem(asm.R6, 8, asm.R0, asm.DWord).WithSymbol("result"),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"),
		asm.Return(),
	)
}

// run gives what the helper returned and the value that it left. The thread is on the CPU that it wants.
func (p *programs) run(t *testing.T, o operation) outcome {
	arguments := make([]byte, p.size())
	binary.NativeEndian.PutUint64(arguments, o.flags)
	copy(arguments[p.keyAt():], o.key)
	copy(arguments[p.valueAt():], o.value[:p.valueSize])
	if err := p.arguments.Put(uint32(0), arguments); err != nil {
		t.Fatal(err)
	}
	if _, err := p.by[o.name].Run(&ebpf.RunOptions{Data: make([]byte, 14)}); err != nil {
		t.Fatal(err)
	}
	if err := p.arguments.Lookup(uint32(0), arguments); err != nil {
		t.Fatal(err)
	}
	result := int64(binary.NativeEndian.Uint64(arguments[8:]))
	return programOutcome(o.name, result, arguments[p.valueAt():][:p.valueSize])
}

func programOutcome(name string, result int64, value []byte) outcome {
	switch {
	case result < 0:
		return outcome{Errno(-result), value}
	case name == "lookup" && result == 0:
		return outcome{err: ENOENT}
	case name == "lookup" || name == "pop" || name == "peek":
		return outcome{out: value}
	}
	return outcome{}
}

// runHere is the same on our map.
func runHere(m Map, o operation, cpu int) outcome {
	value := bytes.Clone(o.value[:m.ValueSize()])
	var err error
	switch o.name {
	case "lookup":
		at := m.Lookup(cpu, o.key)
		if at == 0 {
			return outcome{err: ENOENT}
		}
		copy(value, memoryAt(at, m.ValueSize()))
		return outcome{out: value}
	case "update":
		err = m.Update(cpu, o.key, value, o.flags)
	case "delete":
		err = m.Delete(o.key)
	case "push":
		err = m.Push(value, o.flags)
	case "pop":
		err = m.Pop(value)
	case "peek":
		err = m.Peek(value)
	}
	if err != nil {
		return outcome{err, value}
	}
	return programOutcome(o.name, 0+b2i(o.name == "lookup"), value)
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// TestKernelPrograms mixes what programs do, on any CPU, with what user space does.
func TestKernelPrograms(t *testing.T) {
	known(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &before)
	total := 0
	for _, s := range subjects(t) {
		switch s.kind {
		case ebpf.Array, ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.LPMTrie, ebpf.Queue, ebpf.Stack, ebpf.DevMap, ebpf.DevMapHash:
		default:
			continue
		}
		if s.flags&(flagReadOnlyProgram|flagReadOnly|flagWriteOnly) != 0 || s.fields.special() {
			continue // the verifier's concern
		}
		t.Run(s.label, func(t *testing.T) {
			// Subtests have threads of their own.
			runtime.LockOSThread()
			r := seed(t)
			n := 0
			for end := time.Now().Add(effort()); time.Now().Before(end) && !t.Failed(); {
				n += comparePrograms(t, s, r, 300)
			}
			t.Logf("%d operations compared", n)
			total += n
		})
	}
	t.Logf("%d operations compared in all", total)
}

func comparePrograms(t *testing.T, s *subject, r *rand.Rand, operations int) int {
	k, err := inKernel(t, &s.attr, s.create)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	fd, err := unix.Dup(k.fd)
	if err != nil {
		t.Fatal(err)
	}
	byFD, err := ebpf.NewMapFromFD(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer byFD.Close()
	p := newPrograms(t, s, byFD)
	m, err := create(&s.attr, options(s))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var log bytes.Buffer
	for i := range operations {
		o := s.operation(r)
		cpu := r.IntN(ebpf.MustPossibleCPU())
		var want, got outcome
		if helper := s.helper(r, &o); helper {
			pin(t, cpu)
			want, got = p.run(t, o), runHere(m, o, cpu)
			fmt.Fprintf(&log, "on CPU %d ", cpu)
		} else if o.name == "freeze" {
			continue
		} else {
			want, got = o.on(k, k.valueSize), o.on(User{m}, k.valueSize)
			s.clearPadding(want.out)
			s.clearPadding(got.out)
		}
		fmt.Fprintf(&log, "%v: %s\n", o, want)
		if !s.same(o, want, got) {
			text := log.Bytes()
			t.Errorf("after\n%s\nours: %s", text[max(0, len(text)-1500):], got)
			return i
		}
	}
	return operations
}

// clearPadding is for per-CPU values: after a program has made an element, the kernel shows there what former elements had.
func (s *subject) clearPadding(out []byte) {
	if s.userValueSize() == int(s.attr.valueSize) || len(out) != s.userValueSize() {
		return
	}
	for size := roundUp8(int(s.attr.valueSize)); len(out) > 0; out = out[size:] {
		clear(out[s.attr.valueSize:size])
	}
}

// helper turns half of the operations into those of programs.
func (s *subject) helper(r *rand.Rand, o *operation) bool {
	if r.IntN(2) == 0 {
		return false
	}
	if o.value == nil {
		o.value = make([]byte, s.userValueSize())
	}
	switch s.kind {
	case ebpf.Queue, ebpf.Stack:
		helper := map[string]string{"update": "push", "lookup": "peek", "take": "pop"}[o.name]
		if helper != "" {
			o.key, o.name = nil, helper
		}
		return helper != ""
	case ebpf.DevMap, ebpf.DevMapHash:
		return o.name == "lookup"
	case ebpf.Array, ebpf.PerCPUArray:
		return o.name == "lookup" || o.name == "update"
	}
	return o.name == "lookup" || o.name == "update" || o.name == "delete"
}

func pin(t *testing.T, cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
}
