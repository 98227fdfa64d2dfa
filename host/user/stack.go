package user

import "encoding/binary"

// stack stores the frames of the user's stack by frame pointers, as the kernel follows them: each leads to the next and to the return
// address behind it.
func (e *event) stack(frames []uint64) int {
	if e.regs == nil || len(frames) == 0 {
		return 0
	}
	ip, fp := userFrame(e.regs)
	frames[0] = ip
	n := 1
	for ; n < len(frames); n++ {
		var b [16]byte
		if e.read(fp, b[:]) != nil {
			break
		}
		fp, frames[n] = binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])
	}
	return n
}
