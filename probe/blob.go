package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const btfDir = "/sys/kernel/btf/"

// blob is BTF as the kernel shows it in a file. It is never written to.
type blob struct {
	base    *blob  // of a module: the kernel's, whose ids and strings it goes on from
	data    []byte // types
	strings []byte
	types   []placed // by id, which in a module's are counted from its first; [0] is void
}

// placed is a type's kind, in the upper bits, and where it stands in data, in words. To look for a name, most types need not be read.
type placed uint32

const (
	offsetBits = 27
	placedSize = 4 // bytes
)

func (p placed) kind() uint32 { return uint32(p >> offsetBits) }
func (p placed) offset() int  { return int(p&(1<<offsetBits-1)) << 2 }

// kernelBlob is the kernel's BTF. It stays mapped for the life of the process.
var kernelBlob = sync.OnceValues(func() (*blob, error) {
	raw, err := mapFile(btfDir + "vmlinux")
	if err != nil {
		return nil, err
	}
	// The kernels' types have 25 bytes and more. Their places are not for the garbage collector, either: it would begin sooner.
	var places []placed
	if room, err := unix.Mmap(-1, 0, len(raw)/24*placedSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err == nil {
		places = unsafe.Slice((*placed)(unsafe.Pointer(unsafe.SliceData(room))), len(room)/placedSize)[:0]
	}
	return newBlob(raw, nil, places)
})

// mapFile gives a file's bytes outside of the heap, which would be collected less often for such megabytes.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := int(info.Size())
	if raw, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE); err == nil { // Linux 6.16
		return raw, nil
	}
	raw, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := io.ReadFull(f, raw); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), unix.Munmap(raw))
	}
	return raw, nil
}

// newBlob puts the places of the types behind those given, which is an empty slice with as much room as may be needed.
func newBlob(raw []byte, base *blob, places []placed) (*blob, error) {
	const headerSize = 24
	le := binary.NativeEndian
	if len(raw) < headerSize || le.Uint16(raw) != 0xeb9f {
		return nil, errors.New("not BTF of this machine's byte order")
	}
	header := uint64(le.Uint32(raw[4:]))
	cut := func(at int) ([]byte, bool) {
		off, n := header+uint64(le.Uint32(raw[at:])), uint64(le.Uint32(raw[at+4:]))
		if off+n > uint64(len(raw)) {
			return nil, false
		}
		return raw[off : off+n], true
	}
	data, ok1 := cut(8)
	strings, ok2 := cut(16)
	if !ok1 || !ok2 || len(strings) == 0 || strings[len(strings)-1] != 0 {
		return nil, errors.New("BTF is cut short")
	}
	if len(data) > 4<<offsetBits {
		return nil, errors.New("BTF is too large")
	}
	b := &blob{base: base, data: data, strings: strings, types: append(places, 0)}
	for off := 0; off < len(data); {
		if off+12 > len(data) {
			return nil, errors.New("BTF is cut short")
		}
		info := le.Uint32(data[off+4:])
		kind := info >> 24 & 0x1f
		b.types = append(b.types, placed(kind<<offsetBits|uint32(off>>2)))
		tail := tails[kind]
		if tail.unknown {
			return nil, fmt.Errorf("BTF has a type of an unknown kind at %d", off)
		}
		off += 12 + int(tail.fixed) + int(tail.each)*int(info&0xffff)
		if off > len(data) {
			return nil, errors.New("BTF is cut short")
		}
	}
	return b, nil
}

// tail is how many bytes follow a type's first 12: so many, and so many for each of its parts.
type tail struct {
	fixed, each uint8
	unknown     bool
}

// tails is by kind. A table is quicker here than a switch, whose way the processor cannot foretell.
var tails = func() (all [32]tail) {
	for kind := range all {
		switch kind {
		case kindInt, kindVar, kindDeclTag:
			all[kind].fixed = 4
		case kindPtr, kindFwd, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindFloat, kindTypeTag:
		case kindArray:
			all[kind].fixed = 12
		case kindStruct, kindUnion, kindDatasec, kindEnum64:
			all[kind].each = 12
		case kindEnum, kindFuncProto:
			all[kind].each = 8
		default:
			all[kind].unknown = true
		}
	}
	return all
}()

func (b *blob) word(off int) uint32 { return binary.NativeEndian.Uint32(b.data[off:]) }

// name gives the string at an offset of the string section.
func (b *blob) name(off uint32) string {
	if int(off) >= len(b.strings) {
		return ""
	}
	s := b.strings[off:]
	return string(s[:bytes.IndexByte(s, 0)])
}

// TypeName is a function, or else a typedef, to look for.
type TypeName struct {
	Name     string
	Function bool
}

// TypeIDs gives the numbers of types of the kernel ("" or "vmlinux") or of one of its modules, as bpf(2) wants them for attaching.
// Names that are not there are left out.
func TypeIDs(module string, names []TypeName) (map[TypeName]uint32, error) {
	b, err := kernelBlob()
	if err != nil {
		return nil, err
	}
	if module == "" || module == "vmlinux" {
		return b.ids(names), nil
	}
	raw, err := mapFile(btfDir + module)
	if err != nil {
		return nil, err
	}
	defer unix.Munmap(raw)
	split, err := newBlob(raw, b, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", btfDir+module, err)
	}
	return split.ids(names), nil
}

// ids looks at each type once, and at the text of those only whose names begin as one of the wanted.
func (b *blob) ids(names []TypeName) map[TypeName]uint32 {
	wanted := make(map[string]uint32, len(names)) // the kinds that are wanted of a name, as bits
	var kinds uint32
	var starts [256]bool
	for _, n := range names {
		kind := uint32(1) << kindTypedef
		if n.Function {
			kind = 1 << kindFunc
		}
		kinds |= kind
		wanted[n.Name] |= kind
		if n.Name != "" {
			starts[prefix(n.Name)] = true
		}
	}
	found := make(map[TypeName]uint32, len(names))
	first := uint32(0)
	if b.base != nil {
		first = uint32(len(b.base.types)) - 1
	}
	for id, place := range b.types {
		if len(found) == len(names) {
			break
		}
		kind := uint32(1) << place.kind()
		if kinds&kind == 0 {
			continue
		}
		text, at := b.strings, b.word(place.offset())
		if b.base != nil {
			if text = b.base.strings; at >= uint32(len(text)) {
				at, text = at-uint32(len(text)), b.strings
			}
		}
		if at >= uint32(len(text)) || !starts[prefix(text[at:])] {
			continue
		}
		text = text[at:]
		text = text[:bytes.IndexByte(text, 0)]
		if wanted[string(text)]&kind == 0 {
			continue
		}
		n := TypeName{string(text), kind == 1<<kindFunc}
		if _, before := found[n]; !before {
			found[n] = first + uint32(id)
		}
	}
	return found
}

// prefix is a number for the beginning of a name.
func prefix[S string | []byte](s S) uint8 {
	n := s[0]
	for i := 1; i < len(s) && s[i] != 0 && i < 4; i++ {
		n = n*31 + s[i]
	}
	return n
}
