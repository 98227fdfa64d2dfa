//go:build linux && (amd64 || arm64)

package enginetest

import (
	"bytes"
	"encoding/binary"
	"errors"
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

// Contend makes a contender of the kernel.
func (k *Kernel) Contend() Contender {
	return Contender{"kernel", func(r *Random) (func(*State) error, func() error, error) {
		p, err := k.load(r)
		if err != nil {
			return nil, nil, err
		}
		return func(s *State) error { return k.run(p, s) }, p.close, nil
	}}
}

// A kernelProgram is a random program in the kernel.
type kernelProgram struct {
	program *ebpf.Program
	hash    *ebpf.Map // nil if it has none
}

func (p *kernelProgram) close() error {
	if p.hash == nil {
		return p.program.Close()
	}
	return errors.Join(p.program.Close(), p.hash.Close())
}

func (k *Kernel) load(r *Random) (*kernelProgram, error) {
	p := &kernelProgram{}
	var err error
	fd := 0
	if r.Hash {
		if p.hash, err = ebpf.NewMap(hashSpec()); err != nil {
			return nil, fmt.Errorf("creating the hash map of program %d: %w", r.Seed, err)
		}
		fd = p.hash.FD()
	}
	list, err := k.instructions(r, fd)
	if err == nil {
		p.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: list})
	}
	if err != nil {
		if p.hash != nil {
			err = errors.Join(err, p.hash.Close())
		}
		return nil, err
	}
	return p, nil
}

// instructions are those of the program with the kernel's numbers for helpers, maps and functions.
func (k *Kernel) instructions(r *Random, hash int) (asm.Instructions, error) {
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
			const pseudoMap, pseudoFunc = 1, 4
			if slot, ok := code.FuncSlot(v); ok {
				calledBack = true
				in.Regs |= pseudoFunc << 4
				in.Imm, next.Imm = int32(slot-at-1), 0
			} else if v == MapMarker {
				in.Regs |= pseudoMap << 4
				in.Imm, next.Imm = int32(k.values.FD()), 0
			} else if v == hashMarker {
				in.Regs |= pseudoMap << 4
				in.Imm, next.Imm = int32(hash), 0
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
	return list, nil
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

// run runs a program on a state, which it changes.
func (k *Kernel) run(p *kernelProgram, s *State) error {
	if err := k.values.Put(uint32(0), s.Value); err != nil {
		return fmt.Errorf("setting the value: %w", err)
	}
	o := &ebpf.RunOptions{Data: s.Packet, DataOut: make([]byte, len(s.Packet))}
	if _, err := p.program.Run(o); err != nil {
		return fmt.Errorf("running in the kernel: %w", err)
	}
	out, err := k.values.LookupBytes(uint32(0))
	if err != nil {
		return fmt.Errorf("reading the value: %w", err)
	}
	s.Value, s.Packet = out, o.DataOut
	if p.hash != nil {
		s.Hash = dumpHash(func(key, value []byte) error { return p.hash.Lookup(key, value) })
	}
	return nil
}
