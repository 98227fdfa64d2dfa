package user

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	seccompNr   = 0
	seccompArch = 4
	seccompArgs = 16       // the lower half of the first
	seccompProt = 16 + 2*8 // of mmap's third
)

// ourFilter is what our filter says to the tracer, so that stops for the filters of others are told from its.
const ourFilter = 0x5eb

// filterProgram is a seccomp filter that stops the process for the system calls, or has it notify us of those in notified. Those of 32-bit programs pass: their numbers are others,
// and no tracepoint is theirs. It stops for what installs other filters, for what may make a task that would have the filter, but no tracer, and with code for what maps code, too.
func filterProgram(arch uint32, numbers, notified []int, code bool) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	equal := func(k uint32, then, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: then, Jf: otherwise, K: k}
	}
	set := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: k}
	}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	trace := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE | ourFilter}
	f := []unix.SockFilter{load(seccompArch), equal(arch, 1, 0), allow, load(seccompNr)}
	numbers = slices.Clone(numbers)
	slices.Sort(numbers)
	for _, nr := range slices.Compact(numbers) {
		then := trace
		if slices.Contains(notified, nr) {
			then.K = unix.SECCOMP_RET_USER_NOTIF
		}
		f = append(f, equal(uint32(nr), 0, 1), then)
	}
	f = append(f, equal(unix.SYS_CLONE3, 0, 1), trace, // its flags are in memory
		equal(unix.SYS_CLONE, 0, 4), load(seccompArgs), set(unix.CLONE_UNTRACED), trace, allow,
		equal(unix.SYS_SECCOMP, 0, 1), trace,
		equal(unix.SYS_PRCTL, 0, 4), load(seccompArgs), equal(unix.PR_SET_SECCOMP, 0, 1), trace, allow)
	if code {
		f = append(f, equal(unix.SYS_MMAP, 0, 3), load(seccompProt), set(unix.PROT_EXEC), trace)
	}
	return append(f, allow)
}

// encodeFilter is the filter as the kernel reads it, behind the struct sock_fprog that leads to it, for the address where both will be.
func encodeFilter(filter []unix.SockFilter, addr uint64) []byte {
	b := binary.NativeEndian.AppendUint64(nil, uint64(len(filter)))
	b = binary.NativeEndian.AppendUint64(b, addr+16)
	for _, f := range filter {
		b = binary.NativeEndian.AppendUint16(b, f.Code)
		b = append(b, f.Jt, f.Jf)
		b = binary.NativeEndian.AppendUint32(b, f.K)
	}
	return b
}
