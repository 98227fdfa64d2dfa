package symbol

import (
	"container/list"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Processes names the addresses of processes: those that run, and those that it was told of and that have exited since.
// It is safe for concurrent use.
//
// Without any preparation it reads the mappings of a process when its first address is asked, and again when an
// address is not in them; that serves processes which still run. For those that may be gone by then, call
// [Processes.Snapshot] before tracing, and feed it the records that perf gives for PERF_COUNT_SW_DUMMY events with the
// attribute bits mmap, mmap2, comm, comm_exec and task on each CPU: [Processes.Mmap], [Processes.Exec],
// [Processes.Fork], [Processes.Exit], in the order of their times.
//
// Process ids are those of the pid namespace that /proc shows.
type Processes struct {
	options ProcessesOptions

	mu      sync.Mutex
	byPid   map[int]*process
	exited  list.List // of *process, most recently used first
	objects objectCache
	sweepAt int // number of processes at which to look for ones that ended unnoticed
	walk    *frameWalk
}

// ProcessesOptions has the choices for [NewProcesses]; the zero value is right for most.
type ProcessesOptions struct {
	// KeepMangled switches the demangling of C++ and Rust names off (cpp_demangle=false).
	KeepMangled bool
	// MaxExited is how many processes are kept after they exited, those asked for longest ago going first; 0 means 1024.
	MaxExited int
	// MaxBytes is about how much memory symbol tables may take, 0 means 64 MB; a single larger table is used, and
	// dropped with the next.
	MaxBytes int64
	// MaxFiles is how many files with symbols are kept open; 0 means 256.
	MaxFiles int
}

// process is what is known of one process.
type process struct {
	pid     int
	parent  int    // by its fork record; 0 if unknown
	started string // start time by /proc/PID/stat, to notice that a pid has come again; "" if unknown
	comm    string
	space   *space
	// previous are earlier spaces, newest first: before exec, before an unload, of an earlier process of the pid.
	previous []*space
	read     time.Time // when the mappings were read from /proc last
	exe      fileKey   // the program at that time
	checked  time.Time // when the program was compared last
	gone     bool
	// exitTold says that gone is known from its exit record; else from /proc, which can be ahead of the records.
	exitTold bool
	lru      *list.Element // in exited, if gone
	perf     perfMapCache
}

const maxPrevious = 3

// NewProcesses returns a tracker that knows nothing yet and has read nothing.
func NewProcesses(o ProcessesOptions) *Processes {
	if o.MaxExited == 0 {
		o.MaxExited = 1024
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 256
	}
	p := &Processes{options: o, byPid: make(map[int]*process), sweepAt: 4096}
	p.objects = newObjectCache(o.MaxBytes, o.MaxFiles)
	return p
}

// Close releases the files that are held open. The tracker can be used further.
func (p *Processes) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects.clear()
}

