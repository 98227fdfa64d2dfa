package maps

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestNests: programs find the handle, user space the ID, and only maps like the first one fit.
func TestNests(t *testing.T) {
	inner := &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 5}
	m := newWith(t, inner, Options{ID: 7, Handle: 0x7000})
	other := newTest(t, &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 5})
	bigger := newWith(t, &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 50}, Options{ID: 8, Handle: 0x8000})
	for _, kind := range []ebpf.MapType{ebpf.ArrayOfMaps, ebpf.HashOfMaps} {
		nest := newTest(t, &ebpf.MapSpec{Type: kind, KeySize: 4, MaxEntries: 3, InnerMap: inner}).(Nest)
		if err := nest.Put(u32(1), other, Any); err != EINVAL {
			t.Errorf("%s: a map that is not like the first: %v", kind, err)
		}
		for _, in := range []Map{m, bigger} { // a hash map may have another number of entries
			if err := nest.Put(u32(1), in, Any); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if got := nest.Lookup(0, u32(1)); got != in.Handle() {
				t.Errorf("%s: handle %#x, not %#x", kind, got, in.Handle())
			}
			id := make([]byte, 4)
			if err := (User{nest}).Lookup(u32(1), id, 0); err != nil || index(id) != in.ID() {
				t.Errorf("%s: ID %d, %v", kind, index(id), err)
			}
		}
		if got := nest.Lookup(0, u32(2)); got != 0 {
			t.Errorf("%s: handle %#x where there is none", kind, got)
		}
		if err := nest.Delete(u32(1)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got := nest.Lookup(0, u32(1)); got != 0 {
			t.Errorf("%s: handle %#x after it was deleted", kind, got)
		}
	}
}

// TestTargets: what hosts set without file descriptors is what programs redirect to.
func TestTargets(t *testing.T) {
	p := newTest(t, &ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 3}).(*ProgArray)
	if err := p.Put(2, 99); err != nil {
		t.Fatal(err)
	}
	if p.Target(2) != 99 || p.Target(1) != 0 || p.Target(1<<31) != 0 || p.Put(3, 1) != E2BIG {
		t.Error("a program array has other programs than were put")
	}
	s := newTest(t, &ebpf.MapSpec{Type: ebpf.SockMap, KeySize: 4, ValueSize: 8, MaxEntries: 3}).(*SockMap)
	if s.Put(1, 77, Exist) != ENOENT || s.Put(1, 77, NoExist) != nil || s.Put(1, 78, NoExist) != EEXIST || s.Target(1) != 77 {
		t.Error("a sockmap has other sockets than were put")
	}
	h := newTest(t, &ebpf.MapSpec{Type: ebpf.SockHash, KeySize: 6, ValueSize: 8, MaxEntries: 3}).(*SockHash)
	if h.Put([]byte("abcdef"), 5, Any) != nil || h.Target([]byte("abcdef")) != 5 || h.Target([]byte("abcdeg")) != 0 {
		t.Error("a sockhash has other sockets than were put")
	}
	d := newWith(t, &ebpf.MapSpec{Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 8, MaxEntries: 3}, Options{
		Device: func(i uint32) bool { return i < 10 },
		Target: func(_ ebpf.MapType, fd uint32) (uint64, error) { return uint64(fd) * 2, nil },
	}).(*DevMapHash)
	u := User{d}
	if err := u.Update(u32(1000), append(u32(9), u32(4)...), Any); err != nil {
		t.Fatal(err)
	}
	if err := u.Update(u32(1001), append(u32(10), u32(4)...), Any); err != EINVAL {
		t.Errorf("an interface that is not there: %v", err)
	}
	if got := d.Target(1000); got != 9|8<<32 {
		t.Errorf("the target is %#x", got)
	}
}

