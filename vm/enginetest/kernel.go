//go:build linux && (amd64 || arm64)

package enginetest

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/vm/code"
)

// A Kernel runs random programs in the running kernel. It needs root.
type Kernel struct {
	values *ebpf.Map
}

// NewKernel makes the map that programs work on.
func NewKernel() (*Kernel, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: ValueSize, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("creating the map of random programs: %w", err)
	}
	return &Kernel{m}, nil
}

// Close frees the map.
func (k *Kernel) Close() error { return k.values.Close() }

// Load loads a program as a socket filter.
func (k *Kernel) Load(r *Random) (*ebpf.Program, error) {
	var buf bytes.Buffer
	insns, calledBack := r.Program.Insns, false
	for at := 0; at < len(insns); at++ {
		in := insns[at]
		switch {
		case in.Op == code.CallOp && in.Src() == code.CallHelper:
			in.Imm = KernelHelpers[in.Imm]
		case in.Op == code.LoadImm64:
			next := insns[at+1]
			v := uint64(uint32(in.Imm)) | uint64(next.Imm)<<32
			if slot, ok := code.FuncSlot(v); ok {
				const pseudoFunc = 4
				calledBack = true
				in.Regs |= pseudoFunc << 4
				in.Imm, next.Imm = int32(slot-at-1), 0
			} else if v == MapMarker {
				const pseudoMap = 1
				in.Regs |= pseudoMap << 4
				in.Imm, next.Imm = int32(k.values.FD()), 0
			}
			_ = binary.Write(&buf, binary.LittleEndian, in)
			in = next
			at++
		}
		_ = binary.Write(&buf, binary.LittleEndian, in)
	}
	list, err := asm.AppendInstructions(nil, &buf, binary.LittleEndian, "linux")
	if err != nil {
		return nil, fmt.Errorf("reading the instructions of program %d: %w", r.Seed, err)
	}
	if calledBack {
		describe(list, r.Program)
	}
	return ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: list})
}

// describe says by BTF what each function is, which the kernel asks for where functions are called back.
func describe(list asm.Instructions, p *code.Program) {
	number := &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	proto := &btf.FuncProto{Return: number}
	for range 5 {
		proto.Params = append(proto.Params, btf.FuncParam{Name: "n", Type: number})
	}
	slot := 0
	for i := range list {
		if f := p.FuncAt(slot); f >= 0 {
			fn := &btf.Func{Name: fmt.Sprintf("f%d", f), Type: proto, Linkage: btf.StaticFunc}
			list[i] = btf.WithFuncMetadata(list[i].WithSymbol(fn.Name), fn)
		}
		slot += int(list[i].Size()) / 8
	}
}

// Run runs a program on a value, which it changes.
func (k *Kernel) Run(p *ebpf.Program, value []byte) error {
	if err := k.values.Put(uint32(0), value); err != nil {
		return fmt.Errorf("setting the value: %w", err)
	}
	if _, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
		return fmt.Errorf("running in the kernel: %w", err)
	}
	out, err := k.values.LookupBytes(uint32(0))
	if err != nil {
		return fmt.Errorf("reading the value: %w", err)
	}
	copy(value, out)
	return nil
}
