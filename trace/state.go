package trace

import (
	"sync/atomic"
	"syscall"

	"skep/lang/bpftrace/lower"
)

// setState gives programs what only user space knows.
func (r *run) setState() {
	if len(r.state) < lower.StateSize/8 {
		return
	}
	set := func(offset int, v uint64) { atomic.StoreUint64(&r.state[offset/8], v) }
	set(lower.StateStart, bootNanoseconds())
	set(lower.StateWall, toWall())
	if r.opt.Child != nil {
		set(lower.StateCpid, uint64(r.opt.Child.PID()))
	}
	var st syscall.Stat_t
	if syscall.Stat("/proc/self/ns/pid", &st) == nil {
		set(lower.StateNsDev, st.Dev)
		set(lower.StateNsIno, st.Ino)
	}
}
