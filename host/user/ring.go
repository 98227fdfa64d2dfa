package user

import (
	"context"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"skep/host"
	vmmaps "skep/vm/maps"
)

// ring reads a ring buffer of the machine, which has the kernel's layout with the data mapped twice.
type ring struct {
	consumer *uint64
	producer *uint64
	data     []byte // size bytes, and the same again
	size     uint64
	position uint64 // what we have consumed; *consumer may be behind it during a drain
	wake     chan struct{}
}

var _ host.Ring = (*ring)(nil)

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

func newRing(m *vmmaps.RingBuf) *ring {
	consumer, producer := m.Pages()
	r := &ring{
		// The pages are the map's, which outlives the ring.
		consumer: (*uint64)(unsafe.Pointer(&consumer[0])), producer: (*uint64)(unsafe.Pointer(&producer[0])),
		data: producer[os.Getpagesize():], size: uint64(m.MaxEntries()), wake: make(chan struct{}, 1),
	}
	m.OnWake(func() {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	})
	return r
}

func (r *ring) Size() int        { return int(r.size) }
func (r *ring) Position() uint64 { return r.position }

func (r *ring) Produced() uint64 {
	if r.size == 0 {
		return r.position
	}
	return atomic.LoadUint64(r.producer)
}

// close makes the ring an empty one: its memory is about to go.
func (r *ring) close() { r.data, r.size, r.consumer, r.producer = nil, 0, nil, nil }

func (r *ring) Drain(limit uint64, f func(record []byte) bool) (n int, more bool) {
	if r.size == 0 {
		return 0, true
	}
	end := atomic.LoadUint64(r.producer)
	if limit != 0 {
		end = min(end, limit)
	}
	given := r.position
	more = true
	for more && r.position < end {
		at := r.position & (r.size - 1)
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if header&ringBusy != 0 {
			break
		}
		length := uint64(header &^ ringDiscard)
		if header&ringDiscard == 0 {
			n++
			from := at + ringHeader
			more = f(r.data[from : from+length : from+length])
		}
		r.position += (length + ringHeader + 7) &^ 7
		if r.position-given >= r.size/8 {
			given = r.position
			atomic.StoreUint64(r.consumer, given)
		}
	}
	if given != r.position {
		atomic.StoreUint64(r.consumer, r.position)
	}
	return n, more
}

func (r *ring) Wait(ctx context.Context, timeout time.Duration) error {
	var late <-chan time.Time
	if timeout >= 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-r.wake:
	case <-late:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// possibleCPUs is the number of CPUs that per-CPU values have a place for.
func possibleCPUs() int { return runtime.NumCPU() }
