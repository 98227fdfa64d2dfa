package replay

import (
	"encoding/binary"
	"time"

	"github.com/cilium/ebpf/btf"

	"skep/lang/bpftrace/lower"
	"skep/probe"
	"skep/recording"
	"skep/vm"
	"skep/vm/maps"
)

// playing is the event in work, for what its program asks.
type playing struct {
	event *recording.Event
	hook  hook
	at    [16]int // by kind of result: behind the one that was given last
}

func (p *playing) set(e *recording.Event, h hook) { *p = playing{event: e, hook: h} }

// next gives the next result of a kind, in the order in which they were asked for.
func (p *playing) next(kind recording.Kind) (*recording.Result, bool) {
	for i := p.at[kind]; i < len(p.event.Results); i++ {
		if r := &p.event.Results[i]; r.Kind == kind {
			p.at[kind] = i + 1
			return r, true
		}
	}
	return nil, false
}

// read copies memory that was read then. The same memory may have been read twice, and have changed: who reads in the same order sees
// the same.
func (p *playing) read(kind recording.Kind, addr uint64, to []byte) error {
	all := p.event.Results
	for i := p.at[kind]; i < len(all); i++ {
		r := &all[i]
		if r.Kind != kind || r.Addr != addr || r.Errno == 0 && len(r.Data) != len(to) || r.Errno != 0 && r.Value != uint64(len(to)) {
			continue
		}
		p.at[kind] = i + 1
		if r.Errno != 0 {
			return maps.Errno(r.Errno)
		}
		copy(to, r.Data)
		return nil
	}
	// Another order, or other sizes.
	for done := 0; done < len(to); {
		n := p.part(kind, addr+uint64(done), to[done:])
		if n == 0 {
			return p.absent(kind, addr, uint64(len(to)))
		}
		done += n
	}
	return nil
}

// part copies what some read has got at an address.
func (p *playing) part(kind recording.Kind, addr uint64, to []byte) int {
	for i := range p.event.Results {
		r := &p.event.Results[i]
		if off := addr - r.Addr; r.Kind == kind && r.Errno == 0 && off < uint64(len(r.Data)) {
			return copy(to, r.Data[off:])
		}
	}
	return 0
}

// absent tells memory that could not be read then from memory that nobody asked for.
func (p *playing) absent(kind recording.Kind, addr, size uint64) error {
	for i := range p.event.Results {
		r := &p.event.Results[i]
		if r.Kind == kind && r.Errno != 0 && r.Addr < addr+size && addr < r.Addr+r.Value {
			return maps.Errno(r.Errno)
		}
	}
	return maps.Errno(errNotRecorded)
}

// machineHost is what stands for the kernel around the programs.
func (p *player) machineHost() vm.Host {
	return vm.Host{
		ReadUser: func(_ *vm.Thread, addr uint64, to []byte) error { return p.playing.read(recording.ReadUser, addr, to) },
		ReadKernel: func(_ *vm.Thread, addr uint64, to []byte) error {
			if off := addr - p.regsAt; off < regsSize && off+uint64(len(to)) <= regsSize {
				copy(to, p.regs.Bytes()[off:])
				return nil
			}
			err := p.playing.read(recording.ReadKernel, addr, to)
			if err == maps.Errno(errNotRecorded) && p.readTask(addr, to) {
				return nil
			}
			return err
		},
		Task:  func(*vm.Thread) vm.Task { return p.task() },
		Stack: p.stack,
		Signal: func(*vm.Thread, uint32, bool) error {
			if r, ok := p.playing.next(recording.Signal); ok && r.Errno != 0 {
				return maps.Errno(r.Errno)
			}
			return nil
		},
		Path: func(*vm.Thread, uint64) (string, bool) { return "", false },
	}
}

// stack gives the frames that were taken then. A raw tracepoint's program skips its own frames, which are not in the recording.
func (p *player) stack(_ *vm.Thread, user bool, frames []uint64) int {
	kind := recording.KernelStack
	if user {
		kind = recording.UserStack
	}
	r, ok := p.playing.next(kind)
	if !ok {
		p.playing.at[kind] = 0
		if r, ok = p.playing.next(kind); !ok {
			p.missing.stacks++
			return 0
		}
	}
	own := 0
	if !user && p.playing.hook.how == probe.RawTP && len(r.Frames) > 0 {
		own = ownFrames
	}
	return min(own, len(frames)) + copy(frames[min(own, len(frames)):], r.Frames)
}

