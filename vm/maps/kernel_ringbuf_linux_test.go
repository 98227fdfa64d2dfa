package maps

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// readRing is a reader as there are many, of the pages that the kernel shows. It takes at most some records.
func readRing(consumerPage, producerPages []byte, size, most int) (records [][]byte) {
	consumer := (*uint64)(unsafe.Pointer(&consumerPage[0]))
	producer := (*uint64)(unsafe.Pointer(&producerPages[0]))
	data := producerPages[os.Getpagesize():]
	position := atomic.LoadUint64(consumer)
	for position < atomic.LoadUint64(producer) && len(records) < most {
		at := position & uint64(size-1)
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&data[at])))
		if header&ringBusy != 0 {
			break
		}
		length := uint64(header &^ ringDiscard)
		if header&ringDiscard == 0 {
			records = append(records, bytes.Clone(data[at+8:][:length]))
		}
		position += (length + 8 + 7) &^ 7
		atomic.StoreUint64(consumer, position)
	}
	return records
}

// ringPrograms send to a kernel's ring buffer. The arguments are u64 flags, u64 result, u64 size, and the data.
type ringPrograms struct {
	arguments *ebpf.Map
	by        map[string]*ebpf.Program
	sizes     []int // of what is reserved
}

const ringArguments = 24

func newRingPrograms(t *testing.T, ringFD int) *ringPrograms {
	p := &ringPrograms{by: map[string]*ebpf.Program{}, sizes: []int{8, 96, 1000}}
	var err error
	if p.arguments, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: ringArguments + 1024, MaxEntries: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.arguments.Close() })
	p.add(t, "output",
		asm.LoadMapPtr(asm.R1, ringFD), asm.Mov.Reg(asm.R2, asm.R6), asm.Add.Imm(asm.R2, ringArguments),
		asm.LoadMem(asm.R3, asm.R6, 16, asm.DWord), asm.And.Imm(asm.R3, 1023),
		asm.LoadMem(asm.R4, asm.R6, 0, asm.DWord), asm.FnRingbufOutput.Call())
	p.add(t, "query", asm.LoadMapPtr(asm.R1, ringFD), asm.LoadMem(asm.R2, asm.R6, 0, asm.DWord), asm.FnRingbufQuery.Call())
	for _, size := range p.sizes {
		for name, end := range map[string]asm.BuiltinFunc{"submit": asm.FnRingbufSubmit, "discard": asm.FnRingbufDiscard} {
			ins := asm.Instructions{asm.LoadMapPtr(asm.R1, ringFD), asm.Mov.Imm(asm.R2, int32(size)), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
				asm.JEq.Imm(asm.R0, 0, "result"), asm.Mov.Reg(asm.R7, asm.R0)}
			for at := 0; at < size; at += 8 {
				ins = append(ins, asm.LoadMem(asm.R1, asm.R6, int16(ringArguments+at), asm.DWord), asm.StoreMem(asm.R7, int16(at), asm.R1, asm.DWord))
			}
			ins = append(ins, asm.Mov.Reg(asm.R1, asm.R7), asm.LoadMem(asm.R2, asm.R6, 0, asm.DWord), end.Call(), asm.Mov.Imm(asm.R0, 1))
			p.add(t, fmt.Sprint(name, size), ins...)
		}
	}
	return p
}

func (p *ringPrograms) add(t *testing.T, name string, body ...asm.Instruction) {
	p.addWith(t, ebpf.SocketFilter, name, body...)
}

// addWith adds a program whose body has the arguments in r6 and the context in r7, and leaves the result in r0.
func (p *ringPrograms) addWith(t *testing.T, kind ebpf.ProgramType, name string, body ...asm.Instruction) {
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R7, asm.R1),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, p.arguments.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, "exit"), asm.Mov.Reg(asm.R6, asm.R0),
	}
	ins = append(ins, body...)
	ins = append(ins, asm.StoreMem(asm.R6, 8, asm.R0, asm.DWord).WithSymbol("result"), asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"), asm.Return())
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: ins})
	if err != nil {
		t.Fatalf("program %s: %+v", name, err)
	}
	t.Cleanup(func() { prog.Close() })
	p.by[name] = prog
}

func (p *ringPrograms) run(t *testing.T, name string, flags uint64, data []byte) int64 {
	arguments := make([]byte, ringArguments+1024)
	binary.NativeEndian.PutUint64(arguments, flags)
	binary.NativeEndian.PutUint64(arguments[16:], uint64(len(data)))
	copy(arguments[ringArguments:], data)
	if err := p.arguments.Put(uint32(0), arguments); err != nil {
		t.Fatal(err)
	}
	if _, err := p.by[name].Run(&ebpf.RunOptions{Data: make([]byte, 14)}); err != nil {
		t.Fatal(err)
	}
	if err := p.arguments.Lookup(uint32(0), arguments); err != nil {
		t.Fatal(err)
	}
	return int64(binary.NativeEndian.Uint64(arguments[8:]))
}

