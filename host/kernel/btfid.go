package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	btfDir     = "/sys/kernel/btf/"
	vmlinuxBTF = btfDir + "vmlinux"
)

// btfName is a type to look for.
type btfName struct {
	kind uint32
	name string
}

// Kinds of BTF types.
const (
	btfTypedef = 8
	btfFunc    = 12
)

// findBTF gives the ids of types of the kernel, or of one of its modules. Programs are attached to types by id; to decode all of
// the kernel's types for that costs ten times what it takes to look through them. Names that are not there are left out.
func findBTF(module string, names []btfName) (map[btfName]uint32, error) {
	base, err := openBTF(vmlinuxBTF)
	if err != nil {
		return nil, err
	}
	defer base.close()
	if module == "" || module == "vmlinux" {
		return base.find(names, nil)
	}
	split, err := openBTF(btfDir + module)
	if err != nil {
		return nil, err
	}
	defer split.close()
	return split.find(names, base)
}

// btfBlob is BTF as the kernel shows it in a file: a header, the types, the strings.
type btfBlob struct {
	blob           []byte
	mapped         bool
	types, strings []byte
}

func openBTF(path string) (*btfBlob, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := &btfBlob{}
	size := int(info.Size())
	if b.blob, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE); err == nil { // Linux 6.16
		b.mapped = true
	} else {
		// Outside of the Go heap, which would keep these megabytes.
		b.blob, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return nil, err
		}
		b.mapped = true
		if _, err := io.ReadFull(f, b.blob); err != nil {
			b.close()
			return nil, err
		}
	}
	if err := b.parse(); err != nil {
		b.close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func (b *btfBlob) close() {
	if b.mapped {
		unix.Munmap(b.blob)
	}
	*b = btfBlob{}
}

var errBTF = errors.New("malformed BTF")

func (b *btfBlob) parse() error {
	if len(b.blob) < 24 {
		return errBTF
	}
	if binary.NativeEndian.Uint16(b.blob) != 0xeb9f {
		return errBTF
	}
	var word [5]uint64 // header length, then offset and length of the types and of the strings
	for i := range word {
		word[i] = uint64(binary.NativeEndian.Uint32(b.blob[4+4*i:]))
	}
	size := uint64(len(b.blob))
	types, strings := word[0]+word[1], word[0]+word[3]
	if types+word[2] > size || strings+word[4] > size || types > size || strings > size {
		return errBTF
	}
	b.types, b.strings = b.blob[types:types+word[2]], b.blob[strings:strings+word[4]]
	return nil
}

// find looks for names. For a module's BTF, base is the kernel's, whose ids and strings it goes on from.
func (b *btfBlob) find(names []btfName, base *btfBlob) (map[btfName]uint32, error) {
	if base == nil && len(names) <= fewNames {
		return b.findFew(names)
	}
	var id uint32 = 1
	var stringBase uint32
	if base != nil {
		n, err := base.walk(func(id, info, name uint32) bool { return true })
		if err != nil {
			return nil, err
		}
		id, stringBase = n+1, uint32(len(base.strings))
	}
	wanted := map[uint64]btfName{} // by kind<<32 | offset of the name
	for _, n := range names {
		if base != nil {
			if at, ok := base.offset(n.name); ok {
				wanted[uint64(n.kind)<<32|uint64(at)] = n
			}
		}
		if at, ok := b.offset(n.name); ok {
			wanted[uint64(n.kind)<<32|uint64(at+stringBase)] = n
		}
	}
	found := map[btfName]uint32{}
	if len(wanted) == 0 {
		return found, nil
	}
	// Nearly all types are none of these, which a bit per hash says faster than a map.
	var kinds uint32
	var filter [64]uint64
	for key, n := range wanted {
		kinds |= 1 << n.kind
		filter[key>>6&63] |= 1 << (key & 63)
	}
	_, err := b.walk(func(i, info, name uint32) bool {
		kind := info >> 24 & 0x1f
		if kinds>>kind&1 == 0 || filter[name>>6&63]>>(name&63)&1 == 0 {
			return true
		}
		if n, ok := wanted[uint64(kind)<<32|uint64(name)]; ok {
			if _, before := found[n]; !before {
				found[n] = id + i - 1
			}
		}
		return len(found) < len(wanted)
	})
	return found, err
}

// fewNames is up to how many names are compared with each type's: to find one among all strings takes as long as that for some.
const fewNames = 4

// findFew looks for some names in the kernel's own BTF.
func (b *btfBlob) findFew(names []btfName) (map[btfName]uint32, error) {
	found := map[btfName]uint32{}
	var kinds uint32
	for _, n := range names {
		kinds |= 1 << n.kind
	}
	_, err := b.walk(func(id, info, name uint32) bool {
		kind := info >> 24 & 0x1f
		if kinds>>kind&1 == 0 {
			return true
		}
		for _, n := range names {
			end := uint64(name) + uint64(len(n.name))
			if n.kind != kind || end >= uint64(len(b.strings)) || b.strings[end] != 0 || string(b.strings[name:end]) != n.name {
				continue
			}
			if _, before := found[n]; !before {
				found[n] = id
			}
		}
		return len(found) < len(names)
	})
	return found, err
}

// offset finds a string. Strings are stored once.
func (b *btfBlob) offset(name string) (uint32, bool) {
	i := bytes.Index(b.strings, []byte("\x00"+name+"\x00"))
	return uint32(i + 1), i >= 0
}

// walk calls f with the number from 1, the info word and the name of each type, and returns how many there are.
func (b *btfBlob) walk(f func(number, info, name uint32) bool) (uint32, error) {
	types := b.types
	var number uint32
	for len(types) > 0 {
		if len(types) < 12 {
			return number, errBTF
		}
		number++
		name, info := binary.NativeEndian.Uint32(types), binary.NativeEndian.Uint32(types[4:])
		n := 12 + btfTail(info)
		if n > len(types) {
			return number, errBTF
		}
		if !f(number, info, name) {
			return number, nil
		}
		types = types[n:]
	}
	return number, nil
}

// btfTail is the number of bytes behind a type's first 12.
func btfTail(info uint32) int {
	n := int(info & 0xffff)
	switch info >> 24 & 0x1f {
	case 1, 14, 17: // int, variable, declaration tag
		return 4
	case 3: // array
		return 12
	case 4, 5, 15, 19: // struct, union, section, 64-bit enum
		return 12 * n
	case 6, 13: // enum, function prototype
		return 8 * n
	}
	return 0
}

// moduleBTF opens the BTF object of a module, which programs that are attached to it name by descriptor.
func moduleBTF(module string) (int, error) {
	id := struct{ start, next, flags, _ uint32 }{}
	for {
		if _, err := bpf(unix.BPF_BTF_GET_NEXT_ID, &id); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return -1, fmt.Errorf("module %s is not loaded or has no BTF", module)
			}
			return -1, fmt.Errorf("listing BTF objects: %w", err)
		}
		id.start = id.next
		fd, err := bpf(unix.BPF_BTF_GET_FD_BY_ID, &struct{ id, _, _, _ uint32 }{id: id.next})
		if err != nil {
			continue // it has gone
		}
		var name [64]byte
		info := btfInfo{name: pointer(name[:]), nameSize: uint32(len(name))}
		if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &infoAttr{fd: uint32(fd), size: uint32(btfInfoSize), info: &info}); err == nil &&
			info.kernel != 0 && unix.ByteSliceToString(name[:]) == module {
			return fd, nil
		}
		unix.Close(fd)
	}
}