// ownFrames are those that a program on a raw tracepoint skips, compiled for the machine.
const ownFrames = 2

// task is the task of the event.
func (p *player) task() vm.Task {
	t := &p.playing.event.Task
	v := vm.Task{
		TID: t.TID, PID: t.PID, UID: t.UID, GID: t.GID, Comm: t.Comm, Address: p.taskAddress(), Cgroups: t.Cgroups,
		NamespaceTID: t.OwnTID, NamespacePID: t.OwnPID,
	}
	if s := p.state(); len(s) > stateNsIno && t.OwnTID != 0 {
		v.NamespaceDev, v.Namespace = s[stateNsDev], s[stateNsIno]
	}
	return v
}

// Addresses of tasks that were not asked for: the current one, its leader and its parent.
const (
	currentTask = 0xfffeb << 44
	leaderTask  = currentTask + 1<<16
	parentTask  = currentTask + 2<<16
	taskSpace   = 1 << 16 // more than a task_struct
)

func (p *player) taskAddress() uint64 {
	if a := p.playing.event.Task.Address; a != 0 {
		return a
	}
	return currentTask
}

// readTask answers reads of those members of a task_struct that are known without having been read.
func (p *player) readTask(addr uint64, to []byte) bool {
	if p.types == nil {
		return false
	}
	t := &p.playing.event.Task
	task := *t
	var off uint64
	switch {
	case addr-p.taskAddress() < taskSpace:
		off = addr - p.taskAddress()
	case addr-leaderTask < taskSpace && t.PID == t.TID:
		off = addr - leaderTask
	case addr-leaderTask < taskSpace: // its name is not known
		off, task.TID, task.Comm = addr-leaderTask, t.PID, ""
	case addr-parentTask < taskSpace:
		off = addr - parentTask
		task = recording.Task{TID: t.ParentPID, PID: t.ParentPID, Comm: t.ParentComm}
	default:
		return false
	}
	found, err := p.types.Struct("task_struct")
	if err != nil {
		return false
	}
	s, ok := found.(*btf.Struct)
	if !ok {
		return false
	}
	for _, m := range s.Members {
		if uint64(m.Offset/8) == off && m.BitfieldSize == 0 {
			return answerMember(&task, m.Name, to)
		}
	}
	return false
}

func answerMember(t *recording.Task, member string, to []byte) bool {
	var b [8]byte
	switch member {
	case "pid":
		binary.NativeEndian.PutUint64(b[:], uint64(t.TID))
	case "tgid":
		binary.NativeEndian.PutUint64(b[:], uint64(t.PID))
	case "group_leader":
		binary.NativeEndian.PutUint64(b[:], leaderTask)
	case "real_parent", "parent":
		binary.NativeEndian.PutUint64(b[:], parentTask)
	case "comm":
		if t.Comm == "" {
			return false
		}
		clear(to)
		copy(to[:max(min(len(to), 16)-1, 0)], t.Comm)
		return true
	default:
		return false
	}
	return copy(to, b[:]) == len(to)
}

// clock gives programs the times that they were given then, and else that of the event.
type clock struct{ *player }

func (c clock) time(kind recording.Kind, distance int64) uint64 {
	if r, ok := c.playing.next(kind); ok {
		return r.Value
	}
	return uint64(int64(c.player.now) + distance)
}

func (c clock) Boot() uint64      { return c.time(recording.Boot, 0) }
func (c clock) Monotonic() uint64 { return c.time(recording.Monotonic, c.start.Monotonic) }
func (c clock) TAI() uint64       { return c.time(recording.TAI, c.start.TAI) }

// AfterFunc is for timers, which scripts have none of.
func (c clock) AfterFunc(time.Duration, func()) func() bool { return func() bool { return true } }

// random gives the number that the program was given then. One that nobody asked for follows from the event, so that it is the same in each
// replay.
func (p *player) random() uint32 {
	if r, ok := p.playing.next(recording.Random); ok {
		return uint32(r.Value)
	}
	x := p.now*0x9e3779b97f4a7c15 + uint64(p.playing.event.Task.TID)
	p.playing.at[15]++
	x += uint64(p.playing.at[15])
	x ^= x >> 32
	return uint32(x * 0xd6e8feb86659fd93 >> 32)
}

// Words of the state map; see package lower.
const (
	stateNsDev = lower.StateNsDev / 8
	stateNsIno = lower.StateNsIno / 8
)
