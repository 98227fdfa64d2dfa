package maps

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/cilium/ebpf"
)

// Flags of a map's creation, as the kernel numbers them.
const (
	flagNoPrealloc       = 1 << 0
	flagNoCommonLRU      = 1 << 1
	flagNUMANode         = 1 << 2
	flagReadOnly         = 1 << 3
	flagWriteOnly        = 1 << 4
	flagStackBuildID     = 1 << 5
	flagZeroSeed         = 1 << 6
	flagReadOnlyProgram  = 1 << 7
	flagWriteOnlyProgram = 1 << 8
	flagClone            = 1 << 9
	flagMmapable         = 1 << 10
	flagPreserveElems    = 1 << 11
	flagInnerMap         = 1 << 12

	flagsAccess = flagReadOnly | flagWriteOnly | flagReadOnlyProgram | flagWriteOnlyProgram
)

const (
	maxAllocation = 4 << 20  // KMALLOC_MAX_SIZE
	maxPerCPU     = 32 << 10 // PCPU_MIN_UNIT_SIZE
)

// attr is what a map is made of: what bpf(2) is told by BPF_MAP_CREATE.
type attr struct {
	name       string
	kind       ebpf.MapType
	keySize    uint32
	valueSize  uint32
	maxEntries uint32
	flags      uint32
	numaNode   uint32
	extra      uint64
	inner      *attr // of a map of maps
	typed      bool  // has BTF types of key and value
	fields     Fields
}

// New makes a map and gives it its contents, except those of program arrays and maps of maps, which are names that the caller
// resolves. What the kernel would refuse is refused with its Errno.
func New(spec *ebpf.MapSpec, opts Options) (Map, error) {
	m, err := newMap(spec, opts)
	if err != nil {
		return nil, fmt.Errorf("creating map %s (%s): %w", spec.Name, spec.Type, err)
	}
	return m, nil
}

func newMap(spec *ebpf.MapSpec, opts Options) (Map, error) {
	a, err := attrOf(spec, opts)
	if err != nil {
		return nil, err
	}
	m, err := create(a, opts)
	if err != nil {
		return nil, err
	}
	if err := fill(m, spec.Contents); err != nil {
		m.Close()
		return nil, err
	}
	if isConstant(spec.Name) {
		if err := (User{m}).Freeze(); err != nil {
			m.Close()
			return nil, fmt.Errorf("freezing: %w", err)
		}
	}
	m.opened()
	return m, nil
}

// attrOf fills in what object files leave to the loader.
func attrOf(spec *ebpf.MapSpec, opts Options) (*attr, error) {
	a := &attr{
		name: spec.Name, kind: spec.Type, keySize: spec.KeySize, valueSize: spec.ValueSize, maxEntries: spec.MaxEntries,
		flags: spec.Flags, numaNode: spec.NumaNode, extra: spec.MapExtra, typed: spec.Key != nil && spec.Value != nil,
	}
	switch a.kind {
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		if a.valueSize == 0 {
			a.valueSize = 4
		}
	case ebpf.PerfEventArray:
		if a.maxEntries == 0 {
			a.maxEntries = uint32(max(opts.CPUs, 1))
		}
		if a.keySize == 0 && a.valueSize == 0 {
			a.keySize, a.valueSize = 4, 4
		}
	}
	var err error
	if a.fields, err = fieldsOf(spec.Value); err != nil {
		return nil, err
	}
	if spec.InnerMap != nil {
		if a.inner, err = attrOf(spec.InnerMap, opts); err != nil {
			return nil, fmt.Errorf("inner map: %w", err)
		}
	}
	return a, nil
}

