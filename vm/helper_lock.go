package vm

import (
	"runtime"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"skep/vm/memory"
)

// word is a u32 of a program's as something to access atomically.
func word(addr uint64) *uint32 {
	return (*uint32)(unsafe.Pointer(unsafe.SliceData(memory.At(addr, 4))))
}

// lockPatience is how long a program waits for a lock, which others hold for a few instructions, before it is ended: what it was given as
// a lock may be none.
const lockPatience = 500 * time.Millisecond

// spinLock takes a bpf_spin_lock: a u32 that is 1 while it is held. The thread lets go of it if its program ends meanwhile.
func spinLock(t *Thread, a *[5]uint64) uint64 {
	if a[0]%4 != 0 {
		return t.fail("spin_lock: the lock at %#x is not aligned", a[0])
	}
	if len(t.locks) > 0 {
		return t.fail("spin_lock: the program holds a lock already")
	}
	var since time.Time
	for spins := 0; !atomic.CompareAndSwapUint32(word(a[0]), 0, 1); spins++ {
		switch {
		case spins < 64:
			continue
		case spins == 64:
			since = time.Now()
		case t.engine.Stop.Load():
			return 0
		case spins%1024 == 0 && time.Since(since) > lockPatience:
			return t.fail("spin_lock: nobody lets go of the lock at %#x", a[0])
		}
		runtime.Gosched()
	}
	t.locks = append(t.locks, a[0])
	return 0
}

func spinUnlock(t *Thread, a *[5]uint64) uint64 {
	i := slices.Index(t.locks, a[0])
	if i < 0 {
		return t.fail("spin_unlock: the program does not hold the lock at %#x", a[0])
	}
	t.locks = slices.Delete(t.locks, i, i+1)
	unlock(a[0])
	return 0
}

func unlock(addr uint64) { atomic.StoreUint32(word(addr), 0) }
