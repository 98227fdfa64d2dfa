package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/ir"
)

// createMap makes the map of a spec and fills it.
func (s *session) createMap(name string, spec *ebpf.MapSpec) (*hostMap, error) {
	m := &hostMap{name: name, fd: -1, kind: spec.Type, keySize: int(spec.KeySize), valueSize: int(spec.ValueSize),
		maxEntries: int(spec.MaxEntries), cpus: 1}
	attr := mapCreateAttr{
		mapType: uint32(spec.Type), keySize: spec.KeySize, valueSize: spec.ValueSize, maxEntries: spec.MaxEntries,
		flags: spec.Flags, numaNode: spec.NumaNode, name: kernelName(spec.Name), extra: spec.MapExtra,
	}
	switch spec.Type {
	case ebpf.PerCPUHash, ebpf.PerCPUArray, ebpf.LRUCPUHash:
		n, err := s.host.possible()
		if err != nil {
			return nil, err
		}
		m.cpus = n
	case ebpf.PerfEventArray:
		if attr.maxEntries == 0 {
			n, err := s.host.possible()
			if err != nil {
				return nil, err
			}
			attr.maxEntries = uint32(n)
		}
	case ebpf.RingBuf:
		attr.maxEntries = s.ringSize(name, spec.MaxEntries)
		m.maxEntries = int(attr.maxEntries)
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.Arena, ebpf.StructOpsMap:
		return nil, fmt.Errorf("map %s: maps of type %s cannot be loaded yet", name, spec.Type)
	}
	if spec.Pinning == ebpf.PinByName {
		return m, openPinned(m, spec)
	}
	var err error
	if m.fd, err = bpf(unix.BPF_MAP_CREATE, &attr); err != nil {
		return nil, s.explainMap(name, spec, err)
	}
	for i, kv := range spec.Contents {
		key, err := encoded(kv.Key, m.keySize)
		if err == nil {
			var value []byte
			if value, err = encoded(kv.Value, m.valueSize); err == nil {
				err = m.Update(key, value)
			}
		}
		if err != nil {
			m.close()
			return nil, fmt.Errorf("map %s: storing element %d: %w", name, i, err)
		}
	}
	if spec.Flags&unix.BPF_F_RDONLY_PROG != 0 {
		// Frozen, its values are constants to the verifier.
		if _, err := bpf(unix.BPF_MAP_FREEZE, &struct{ fd uint32 }{uint32(m.fd)}); err != nil {
			m.close()
			return nil, fmt.Errorf("map %s: freezing: %w", name, err)
		}
	}
	return m, nil
}

// encoded gives an element of MapSpec.Contents as the kernel takes it.
func encoded(x any, size int) ([]byte, error) {
	b, isBytes := x.([]byte)
	if !isBytes {
		var err error
		if b, err = binary.Append(nil, binary.NativeEndian, x); err != nil {
			return nil, err
		}
	}
	if len(b) != size {
		return nil, fmt.Errorf("%d bytes where the map has %d", len(b), size)
	}
	return b, nil
}

const (
	minRing     = 64 << 10
	controlRing = 256 << 10
)

// ringSize gives the size of a ring buffer in bytes: a power of two.
func (s *session) ringSize(name string, asked uint32) uint32 {
	page := uint32(os.Getpagesize())
	size := max(asked, page)
	switch {
	case name == s.opt.RingMap && s.opt.RingPages > 0:
		size = uint32(min(s.opt.RingPages, 1<<30/int(page))) * page
	case name == s.opt.RingMap:
		online, _ := s.host.online()
		size = max(dataRing(len(online), totalMemory()), min(asked, uint32(totalMemory()/256)))
	case name == s.opt.ControlMap && asked == 0:
		size = controlRing
	}
	power := page
	for power < size {
		power <<= 1
	}
	return power
}

// dataRing sizes the ring of events: the more CPUs, the faster it fills; but the kernel allocates it at once
// (0.3 ms for each MB), and all of it counts as our resident memory while it is mapped. Programs that send more than others ask for more.
func dataRing(cpus int, memory uint64) uint32 {
	size := uint64(4 << 20)
	switch {
	case cpus > 64:
		size = 32 << 20
	case cpus > 32:
		size = 16 << 20
	case cpus > 8:
		size = 8 << 20
	}
	return uint32(max(min(size, memory/256), minRing))
}

func totalMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 1 << 30
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

func (s *session) explainMap(name string, spec *ebpf.MapSpec, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return denied("creating maps", err)
	case errors.Is(err, unix.ENOSYS):
		return noBPF(err)
	case errors.Is(err, unix.EINVAL) && spec.Type == ebpf.RingBuf && !s.host.Has(ir.RingBuf):
		return &host.Missing{What: "the ring buffer", Since: "Linux 5.8"}
	case errors.Is(err, unix.E2BIG), errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("map %s (%s, %d elements of %d+%d bytes) is too large for this machine: %w", name, spec.Type,
			spec.MaxEntries, spec.KeySize, spec.ValueSize, err)
	}
	return fmt.Errorf("creating map %s (%s, %d elements of %d+%d bytes): %w", name, spec.Type, spec.MaxEntries,
		spec.KeySize, spec.ValueSize, err)
}

// mapMemory maps the value of a mappable array map of one element.
func (m *hostMap) mapMemory() ([]uint64, []byte, error) {
	page := os.Getpagesize()
	size := (m.valueSize*m.maxEntries + page - 1) / page * page
	mem, err := unix.Mmap(m.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping map %s: %w", m.name, err)
	}
	// A mapping starts at a page, so its words are aligned.
	return unsafe.Slice((*uint64)(unsafe.Pointer(&mem[0])), m.valueSize/8), mem, nil
}