// create is BPF_MAP_CREATE.
func create(a *attr, opts Options) (Map, error) {
	opts.CPUs = max(opts.CPUs, 1)
	own := *a // kinds change it
	a = &own
	if a.kind != ebpf.BloomFilter && a.extra != 0 || a.flags&flagReadOnly != 0 && a.flags&flagWriteOnly != 0 ||
		a.flags&flagNUMANode != 0 && a.numaNode != 0 {
		return nil, EINVAL
	}
	if int(a.keySize) < 0 || int(a.valueSize) < 0 || int(a.maxEntries) < 0 {
		return nil, ENOMEM // a process of 32 bits
	}
	make, known := kinds[a.kind]
	if !known {
		return nil, fmt.Errorf("the machine has no maps of this type: %w", EINVAL)
	}
	m, err := make(a, opts)
	if err != nil {
		return nil, err
	}
	if err := a.checkFields(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// kinds is what the machine has. A kind checks its own attributes.
var kinds = map[ebpf.MapType]func(*attr, Options) (Map, error){
	ebpf.Array:               newArray,
	ebpf.PerCPUArray:         newArray,
	ebpf.Hash:                newHash,
	ebpf.PerCPUHash:          newHash,
	ebpf.LRUHash:             newHash,
	ebpf.LRUCPUHash:          newHash,
	ebpf.LPMTrie:             newTrie,
	ebpf.Queue:               newQueue,
	ebpf.Stack:               newQueue,
	ebpf.BloomFilter:         newBloom,
	ebpf.ArrayOfMaps:         newArrayOfMaps,
	ebpf.HashOfMaps:          newHashOfMaps,
	ebpf.ProgramArray:        newProgArray,
	ebpf.CGroupArray:         newCgroupArray,
	ebpf.DevMap:              newDevMap,
	ebpf.CPUMap:              newCPUMap,
	ebpf.DevMapHash:          newDevMapHash,
	ebpf.XSKMap:              newXSKMap,
	ebpf.SockMap:             newSockMap,
	ebpf.SockHash:            newSockHash,
	ebpf.RingBuf:             newRingBuf,
	ebpf.PerfEventArray:      newPerfEventArray,
	ebpf.SkStorage:           newStorage,
	ebpf.InodeStorage:        newStorage,
	ebpf.TaskStorage:         newStorage,
	ebpf.CgroupStorage:       newStorage,
	ebpf.CGroupStorage:       newCgroupStorage,
	ebpf.PerCPUCGroupStorage: newCgroupStorage,
	ebpf.StackTrace:          newStackTrace,
}

func (a *attr) base(opts Options) base {
	return base{
		name: a.name, kind: a.kind, keySize: int(a.keySize), valueSize: int(a.valueSize), maxEntries: int(a.maxEntries),
		flags: a.flags, opts: opts, fields: a.fields, spans: a.fields.spans(),
	}
}

// only says that there are no flags but these, and that programs are not kept from both reading and writing.
func (a *attr) only(flags uint32) bool {
	return a.flags&^flags == 0 && a.flags&(flagReadOnlyProgram|flagWriteOnlyProgram) != flagReadOnlyProgram|flagWriteOnlyProgram
}

// powerAbove is the power of two that is at least n, and whether it is a u32.
func powerAbove(n uint32) (uint32, bool) {
	if n > 1<<31 {
		return 0, false
	}
	return 1 << bits.Len32(n-1), true
}

// fill gives a map its first contents.
func fill(m Map, contents []ebpf.MapKV) error {
	switch m.Type() {
	case ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		return nil
	}
	u := User{m}
	for _, kv := range contents {
		key, err := bytesOf(kv.Key)
		if err != nil {
			return fmt.Errorf("key of the contents: %w", err)
		}
		value, err := bytesOf(kv.Value)
		if err != nil {
			return fmt.Errorf("value of the contents: %w", err)
		}
		if err := u.Update(key, value, Any); err != nil {
			return fmt.Errorf("setting the contents: %w", err)
		}
	}
	return nil
}

func bytesOf(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	case encoding.BinaryMarshaler:
		return v.MarshalBinary()
	}
	var b bytes.Buffer
	err := binary.Write(&b, binary.NativeEndian, v)
	return b.Bytes(), err
}

// isConstant tells the sections that loaders freeze.
func isConstant(name string) bool {
	return strings.HasPrefix(name, ".rodata") || name == ".kconfig"
}

// tooBig says that an area of n elements cannot be had in this process.
func tooBig(n, size uint64) bool {
	hi, lo := bits.Mul64(n, size)
	return hi != 0 || lo > math.MaxInt/2
}
