package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	vmmaps "skep/vm/maps"
	"skep/vm/memory"
)

// An Engine is what runs programs.
type Engine int

const (
	// Fastest is the JIT where there is one for this computer, and otherwise the interpreter.
	Fastest Engine = iota
	Interpreter
	JIT
)

// LoadOptions are how a collection is loaded. Nil is the zero value.
type LoadOptions struct {
	Engine Engine
	// Trusted says that a verifier has accepted the programs for what they are given: their memory accesses are not checked, and a
	// mistake of theirs may end the process.
	Trusted bool
	// Verify asks package verifier, by the rules of the machine's kernel. A program that is rejected is an error. One that is accepted
	// runs without checks, unless it follows pointers into the kernel; one of which the verifier does not know all that it uses is checked
	// as it runs.
	Verify bool
	// Raw accepts programs that the kernel rejects for their form: shifts by more bits than there are take the lower bits of the number,
	// and what is divided by 0 becomes 0.
	Raw bool
	// Programs names those to load; nil means all.
	Programs []string
	// Maps are used in place of those of the same name in the collection.
	Maps map[string]vmmaps.Map
}

// A Collection is loaded programs and maps, by their names in the spec.
type Collection struct {
	Programs map[string]*Program
	Maps     map[string]vmmaps.Map

	machine *Machine
	// space has the memory of the maps, which all programs of the collection may touch.
	space *memory.Space
	own   []vmmaps.Map
}

// Load makes the maps and programs of a collection. The spec stays as it is. What cannot be loaded is told by an error that names it;
// no input makes Load panic.
func (m *Machine) Load(spec *ebpf.CollectionSpec, o *LoadOptions) (*Collection, error) {
	if o == nil {
		o = &LoadOptions{}
	}
	if spec.ByteOrder != nil && spec.ByteOrder.String() != binary.NativeEndian.String() && !sameOrder(spec.ByteOrder) {
		return nil, fmt.Errorf("loading programs: they are for %s, and this computer is not", spec.ByteOrder)
	}
	c := &Collection{
		Programs: map[string]*Program{}, Maps: map[string]vmmaps.Map{}, machine: m, space: &memory.Space{},
	}
	l := &loader{machine: m, options: o, spec: spec, collection: c}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	m.opened(c)
	return c, nil
}

func sameOrder(o binary.ByteOrder) bool {
	return o.Uint16([]byte{1, 0}) == binary.NativeEndian.Uint16([]byte{1, 0})
}

// Close frees the programs and the maps of the collection. None may run or be in a map of another collection.
func (c *Collection) Close() error {
	c.machine.forget(c)
	c.machine.timers.closeOf(c)
	var ids []uint32
	for _, p := range c.Programs {
		ids = append(ids, p.id)
	}
	for _, m := range c.own {
		ids = append(ids, m.ID())
	}
	c.machine.objects.remove(ids...)
	var errs []error
	for _, p := range c.Programs {
		errs = append(errs, p.image.Close())
	}
	for _, m := range c.own {
		errs = append(errs, m.Close())
	}
	c.Programs, c.Maps, c.own = nil, nil, nil
	return errors.Join(errs...)
}

// A loader is one Load at work.
type loader struct {
	machine    *Machine
	options    *LoadOptions
	spec       *ebpf.CollectionSpec
	collection *Collection
	kconfig    vmmaps.Map
	relocated  map[string]asm.Instructions
	verified   map[string]bool // programs that need no checks
}

func (l *loader) load() error {
	names := l.options.Programs
	if names == nil {
		names = slices.Sorted(maps.Keys(l.spec.Programs))
	}
	for _, name := range slices.Sorted(maps.Keys(l.spec.Maps)) {
		if err := l.loadMap(name); err != nil {
			return err
		}
	}
	if err := l.prepare(names); err != nil {
		return err
	}
	for _, name := range names {
		p, err := l.loadProgram(name, l.spec.Programs[name])
		if err != nil {
			return fmt.Errorf("loading program %s: %w", name, err)
		}
		l.collection.Programs[name] = p
	}
	for _, name := range slices.Sorted(maps.Keys(l.spec.Maps)) {
		if err := l.fillMap(name); err != nil {
			return fmt.Errorf("filling map %s: %w", name, err)
		}
	}
	return nil
}

// prepare relocates the programs, and verifies them if asked to.
func (l *loader) prepare(names []string) error {
	l.relocated = map[string]asm.Instructions{}
	for _, name := range names {
		spec := l.spec.Programs[name]
		if spec == nil {
			return fmt.Errorf("loading program %s: there is no such program", name)
		}
		insns := slices.Clone(spec.Instructions)
		for i := range insns {
			if op := insns[i].OpCode.AtomicOp(); op != asm.InvalidAtomic {
				// What marshals instructions, in cilium/ebpf 0.22, takes the operation from here, where only those from files have it.
				insns[i].Constant = int64(op >> 8)
			}
		}
		if err := l.relocate(insns); err != nil {
			return fmt.Errorf("loading program %s: %w", name, err)
		}
		l.relocated[name] = insns
	}
	if l.options.Verify && !l.options.Trusted {
		return l.verify(names)
	}
	return nil
}
