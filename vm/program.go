package vm

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/interp"
	"skep/vm/jit"
)

// A Program is ready to run. It may run on several threads at once.
type Program struct {
	Name    string
	Type    ebpf.ProgramType
	Attach  ebpf.AttachType
	Section string

	id         uint32
	machine    *Machine
	collection *Collection
	code       *code.Program
	image      engine.Image
	trusted    bool
	native     bool // machine code
	probes     bool // loads may be from memory that the host has
	sources    []source
}

// ID is the program's number, which stands for it in program arrays as a file descriptor does.
func (p *Program) ID() uint32 { return p.id }

// Code is the program as engines run it. It must not be changed.
func (p *Program) Code() *code.Program { return p.code }

// Checked reports whether the program's memory accesses are checked as it runs.
func (p *Program) Checked() bool { return !p.trusted }

// Calls are the names of the helpers and kernel functions that the program calls, sorted.
func (p *Program) Calls() []string { return sortedCalls(p.code) }

func (l *loader) loadProgram(name string, spec *ebpf.ProgramSpec) (*Program, error) {
	linked, sources, err := l.link(name, l.relocated[name])
	if err != nil {
		return nil, err
	}
	return l.newProgram(&Program{
		Name: name, Type: spec.Type, Attach: spec.AttachType, Section: spec.SectionName, code: linked, sources: sources,
	})
}

// newProgram prepares linked code for the engine.
func (l *loader) newProgram(p *Program) (*Program, error) {
	level := code.Strict
	if l.options.Raw {
		level = code.Raw
	}
	if err := p.code.Check(level); err != nil {
		var form *code.Error
		if errors.As(err, &form) {
			form.Program = "" // which callers name
		}
		return nil, err
	}
	p.machine, p.collection, p.trusted = l.machine, l.collection, l.options.Trusted || l.verified[p.Name]
	p.native = l.options.Engine == JIT || l.options.Engine == Fastest && jit.Supported
	p.probes = l.machine.options.Host.ReadKernel != nil && followsPointers(p.Type)
	if p.trusted && (p.Type == ebpf.RawTracepoint || p.Type == ebpf.RawTracepointWritable) {
		p.probes = false // without types, its arguments are numbers to the verifier: a verified program reads by helpers
	}
	if p.probes {
		// Only the interpreter asks the host, and only for code that it checks.
		p.native, p.trusted = false, false
	}
	if p.trusted && p.native {
		l.inlineArrays(p.code)
	}
	helpers, err := l.helpers(p)
	if err != nil {
		return nil, err
	}
	if p.image, err = l.newImage(p, helpers); err != nil {
		return nil, err
	}
	err = l.machine.objects.add(func(id uint32) (object, error) {
		p.id = id
		return object{p: p}, nil
	})
	if err != nil {
		return nil, errors.Join(err, p.image.Close())
	}
	return p, nil
}

func (l *loader) newImage(p *Program, helpers []engine.Helper) (engine.Image, error) {
	if p.native {
		return jit.New(p.code, helpers, !p.trusted)
	}
	return interp.New(p.code, helpers)
}

// followsPointers reports whether the kernel lets programs of the type load from the pointers that their arguments are.
func followsPointers(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.Tracing, ebpf.LSM, ebpf.StructOps, ebpf.RawTracepoint, ebpf.RawTracepointWritable, ebpf.Netfilter:
		return true
	}
	return false
}

// relocate applies CO-RE relocations against the types of the machine's kernel.
func (l *loader) relocate(insns asm.Instructions) error {
	var relocations []*btf.CORERelocation
	var at []int
	for i := range insns {
		if r := btf.CORERelocationMetadata(&insns[i]); r != nil {
			relocations = append(relocations, r)
			at = append(at, i)
		}
	}
	if len(relocations) == 0 {
		return nil
	}
	kernel := l.machine.options.KernelTypes
	if kernel == nil {
		return errors.New("its CO-RE relocations need the types of a kernel, and the machine has none")
	}
	fixups, err := fixupsOf(relocations, kernel)
	if err != nil {
		return fmt.Errorf("relocating: %w", err)
	}
	for i, f := range fixups {
		if err := f.Apply(&insns[at[i]]); err != nil {
			return fmt.Errorf("relocating %v: %w", relocations[i], err)
		}
	}
	return nil
}

func fixupsOf(relocations []*btf.CORERelocation, kernel *btf.Spec) (fixups []btf.COREFixup, err error) {
	defer func() {
		// Types of hostile objects may be what cilium/ebpf does not expect.
		if p := recover(); p != nil {
			err = fmt.Errorf("the types are malformed: %v", p)
		}
	}()
	types, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, err
	}
	return btf.CORERelocate(relocations, []*btf.Spec{kernel}, nativeOrder(), types.Add)
}

// Line is the line of the program's text that the instruction comes from, or nothing.
func (p *Program) Line(slot int) string {
	text := ""
	for _, s := range p.sources {
		if s.slot > slot {
			break
		}
		text = s.text
	}
	return text
}
