package maps

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"skep/vm/memory"
)

// CurrentCPU as the index that bpf_perf_event_output is given in its flags means the CPU that the program runs on.
const CurrentCPU = 1<<32 - 1

// A PerfEventArray is BPF_MAP_TYPE_PERF_EVENT_ARRAY: for each CPU, somebody who takes what programs output there.
type PerfEventArray struct {
	base
	sinks  []atomic.Pointer[perfSink] // of the indices that are CPUs
	others sync.Map                   // of those behind, uint32 to *perfSink
}

type perfSink struct {
	cpu  int
	send func(data, more []byte) error
}

func newPerfEventArray(a *attr, opts Options) (Map, error) {
	if a.valueSize != 4 || !a.indexed() || a.flags&^(flagNUMANode|flagReadOnly|flagWriteOnly|flagPreserveElems) != 0 {
		return nil, EINVAL
	}
	return &PerfEventArray{base: a.base(opts), sinks: make([]atomic.Pointer[perfSink], min(int(a.maxEntries), opts.CPUs))}, nil
}

// Attach gives what programs that run on a CPU output at an index to send, one record in two parts of which the second may be empty.
// It is called by the program's thread, must not wait, and must not keep the slices.
func (m *PerfEventArray) Attach(index, cpu int, send func(data, more []byte) error) error {
	switch sink := (&perfSink{cpu, send}); {
	case uint(index) >= uint(m.maxEntries):
		return E2BIG
	case index < len(m.sinks):
		m.sinks[index].Store(sink)
	default:
		m.others.Store(uint32(index), sink)
	}
	return nil
}

// sink is what is attached at an index; nil is nothing.
func (m *PerfEventArray) sink(index uint32) *perfSink {
	if uint(index) < uint(len(m.sinks)) {
		return m.sinks[index].Load()
	}
	sink, _ := m.others.Load(index)
	found, _ := sink.(*perfSink)
	return found
}

// Output is bpf_perf_event_output; more are the bytes of the packet that its flags ask for, which the caller has found.
func (m *PerfEventArray) Output(cpu int, flags uint64, data, more []byte) error {
	const contextLength = 0xfffff << 32
	if flags&^(CurrentCPU|contextLength) != 0 {
		return EINVAL
	}
	index := flags & CurrentCPU
	if index == CurrentCPU {
		index = uint64(cpu)
	}
	if index >= uint64(m.maxEntries) {
		return E2BIG
	}
	sink := m.sink(uint32(index))
	switch {
	case sink == nil:
		return ENOENT
	case sink.cpu != cpu:
		return EOPNOTSUPP
	}
	return sink.send(data, more)
}

func (m *PerfEventArray) Delete(key []byte) error {
	i := index(key)
	had := false
	switch {
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	case uint(i) < uint(len(m.sinks)):
		had = m.sinks[i].Swap(nil) != nil
	default:
		_, had = m.others.LoadAndDelete(i)
	}
	if !had {
		return ENOENT
	}
	return nil
}

// userUpdate fails: there are no file descriptors of perf events here, but Attach and Open.
func (m *PerfEventArray) userUpdate(key, _ []byte, flags uint64) error {
	if err := m.mayPut(index(key), flags); err != nil {
		return err
	}
	return EBADF
}

func (m *PerfEventArray) userDelete(key []byte) error    { return m.Delete(key) }
func (m *PerfEventArray) nextKey(key, next []byte) error { return m.nextIndex(key, next) }

// Open makes a ring for what is output at the index of a CPU. Its data have a power of two of bytes; wake is called for each record, or
// once there are watermark bytes more.
func (m *PerfEventArray) Open(cpu, size, watermark int, wake func()) (*PerfRing, error) {
	if size < pageSize || size&(size-1) != 0 {
		return nil, EINVAL
	}
	block, err := memory.New(pageSize + size)
	if err != nil {
		return nil, ENOMEM
	}
	r := &PerfRing{block: block, data: block.Bytes()[pageSize:], watermark: uint64(watermark), wake: wake}
	binary.NativeEndian.PutUint64(block.Bytes()[perfOffset:], pageSize)
	binary.NativeEndian.PutUint64(block.Bytes()[perfOffset+8:], uint64(size))
	if err := m.Attach(cpu, cpu, r.send); err != nil {
		block.Free()
		return nil, err
	}
	return r, nil
}

// A PerfRing is the ring of a perf event in the kernel's layout (struct perf_event_mmap_page and the data): records of type
// PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW, and PERF_RECORD_LOST before the first that found room after some had not.
type PerfRing struct {
	block     *memory.Block
	data      []byte
	watermark uint64
	wake      func()
	id        uint64 // of the event

	mu      sync.Mutex // of those who send
	missing uint64     // records lost since the last one that was not
	woken   uint64     // head at the last wake-up
	lost    atomic.Uint64
}

const (
	perfHead   = 1024 // of data_head, with data_tail behind it
	perfOffset = 1040 // of data_offset, with data_size behind it

	perfRecordLost   = 2
	perfRecordSample = 9
)

// Pages is the first page and the data, as user space maps them.
func (r *PerfRing) Pages() []byte { return r.block.Bytes() }

// Lost is how many records found no room since the ring was made.
func (r *PerfRing) Lost() uint64 { return r.lost.Load() }

// Close frees the ring. It must have been taken out of its map.
func (r *PerfRing) Close() error { return r.block.Free() }

func (r *PerfRing) position(at int) *uint64 {
	return (*uint64)(unsafe.Pointer(&r.block.Bytes()[at]))
}

func (r *PerfRing) send(data, more []byte) error {
	const most = 1<<16 - 8 // of a record, whose size is a u16
	raw := roundUp8(4 + len(data) + len(more))
	if 8+raw > most {
		return E2BIG
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	need := uint64(8 + raw)
	if r.missing > 0 {
		need += 24
	}
	head := atomic.LoadUint64(r.position(perfHead))
	// The kernel never fills the last byte.
	if head+need-atomic.LoadUint64(r.position(perfHead+8)) >= uint64(len(r.data)) {
		r.missing++
		r.lost.Add(1)
		return ENOSPC
	}
	var words [24]byte
	if r.missing > 0 {
		perfHeader(words[:], perfRecordLost, 0, 24)
		binary.NativeEndian.PutUint64(words[8:], r.id)
		binary.NativeEndian.PutUint64(words[16:], r.missing)
		head = r.put(head, words[:])
		r.missing = 0
	}
	perfHeader(words[:], perfRecordSample, 1, 8+raw) // PERF_RECORD_MISC_KERNEL
	binary.NativeEndian.PutUint32(words[8:], uint32(raw-4))
	end := head + uint64(8+raw)
	head = r.put(head, words[:12])
	head = r.put(head, data)
	r.put(head, more) // what is behind it up to the end stays as it was, as in the kernel
	atomic.StoreUint64(r.position(perfHead), end)
	if end-r.woken >= r.watermark {
		r.woken = end
		if r.wake != nil {
			r.wake()
		}
	}
	return nil
}

func perfHeader(b []byte, kind uint32, misc uint16, size int) {
	binary.NativeEndian.PutUint32(b, kind)
	binary.NativeEndian.PutUint16(b[4:], misc)
	binary.NativeEndian.PutUint16(b[6:], uint16(size))
}

func (r *PerfRing) put(head uint64, b []byte) uint64 {
	n := copy(r.data[head&uint64(len(r.data)-1):], b)
	copy(r.data, b[n:])
	return head + uint64(len(b))
}
