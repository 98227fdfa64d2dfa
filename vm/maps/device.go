package maps

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// A DevMap is BPF_MAP_TYPE_DEVMAP or CPUMAP: where packets are redirected to. A word is a u32 with the interface's index or the size of
// the queue, and above it the number of the program to run there, or 0.
type DevMap struct{ *words }

func newDevMap(a *attr, opts Options) (Map, error) {
	if err := a.checkTargets(flagNUMANode | flagReadOnly | flagWriteOnly); err != nil {
		return nil, err
	}
	a.flags |= flagReadOnlyProgram // programs get the address of a word
	w, err := newWords(a, opts)
	return &DevMap{w}, err
}

func newCPUMap(a *attr, opts Options) (Map, error) {
	if err := a.checkTargets(flagNUMANode); err != nil {
		return nil, err
	}
	if a.maxEntries > maxCPUs {
		return nil, E2BIG
	}
	w, err := newWords(a, opts)
	return &DevMap{w}, err
}

const maxCPUs = 8192 // NR_CPUS of distributions' kernels

func (a *attr) checkTargets(flags uint32) error {
	if !a.indexed() || a.valueSize != 4 && a.valueSize != 8 || a.flags&^flags != 0 {
		return EINVAL
	}
	return nil
}

func (m *DevMap) userUpdate(key, value []byte, flags uint64) error {
	i := index(key)
	switch {
	case flags > Exist:
		return EINVAL
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	case flags == NoExist:
		return EEXIST
	}
	word, err := m.opts.device(m.kind, i, value)
	if err != nil {
		return err
	}
	atomic.StoreUint64(m.at(i), word)
	return nil
}

// device checks a value that user space gives, and turns it into a word.
func (o *Options) device(t ebpf.MapType, cpu uint32, value []byte) (uint64, error) {
	const maxQueue = 16384
	number, program := binary.NativeEndian.Uint32(value), uint64(0)
	if t == ebpf.CPUMap {
		switch {
		case number > maxQueue:
			return 0, EOVERFLOW
		case int(cpu) >= o.CPUs:
			return 0, ENODEV
		case number == 0:
			return 0, nil // nothing else is looked at
		}
	} else if number != 0 && o.Device != nil && !o.Device(number) {
		return 0, EINVAL
	}
	if len(value) == 8 && int32(binary.NativeEndian.Uint32(value[4:])) > 0 {
		if number == 0 {
			return 0, EINVAL
		}
		var err error
		program, err = o.target(t, binary.NativeEndian.Uint32(value[4:]))
		switch {
		case err != nil && t == ebpf.CPUMap:
			return 0, ENOMEM // whatever it was
		case err != nil:
			return 0, EINVAL
		}
	}
	var word [8]byte
	binary.NativeEndian.PutUint32(word[:], number)
	binary.NativeEndian.PutUint32(word[4:], uint32(program))
	return binary.NativeEndian.Uint64(word[:]), nil
}

func (m *DevMap) Delete(key []byte) error {
	i := index(key)
	if uint(i) >= uint(m.maxEntries) {
		return EINVAL
	}
	atomic.StoreUint64(m.at(i), 0)
	return nil
}

func (m *DevMap) userDelete(key []byte) error { return m.Delete(key) }

// A DevMapHash is BPF_MAP_TYPE_DEVMAP_HASH. Values are as in a [DevMap].
type DevMapHash struct{ *Hash }

func newDevMapHash(a *attr, opts Options) (Map, error) {
	if err := a.checkTargets(flagNUMANode | flagReadOnly | flagWriteOnly); err != nil {
		return nil, err
	}
	if a.maxEntries > 1<<31 {
		return nil, EINVAL
	}
	table, err := newTable(a, opts, tableShape{value: 8, plain: true})
	if err != nil {
		return nil, err
	}
	table.flags |= flagReadOnlyProgram
	return &DevMapHash{table}, nil
}

func (m *DevMapHash) Lookup(_ int, key []byte) uint64 {
	i, ok := m.find(key, m.hash(key))
	if !ok {
		return 0
	}
	return address(m.at(i, 0))
}

// Target is the value of a key; 0 if there is none.
func (m *DevMapHash) Target(key uint32) uint64 {
	var k [4]byte
	binary.NativeEndian.PutUint32(k[:], key)
	if at := m.Lookup(0, k[:]); at != 0 {
		return binary.NativeEndian.Uint64(memoryAt(at, 8))
	}
	return 0
}

func (m *DevMapHash) Update(int, []byte, []byte, uint64) error            { return EINVAL }
func (m *DevMapHash) ForEach(int, func([]byte, uint64) bool) (int, error) { return 0, EINVAL }
func (m *DevMapHash) userTake(_, _ []byte, _ uint64) error                { return ENOTSUPP }

func (m *DevMapHash) userUpdate(key, value []byte, flags uint64) error {
	switch {
	case flags > Exist || binary.NativeEndian.Uint32(value) == 0:
		return EINVAL
	case flags == NoExist && m.Lookup(0, key) != 0:
		return EEXIST
	}
	word, err := m.opts.device(m.kind, 0, value)
	if err != nil {
		return err
	}
	var stored [8]byte
	binary.NativeEndian.PutUint64(stored[:], word)
	return m.Hash.Update(0, key, stored[:], flags&NoExist) // BPF_EXIST is not asked for what is there
}
