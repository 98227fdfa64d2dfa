package verifier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// loadedTypes are the program's types in the kernel, which it wants where a function is a callback or global, where the program
// allocates objects, and where its maps have such in them: these have the same types then, as loaders give them.
type loadedTypes struct {
	fd  int
	ids map[btf.Type]btf.TypeID
}

// loadTypes gives the kernel the types of a program. Where they are those of a map, too, they stay.
func (k *kernelUnderTest) loadTypes(p *program) (l *loadedTypes, closeTypes func(), err error) {
	var owners []*mapDef
	for _, at := range slices.Sorted(maps.Keys(p.maps)) {
		m := p.maps[at]
		if have := k.shared[m]; have != nil {
			return have, func() {}, nil
		}
		if hasObjects(p, m) {
			owners = append(owners, m)
		}
	}
	l, err = k.loadTypesWith(p, owners)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range owners {
		k.shared[m] = l
	}
	if len(owners) > 0 {
		return l, func() {}, nil
	}
	return l, l.close, nil
}

func (k *kernelUnderTest) loadTypesWith(p *program, owners []*mapDef) (*loadedTypes, error) {
	l := &loadedTypes{fd: -1, ids: map[btf.Type]btf.TypeID{}}
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, err
	}
	add := func(t btf.Type) {
		if t == nil || err != nil || l.ids[t] != 0 {
			return
		}
		l.ids[t], err = b.Add(t)
	}
	for _, t := range p.types {
		add(t)
	}
	shared := len(p.types)+len(owners) > 0
	for _, m := range owners {
		add(m.spec.Key)
		add(m.spec.Value)
	}
	if shared && err == nil { // elements of lists and trees are known by their names only
		for t := range maps.Clone(l.ids) {
			for _, where := range []holder{inValue, inObject} {
				if f, e := p.fieldsOf(rulesOf(Linux6_18), t, where); e == nil && f != nil {
					for _, r := range f.roots {
						add(r.to)
					}
				}
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(p.funcs)) {
		add(p.funcs[at])
	}
	if err != nil || len(l.ids) == 0 {
		return l, err
	}
	blob, err := b.Marshal(nil, btf.KernelMarshalOptions())
	if err != nil {
		return nil, err
	}
	attr := struct {
		btf, log       uint64
		size, logSize  uint32
		level, trueLog uint32
	}{btf: address(blob), size: uint32(len(blob))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_BTF_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(blob)
	switch {
	case errno == 0:
		l.fd = int(fd)
	case shared && k.version >= linux(6, 2):
		return nil, fmt.Errorf("loading BTF: %w", errno)
	}
	return l, nil
}

func (l *loadedTypes) close() {
	if l.fd >= 0 {
		unix.Close(l.fd)
		l.fd = -1
	}
}

// places tells the kernel where which function begins.
func (l *loadedTypes) places(p *program) []byte {
	var records bytes.Buffer
	for _, at := range slices.Sorted(maps.Keys(p.funcs)) {
		_ = binary.Write(&records, binary.LittleEndian, [2]uint32{uint32(at), uint32(l.ids[p.funcs[at]])})
	}
	return records.Bytes()
}

// hasObjects reports whether values have in them, or refer to, structs that the program may allocate.
func hasObjects(p *program, m *mapDef) bool {
	f, err := p.fieldsOf(rulesOf(Linux6_18), m.spec.Value, inValue)
	return err != nil || f != nil && (len(f.roots) > 0 || len(f.kptrs) > 0)
}

// shares reports whether the map has the types of the program.
func (l *loadedTypes) shares(m *mapDef) bool {
	return l.fd >= 0 && m.spec.Value != nil && l.ids[m.spec.Value] != 0
}

// makeMap makes a map with the types of the program.
func (l *loadedTypes) makeMap(m *mapDef) (*ebpf.Map, error) {
	attr := struct {
		kind, keySize, valueSize, maxEntries, flags uint32
		inner, node                                 uint32
		name                                        [16]byte
		ifindex, btfFD, keyType, valueType          uint32
		more                                        [8]uint32
	}{
		kind: uint32(m.spec.Type), keySize: m.spec.KeySize, valueSize: m.spec.ValueSize, maxEntries: m.spec.MaxEntries, flags: m.spec.Flags,
		btfFD: uint32(l.fd), keyType: uint32(l.ids[m.spec.Key]), valueType: uint32(l.ids[m.spec.Value]),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return nil, fmt.Errorf("creating the map %s: %w", m.name, errno)
	}
	return ebpf.NewMapFromFD(int(fd))
}