// TestKernelRingBuf has programs send the same to a real ring buffer and to ours, and the same reader read both: results, records, every
// byte of the pages, and who is woken must be the same.
func TestKernelRingBuf(t *testing.T) {
	known(t)
	const size = 4096
	page := os.Getpagesize()
	a := &attr{kind: ebpf.RingBuf, maxEntries: size, fields: noFields}
	k, err := inKernel(t, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	kernelConsumer, err := unix.Mmap(k.fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(kernelConsumer)
	kernelProducer, err := unix.Mmap(k.fd, int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(kernelProducer)
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, k.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}); err != nil {
		t.Fatal(err)
	}
	p := newRingPrograms(t, k.fd)

	mapped, err := create(a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mapped.Close()
	pages, err := copiedRingPages(size)
	if err != nil {
		t.Fatal(err)
	}
	copied := ringBufOn(pages, a, Options{})
	defer copied.Close()
	ours := []*RingBuf{mapped.(*RingBuf), copied}
	woken := 0
	ours[0].OnWake(func() { woken++ })

	r := seed(t)
	n, records, wakes := 0, 0, 0
	for end := time.Now().Add(4 * effort()); time.Now().Before(end) && !t.Failed(); n++ {
		flags := []uint64{0, 0, 0, RingNoWakeup, RingForceWakeup, RingNoWakeup | RingForceWakeup}[r.IntN(6)]
		woken = 0
		sent := false
		var what string
		var want int64
		var got [2]int64
		switch r.IntN(6) {
		case 0, 1, 2:
			data := make([]byte, r.IntN(1024))
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			if r.IntN(20) == 0 {
				flags = 4
			}
			what = fmt.Sprintf("output of %d bytes with flags %#x", len(data), flags)
			want = p.run(t, "output", flags, data)
			for i, m := range ours {
				if err := m.Output(data, flags); err != nil {
					got[i] = -int64(err.(Errno))
				}
			}
			sent = true
		case 3:
			length := p.sizes[r.IntN(len(p.sizes))]
			name := []string{"submit", "submit", "discard"}[r.IntN(3)]
			data := make([]byte, length)
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			what = fmt.Sprintf("%s of %d bytes with flags %#x", name, length, flags)
			want = p.run(t, fmt.Sprint(name, length), flags, data)
			for i, m := range ours {
				if at := m.Reserve(uint64(length), 0); at != 0 {
					copy(memoryAt(at, length), data)
					if name == "submit" {
						m.Submit(at, flags)
					} else {
						m.Discard(at, flags)
					}
					got[i] = 1
				}
			}
			sent = true
		case 4:
			flags = r.Uint64N(5)
			what = fmt.Sprintf("query %d", flags)
			want = p.run(t, "query", flags, nil)
			for i, m := range ours {
				got[i] = int64(m.Query(flags))
			}
		default:
			most := r.IntN(6)
			what = fmt.Sprintf("reading %d records", most)
			theirs := readRing(kernelConsumer, kernelProducer, size, most)
			records += len(theirs)
			for _, m := range ours {
				consumer, producer := m.Pages()
				if read := readRing(consumer, producer, size, most); fmt.Sprint(read) != fmt.Sprint(theirs) {
					t.Errorf("%s: %x, not %x", what, read, theirs)
				}
			}
		}
		if got != [2]int64{want, want} {
			t.Errorf("%s: %d, not %d", what, got, want)
		}
		if sent {
			var events [1]unix.EpollEvent
			wait := 0
			if woken > 0 {
				wait = 1000 // the kernel wakes from an interrupt
				wakes++
			}
			if events, err := unix.EpollWait(epoll, events[:], wait); err == nil && events != woken {
				t.Errorf("%s: %d wake-ups, not %d", what, woken, events)
			}
		}
		consumer, producer := ours[0].Pages()
		if !bytes.Equal(consumer[:8], kernelConsumer[:8]) || !bytes.Equal(producer, kernelProducer) {
			t.Errorf("after %s the pages differ: %s", what, difference(producer, kernelProducer))
		}
		// Without the second view, what lies behind the end is not the start; all the rest is the same.
		if consumer, producer := ours[1].Pages(); !bytes.Equal(consumer[:8], kernelConsumer[:8]) || !bytes.Equal(producer[:page+size], kernelProducer[:page+size]) {
			t.Errorf("after %s the copied pages differ", what)
		}
	}
	t.Logf("%d operations compared, with %d records and %d wake-ups", n, records, wakes)
}

func difference(got, want []byte) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("%x, not %x, at %#x", got[i:min(i+16, len(got))], want[i:min(i+16, len(want))], i)
		}
	}
	return fmt.Sprintf("%d bytes, not %d", len(got), len(want))
}
