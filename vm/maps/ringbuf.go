package maps

import (
	"math"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"skep/vm/memory"
)

// Flags of the ring buffer helpers.
const (
	RingNoWakeup    = 1 << 0 // BPF_RB_NO_WAKEUP
	RingForceWakeup = 1 << 1 // BPF_RB_FORCE_WAKEUP
)

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
	maxRecord   = math.MaxUint32 / 4
)

// A RingBuf is BPF_MAP_TYPE_RINGBUF, in the kernel's layout:
//
//	page 0   u64 consumer position, for the reader to write
//	page 1   u64 producer position, u64 position of the first record that may still be busy (6.9)
//	page 2…  the data, max_entries bytes, followed by the same data again
//
// A record begins with a u32, its length with the busy bit (31) while the program writes it and the discard bit (30), and a u32 that
// only the kernel uses. The bytes follow, up to the next multiple of 8. A record that goes on at the start of the data is in one piece
// all the same, in the second view.
type RingBuf struct {
	base
	pages    *ringPages
	consumer *uint64
	producer *uint64
	pending  *uint64 // under mu
	data     unsafe.Pointer
	mask     uint64
	wake     atomic.Pointer[func()]

	mu sync.Mutex // of those who reserve
}

// ringPages is the memory of a ring buffer. Where the system cannot map the data twice, records that wrap are copied when they are
// complete.
type ringPages struct {
	bytes []byte // consumer page, producer page, data, data
	twice bool   // the last two are the same memory
	free  func() error
}

func newRingBuf(a *attr, opts Options) (Map, error) {
	page := uint32(os.Getpagesize())
	if a.flags&^flagNUMANode != 0 || a.keySize != 0 || a.valueSize != 0 || a.maxEntries == 0 || a.maxEntries&(a.maxEntries-1) != 0 ||
		a.maxEntries%page != 0 {
		return nil, EINVAL
	}
	pages, err := newRingPages(int(a.maxEntries))
	if err != nil {
		return nil, ENOMEM
	}
	return ringBufOn(pages, a, opts), nil
}

func ringBufOn(pages *ringPages, a *attr, opts Options) *RingBuf {
	page := os.Getpagesize()
	return &RingBuf{
		base: a.base(opts), pages: pages, mask: uint64(a.maxEntries) - 1,
		consumer: (*uint64)(unsafe.Pointer(&pages.bytes[0])), producer: (*uint64)(unsafe.Pointer(&pages.bytes[page])),
		pending: (*uint64)(unsafe.Pointer(&pages.bytes[page+8])), data: unsafe.Pointer(&pages.bytes[2*page]),
	}
}

// copiedRingPages is for systems that do not map memory twice.
func copiedRingPages(size int) (*ringPages, error) {
	b, err := memory.New(2*os.Getpagesize() + 2*size)
	if err != nil {
		return nil, err
	}
	return &ringPages{bytes: b.Bytes(), free: b.Free}, nil
}

// Pages is what readers of the kernel's ring buffers map: the page of the consumer, and the page of the producer with the data, twice.
func (m *RingBuf) Pages() (consumer, producer []byte) {
	page := os.Getpagesize()
	return m.pages.bytes[:page:page], m.pages.bytes[page:]
}

// OnWake sets what is called when the reader is to be woken, by the program that sends: it must not wait.
func (m *RingBuf) OnWake(f func()) { m.wake.Store(&f) }

// Regions is the data. An engine that checks may give programs less: each reservation, until it is submitted.
func (m *RingBuf) Regions() []memory.Region {
	return []memory.Region{{Base: address(m.data), Size: 2 * (m.mask + 1), Name: m.regionName()}}
}

func (m *RingBuf) Close() error { return m.pages.free() }

func (m *RingBuf) header(position uint64) *uint32 {
	return (*uint32)(unsafe.Add(m.data, position&m.mask))
}

func recordSize(size uint64) uint64 { return (size + ringHeader + 7) &^ 7 }

