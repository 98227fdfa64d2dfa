package kernel

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/host"
)

// tracker tells a sink what processes do: forks, executions, executable mappings, ends. The kernel writes them into one
// ring per CPU; by their times they are put in order again.
type tracker struct {
	sink  host.ProcessSink
	rings []*perfRing
	wake  *wake
	sync  chan chan struct{}
	done  chan struct{}

	stop atomic.Bool
	pids map[int]bool // the process that is traced and its descendants; nil for all
	// held are records that may have elders in another ring still.
	held []processRecord
}

const (
	trackerPages = 16
	// How long a record may be under way between its time and its ring.
	underWay = 1e6 // ns
	// A record waits for a reader at most this long.
	trackerPoll = 100 // ms
)

func (s *session) trackProcesses() (*tracker, error) {
	t := &tracker{sink: s.opt.TrackProcesses, wake: &wake{fd: -1}, sync: make(chan chan struct{}, 1), done: make(chan struct{})}
	if s.opt.PID != 0 {
		t.pids = map[int]bool{s.opt.PID: true}
	}
	cpus, err := s.host.online()
	if err != nil {
		return nil, err
	}
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_DUMMY, Sample_type: unix.PERF_SAMPLE_TIME,
		Bits: unix.PerfBitMmap | unix.PerfBitMmap2 | unix.PerfBitComm | unix.PerfBitCommExec | unix.PerfBitTask |
			unix.PerfBitSampleIDAll | unix.PerfBitWatermark | unix.PerfBitUseClockID,
		Clockid: unix.CLOCK_MONOTONIC, Wakeup: uint32(trackerPages * os.Getpagesize() / 4),
	}
	if version() >= 5<<16|12<<8 {
		attr.Bits |= perfBuildID
	}
	for _, cpu := range cpus {
		fd, err := perfOpen(&attr, -1, cpu)
		if err == unix.ENODEV {
			continue
		}
		if err != nil {
			t.free()
			return nil, explainPerf("the life of processes", err)
		}
		r, err := mapPerfRing(fd, trackerPages)
		if err != nil {
			t.free()
			return nil, err
		}
		t.rings = append(t.rings, r)
	}
	if t.wake.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		t.free()
		return nil, err
	}
	go t.run()
	return t, nil
}

// run is the goroutine that calls the sink.
func (t *tracker) run() {
	defer close(t.done)
	fds := make([]unix.PollFd, 0, len(t.rings)+1)
	fds = append(fds, unix.PollFd{Fd: int32(t.wake.fd), Events: unix.POLLIN})
	for _, r := range t.rings {
		fds = append(fds, unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN})
	}
	for !t.stop.Load() {
		unix.Poll(fds, trackerPoll)
		t.wake.clear()
		select {
		case reply := <-t.sync:
			t.read(^uint64(0))
			close(reply)
		default:
			t.read(monotonic() - underWay)
		}
	}
	t.read(^uint64(0))
}

// catchUp returns when all that happened before has been told.
func (t *tracker) catchUp() {
	reply := make(chan struct{})
	select {
	case t.sync <- reply: // it has a place, so that the request is there before the goroutine is woken
	case <-t.done:
		return
	}
	t.wake.set()
	select {
	case <-reply:
	case <-t.done:
	}
}

func (t *tracker) close() {
	t.stop.Store(true)
	t.wake.set()
	<-t.done
	t.free()
}

func (t *tracker) free() {
	for _, r := range t.rings {
		r.close()
	}
	t.wake.close()
}

// read tells of all records that are not younger than until.
func (t *tracker) read(until uint64) {
	for _, r := range t.rings {
		r.drain(func(record []byte) {
			if p, ok := decodeProcess(record); ok {
				t.held = append(t.held, p)
			}
		})
	}
	slices.SortStableFunc(t.held, func(a, b processRecord) int {
		switch {
		case a.time < b.time:
			return -1
		case a.time > b.time:
			return 1
		}
		return 0
	})
	n := 0
	for n < len(t.held) && t.held[n].time <= until {
		t.tell(&t.held[n])
		n++
	}
	t.held = slices.Delete(t.held, 0, n)
}

func (t *tracker) tell(p *processRecord) {
	if p.kind == perfLost {
		t.sink.Lost(p.lost)
		return
	}
	if t.pids != nil {
		if p.kind == perfFork && t.pids[p.parent] {
			t.pids[p.pid] = true
		}
		if !t.pids[p.pid] {
			return
		}
		if p.kind == perfExit {
			defer delete(t.pids, p.pid)
		}
	}
	switch p.kind {
	case perfFork:
		t.sink.Fork(p.parent, p.pid)
	case perfComm:
		t.sink.Exec(p.pid, p.name)
	case perfMmap2:
		t.sink.Mmap(p.pid, p.addr, p.length, p.pgoff, p.name, p.dev, p.inode, p.buildID)
	case perfExit:
		t.sink.Exit(p.pid)
	}
}

func monotonic() uint64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return uint64(now.Nano())
}

// perfRing is the ring of a perf event:
//
//	page 0   struct perf_event_mmap_page: data_head at 1024, data_tail at 1032
//	page 1…  records: u32 type, u16 misc, u16 size, then size-8 bytes; they wrap
type perfRing struct {
	fd         int
	memory     []byte
	head, tail *uint64
	data       []byte
	whole      []byte // a record that wraps
}

func mapPerfRing(fd, pages int) (*perfRing, error) {
	page := os.Getpagesize()
	memory, err := unix.Mmap(fd, 0, (1+pages)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("mapping a perf ring: %w", err)
	}
	return &perfRing{fd: fd, memory: memory, data: memory[page:],
		// Aligned, since the mapping is.
		head: (*uint64)(unsafe.Pointer(&memory[1024])), tail: (*uint64)(unsafe.Pointer(&memory[1032]))}, nil
}

func (r *perfRing) close() {
	unix.Munmap(r.memory)
	unix.Close(r.fd)
}

func (r *perfRing) drain(f func(record []byte)) {
	head, tail := atomic.LoadUint64(r.head), atomic.LoadUint64(r.tail)
	forEachRecord(r.data, tail, head, &r.whole, f)
	atomic.StoreUint64(r.tail, head)
}

// forEachRecord walks the records between two positions of a ring, whose size is a power of two.
func forEachRecord(data []byte, tail, head uint64, whole *[]byte, f func(record []byte)) {
	size := uint64(len(data))
	if head-tail > size {
		return
	}
	for head-tail >= 8 {
		at := tail & (size - 1)
		// Records are aligned to 8, so that a header does not wrap.
		length := uint64(native16(data[at+6:]))
		if length < 8 || length > head-tail || length%8 != 0 {
			return
		}
		record := data[at:min(at+length, size)]
		if at+length > size {
			*whole = append(append((*whole)[:0], record...), data[:at+length-size]...)
			record = *whole
		}
		f(record)
		tail += length
	}
}
