package kernel

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

type objGetAttr struct {
	path      *byte
	fd, flags uint32
}

type mapInfoAttr struct {
	fd, size uint32
	info     *mapInfo
}

type mapInfo struct{ kind, id, keySize, valueSize, maxEntries, flags uint32 }

//lint:file-ignore U1000 the kernel's layout

// openPinned opens a map that another program has pinned. Its path stands in the spec's first tag, and only the size of its keys must be as in the
// spec.
func openPinned(m *hostMap, spec *ebpf.MapSpec) error {
	path := spec.Tags[0]
	attr := objGetAttr{path: cString(path), flags: unix.BPF_F_RDONLY}
	fd, err := bpf(unix.BPF_OBJ_GET, &attr)
	runtime.KeepAlive(attr.path)
	if err != nil {
		return fmt.Errorf("opening the map that is pinned at %s: %w", path, err)
	}
	m.fd = fd
	var info mapInfo
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &mapInfoAttr{fd: uint32(fd), size: uint32(unsafe.Sizeof(info)), info: &info}); err != nil {
		m.close()
		return fmt.Errorf("%s is no map: %w", path, err)
	}
	m.kind, m.keySize, m.valueSize, m.maxEntries = ebpf.MapType(info.kind), int(info.keySize), int(info.valueSize), int(info.maxEntries)
	switch m.kind {
	case ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.LRUCPUHash:
	default:
		m.close()
		return fmt.Errorf("the map that is pinned at %s is no hash, but of type %s", path, m.kind)
	}
	if info.keySize != spec.KeySize {
		m.close()
		return fmt.Errorf("the map that is pinned at %s has keys of %d bytes, not %d", path, info.keySize, spec.KeySize)
	}
	return nil
}
