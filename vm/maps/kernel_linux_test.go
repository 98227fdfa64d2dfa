package maps

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// known leaves comparing with the kernel to the version whose maps ours are like: those before have fewer kinds and other errors, those
// after have more flags.
func known(t testing.TB) {
	t.Helper()
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	if release := unix.ByteSliceToString(name.Release[:]); !strings.HasPrefix(release, "6.18.") {
		t.Skipf("maps are compared with Linux 6.18, and this is %s", release)
	}
}

// kernelMap is a map of the running kernel, asked by the system call itself, so that nothing corrects what a test asks for.
type kernelMap struct {
	fd        int
	keySize   int
	valueSize int // as user space sees it
}

type createArgs struct {
	kind, keySize, valueSize, maxEntries, flags, innerFD, numaNode uint32
	name                                                           [16]byte
	ifindex, btf, btfKey, btfValue, btfVmlinuxValue                uint32
	extra                                                          uint64
}

type elemArgs struct {
	fd         uint32
	_          uint32
	key, value unsafe.Pointer
	flags      uint64
}

func bpf(command int, args unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(args), size)
		runtime.KeepAlive(args)
		switch errno {
		case 0:
			return int(r), nil
		case syscall.EINTR:
		default:
			return -1, Errno(errno)
		}
	}
}

// inKernel makes the map that an attr describes.
func inKernel(t testing.TB, a *attr, more func(*createArgs)) (*kernelMap, error) {
	args := createArgs{
		kind: uint32(a.kind), keySize: a.keySize, valueSize: a.valueSize, maxEntries: a.maxEntries, flags: a.flags,
		numaNode: a.numaNode, extra: a.extra,
	}
	copy(args.name[:], "skep_test")
	if more != nil {
		more(&args)
	}
	fd, err := bpf(unix.BPF_MAP_CREATE, unsafe.Pointer(&args), unsafe.Sizeof(args))
	if err != nil {
		return nil, err
	}
	m := &kernelMap{fd: fd, keySize: int(a.keySize), valueSize: int(a.valueSize)}
	switch a.kind {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage:
		m.valueSize = roundUp8(m.valueSize) * ebpf.MustPossibleCPU()
	}
	return m, nil
}

func (m *kernelMap) close() { unix.Close(m.fd) }

func (m *kernelMap) elem(command int, key, value []byte, flags uint64) error {
	args := elemArgs{fd: uint32(m.fd), key: unsafe.Pointer(unsafe.SliceData(key)), value: unsafe.Pointer(unsafe.SliceData(value)), flags: flags}
	_, err := bpf(command, unsafe.Pointer(&args), unsafe.Sizeof(args))
	runtime.KeepAlive(key)
	runtime.KeepAlive(value)
	return err
}

func (m *kernelMap) Lookup(key, value []byte, flags uint64) error {
	return m.elem(unix.BPF_MAP_LOOKUP_ELEM, key, value, flags)
}

func (m *kernelMap) Update(key, value []byte, flags uint64) error {
	return m.elem(unix.BPF_MAP_UPDATE_ELEM, key, value, flags)
}

func (m *kernelMap) Delete(key []byte) error { return m.elem(unix.BPF_MAP_DELETE_ELEM, key, nil, 0) }

func (m *kernelMap) LookupAndDelete(key, value []byte, flags uint64) error {
	return m.elem(unix.BPF_MAP_LOOKUP_AND_DELETE_ELEM, key, value, flags)
}

func (m *kernelMap) NextKey(key, next []byte) error {
	return m.elem(unix.BPF_MAP_GET_NEXT_KEY, key, next, 0)
}

func (m *kernelMap) Freeze() error {
	args := elemArgs{fd: uint32(m.fd)}
	_, err := bpf(unix.BPF_MAP_FREEZE, unsafe.Pointer(&args), 4)
	return err
}
