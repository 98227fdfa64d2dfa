package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"time"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/lang/bpftrace/lower"
	"skep/recording"
)

// kernelSource is a session of the kernel whose programs tell what they are given on a ring of their own (see lower.MapRecording). Their
// records become events here.
type kernelSource struct {
	host.Session
	sink   *Live
	points map[pointName]key // of programs

	mu        sync.Mutex // what is below
	ring      host.Ring
	lost      host.Map
	runs      map[uint64]*running // that have begun, by their numbers
	order     []*running
	told      uint64 // lost events that the sink knows of
	lostReads uint64
	damaged   int // batches of records in which some may be missing
	stacks    map[stackKey][]uint64

	ctx    context.Context
	cancel context.CancelFunc
	pump   sync.WaitGroup
}

// pointName is a point of a program, by its number and the index of the point's name.
type pointName struct{ program, name uint32 }

// running is a run of which the end is to come.
type running struct {
	key   key
	event *recording.Event
	ended bool
	since time.Time
}

type stackKey struct {
	user  bool
	depth int
	id    uint32
}

// FromKernel makes a source of a session that was loaded from a unit with Options.Record.
func FromKernel(s host.Session, unit *lower.Unit, sink *Live) host.Session {
	k := &kernelSource{
		Session: s, sink: sink, points: map[pointName]key{}, runs: map[uint64]*running{}, stacks: map[stackKey][]uint64{},
		ring: s.Ring(lower.MapRecording), lost: s.Map(lower.MapUnrecorded),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	names := map[string]uint32{}
	for i, name := range unit.Script.ProbeNames {
		names[name] = uint32(i)
	}
	programs := map[string]uint32{}
	for i, name := range unit.Recorded {
		programs[name] = uint32(i)
	}
	for n, a := range unit.Attach {
		for i, p := range a.Points {
			k.points[pointName{programs[a.Program], names[p.Name]}] = key{n, i}
		}
	}
	if k.ring != nil {
		k.pump.Go(k.run)
	}
	return k
}

// lookEvery is how long records wait at most that were sent without waking anybody.
const lookEvery = 20 * time.Millisecond

func (k *kernelSource) run() {
	for k.ctx.Err() == nil {
		if k.sink.full() {
			select {
			case <-time.After(lookEvery):
			case <-k.ctx.Done():
			}
			continue
		}
		if err := k.ring.Wait(k.ctx, lookEvery); err != nil {
			return
		}
		k.drain(false)
	}
}

// catchUp takes all that programs have sent. At the end, no program begins to run any more, and those that run have a moment to end.
func (k *kernelSource) catchUp(end bool) {
	if k.ring == nil {
		return
	}
	for deadline := time.Now().Add(lastMoment); ; {
		left := k.drain(false)
		if !end || left == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
		runtime.Gosched()
	}
	k.drain(true)
}

// lastMoment is how long the ends of the last runs are waited for.
const lastMoment = 50 * time.Millisecond

// drain takes records, and returns how many runs have not ended. With all set no program runs any more, so that what has not ended has lost its
// end.
func (k *kernelSource) drain(all bool) (left int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.countLost()
	for {
		if n, _ := k.ring.Drain(0, k.record); n == 0 {
			break
		}
	}
	now := time.Now()
	for len(k.order) > 0 {
		r := k.order[0]
		if !r.ended && !all && now.Sub(r.since) < patience {
			break
		}
		k.order[0] = nil
		k.order = k.order[1:]
		if !r.ended || k.damaged > 0 {
			r.event.Incomplete = true
		}
		k.sink.Event(r.key.attach, r.key.point, r.event)
	}
	if len(k.order) == 0 {
		clear(k.runs)
	}
	k.damaged = max(k.damaged-1, 0)
	return len(k.order)
}

// patience is how long the end of a run is waited for: runs take microseconds, but their task may lose the CPU.
const patience = time.Second

// countLost looks at what the ring had no room for. Whose results are missing is not known: all that are around may be.
func (k *kernelSource) countLost() {
	if k.lost == nil {
		return
	}
	values, ok, err := k.lost.Lookup(make([]byte, 4))
	if err != nil || !ok || len(values) == 0 || len(values[0]) < 16 {
		return
	}
	if n := binary.NativeEndian.Uint64(values[0]); n > k.told {
		k.sink.Lost(n - k.told)
		k.told = n
	}
	if n := binary.NativeEndian.Uint64(values[0][8:]); n > k.lostReads {
		k.lostReads, k.damaged = n, 2
	}
}

// record takes one record.
func (k *kernelSource) record(b []byte) bool {
	if len(b) < lower.RecordedHeader {
		return true
	}
	number, kind, word := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
	switch kind {
	case lower.RecordedBegin:
		k.begin(number, word, b)
	case lower.RecordedEnd:
		if r := k.runs[number]; r != nil {
			r.ended = true
			delete(k.runs, number)
		}
	case lower.RecordedResult:
		if r := k.runs[number]; r != nil && len(b) >= lower.RecordedData {
			if result, ok := k.result(int64(word), b); ok {
				r.event.Results = append(r.event.Results, result)
			}
		}
	}
	return true
}

func (k *kernelSource) begin(number uint64, program uint32, b []byte) {
	if len(b) < lower.RecordedTask {
		return
	}
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
	half := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	text := func(at int) string {
		name, _, _ := bytes.Cut(b[at:at+16], []byte{0})
		return string(name)
	}
	at, ok := k.points[pointName{program, half(60)}]
	if !ok {
		return
	}
	r := &running{key: at, since: time.Now(), event: &recording.Event{
		Boot: word(16), CPU: int(half(104)), Context: bytes.Clone(bytes.TrimRight(b[lower.RecordedTask:], "\x00")),
		Task: recording.Task{
			TID: half(24), PID: half(28), UID: half(32), GID: half(36), Comm: text(64), Address: word(48),
			ParentPID: half(56), ParentComm: text(80), OwnTID: half(96), OwnPID: half(100),
		},
	}}
	if id := word(40); id != 0 {
		r.event.Task.Cgroups = []uint64{id}
	}
	k.runs[number] = r
	k.order = append(k.order, r)
}

// result makes one of what a helper has given.
func (k *kernelSource) result(helper int64, b []byte) (r recording.Result, ok bool) {
	ret, addr, size := int64(binary.NativeEndian.Uint64(b[16:])), binary.NativeEndian.Uint64(b[24:]), binary.NativeEndian.Uint64(b[32:])
	data := b[lower.RecordedData:]
	if ret < 0 && ret >= -4095 {
		r.Errno = int(-ret)
	}
	user := addr&lower.RecordedUser != 0
	switch asm.BuiltinFunc(helper) {
	case asm.FnProbeReadUser, asm.FnProbeReadUserStr:
		r.Kind = recording.ReadUser
	case asm.FnProbeReadKernel, asm.FnProbeReadKernelStr, asm.FnProbeRead, asm.FnProbeReadStr:
		r.Kind = recording.ReadKernel
	case asm.FnGetStackid:
		if r.Errno == int(unix.EEXIST) {
			return r, false // the program gets the frames in another way
		}
		r.Kind, r.Frames = stackKind(user), k.stack(stackKey{user, int(addr &^ lower.RecordedUser), uint32(ret)}, r.Errno)
		r.Errno = 0
		return r, true
	case asm.FnGetStack:
		r.Kind, r.Errno = stackKind(user), 0
		for ; len(data) >= 8; data = data[8:] {
			r.Frames = append(r.Frames, binary.NativeEndian.Uint64(data))
		}
		return r, true
	case asm.FnKtimeGetBootNs:
		r.Kind = recording.Boot
	case asm.FnKtimeGetNs:
		r.Kind = recording.Monotonic
	case asm.FnKtimeGetTaiNs:
		r.Kind = recording.TAI
	case asm.FnGetPrandomU32:
		r.Kind = recording.Random
	case asm.FnSendSignal, asm.FnSendSignalThread:
		r.Kind = recording.Signal
		return r, true
	default:
		return r, false
	}
	if r.Kind == recording.ReadUser || r.Kind == recording.ReadKernel {
		if r.Addr = addr; r.Errno != 0 {
			r.Value = size
		} else {
			r.Data = bytes.Clone(data)
		}
		return r, true
	}
	r.Errno, r.Value = 0, uint64(ret)
	return r, true
}

func stackKind(user bool) recording.Kind {
	if user {
		return recording.UserStack
	}
	return recording.KernelStack
}

// stack gives the frames that the kernel has under a number.
func (k *kernelSource) stack(at stackKey, errno int) []uint64 {
	if errno != 0 {
		return nil
	}
	if frames, ok := k.stacks[at]; ok {
		return frames
	}
	m := k.Session.Map(lower.StackMapName(at.user, at.depth))
	if m == nil {
		return nil
	}
	values, ok, err := m.Lookup(binary.NativeEndian.AppendUint32(nil, at.id))
	if err != nil || !ok || len(values) == 0 {
		return nil
	}
	var frames []uint64
	for b := values[0]; len(b) >= 8; b = b[8:] {
		ip := binary.NativeEndian.Uint64(b)
		if ip == 0 {
			break
		}
		frames = append(frames, ip)
	}
	k.stacks[at] = frames
	return frames
}

// Disable stops the programs, which looks at the rings.
func (k *kernelSource) Disable() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Session.Disable()
}

// SyncProcesses passes it on.
func (k *kernelSource) SyncProcesses() {
	if s, ok := k.Session.(host.ProcessSyncer); ok {
		s.SyncProcesses()
	}
}

// Close ends the pump.
func (k *kernelSource) Close() error {
	k.cancel()
	k.pump.Wait()
	return k.Session.Close()
}
