package vm

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf"

	"skep/vm/maps"
	"skep/vm/memory"
)

// loadMap makes a map with its contents, except those that name other objects.
func (l *loader) loadMap(name string) error {
	c := l.collection
	if m := l.options.Maps[name]; m != nil {
		c.use(name, m)
		return nil
	}
	spec := l.spec.Maps[name]
	if spec.Type == ebpf.StructOpsMap {
		return nil // for the kernel alone; programs cannot use it
	}
	m, err := l.machine.newMap(spec, c)
	if err != nil {
		return err
	}
	c.own = append(c.own, m)
	c.use(name, m)
	return nil
}

// use makes a map one of the collection's: its programs may touch the values.
func (c *Collection) use(name string, m maps.Map) {
	c.Maps[name] = m
	for _, r := range m.Regions() {
		c.grow(r)
	}
}

func (c *Collection) grow(r memory.Region) {
	if _, known := c.space.Find(r.Base, r.Size); !known {
		c.space.Add(r)
	}
}

// newMap makes a map, and gives it a number of the machine's. Its memory belongs to the collection's programs.
func (m *Machine) newMap(spec *ebpf.MapSpec, c *Collection) (made maps.Map, err error) {
	if err := m.affords(spec); err != nil {
		return nil, fmt.Errorf("creating map %s (%s): %w", spec.Name, spec.Type, err)
	}
	err = m.objects.add(func(id uint32) (object, error) {
		made, err = maps.New(spec, maps.Options{
			CPUs: m.CPUs(), ID: id, Handle: handleOf(id),
			Repeatable: m.options.Repeatable,
			Map:        m.innerMap,
			Target:     m.target,
			Device:     m.options.Host.Device,
			Grow:       c.grow,
			Release:    m.timers.release,
		})
		return object{m: made}, err
	})
	return made, err
}

// affords tells whether a map is small enough for the machine. Sizes that are wrong altogether are not its matter.
func (m *Machine) affords(spec *ebpf.MapSpec) error {
	size, overhead := uint64(spec.KeySize)+uint64(spec.ValueSize), uint64(64) // of an entry, about
	switch spec.Type {
	case ebpf.Array, ebpf.PerCPUArray:
		// Values one after the other, and no keys.
		size, overhead = (uint64(spec.ValueSize)+7)&^7, 0
	}
	switch spec.Type {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage:
		size *= uint64(m.CPUs())
	}
	entries := uint64(max(spec.MaxEntries, 1))
	if spec.Flags&noPrealloc != 0 && spec.Type != ebpf.Array {
		entries = 1 // its memory grows with use
	}
	if hi, need := bits.Mul64(size+overhead, entries); hi != 0 || need > m.options.MapMemory {
		return fmt.Errorf("it needs about %d bytes, and the machine allows %d: %w", need, m.options.MapMemory, maps.ENOMEM)
	}
	return nil
}

// noPrealloc is BPF_F_NO_PREALLOC.
const noPrealloc = 1

// innerMap is what user space means by a number that it stores in a map of maps.
func (m *Machine) innerMap(fd uint32) (maps.Map, error) {
	if x := m.objects.mapOf(fd); x != nil {
		return x, nil
	}
	return nil, maps.EBADF
}

// target is what user space means by a number that it stores in a map.
func (m *Machine) target(t ebpf.MapType, fd uint32) (uint64, error) {
	if t == ebpf.ProgramArray && m.objects.program(fd) == nil {
		return 0, maps.EBADF
	}
	return uint64(fd), nil
}

// fillMap stores the contents that name other objects: programs of a program array, maps of a map of maps.
func (l *loader) fillMap(name string) error {
	spec, m := l.spec.Maps[name], l.collection.Maps[name]
	if m == nil || l.options.Maps[name] != nil {
		return nil
	}
	switch spec.Type {
	case ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps:
	default:
		return nil
	}
	for _, kv := range spec.Contents {
		id, err := l.objectID(kv.Value)
		if err != nil {
			return err
		}
		if id == 0 {
			continue // a program that was not asked for
		}
		key, err := keyBytes(kv.Key, m.KeySize())
		if err != nil {
			return err
		}
		if err := (maps.User{Map: m}).Update(key, binary.NativeEndian.AppendUint32(nil, id), maps.Any); err != nil {
			return err
		}
	}
	return nil
}

// objectID is the number of what the contents of a map name.
func (l *loader) objectID(value any) (uint32, error) {
	switch v := value.(type) {
	case string:
		if p := l.collection.Programs[v]; p != nil {
			return p.id, nil
		}
		if m := l.collection.Maps[v]; m != nil {
			return m.ID(), nil
		}
		if l.spec.Programs[v] != nil {
			return 0, nil
		}
		return 0, fmt.Errorf("there is no map or program %s", v)
	case *Program:
		return v.id, nil
	case maps.Map:
		return v.ID(), nil
	case uint32:
		return v, nil
	}
	return 0, fmt.Errorf("a value of type %T names no map and no program", value)
}

func keyBytes(key any, size int) ([]byte, error) {
	if b, ok := key.([]byte); ok && len(b) == size {
		return b, nil
	}
	b, err := binary.Append(nil, binary.NativeEndian, key)
	if err == nil && len(b) != size {
		err = fmt.Errorf("a key of %d bytes, and the map's are of %d", len(b), size)
	}
	return b, err
}
