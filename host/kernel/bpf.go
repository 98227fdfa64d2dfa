package kernel

// The fields are laid out as the kernel wants them, whether they are set or not.
//lint:file-ignore U1000 the kernel's layout

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The attributes of bpf(2) below hold pointers where the kernel has 64-bit integers, so that the garbage collector
// follows them; this line does not compile where pointers have another size.
const _ = -(unsafe.Sizeof(uintptr(0)) ^ 8)

// bpf calls bpf(2). Descriptors that it returns are closed on exec by the kernel's own choice.
func bpf[A any](cmd int, attr *A) (int, error) {
	for try := 0; ; try++ {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		runtime.KeepAlive(attr)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN: // the verifier saw a pending signal
			if try < 30 {
				continue
			}
		}
		return -1, errno
	}
}

type objectName [unix.BPF_OBJ_NAME_LEN]byte

// kernelName keeps what the kernel takes in names.
func kernelName(name string) (n objectName) {
	i := 0
	for _, c := range []byte(name) {
		if i == len(n)-1 {
			break
		}
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.':
			n[i] = c
			i++
		}
	}
	return n
}

// cString is a string as the kernel reads it.
func cString(s string) *byte { return &append([]byte(s), 0)[0] }

type mapCreateAttr struct {
	mapType, keySize, valueSize, maxEntries, flags uint32
	innerFD, numaNode                              uint32
	name                                           objectName
	ifindex, btfFD, btfKey, btfValue, vmlinuxValue uint32
	extra                                          uint64
}

type mapElemAttr struct {
	fd, _      uint32
	key, value unsafe.Pointer // value is the next key for BPF_MAP_GET_NEXT_KEY
	flags      uint64
}

type mapBatchAttr struct {
	in, out        unsafe.Pointer
	keys, values   unsafe.Pointer
	count          uint32
	fd             uint32
	elemFlag, flag uint64
}

type progLoadAttr struct {
	progType, insnCount               uint32
	insns                             unsafe.Pointer
	license                           *byte
	logLevel, logSize                 uint32
	log                               *byte
	kernVersion, flags                uint32
	name                              objectName
	ifindex, attachType               uint32
	btfFD, funcInfoSize               uint32
	funcInfo                          unsafe.Pointer
	funcInfoCount, lineInfoSize       uint32
	lineInfo                          unsafe.Pointer
	lineInfoCount, attachBTFID        uint32
	attachBTFObjFD, coreRelocateCount uint32
	fdArray                           unsafe.Pointer
}

type btfLoadAttr struct {
	btf                  unsafe.Pointer
	log                  *byte
	size, logSize, level uint32
}

type rawTracepointAttr struct {
	name   *byte
	fd, _  uint32
	cookie uint64
}

type testRunAttr struct {
	fd, retval               uint32
	dataSizeIn, dataSizeOut  uint32
	dataIn, dataOut          unsafe.Pointer
	repeat, duration         uint32
	contextIn, contextOut    uint32
	contextData, contextDest unsafe.Pointer
	flags, cpu               uint32
}

type linkCreateAttr struct {
	prog, target, attachType, flags uint32
}

type perfLinkAttr struct {
	linkCreateAttr
	cookie uint64
}

type tracingLinkAttr struct {
	linkCreateAttr
	targetBTFID, _ uint32
	cookie         uint64
}

type kprobeMultiAttr struct {
	linkCreateAttr
	flags, count   uint32
	symbols        unsafe.Pointer // char **
	addrs, cookies unsafe.Pointer // u64 *
}

type uprobeMultiAttr struct {
	linkCreateAttr
	path                         *byte
	offsets, refCounters, cookie unsafe.Pointer // u64 *
	count, flags, pid, _         uint32
}

type infoAttr struct {
	fd, size uint32
	info     *btfInfo
}

type btfInfo struct {
	btf              unsafe.Pointer
	size, id         uint32
	name             unsafe.Pointer
	nameSize, kernel uint32
}

const btfInfoSize = unsafe.Sizeof(btfInfo{})

type progInfoAttr struct {
	fd, size uint32
	info     *progInfo
}

// progInfo is what the kernel tells of a program, as far as Linux 5.12 does.
type progInfo struct {
	_                [24]uint64
	nanoseconds, ran uint64 // while the kernel keeps statistics
	missed           uint64
}
