package user

import (
	"strings"

	"skep/symbol"
)

// process is what threads have in common. It belongs to the tracer.
type process struct {
	pid  int
	live int // threads that have not begun to exit
	// told says that the sink knows where the process has code, but for what it has mapped since. The mappings of one that has been killed
	// cannot be read any more, so they are told before its first event.
	told bool
	// sandboxed says that it may have filters of its own: system calls that these deny do not stop for ours.
	sandboxed bool
}

// join makes a task a thread of a process.
func (t *tracer) join(k *task, pid int) {
	k.pid = pid
	p := t.processes[pid]
	if p == nil {
		p = &process{pid: pid}
		t.processes[pid] = p
	}
	k.process = p
	p.live++
}

// leave is the end of a task as far as its process is concerned. last says that it was the last thread.
func (t *tracer) leave(k *task) (last bool) {
	k.exitSeen = true
	p := k.process
	if p == nil {
		return true
	}
	p.live--
	if p.live > 0 {
		return false
	}
	if t.processes[p.pid] == p {
		delete(t.processes, p.pid)
	}
	return true
}

// tellMappings tells where a process has code, by one of its tasks that still has its memory.
func (t *tracer) tellMappings(k *task) {
	sink := t.session.opt.TrackProcesses
	if sink == nil {
		return
	}
	mappings, err := symbol.ReadMaps(k.tid)
	if err != nil {
		return
	}
	for _, m := range mappings {
		if m.Executable && (m.Inode != 0 || strings.HasPrefix(m.Path, "[")) {
			sink.Mmap(k.pid, m.Start, m.End-m.Start, m.Offset, m.Path, m.Dev, m.Inode, nil)
		}
	}
	if k.process != nil {
		k.process.told = len(mappings) > 0
	}
}
