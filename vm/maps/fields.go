package maps

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Fields tells where the kernel's own fields are in a value: -1 if there is none. Copying leaves them alone, and user space reads
// zeros there.
type Fields struct {
	Lock      int // struct bpf_spin_lock, a u32 that is 0 when free and 1 when held
	Timer     int // struct bpf_timer, 16 bytes
	WorkQueue int // struct bpf_wq, 16 bytes
}

var noFields = Fields{-1, -1, -1}

func (f Fields) special() bool { return f != noFields }

// fieldsOf looks for the kernel's fields in the type of a value, as deep as structures are nested.
func fieldsOf(t btf.Type) (Fields, error) {
	f := noFields
	if t == nil {
		return f, nil
	}
	return f, f.find(t, 0)
}

func (f *Fields) find(t btf.Type, at int) error {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		if field := f.named(t.Name); field != nil {
			if *field >= 0 {
				return fmt.Errorf("two fields of type %s in a value: %w", t.Name, E2BIG)
			}
			*field = at
			return nil
		}
		for _, m := range t.Members {
			if err := f.find(m.Type, at+int(m.Offset.Bytes())); err != nil {
				return err
			}
		}
	case *btf.Datasec:
		for _, v := range t.Vars {
			if err := f.find(v.Type, at+int(v.Offset)); err != nil {
				return err
			}
		}
	case *btf.Var:
		return f.find(t.Type, at)
	}
	return nil
}

func (f *Fields) named(name string) *int {
	switch name {
	case "bpf_spin_lock":
		return &f.Lock
	case "bpf_timer":
		return &f.Timer
	case "bpf_wq":
		return &f.WorkQueue
	}
	return nil
}

// checkFields says which kinds can have which fields.
func (a *attr) checkFields() error {
	f := a.fields
	if !f.special() {
		return nil
	}
	if a.flags&(flagReadOnlyProgram|flagWriteOnlyProgram) != 0 {
		return EACCES
	}
	locks := []ebpf.MapType{ebpf.Hash, ebpf.Array, ebpf.CGroupStorage, ebpf.SkStorage, ebpf.InodeStorage, ebpf.TaskStorage, ebpf.CgroupStorage}
	timers := []ebpf.MapType{ebpf.Hash, ebpf.LRUHash, ebpf.Array}
	switch {
	case f.Lock >= 0 && !slices.Contains(locks, a.kind), (f.Timer >= 0 || f.WorkQueue >= 0) && !slices.Contains(timers, a.kind):
		return EOPNOTSUPP
	case f.Lock >= 0 && f.Lock+4 > int(a.valueSize), f.Timer >= 0 && f.Timer+16 > int(a.valueSize),
		f.WorkQueue >= 0 && f.WorkQueue+16 > int(a.valueSize):
		return EINVAL
	case f.Lock >= 0 && f.Lock%4 != 0:
		return EINVAL
	}
	return nil
}

// A span is a part of a value that copying leaves alone.
type span struct{ from, to int }

func (f Fields) spans() []span {
	var spans []span
	for _, s := range []span{{f.Lock, f.Lock + 4}, {f.Timer, f.Timer + 16}, {f.WorkQueue, f.WorkQueue + 16}} {
		if s.from >= 0 {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	return spans
}

// set copies a value to one that programs may be using.
func (b *base) set(to, from []byte) {
	if b.spans == nil {
		copy(to, from)
		return
	}
	at := 0
	for _, s := range b.spans {
		copy(to[at:s.from], from[at:s.from])
		at = s.to
	}
	copy(to[at:], from[at:])
}

// setLocked is set under the value's spin lock.
func (b *base) setLocked(to, from []byte) {
	l := b.lockOf(to)
	acquire(l)
	b.set(to, from)
	atomic.StoreUint32(l, 0)
}

// clear makes the kernel's fields of a value new.
func (b *base) clear(value []byte) {
	for _, s := range b.spans {
		clear(value[s.from:s.to])
	}
}

// get copies a value for user space, under its spin lock if the flags ask for that.
func (b *base) get(to, from []byte, flags uint64) {
	if flags&Lock != 0 {
		l := b.lockOf(from)
		acquire(l)
		copy(to, from)
		atomic.StoreUint32(l, 0)
	} else {
		copy(to, from)
	}
	b.clear(to)
}

// release tells that what is in a value's fields ends.
func (b *base) release(value unsafe.Pointer) {
	if b.opts.Release != nil && (b.fields.Timer >= 0 || b.fields.WorkQueue >= 0) {
		b.opts.Release(address(value))
	}
}

func (b *base) lockOf(value []byte) *uint32 { return (*uint32)(unsafe.Pointer(&value[b.fields.Lock])) }

// acquire takes a bpf_spin_lock. Programs hold them for a few instructions.
func acquire(l *uint32) {
	for spins := 0; !atomic.CompareAndSwapUint32(l, 0, 1); spins++ {
		if spins > 64 {
			runtime.Gosched()
		}
	}
}

// address is where programs see memory outside the garbage collector.
func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// bytesAt is such memory as Go sees it.
func bytesAt(p unsafe.Pointer, size int) []byte { return unsafe.Slice((*byte)(p), size) }