// TestStacks follows bpf_get_stackid: equal stacks have one ID, and a bucket is taken once, unless it may be taken again.
func TestStacks(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 4 * 8, MaxEntries: 1}).(*StackTrace)
	frames := []uint64{1, 2, 3, 4, 5, 6}
	id := m.StackID(frames, 0)
	if id != 0 || m.StackID(frames, 0) != id || m.StackID(frames[:4], 0) != id {
		t.Errorf("a stack's ID is %d, then %d, and %d without the frames that do not fit", id, m.StackID(frames, 0), m.StackID(frames[:4], 0))
	}
	got := make([]byte, 32)
	if err := (User{m}).Lookup(u32(0), got, 0); err != nil || !bytes.Equal(got, bytes.Join([][]byte{u64(1), u64(2), u64(3), u64(4)}, nil)) {
		t.Errorf("the frames are %x, %v", got, err)
	}
	if got := m.StackID(frames, 1); got != -int64(EEXIST) {
		t.Errorf("another stack in the only bucket: %d", got)
	}
	if got := m.StackID(frames[:3], 1|StackReuse); got != 0 {
		t.Errorf("another stack in the only bucket, which may be reused: %d", got)
	}
	if err := (User{m}).LookupAndDelete(u32(0), got, 0); err != nil || !bytes.Equal(got, bytes.Join([][]byte{u64(2), u64(3), u64(0), u64(0)}, nil)) {
		t.Errorf("the frames are %x, %v", got, err)
	}
	if got := m.StackID(frames[:3], 3); got != -int64(EFAULT) {
		t.Errorf("no frames: %d", got)
	}
}

func TestStorage(t *testing.T) {
	value := &btf.Struct{Name: "v", Size: 8, Members: []btf.Member{{Name: "n", Type: &btf.Int{Name: "u64", Size: 8}}}}
	m := newWith(t, &ebpf.MapSpec{
		Type: ebpf.TaskStorage, KeySize: 4, ValueSize: 8, Flags: flagNoPrealloc, Key: &btf.Int{Name: "int", Size: 4}, Value: value,
	}, Options{Target: func(_ ebpf.MapType, fd uint32) (uint64, error) { return uint64(fd) + 100, nil }}).(*Storage)
	if at := m.Get(105, nil, 0); at != 0 {
		t.Errorf("an owner without a value has one at %#x", at)
	}
	at := m.Get(105, nil, StorageCreate)
	if at == 0 || m.Get(105, u64(9), StorageCreate) != at || m.Get(105, nil, 0) != at || m.Get(105, nil, 2) != 0 {
		t.Errorf("the value is at %#x, then at %#x", at, m.Get(105, nil, 0))
	}
	if got := binary.NativeEndian.Uint64(memoryAt(m.Get(106, u64(42), StorageCreate), 8)); got != 42 {
		t.Errorf("a new value is %d", got)
	}
	copy(memoryAt(at, 8), u64(43))
	got := make([]byte, 8)
	if err := (User{m}).Lookup(u32(5), got, 0); err != nil || !bytes.Equal(got, u64(43)) {
		t.Errorf("user space sees %x, %v", got, err)
	}
	if m.Remove(105) != nil || m.Remove(105) != ENOENT || m.Get(105, nil, 0) != 0 {
		t.Error("a value that was removed is there")
	}
	// Nothing limits the number of owners.
	for i := range 50_000 {
		if m.Get(uint64(i+1000), nil, StorageCreate) == 0 {
			t.Fatalf("owner %d gets no value", i)
		}
	}
	if n := testing.AllocsPerRun(100, func() { m.Get(2000, nil, StorageCreate) }); n != 0 {
		t.Errorf("%v allocations in a look-up", n)
	}
}

func TestCgroupStorage(t *testing.T) {
	for _, kind := range []ebpf.MapType{ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage} {
		m := newTest(t, &ebpf.MapSpec{Type: kind, KeySize: 16, ValueSize: 8}).(*CgroupStorage)
		key := append(append(u64(5), u32(3)...), 0xff, 0xff, 0xff, 0xff) // what is behind the attach type does not count
		value := bytes.Repeat(u64(1), User{m}.ValueSize()/8)
		u := User{m}
		if err := u.Update(key, value, Any); err != ENOENT {
			t.Errorf("%s: an update before anything is attached: %v", kind, err)
		}
		for cgroup := range uint64(3) {
			if err := m.Attach(cgroup+4, 3); err != nil {
				t.Fatal(err)
			}
		}
		if err := u.Update(key, value, NoExist); err != EEXIST {
			t.Errorf("%s: an update of what must not exist: %v", kind, err)
		}
		if err := u.Update(key, value, Any); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got := memoryAt(m.Get(0, 5, 3), 8); !bytes.Equal(got, u64(1)) {
			t.Errorf("%s: the program sees %x", kind, got)
		}
		if m.Get(0, 5, 4) != 0 || u.Delete(key) != EINVAL {
			t.Errorf("%s: there is a value for another attach type, or it can be deleted", kind)
		}
		var order []uint64
		next := make([]byte, 16)
		for key := []byte(nil); u.NextKey(key, next) == nil; key = bytes.Clone(next) {
			order = append(order, binary.NativeEndian.Uint64(next))
		}
		if len(order) != 3 || order[0] != 6 || order[2] != 4 {
			t.Errorf("%s: the order is %d", kind, order)
		}
		m.Detach(5, 3)
		if m.Get(0, 5, 3) != 0 {
			t.Errorf("%s: there is a value after it was detached", kind)
		}
	}
}