// Snapshot reads the mappings of the given processes, or of all if none is given, so that their addresses can be named
// after they exit. Processes that end meanwhile are no error.
func (p *Processes) Snapshot(pids ...int) error {
	if len(pids) == 0 {
		dir, err := os.Open("/proc")
		if err != nil {
			return fmt.Errorf("listing processes: %w", err)
		}
		names, err := dir.Readdirnames(-1)
		dir.Close()
		if err != nil {
			return fmt.Errorf("listing processes: %w", err)
		}
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var first error
	for _, pid := range pids {
		if err := p.refresh(p.process(pid)); err != nil && first == nil && !errors.Is(err, os.ErrProcessDone) {
			first = err
		}
	}
	return first
}

// Mmap tells that a process mapped something executable: a PERF_RECORD_MMAP2, whose address, length and page
// offset are m's Start, End-Start and Offset. Others are ignored; unmapping needs not be told.
func (p *Processes) Mmap(pid int, m Mapping) {
	if !m.Executable || m.Start >= m.End {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tidy()
	q, known := p.byPid[pid]
	if !known || q.exitTold {
		q = p.process(pid)
		p.revive(q)
		p.refresh(q) // what it mapped before
	}
	q.space = q.space.with(p.region(pid, m))
}

// Exec tells that a process runs another program: a PERF_RECORD_COMM with PERF_RECORD_MISC_COMM_EXEC. What it had
// mapped before stays known for addresses recorded before.
func (p *Processes) Exec(pid int, comm string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.process(pid)
	if q.exitTold {
		p.revive(q)
	}
	q.retire()
	q.comm = comm
	q.perf = perfMapCache{}
}

// Fork tells that parent made the process child: a PERF_RECORD_FORK. For a new thread, whose record has the same
// process id twice, it does nothing.
func (p *Processes) Fork(parent, child int) {
	if parent == child {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.process(child)
	p.revive(q)
	q.retire()
	q.parent, q.started = parent, ""
	q.perf = perfMapCache{}
	if from, ok := p.byPid[parent]; ok {
		q.space, q.comm = from.space, from.comm
	}
}

// Exit tells that a process has ended: a PERF_RECORD_EXIT whose thread id is its process id.
func (p *Processes) Exit(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q, ok := p.byPid[pid]; ok {
		p.bury(q)
		q.exitTold = true
	}
}

// Comm returns the process's name as [Processes.Exec] told it, or as /proc has it; "" if it is unknown.
func (p *Processes) Comm(pid int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q, ok := p.byPid[pid]; ok && q.comm != "" {
		return printable(q.comm)
	}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return printable(strings.TrimSuffix(string(b), "\n"))
}

// process returns what is known of a pid, at first nothing.
func (p *Processes) process(pid int) *process {
	if q, ok := p.byPid[pid]; ok {
		if q.gone {
			p.exited.MoveToFront(q.lru)
		}
		return q
	}
	if len(p.byPid) >= p.sweepAt {
		p.sweep()
	}
	q := &process{pid: pid}
	p.byPid[pid] = q
	return q
}

// bury marks a process as gone, and forgets the one that was asked for longest ago if there are too many.
func (p *Processes) bury(q *process) {
	if q.gone {
		return
	}
	q.gone = true
	q.lru = p.exited.PushFront(q)
	for p.exited.Len() > p.options.MaxExited {
		last := p.exited.Back()
		p.exited.Remove(last)
		delete(p.byPid, last.Value.(*process).pid)
	}
}

// revive undoes bury: the pid is in use again.
func (p *Processes) revive(q *process) {
	if q.gone {
		p.exited.Remove(q.lru)
		q.gone, q.exitTold, q.lru = false, false, nil
		q.retire()
	}
}

// sweep finds processes that ended without a word: records can be lost, or not be fed at all.
func (p *Processes) sweep() {
	for pid, q := range p.byPid {
		if !q.gone && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			p.bury(q)
		}
	}
	p.sweepAt = max(4096, 2*len(p.byPid))
}

// tidy forgets files that nobody maps once there are many. It must not run while regions are being collected.
func (p *Processes) tidy() {
	if len(p.objects.files) >= p.objects.forgetAt {
		p.objects.forget(p.byPid)
	}
}

// retire makes the current space a previous one.
func (q *process) retire() {
	if q.space == nil {
		return
	}
	q.previous = append([]*space{q.space}, q.previous...)
	q.previous = q.previous[:min(len(q.previous), maxPrevious)]
	q.space = nil
}

// refresh reads the mappings from /proc.
func (p *Processes) refresh(q *process) error {
	p.tidy()
	q.read = time.Now()
	q.exe, q.checked = exeOf(q.pid), q.read
	started, err := startTime(q.pid)
	if q.gone {
		if err != nil || started == q.started {
			return os.ErrProcessDone
		}
		p.revive(q)
	}
	if err != nil {
		p.bury(q)
		return fmt.Errorf("reading the mappings of process %d: %w", q.pid, err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", q.pid))
	if err != nil {
		return fmt.Errorf("reading the mappings of process %d: %w", q.pid, err)
	}
	defer f.Close()
	var regions []region
	err = scanMaps(f, func(m Mapping) bool {
		if m.Executable || strings.HasPrefix(m.Path, "[") {
			regions = append(regions, p.region(q.pid, m))
		}
		return len(regions) < maxMappings
	})
	if err != nil {
		return fmt.Errorf("reading the mappings of process %d: %w", q.pid, err)
	}
	if len(regions) == 0 {
		return nil // a kernel thread, or a process that is ending
	}
	now := newSpace(regions)
	switch {
	case q.space != nil && now.equal(q.space):
		now = q.space
	case !now.contains(q.space):
		q.retire()
	}
	if q.started != "" && q.started != started {
		q.comm, q.perf = "", perfMapCache{}
	}
	q.space, q.started = now, started
	return nil
}

// verify reads the mappings anew if the process runs another program than when they were read. Programs that are not
// position-independent lie at the same addresses, so that names would be found, but wrong ones.
func (p *Processes) verify(q *process, before time.Time) {
	if q.gone || q.read.IsZero() || !q.checked.Before(before) {
		return
	}
	q.checked = time.Now()
	if now := exeOf(q.pid); now != q.exe && now != (fileKey{}) {
		p.refresh(q)
	}
}

// exeOf returns the identity of a process's program; zero if there is none, or it cannot be seen.
func exeOf(pid int) fileKey {
	var st unix.Stat_t
	if unix.Stat("/proc/"+strconv.Itoa(pid)+"/exe", &st) != nil {
		return fileKey{}
	}
	return fileKey{dev: st.Dev, inode: st.Ino, mtime: st.Mtim.Nano(), size: st.Size}
}

// region makes a region of a mapping.
func (p *Processes) region(pid int, m Mapping) region {
	r := region{start: m.Start, end: m.End, off: m.Offset}
	if m.Path != "" {
		r.file = p.objects.file(p.lineage(pid), m)
	}
	return r
}

// maxLineage bounds how many forebears of a process are asked for a file.
const maxLineage = 4

// lineage lists a process and those from which it descends, as far as they are known: a command that has ended at once was likely
// started by one that lives on, in the same container.
func (p *Processes) lineage(pid int) []int {
	pids := []int{pid}
	for q := p.byPid[pid]; q != nil && q.parent > 1 && len(pids) <= maxLineage; q = p.byPid[q.parent] {
		pids = append(pids, q.parent)
	}
	return pids
}

// startTime returns the time at which a process started, in the kernel's own unit.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return "", os.ErrProcessDone
	}
	if err != nil {
		return "", err
	}
	// The name, in parentheses, can hold anything.
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	const field = 22 - 3
	if f := strings.Fields(rest); len(f) > field {
		return f[field], nil
	}
	return "", nil
}
