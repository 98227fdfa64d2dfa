package verifier

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// addBTF gives the kernel the types of the program's functions, which it wants where one is a callback or global.
func (k *kernelUnderTest) addBTF(p *program, b *btf.Builder, fd *uint32, info *uint64, size, count *uint32) (closeBTF func()) {
	if len(p.funcs) == 0 {
		return func() {}
	}
	var starts []int
	for at := range p.funcs {
		starts = append(starts, at)
	}
	slices.Sort(starts)
	var records bytes.Buffer
	for _, at := range starts {
		id, err := b.Add(p.funcs[at])
		if err != nil {
			return func() {}
		}
		_ = binary.Write(&records, binary.LittleEndian, [2]uint32{uint32(at), uint32(id)})
	}
	blob, err := b.Marshal(nil, btf.KernelMarshalOptions())
	if err != nil {
		return func() {}
	}
	attr := struct {
		btf, log       uint64
		size, logSize  uint32
		level, trueLog uint32
	}{btf: address(blob), size: uint32(len(blob))}
	got, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_BTF_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(blob)
	if errno != 0 {
		return func() {}
	}
	data := records.Bytes()
	*fd, *info, *size, *count = uint32(got), address(data), 8, uint32(len(starts))
	return func() { unix.Close(int(got)); runtime.KeepAlive(data) }
}