// TestRingOrder: the reader waits for a record that is busy, though later ones are complete.
func TestRingOrder(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 4096}).(*RingBuf)
	woken := 0
	m.OnWake(func() { woken++ })
	consumer, producer := m.Pages()
	first, second, third := m.Reserve(8, 0), m.Reserve(16, 0), m.Reserve(8, 0)
	copy(memoryAt(first, 8), "first...")
	copy(memoryAt(third, 8), "third...")
	m.Submit(third, 0)
	m.Discard(second, 0)
	if got := drain(consumer, producer, 4096); got != nil || woken != 0 {
		t.Errorf("read %q behind a busy record, woken %d times", got, woken)
	}
	if m.Query(0) != 8*3+32 {
		t.Errorf("%d bytes are to be read", m.Query(0))
	}
	m.Submit(first, 0)
	if got := drain(consumer, producer, 4096); len(got) != 2 || string(got[0]) != "first..." || string(got[1]) != "third..." || woken != 1 {
		t.Errorf("read %q, woken %d times", got, woken)
	}
	if m.Reserve(4096, 0) != 0 || m.Reserve(4088, 0) != 0 || m.Reserve(8, 1) != 0 || m.Reserve(1<<40, 0) != 0 {
		t.Error("more is reserved than there is")
	}
	// What no program was given does no harm.
	for _, at := range []uint64{0, first + 1, first - 8, first + 1<<20} {
		m.Submit(at, 0)
	}
}

// drain is the smallest reader.
func drain(consumer, producer []byte, size uint64) (records [][]byte) {
	at := binary.NativeEndian.Uint64(consumer)
	data := producer[len(producer)-2*int(size):]
	for at < binary.NativeEndian.Uint64(producer) {
		header := binary.NativeEndian.Uint32(data[at&(size-1):])
		if header&ringBusy != 0 {
			break
		}
		length := uint64(header &^ ringDiscard)
		if header&ringDiscard == 0 {
			records = append(records, bytes.Clone(data[at&(size-1)+8:][:length]))
		}
		at += recordSize(length)
	}
	binary.NativeEndian.PutUint64(consumer, at)
	return records
}

// TestRingThreads: of several senders, the reader gets every record whole and in each sender's order.
func TestRingThreads(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 8192}).(*RingBuf)
	wake := make(chan struct{}, 1)
	m.OnWake(func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	const each, senders = 20_000, 3
	var wg sync.WaitGroup
	var sent atomic.Int64
	for sender := range senders {
		wg.Go(func() {
			for i := 0; i < each; {
				length := 16 + i%50*8
				at := m.Reserve(uint64(length), 0)
				if at == 0 {
					runtime.Gosched() // full: the reader is behind
					continue
				}
				b := memoryAt(at, length)
				for j := 0; j < length; j += 16 {
					binary.NativeEndian.PutUint64(b[j:], uint64(i))
				}
				binary.NativeEndian.PutUint64(b[8:], uint64(sender))
				m.Submit(at, 0)
				i++
			}
			sent.Add(1)
		})
	}
	next := [senders]uint64{}
	producerPage := m.pages.bytes[len(m.pages.bytes)-2*8192:]
	read := 0
	for read < each*senders {
		// This reader's positions are loaded and stored as other threads must see them.
		position := atomic.LoadUint64(m.consumer)
		if position == atomic.LoadUint64(m.producer) {
			<-wake
			continue
		}
		header := atomic.LoadUint32(m.header(position))
		if header&ringBusy != 0 {
			runtime.Gosched()
			continue
		}
		b := producerPage[position&m.mask+8:][:header]
		i, sender := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:])
		if sender >= senders || i != next[sender] || len(b) != 16+int(i)%50*8 {
			t.Fatalf("record %d of sender %d with %d bytes", i, sender, len(b))
		}
		for j := 0; j < len(b); j += 16 {
			if binary.NativeEndian.Uint64(b[j:]) != i {
				t.Fatalf("record %d of sender %d is %x", i, sender, b)
			}
		}
		next[sender]++
		read++
		atomic.StoreUint64(m.consumer, position+recordSize(uint64(header)))
	}
	wg.Wait()
}

