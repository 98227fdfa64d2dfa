package maps

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// forEach makes a program that walks over a map. The callback ends the walk at the entry whose number the program is given, and may
// delete what it sees.
func forEach(t *testing.T, p *ringPrograms, name string, mapFD int, deletes bool) {
	number := &btf.Int{Name: "unsigned long", Size: 8}
	function := func(name string, linkage btf.FuncLinkage, parameters int) *btf.Func {
		proto := &btf.FuncProto{Return: number}
		for i := range parameters {
			proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprint("p", i), Type: number})
		}
		return &btf.Func{Name: name, Type: proto, Linkage: linkage}
	}
	callback := asm.Instructions{
		btf.WithFuncMetadata(asm.Mov.Reg(asm.R6, asm.R4).WithSymbol("each"), function("each", btf.StaticFunc, 4)),
	}
	if deletes {
		callback = append(callback, asm.FnMapDeleteElem.Call())
	}
	callback = append(callback,
		asm.LoadMem(asm.R1, asm.R6, 0, asm.DWord), asm.Sub.Imm(asm.R1, 1), asm.StoreMem(asm.R6, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0), asm.JNE.Imm(asm.R1, 0, "on"), asm.Mov.Imm(asm.R0, 1), asm.Return().WithSymbol("on"))
	ins := asm.Instructions{
		btf.WithFuncMetadata(asm.StoreImm(asm.RFP, -4, 0, asm.Word).WithSymbol("main"), function("main", btf.GlobalFunc, 1)),
		asm.LoadMapPtr(asm.R1, p.arguments.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, "exit"), asm.Mov.Reg(asm.R6, asm.R0),
		asm.LoadMem(asm.R1, asm.R6, 0, asm.DWord), asm.StoreMem(asm.RFP, -16, asm.R1, asm.DWord),
		asm.LoadMapPtr(asm.R1, mapFD),
		asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference("each"),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -16), asm.Mov.Imm(asm.R4, 0), asm.FnForEachMapElem.Call(),
		asm.StoreMem(asm.R6, 8, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"), asm.Return(),
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: append(ins, callback...)})
	if err != nil {
		t.Fatalf("program %s: %+v", name, err)
	}
	t.Cleanup(func() { prog.Close() })
	p.by[name] = prog
}

// TestKernelForEach compares how many entries a walk gives, and what is left after it.
func TestKernelForEach(t *testing.T) {
	known(t)
	r := seed(t)
	for _, a := range []*attr{
		{kind: ebpf.Array, keySize: 4, valueSize: 8, maxEntries: 7},
		{kind: ebpf.PerCPUArray, keySize: 4, valueSize: 8, maxEntries: 7},
		{kind: ebpf.Hash, keySize: 4, valueSize: 8, maxEntries: 20},
		{kind: ebpf.Hash, keySize: 4, valueSize: 8, maxEntries: 20, flags: flagNoPrealloc},
		{kind: ebpf.PerCPUHash, keySize: 4, valueSize: 8, maxEntries: 20},
		{kind: ebpf.LRUHash, keySize: 4, valueSize: 8, maxEntries: 1000},
	} {
		a.fields = noFields
		t.Run(fmt.Sprint(a.kind, a.flags), func(t *testing.T) { walks(t, a, r) })
	}
}

func walks(t *testing.T, a *attr, r *rand.Rand) {
	k, err := inKernel(t, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	m, err := create(a, Options{CPUs: ebpf.MustPossibleCPU()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := &ringPrograms{by: map[string]*ebpf.Program{}}
	if p.arguments, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: ringArguments + 1024, MaxEntries: 1}); err != nil {
		t.Fatal(err)
	}
	defer p.arguments.Close()
	forEach(t, p, "walk", k.fd, false)
	isArray := a.kind == ebpf.Array || a.kind == ebpf.PerCPUArray
	if !isArray {
		forEach(t, p, "delete", k.fd, true)
	}
	n := 0
	for end := time.Now().Add(effort()); time.Now().Before(end) && !t.Failed(); n++ {
		value := make([]byte, k.valueSize)
		for range r.IntN(6) {
			key := u32(r.IntN(10))
			want, got := k.Update(key, value, Any), User{m}.Update(key, value, Any)
			if want != got {
				t.Errorf("update of %x: %v, not %v", key, got, want)
			}
		}
		limit := r.IntN(12)
		// What is deleted in a walk that ends early depends on the order, which hash tables keep to themselves.
		name := "walk"
		if !isArray && r.IntN(3) == 0 {
			name, limit = "delete", 0
		}
		want := p.run(t, name, uint64(limit), nil)
		left := limit
		count, err := m.ForEach(0, func(key []byte, _ uint64) bool {
			if name == "delete" {
				if err := m.Delete(bytes.Clone(key)); err != nil {
					t.Error(err)
				}
			}
			left--
			return left != 0
		})
		if int64(count) != want || err != nil {
			t.Errorf("%s until entry %d: %d, %v, not %d", name, limit, count, err, want)
		}
		s := &subject{attr: *a}
		if want, got := s.contents(k, k.valueSize), s.contents(User{m}, k.valueSize); fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("after %s: %x, not %x", name, got, want)
		}
	}
	t.Logf("%d walks compared", n)
}