// Reserve gives the address of a new record's bytes, or 0 if there is no room: bpf_ringbuf_reserve.
func (m *RingBuf) Reserve(size, flags uint64) uint64 {
	if flags != 0 || size > maxRecord || recordSize(size) > m.mask+1 {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	consumed := atomic.LoadUint64(m.consumer)
	position := atomic.LoadUint64(m.producer)
	for *m.pending < position {
		length := atomic.LoadUint32(m.header(*m.pending))
		if length&ringBusy != 0 {
			break
		}
		*m.pending += recordSize(uint64(length &^ ringDiscard))
	}
	next := position + recordSize(size)
	if next-consumed > m.mask || next-*m.pending > m.mask {
		return 0
	}
	h := m.header(position)
	// The kernel finds the ring by the number of pages from its start, of which the data have 3 before them.
	*(*uint32)(unsafe.Add(unsafe.Pointer(h), 4)) = uint32((position&m.mask)/uint64(os.Getpagesize())) + 3
	atomic.StoreUint32(h, uint32(size)|ringBusy)
	atomic.StoreUint64(m.producer, next)
	return address(unsafe.Pointer(h)) + ringHeader
}

// Submit makes a reserved record visible to the reader: bpf_ringbuf_submit.
func (m *RingBuf) Submit(record, flags uint64) { m.commit(record, flags, 0) }

// Discard makes the reader pass over a reserved record: bpf_ringbuf_discard.
func (m *RingBuf) Discard(record, flags uint64) { m.commit(record, flags, ringDiscard) }

func (m *RingBuf) commit(record, flags uint64, bits uint32) {
	at := record - ringHeader - address(m.data)
	if at > m.mask || at%8 != 0 {
		return // a program that nobody verified
	}
	h := m.header(at)
	length := atomic.LoadUint32(h) &^ (ringBusy | ringDiscard)
	if !m.pages.twice {
		m.copyWrapped(at, uint64(length))
	}
	atomic.StoreUint32(h, length|bits)
	// The reader sleeps if it has seen all before this record.
	if flags&RingForceWakeup != 0 || flags&RingNoWakeup == 0 && atomic.LoadUint64(m.consumer)&m.mask == at {
		if wake := m.wake.Load(); wake != nil {
			(*wake)()
		}
	}
}

// copyWrapped brings the end of a record to the start of the data, for readers that know of one view only.
func (m *RingBuf) copyWrapped(at, length uint64) {
	size := m.mask + 1
	if end := at + ringHeader + length; end > size {
		data := bytesAt(m.data, int(2*size))
		copy(data, data[size:min(end, 2*size)])
	}
}

// Output sends a copy of data: bpf_ringbuf_output.
func (m *RingBuf) Output(data []byte, flags uint64) error {
	if flags&^(RingNoWakeup|RingForceWakeup) != 0 {
		return EINVAL
	}
	record := m.Reserve(uint64(len(data)), 0)
	if record == 0 {
		return EAGAIN
	}
	copy(memoryAt(record, len(data)), data)
	m.Submit(record, flags)
	return nil
}

// Query is bpf_ringbuf_query: 0 the bytes to be read, 1 the size, 2 the consumer's and 3 the producer's position.
func (m *RingBuf) Query(what uint64) uint64 {
	switch what {
	case 0:
		return atomic.LoadUint64(m.producer) - atomic.LoadUint64(m.consumer)
	case 1:
		return m.mask + 1
	case 2:
		return atomic.LoadUint64(m.consumer)
	case 3:
		return atomic.LoadUint64(m.producer)
	}
	return 0
}

func (m *RingBuf) Update(int, []byte, []byte, uint64) error { return ENOTSUPP }
func (m *RingBuf) Delete([]byte) error                      { return ENOTSUPP }
func (m *RingBuf) userUpdate(_, _ []byte, _ uint64) error   { return ENOTSUPP }
func (m *RingBuf) userDelete([]byte) error                  { return ENOTSUPP }
func (m *RingBuf) nextKey(_, _ []byte) error                { return ENOTSUPP }