// TestPerfOutput: a record in two parts comes out in one piece.
func TestPerfOutput(t *testing.T) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.PerfEventArray}).(*PerfEventArray)
	if m.MaxEntries() != 4 {
		t.Fatalf("%d entries for 4 CPUs", m.MaxEntries())
	}
	var got []byte
	if err := m.Attach(2, 2, func(data, more []byte) error {
		got = append(bytes.Clone(data), more...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := m.Output(2, CurrentCPU|4<<32, []byte("meta"), []byte("data")); err != nil || string(got) != "metadata" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := m.Output(1, 2, nil, nil); err != EOPNOTSUPP {
		t.Errorf("output to another CPU: %v", err)
	}
}

// TestMoreThanCPUs: maps of CPUs have as many entries as they are made with, and those behind the last CPU are empty.
func TestMoreThanCPUs(t *testing.T) {
	for _, c := range []struct {
		spec ebpf.MapSpec
		want error
	}{
		{ebpf.MapSpec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4}, EINVAL},
		{ebpf.MapSpec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: maxCPUs + 1}, E2BIG},
		{ebpf.MapSpec{Type: ebpf.PerfEventArray, KeySize: 8, ValueSize: 4, MaxEntries: 4}, EINVAL},
		{ebpf.MapSpec{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 8, MaxEntries: 4}, EINVAL},
	} {
		if _, err := New(&c.spec, Options{CPUs: 2}); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, not %v", c.spec, err, c.want)
		}
	}
	cpus := User{newWith(t, &ebpf.MapSpec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 10}, Options{CPUs: 2})}
	perf := User{newWith(t, &ebpf.MapSpec{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 5}, Options{CPUs: 2})}
	for _, c := range []struct {
		name      string
		got, want error
	}{
		{"delete a CPU that is not there", cpus.Delete(u32(4)), nil},
		{"delete behind the end", cpus.Delete(u32(10)), EINVAL},
		{"update a CPU", cpus.Update(u32(1), u32(64), Any), nil},
		{"update a CPU that is not there", cpus.Update(u32(2), u32(64), Any), ENODEV},
		{"update behind the end", cpus.Update(u32(10), u32(64), Any), E2BIG},
		{"update of events without any", perf.Update(u32(3), u32(1), Any), EBADF},
		{"update of events behind the end", perf.Update(u32(5), u32(1), Any), E2BIG},
		{"delete no event", perf.Delete(u32(3)), ENOENT},
		{"delete an event behind the end", perf.Delete(u32(5)), E2BIG},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, not %v", c.name, c.got, c.want)
		}
	}
	for m, last := range map[User]int{cpus: 9, perf: 4} {
		key := make([]byte, 4)
		if err := m.NextKey(u32(last-1), key); err != nil || !bytes.Equal(key, u32(last)) {
			t.Errorf("%s: behind %d is %x, %v", m.Map.Type(), last-1, key, err)
		}
		if err := m.NextKey(u32(last), key); err != ENOENT {
			t.Errorf("%s: behind the last key: %v", m.Map.Type(), err)
		}
	}
	// Who likes may take what is output there.
	events := perf.Map.(*PerfEventArray)
	if err := events.Output(1, 3, nil, nil); err != ENOENT {
		t.Errorf("output where nobody takes it: %v", err)
	}
	got := 0
	if err := events.Attach(3, 1, func(data, _ []byte) error { got += len(data); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := events.Output(1, 3, make([]byte, 8), nil); err != nil || got != 8 {
		t.Errorf("output behind the CPUs: %v, %d bytes", err, got)
	}
	if err := events.Delete(u32(3)); err != nil || events.Output(1, 3, nil, nil) != ENOENT {
		t.Errorf("what was attached is still there: %v", err)
	}
}
