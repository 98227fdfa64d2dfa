package maps

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// readPerf is a reader of perf rings: it gives the records whole.
func readPerf(pages []byte, most int) (records [][]byte) {
	head, tail := (*uint64)(unsafe.Pointer(&pages[1024])), (*uint64)(unsafe.Pointer(&pages[1032]))
	offset, size := binary.NativeEndian.Uint64(pages[1040:]), binary.NativeEndian.Uint64(pages[1048:])
	data := pages[offset:][:size]
	position := atomic.LoadUint64(tail)
	for end := atomic.LoadUint64(head); position < end && len(records) < most; {
		length := uint64(binary.NativeEndian.Uint16(data[(position+6)&(size-1):]))
		record := make([]byte, length)
		for i := range record {
			record[i] = data[(position+uint64(i))&(size-1)]
		}
		records = append(records, record)
		position += length
	}
	atomic.StoreUint64(tail, position)
	return records
}

// TestKernelPerf has programs output the same to a real perf event and to ours.
func TestKernelPerf(t *testing.T) {
	ktest.Need(t, ktest.Perf)
	known(t)
	runtime.LockOSThread() // and end with the test
	cpus := ebpf.MustPossibleCPU()
	cpu := cpus - 1
	pin(t, cpu)
	a := &attr{kind: ebpf.PerfEventArray, keySize: 4, valueSize: 4, maxEntries: uint32(cpus), fields: noFields}
	k, err := inKernel(t, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	m, err := create(a, Options{CPUs: cpus})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ours := m.(*PerfEventArray)
	p := &ringPrograms{by: map[string]*ebpf.Program{}}
	if p.arguments, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: ringArguments + 1024, MaxEntries: 1}); err != nil {
		t.Fatal(err)
	}
	defer p.arguments.Close()
	// The context, which the program has in r7, is that of a socket filter or tc program.
	p.addWith(t, ebpf.SchedCLS, "output", asm.Mov.Reg(asm.R1, asm.R7), asm.LoadMapPtr(asm.R2, k.fd), asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
		asm.Mov.Reg(asm.R4, asm.R6), asm.Add.Imm(asm.R4, ringArguments),
		asm.LoadMem(asm.R5, asm.R6, 16, asm.DWord), asm.And.Imm(asm.R5, 1023), asm.FnPerfEventOutput.Call())

	output := func(flags uint64, data []byte) {
		t.Helper()
		want := p.run(t, "output", flags, data)
		got := int64(0)
		if err := ours.Output(cpu, flags, data, nil); err != nil {
			got = -int64(err.(Errno))
		}
		if got != want {
			t.Errorf("output of %d bytes with flags %#x: %d, not %d", len(data), flags, got, want)
		}
	}
	output(CurrentCPU, []byte("nobody listens")) // ENOENT
	output(uint64(cpus), nil)                    // E2BIG
	output(1<<60, nil)                           // EINVAL

	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_BPF_OUTPUT, Sample_type: unix.PERF_SAMPLE_RAW, Wakeup: 1, Sample: 1}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	page := os.Getpagesize()
	pages, err := unix.Mmap(fd, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(pages)
	if err := k.Update(u32(cpu), u32(fd), Any); err != nil {
		t.Fatal(err)
	}
	woken := 0
	ring, err := ours.Open(cpu, page, 1, func() { woken++ })
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PERF_EVENT_IOC_ID, uintptr(unsafe.Pointer(&ring.id))); errno != 0 {
		t.Fatal(errno)
	}

	r := seed(t)
	n, records, lost := 0, 0, 0
	for end := time.Now().Add(2 * effort()); time.Now().Before(end) && !t.Failed(); n++ {
		if r.IntN(5) > 0 {
			data := make([]byte, r.IntN(1000))
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			flags := uint64(CurrentCPU)
			if r.IntN(3) == 0 {
				flags = uint64(r.IntN(cpus + 1))
			}
			output(flags, data)
			continue
		}
		most := r.IntN(6)
		want, got := readPerf(pages, most), readPerf(ring.Pages(), most)
		records += len(want)
		if len(got) != len(want) {
			t.Fatalf("%d records, not %d", len(got), len(want))
		}
		for i := range want {
			if binary.NativeEndian.Uint32(want[i]) == perfRecordLost {
				lost += int(binary.NativeEndian.Uint64(want[i][16:]))
			}
			if string(got[i]) != string(want[i]) {
				t.Errorf("record %d of %d bytes: %s", i, len(want[i]), difference(got[i], want[i]))
			}
		}
	}
	if woken == 0 || ring.Lost() < uint64(lost) {
		t.Errorf("%d wake-ups, and %d lost records of %d", woken, ring.Lost(), lost)
	}
	t.Logf("%d operations compared, with %d records, and %d lost", n, records, lost)
	// Without the ring, nobody listens.
	if err := ours.Delete(u32(cpu)); err != nil {
		t.Error(err)
	}
	if err := ours.Output(cpu, CurrentCPU, nil, nil); err != ENOENT {
		t.Errorf("nobody listens: %v", err)
	}
}
