package machine

import (
	"context"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"skep/host"
	vmmaps "skep/vm/maps"
)

// Ring reads a ring buffer of the machine, which has the kernel's layout with the data mapped twice.
type Ring struct {
	consumer *uint64
	producer *uint64
	data     []byte // size bytes, and the same again
	size     uint64
	position uint64 // what we have consumed; *consumer may be behind it during a drain
	wake     chan struct{}
}

var _ host.Ring = (*Ring)(nil)

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

// NewRing returns the reader of a ring buffer.
func NewRing(m *vmmaps.RingBuf) *Ring {
	consumer, producer := m.Pages()
	r := &Ring{
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

// Size is the ring's in bytes.
func (r *Ring) Size() int { return int(r.size) }

// Position is the consumer's.
func (r *Ring) Position() uint64 { return r.position }

// Produced is the producer's position.
func (r *Ring) Produced() uint64 {
	if r.size == 0 {
		return r.position
	}
	return atomic.LoadUint64(r.producer)
}

// Close makes the ring an empty one: its memory is about to go.
func (r *Ring) Close() { r.data, r.size, r.consumer, r.producer = nil, 0, nil, nil }

// Drain gives f the records; see host.Ring.
func (r *Ring) Drain(limit uint64, f func(record []byte) bool) (n int, more bool) {
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

// Wait waits for a record that was sent with a wake-up; see host.Ring.
func (r *Ring) Wait(ctx context.Context, timeout time.Duration) error {
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
