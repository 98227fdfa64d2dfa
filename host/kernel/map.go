package kernel

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
)

// hostMap is a map by its descriptor. Its buffers belong to one goroutine at a time.
type hostMap struct {
	name                           string
	fd                             int
	kind                           ebpf.MapType
	keySize, valueSize, maxEntries int
	cpus                           int // values per key
	noBatch                        bool

	values  [][]byte // views of one key's values
	element []byte
}

var _ host.Map = (*hostMap)(nil)

// FD lets instructions refer to the map.
func (m *hostMap) FD() int { return m.fd }

func (m *hostMap) MaxEntries() int { return m.maxEntries }

func (m *hostMap) close() {
	if m.fd >= 0 {
		unix.Close(m.fd)
		m.fd = -1
	}
}

// stride is the distance between the values of two CPUs: the kernel rounds them up to 8 bytes.
func (m *hostMap) stride() int {
	if m.cpus == 1 && m.kind != ebpf.PerCPUArray && m.kind != ebpf.PerCPUHash && m.kind != ebpf.LRUCPUHash {
		return m.valueSize
	}
	return (m.valueSize + 7) &^ 7
}

// elementSize is what the kernel reads and writes as the value of one key.
func (m *hostMap) elementSize() int { return m.stride() * m.cpus }

// split gives the values of one key out of an element.
func (m *hostMap) split(element []byte) [][]byte {
	stride := m.stride()
	m.values = m.values[:0]
	for i := range m.cpus {
		m.values = append(m.values, element[i*stride:i*stride+m.valueSize:i*stride+m.valueSize])
	}
	return m.values
}

func (m *hostMap) scratch() []byte {
	if m.element == nil {
		m.element = make([]byte, max(m.elementSize(), 1))
	}
	return m.element
}

func (m *hostMap) checkKey(key []byte) error {
	if m.fd < 0 {
		return host.ErrClosed
	}
	if len(key) != m.keySize {
		return fmt.Errorf("map %s: key of %d bytes, not %d", m.name, len(key), m.keySize)
	}
	return nil
}

func (m *hostMap) call(cmd int, key, value []byte) error {
	_, err := bpf(cmd, &mapElemAttr{fd: uint32(m.fd), key: pointer(key), value: pointer(value)})
	return err
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func (m *hostMap) Lookup(key []byte) ([][]byte, bool, error) {
	if err := m.checkKey(key); err != nil {
		return nil, false, err
	}
	element := m.scratch()
	if err := m.call(unix.BPF_MAP_LOOKUP_ELEM, key, element); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, false, nil
		}
		return nil, false, m.wrap("reading", err)
	}
	return m.split(element), true, nil
}

func (m *hostMap) Update(key, value []byte) error {
	if err := m.checkKey(key); err != nil {
		return err
	}
	if len(value) != m.valueSize {
		return fmt.Errorf("map %s: value of %d bytes, not %d", m.name, len(value), m.valueSize)
	}
	element := value
	if m.cpus > 1 || m.stride() != m.valueSize {
		element = m.scratch()
		for i := range m.cpus {
			copy(element[i*m.stride():], value)
		}
	}
	return m.wrap("writing", m.call(unix.BPF_MAP_UPDATE_ELEM, key, element))
}

// Delete deletes a key; that it is not there is no error.
func (m *hostMap) Delete(key []byte) error {
	if err := m.checkKey(key); err != nil {
		return err
	}
	err := m.call(unix.BPF_MAP_DELETE_ELEM, key, nil)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return m.wrap("deleting from", err)
}

func (m *hostMap) isArray() bool {
	switch m.kind {
	case ebpf.Array, ebpf.PerCPUArray:
		return true
	}
	return false
}

// batchBytes bounds the memory of one batch of elements.
const batchBytes = 256 << 10

func (m *hostMap) Each(f func(key []byte, values [][]byte) bool) error {
	if m.fd < 0 {
		return host.ErrClosed
	}
	if !m.noBatch {
		err := m.eachBatch(unix.BPF_MAP_LOOKUP_BATCH, f)
		if !unsupportedBatch(err) {
			return m.wrap("reading", err)
		}
		m.noBatch = true
	}
	return m.eachKey(f)
}

