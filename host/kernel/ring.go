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
// A record is a header of 8 bytes (u32 length with the busy and discard bits, u32 page offset) and its bytes, rounded up to 8. Every mapped
// page counts as resident memory, so that only a window of the data is mapped, which is moved along. Since the data come twice, no record
// wraps in it.
type ring struct {
	name     string
	size     uint64 // of the data, a power of two
	consumer *uint64
	producer *uint64
	pages    [2][]byte // what they are in
	position uint64    // what we have consumed; *consumer may be behind it during a drain

	area   []byte // addresses for the window
	window []byte // the mapped data, from position begins on, which starts a page
	begins uint64
	show   func(offset, length uint64) error // maps these data at the area's start
	failed atomic.Pointer[error]             // of show, which Wait tells

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

	ringWindow = 256 << 10
)

func openRing(m *hostMap) (*ring, error) {
	r := &ring{name: m.name, size: uint64(m.maxEntries), epoll: -1, wake: &wake{fd: -1}}
	if err := r.mapPages(m.fd); err != nil {
		r.close()
		return nil, fmt.Errorf("mapping ring buffer %s: %w", m.name, err)
	}
	if err := r.watchFile(m.fd); err != nil {
		r.close()
		return nil, fmt.Errorf("watching ring buffer %s: %w", m.name, err)
	}
	return r, nil
}

func (r *ring) mapPages(fd int) (err error) {
	page := os.Getpagesize()
	if r.pages[0], err = unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return err
	}
	if r.pages[1], err = unix.Mmap(fd, int64(page), page, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return err
	}
	// The positions are at the start of pages, and nothing outlives the mappings but the ring, which close empties.
	r.consumer, r.producer = (*uint64)(unsafe.Pointer(&r.pages[0][0])), (*uint64)(unsafe.Pointer(&r.pages[1][0]))
	r.position = atomic.LoadUint64(r.consumer)
	// The largest record begins at the end of a page.
	r.area, err = unix.Mmap(-1, 0, int(r.size)+page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	r.show = func(offset, length uint64) error {
		_, err := unix.MmapPtr(fd, int64(2*page)+int64(offset), unsafe.Pointer(&r.area[0]), uintptr(length), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED)
		return err
	}
	return err
}

func (r *ring) watchFile(fd int) (err error) {
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if r.wake.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	// Edge-triggered, the ring is reported for wake-ups and not because something is in it that was sent without one.
	for fd, events := range map[int]uint32{fd: unix.EPOLLIN | unix.EPOLLET, r.wake.fd: unix.EPOLLIN} {
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	return nil
}

func (r *ring) close() {
	if r.unwatch != nil {
		r.unwatch()
	}
	r.wake.close()
	if r.epoll >= 0 {
		unix.Close(r.epoll)
	}
	for _, m := range [][]byte{r.pages[0], r.pages[1], r.area} {
		if m != nil {
			unix.Munmap(m)
		}
	}
	*r = ring{name: r.name, epoll: -1, wake: r.wake}
}

func (r *ring) Size() int        { return int(r.size) }
func (r *ring) Position() uint64 { return r.position }

func (r *ring) Produced() uint64 {
	if r.size == 0 {
		return r.position
	}
	return atomic.LoadUint64(r.producer)
}

// at gives n bytes of the data, which stay until the next call; nil if they cannot be mapped.
func (r *ring) at(position, n uint64) []byte {
	if position < r.begins || position+n > r.begins+uint64(len(r.window)) {
		page := uint64(os.Getpagesize())
		begins := position &^ (page - 1)
		length := min(max(position+n-begins, ringWindow), uint64(len(r.area)))
		length = (length + page - 1) &^ (page - 1)
		r.window = nil
		if err := r.show(begins&(r.size-1), length); err != nil {
			r.failed.Store(&err)
			return nil
		}
		r.window, r.begins = r.area[:length], begins
	}
	return r.window[position-r.begins:][:n:n]
}

// header gives the first word of the record at a position; it is busy if it cannot be had.
func (r *ring) header(position uint64) uint32 {
	b := r.at(position, ringHeader)
	if b == nil {
		return ringBusy
	}
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&b[0])))
}

func (r *ring) Drain(limit uint64, f func(record []byte) bool) (n int, more bool) {
	if r.size == 0 {
		return 0, true
	}
	produced := atomic.LoadUint64(r.producer)
	end := produced
	if limit != 0 && limit < end {
		end = limit
	}
	position, given := r.position, r.position
	// Space is given back by the eighth: at once for each record would bounce the cache line between the CPUs.
	batch := r.size / 8
	more = true
	for more && position < end {
		header := r.header(position)
		if header&ringBusy != 0 {
			break
		}
		length := uint64(header &^ (ringBusy | ringDiscard))
		next := position + (length+ringHeader+7)&^7
		if next > produced || next-position > r.size {
			// Not written by a sound kernel. There is no way to find the next record.
			position = produced
			break
		}
		if header&ringDiscard == 0 {
			record := r.at(position, ringHeader+length)
			if record == nil {
				break
			}
			n++
			more = f(record[ringHeader:])
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

func (r *ring) Wait(ctx context.Context, timeout time.Duration) error {
	if r.epoll < 0 {
		return host.ErrClosed
	}
	if failed := r.failed.Load(); failed != nil {
		return fmt.Errorf("reading ring buffer %s: %w", r.name, *failed)
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
	if r.size == 0 {
		return
	}
	deadline := time.Now().Add(longest)
	position := r.position
	for end := atomic.LoadUint64(r.producer); position < end; {
		header := r.header(position)
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
