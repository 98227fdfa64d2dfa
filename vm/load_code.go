package vm

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/vm/code"
	"skep/vm/memory"
)

// LoadCode prepares a bare program: instructions of 8 bytes as they are in files of this computer's byte order. It is freed with the
// machine.
func (m *Machine) LoadCode(name string, content []byte, o *LoadOptions) (*Program, error) {
	if o == nil {
		o = &LoadOptions{}
	}
	if len(content)%8 != 0 || len(content) == 0 {
		return nil, fmt.Errorf("loading program %s: its length of %d bytes is not that of instructions, of 8 bytes each", name, len(content))
	}
	c := &Collection{Programs: map[string]*Program{}, machine: m, space: &memory.Space{}}
	l := &loader{machine: m, options: o, spec: &ebpf.CollectionSpec{}, collection: c}
	linked, err := l.linkCode(name, decodeSlots(content, nativeOrder()))
	if err != nil {
		return nil, fmt.Errorf("loading program %s: %w", name, err)
	}
	p, err := l.newProgram(&Program{Name: name, code: linked})
	if err != nil {
		return nil, fmt.Errorf("loading program %s: %w", name, err)
	}
	c.Programs[name] = p
	m.opened(c)
	return p, nil
}

// linkCode resolves what bare instructions refer to: helpers, functions, and maps of the machine by their numbers.
func (l *loader) linkCode(name string, insns []code.Insn) (*code.Program, error) {
	k := &linker{loader: l, name: name, out: &code.Program{Name: name}, calls: map[code.Call]int{}}
	for at := 0; at < len(insns); at++ {
		in := insns[at]
		switch {
		case in.Op == code.LoadImm64 && at+1 < len(insns):
			next := insns[at+1]
			value := uint64(uint32(in.Imm)) | uint64(uint32(next.Imm))<<32
			if in.Src() != 0 {
				load := asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Src: asm.Register(in.Src()), Constant: int64(value)}
				var err error
				if value, err = k.immediate(&load, at); err != nil {
					return nil, fmt.Errorf("instruction %d: %w", at, err)
				}
				in.Regs = in.Dst()
			}
			in.Imm, next.Imm = int32(uint32(value)), int32(value>>32)
			k.out.Insns = append(k.out.Insns, in, next)
			at++
			continue
		case in.Op == code.CallOp && in.Src() == code.CallHelper:
			in.Imm = int32(k.callIndex(helperCall(in.Imm)))
		case in.Op == code.CallOp && in.Src() == code.CallKfunc:
			return nil, errors.New("it calls a kernel function, whose name is not known")
		}
		k.out.Insns = append(k.out.Insns, in)
	}
	if err := k.findFuncs(); err != nil {
		return nil, err
	}
	return k.out, nil
}