// unsupportedBatch: ENOTSUPP (524) is what the kernel says to user space by mistake, EINVAL comes from kernels
// without the command.
func unsupportedBatch(err error) bool {
	return errors.Is(err, unix.Errno(524)) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// eachBatch reads (and with BPF_MAP_LOOKUP_AND_DELETE_BATCH, deletes) all elements by the batch. A batch of a hash map is some whole
// buckets, so that a key which stays is given once.
func (m *hostMap) eachBatch(cmd int, f func(key []byte, values [][]byte) bool) error {
	size := m.elementSize()
	room := max(min(m.maxEntries, batchBytes/(m.keySize+size)), 1)
	keys, elements := make([]byte, room*m.keySize), make([]byte, room*size+1)
	// The position is a bucket number, or for arrays an index; the kernel wants room for a key.
	cursor := make([]byte, max(m.keySize, 8))
	next := make([]byte, len(cursor))
	for started := false; ; started = true {
		attr := mapBatchAttr{out: pointer(next), keys: pointer(keys), values: pointer(elements), count: uint32(room), fd: uint32(m.fd)}
		if started {
			attr.in = pointer(cursor)
		}
		_, err := bpf(cmd, &attr)
		for errors.Is(err, unix.ENOSPC) && room <= m.maxEntries { // one bucket holds more than there is room for
			room *= 2
			keys, elements = make([]byte, room*m.keySize), make([]byte, room*size+1)
			attr.keys, attr.values, attr.count = pointer(keys), pointer(elements), uint32(room)
			_, err = bpf(cmd, &attr)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
		for i := range min(int(attr.count), room) {
			if f != nil && !f(keys[i*m.keySize:(i+1)*m.keySize:(i+1)*m.keySize], m.split(elements[i*size:(i+1)*size])) {
				return nil
			}
		}
		if err != nil { // ENOENT: that was the last batch
			return nil
		}
		cursor, next = next, cursor
	}
}

// eachKey reads the elements one after the other, of maps that have no batches. When the key at hand is deleted meanwhile, the kernel begins again;
// what was given is then left out, and the steps are bounded.
func (m *hostMap) eachKey(f func(key []byte, values [][]byte) bool) error {
	key, next, element := []byte(nil), make([]byte, m.keySize), make([]byte, m.elementSize())
	var given map[string]struct{}
	if !m.isArray() {
		given = map[string]struct{}{}
	}
	for range 4*m.maxEntries + 1 {
		if err := m.call(unix.BPF_MAP_GET_NEXT_KEY, key, next); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return m.wrap("reading the keys of", err)
		}
		if key == nil {
			key = make([]byte, m.keySize)
		}
		copy(key, next)
		if given != nil {
			if _, again := given[string(key)]; again {
				continue
			}
		}
		if err := m.call(unix.BPF_MAP_LOOKUP_ELEM, key, element); err != nil {
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			return m.wrap("reading", err)
		}
		if given != nil {
			given[string(key)] = struct{}{}
		}
		if !f(next, m.split(element)) {
			return nil
		}
	}
	return m.wrap("reading", errors.New("it changes faster than it can be read"))
}

func (m *hostMap) Clear() error {
	if m.fd < 0 {
		return host.ErrClosed
	}
	if m.isArray() {
		zero := make([]byte, m.elementSize())
		for i := range uint32(m.maxEntries) {
			if err := m.call(unix.BPF_MAP_UPDATE_ELEM, unsafe.Slice((*byte)(unsafe.Pointer(&i)), 4), zero); err != nil {
				return m.wrap("clearing", err)
			}
		}
		return nil
	}
	if !m.noBatch {
		err := m.eachBatch(unix.BPF_MAP_LOOKUP_AND_DELETE_BATCH, nil)
		if !unsupportedBatch(err) {
			return m.wrap("clearing", err)
		}
	}
	var keys [][]byte
	if err := m.eachKey(func(key []byte, _ [][]byte) bool {
		keys = append(keys, append([]byte(nil), key...))
		return true
	}); err != nil {
		return err
	}
	for _, key := range keys {
		if err := m.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func (m *hostMap) wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s map %s: %w", doing, m.name, err)
}
