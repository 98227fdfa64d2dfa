package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	btfDir     = "/sys/kernel/btf/"
	vmlinuxBTF = btfDir + "vmlinux"
)

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
