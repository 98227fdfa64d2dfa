package machine

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"skep/host"
	vmmaps "skep/vm/maps"
)

// Map is a map of the machine as user space sees it. Its buffers belong to one goroutine at a time.
type Map struct {
	user    vmmaps.User
	perCPU  int // values per key
	element []byte
	values  [][]byte
}

var _ host.Map = (*Map)(nil)

// NewMap returns a map as user space sees it, with one value per CPU where the machine has that.
func NewMap(m vmmaps.Map, cpus int) *Map {
	h := &Map{user: vmmaps.User{Map: m}, perCPU: 1}
	switch m.Type() {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash:
		h.perCPU = cpus
	}
	return h
}

// MaxEntries is how many entries fit.
func (m *Map) MaxEntries() int { return m.user.Map.MaxEntries() }

func (m *Map) buffer() []byte {
	if m.element == nil {
		m.element = make([]byte, m.user.ValueSize())
	}
	return m.element
}

// stride is the distance between the values of two CPUs.
func (m *Map) stride() int { return m.user.ValueSize() / m.perCPU }

func (m *Map) split(element []byte) [][]byte {
	stride, size := m.stride(), m.user.Map.ValueSize()
	m.values = m.values[:0]
	for i := range m.perCPU {
		m.values = append(m.values, element[i*stride:i*stride+size:i*stride+size])
	}
	return m.values
}

// Lookup gives the values of a key.
func (m *Map) Lookup(key []byte) ([][]byte, bool, error) {
	element := m.buffer()
	if err := m.user.Lookup(key, element, vmmaps.Any); err != nil {
		if errors.Is(err, vmmaps.ENOENT) {
			return nil, false, nil
		}
		return nil, false, m.wrap("reading", err)
	}
	return m.split(element), true, nil
}

// Each calls f with all entries.
func (m *Map) Each(f func(key []byte, values [][]byte) bool) error {
	return m.wrap("reading", m.user.Each(func(key, value []byte) bool { return f(key, m.split(value)) }))
}

// Update sets the value of a key, for all CPUs.
func (m *Map) Update(key, value []byte) error {
	if len(value) != m.user.Map.ValueSize() {
		return fmt.Errorf("map %s: value of %d bytes, not %d", m.user.Map.Name(), len(value), m.user.Map.ValueSize())
	}
	element := m.buffer()
	for i := range m.perCPU {
		copy(element[i*m.stride():], value)
	}
	return m.wrap("writing", m.user.Update(key, element, vmmaps.Any))
}

// Delete removes a key, if it is there.
func (m *Map) Delete(key []byte) error {
	if err := m.user.Delete(key); err != nil && !errors.Is(err, vmmaps.ENOENT) {
		return m.wrap("deleting from", err)
	}
	return nil
}

// Clear deletes all entries; of arrays, it zeroes them.
func (m *Map) Clear() error {
	switch m.user.Map.Type() {
	case ebpf.Array, ebpf.PerCPUArray:
		zero := make([]byte, m.user.ValueSize())
		return m.eachKey(func(key []byte) error { return m.user.Update(key, zero, vmmaps.Any) })
	}
	return m.eachKey(m.Delete)
}

func (m *Map) eachKey(f func(key []byte) error) error {
	var failed error
	err := m.user.Each(func(key, _ []byte) bool {
		failed = f(key)
		return failed == nil
	})
	return m.wrap("clearing", errors.Join(err, failed))
}

func (m *Map) wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s map %s: %w", doing, m.user.Map.Name(), err)
}
