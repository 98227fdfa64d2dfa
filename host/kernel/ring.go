package kernel

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/host"
)

// ring reads a BPF ring buffer. The kernel offers it as three parts of one mapping:
//
//	page 0   u64 consumer position, ours to write
//	page 1   u64 producer position
//	page 2…  the data, followed by the same data again
//
// A record is a header of 8 bytes (u32 length with the busy and discard bits, u32 page offset) and its bytes, rounded up to
// 8. The second view of the data would spare copying the record that wraps, but every mapped page counts as resident memory, so
// it is left out: one record per lap is copied.
type ring struct {
	name     string
	consumer *uint64
	producer *uint64
	data     []byte
	maps     [2][]byte
	position uint64 // what we have consumed; *consumer may be behind it during a drain
	wrapped  []byte // a record that wraps, in one piece

	epoll   int
	wake    *wake
	watched context.Context // the context whose end sets wake
	unwatch func() bool
}

var _ host.Ring = (*ring)(nil)

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

func openRing(m *hostMap) (*ring, error) {
	page := os.Getpagesize()
	r := &ring{name: m.name, epoll: -1, wake: &wake{fd: -1}}
	fail := func(doing string, err error) (*ring, error) {
		r.close()
		return nil, fmt.Errorf("%s ring buffer %s: %w", doing, m.name, err)
	}
	consumer, err := unix.Mmap(m.fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fail("mapping", err)
	}
	r.maps[0] = consumer
	data, err := unix.Mmap(m.fd, int64(page), page+m.maxEntries, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fail("mapping", err)
	}
	r.maps[1] = data
	// The positions are at the start of pages, and nothing outlives the mappings but the ring, which close empties.
	r.consumer = (*uint64)(unsafe.Pointer(&consumer[0]))
	r.producer = (*uint64)(unsafe.Pointer(&data[0]))
	r.data = data[page:]
	r.position = atomic.LoadUint64(r.consumer)

	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fail("watching", err)
	}
	if r.wake.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fail("watching", err)
	}
	// Edge-triggered, the ring is reported for wake-ups and not because something is in it that was sent without one.
	for fd, events := range map[int]uint32{m.fd: unix.EPOLLIN | unix.EPOLLET, r.wake.fd: unix.EPOLLIN} {
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
			return fail("watching", err)
		}
	}
	return r, nil
}

func (r *ring) close() {
	if r.unwatch != nil {
		r.unwatch()
	}
	r.wake.close()
	if r.epoll >= 0 {
		unix.Close(r.epoll)
	}
	for _, m := range r.maps {
		if m != nil {
			unix.Munmap(m)
		}
	}
	*r = ring{name: r.name, epoll: -1, wake: r.wake}
}

func (r *ring) Size() int        { return len(r.data) }
func (r *ring) Position() uint64 { return r.position }

func (r *ring) Produced() uint64 {
	if len(r.data) == 0 {
		return r.position
	}
	return atomic.LoadUint64(r.producer)
}

func (r *ring) Drain(limit uint64, f func(record []byte) bool) (n int, more bool) {
	size := uint64(len(r.data))
	if size == 0 {
		return 0, true
	}
	mask := size - 1
	produced := atomic.LoadUint64(r.producer)
	end := produced
	if limit != 0 && limit < end {
		end = limit
	}
	position, given := r.position, r.position
	// Space is given back by the eighth: at once for each record would bounce the cache line between the CPUs.
	batch := size / 8
	more = true
	for more && position < end {
		at := position & mask
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if header&ringBusy != 0 {
			break
		}
		length := uint64(header &^ (ringBusy | ringDiscard))
		next := position + (length+ringHeader+7)&^7
		if next > produced || next-position > size {
			// Not written by a sound kernel. There is no way to find the next record.
			position = produced
			break
		}
		if header&ringDiscard == 0 {
			from := at + ringHeader // a header never wraps: records are aligned to 8
			n++
			switch {
			case from+length <= size:
				more = f(r.data[from : from+length : from+length])
			default:
				more = f(r.unwrap(from, length))
			}
		}
		position = next
		if position-given >= batch {
			given = position
			atomic.StoreUint64(r.consumer, position)
		}
	}
	r.position = position
	if given != position {
		atomic.StoreUint64(r.consumer, position)
	}
	return n, more
}

// unwrap copies a record that goes on at the start of the data.
func (r *ring) unwrap(from, length uint64) []byte {
	if uint64(cap(r.wrapped)) < length {
		r.wrapped = make([]byte, length)
	}
	record := r.wrapped[:length]
	n := 0
	if from < uint64(len(r.data)) {
		n = copy(record, r.data[from:])
	}
	copy(record[n:], r.data)
	return record
}

func (r *ring) Wait(ctx context.Context, timeout time.Duration) error {
	if r.epoll < 0 {
		return host.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.watch(ctx)
	deadline := time.Now().Add(timeout)
	for {
		ms := -1
		if timeout >= 0 {
			ms = int((max(time.Until(deadline), 0) + time.Millisecond - 1) / time.Millisecond)
		}
		var events [2]unix.EpollEvent
		_, err := unix.EpollWait(r.epoll, events[:], ms)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for ring buffer %s: %w", r.name, err)
		}
		return ctx.Err()
	}
}

// watch makes the end of ctx wake the ring. Usually it is the same context each time.
func (r *ring) watch(ctx context.Context) {
	if r.watched == ctx {
		return
	}
	if r.unwatch != nil && !r.unwatch() {
		r.wake.clear() // if the former context's call comes after this, one Wait returns early
	}
	r.watched = ctx
	r.unwatch = context.AfterFunc(ctx, r.wake.set)
}

// settle waits until the records that programs are writing are complete, so that a drain gets all; but not for long.
func (r *ring) settle(longest time.Duration) {
	size := uint64(len(r.data))
	if size == 0 {
		return
	}
	deadline := time.Now().Add(longest)
	position := r.position
	for end := atomic.LoadUint64(r.producer); position < end; {
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[position&(size-1)])))
		if header&ringBusy != 0 {
			if time.Now().After(deadline) {
				return
			}
			runtime.Gosched()
			continue
		}
		position += (uint64(header&^ringDiscard) + ringHeader + 7) &^ 7
	}
}

// wake is an event that can be set from anywhere, also after it was closed.
type wake struct {
	mu sync.Mutex
	fd int // under mu
}

func (w *wake) set() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		one := [8]byte{1, 1, 1, 1} // any number that is not 0
		unix.Write(w.fd, one[:])
	}
}

func (w *wake) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var count [8]byte
	unix.Read(w.fd, count[:])
}

func (w *wake) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		unix.Close(w.fd)
		w.fd = -1
	}
}
