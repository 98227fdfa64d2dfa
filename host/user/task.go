package user

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"skep/vm"
)

// task is a thread that is traced, or skep itself. It belongs to the tracer, except while a program runs for it.
type task struct {
	tid, pid int

	phase    phase
	inCall   bool // it is to stop at the end of the system call nr, too
	nr       int
	foreign  bool // the last system call that was looked at is one of 32-bit programs, whose numbers are others
	stub     bool // it is the stub of -c, whose read at the gate began before tracing
	exitSeen bool
	exitCode int    // as wait(2) has it, once it exits
	samples  []hook // that wait for its next stop
	asked    bool   // it was interrupted by us, which it has not told of yet
	ran      bool   // when it was, it did not wait
	pending  stop   // of a task whose parent has not told of it yet
	inherit  inherited
	process  *process
	told     bool // its parent has told of it
	parent   int  // process that it comes from, if it was not told of
	child    int  // the last that it has told of

	space *space // nil if it has no breakpoints
	maps  bool   // the system call that it is in maps code

	name     string // as it was last read
	nameFile int    // descriptor of its comm; 0 if it is not open
}

// phase is how far a task has come in being traced.
type phase uint8

const (
	unborn  phase = iota // it has stopped for the first time, and its parent has not told of it
	started              // its parent has told of it, and its first stop is to come
	traced
)

// inherited is what a new task does first: return from the system call that made it.
type inherited struct {
	nr    int
	valid bool
}

// asTask is the task as the machine's helpers see it.
func (t *task) asTask(want properties) vm.Task {
	v := vm.Task{TID: uint32(t.tid), PID: uint32(t.pid), Address: taskAddress(t.tid)}
	if want.comm {
		v.Comm = t.comm()
	}
	if want.ids {
		v.UID, v.GID = t.ids()
	}
	if want.cgroups {
		v.Cgroups, _ = cgroupsOf(t.tid)
	}
	return v
}

// interrupt has it stop soon. ran says that it does not wait.
func (t *task) interrupt(ran bool) error {
	err := interrupt(t.tid)
	if err == nil {
		t.asked, t.ran = true, ran
	}
	return err
}

func (t *task) sandboxed() bool { return t.process != nil && t.process.sandboxed }

// comm is the task's name now. A process may name its threads in several ways, so it is always read; of one that is gone, it is what
// was read last.
func (t *task) comm() string {
	fd := t.nameFile
	if fd == 0 {
		var err error
		fd, err = unix.Open("/proc/"+strconv.Itoa(t.tid)+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return t.name
		}
		if fd < mostNameFiles {
			t.nameFile = fd
		} else {
			defer unix.Close(fd)
		}
	}
	var buf [32]byte
	n, _, e := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)), 0, 0, 0) // it never blocks
	if e != 0 || n == 0 {
		return t.name
	}
	name := bytes.TrimSuffix(buf[:n], []byte{'\n'})
	if string(name) != t.name {
		t.name = string(name)
	}
	return t.name
}

// nameOnce is the name of a task that is looked at once.
func (t *task) nameOnce() string {
	defer t.close()
	return t.comm()
}

// mostNameFiles is the first descriptor that is not kept for the next time: there may be more tasks than descriptors.
const mostNameFiles = 256

func (t *task) close() {
	t.leaveSpace()
	if t.nameFile != 0 {
		unix.Close(t.nameFile)
		t.nameFile = 0
	}
}

// ids are the real user and group.
func (t *task) ids() (uid, gid uint32) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(t.tid) + "/status")
	if err != nil {
		return 0, 0
	}
	return uint32(statusField(text, "Uid")), uint32(statusField(text, "Gid"))
}

// statusField is the first number of a line of /proc/PID/status.
func statusField(text []byte, name string) int {
	_, rest, ok := bytes.Cut(text, []byte("\n"+name+":\t"))
	if !ok {
		return 0
	}
	end := bytes.IndexAny(rest, "\t\n")
	n, _ := strconv.Atoi(string(rest[:max(end, 0)]))
	return n
}

// statField is a field of /proc/PID/stat, counted as proc(5) does, behind the name.
func (t *task) statField(number int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(t.tid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if number-3 >= len(fields) {
		return 0
	}
	n, _ := strconv.Atoi(fields[number-3])
	return n
}

// running reports whether the task runs, or could.
func (t *task) running() bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(t.tid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, ok := bytes.Cut(text[max(bytes.LastIndexByte(text, ')'), 0):], []byte{' '})
	return ok && len(rest) > 0 && rest[0] == 'R'
}

// cpu is the one that the task ran on last.
func (t *task) cpu() int { return t.statField(39) }

// priority is as tracepoints have it: 120 for a task that nobody has favoured.
func (t *task) priority() int { return t.statField(18) + 100 }

func (t *task) kill(signal unix.Signal, process bool) error {
	if process {
		return unix.Kill(t.pid, signal)
	}
	return unix.Tgkill(t.pid, t.tid, signal)
}

// processOf is the process that a task belongs to.
func processOf(tid int) (int, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return 0, err
	}
	return statusField(text, "Tgid"), nil
}

// parentOf is the process that has made a task, or another thread of it.
func parentOf(tid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return 0
	}
	if pid := statusField(text, "Tgid"); pid != tid {
		return pid
	}
	return statusField(text, "PPid")
}

// cgroups remembers the ids of cgroups by their paths.
var cgroups sync.Map // string → []uint64

// cgroupsOf gives the ids of a task's cgroup and those above it, from the root down.
func cgroupsOf(tid int) ([]uint64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/cgroup")
	if err != nil {
		return nil, err
	}
	path := ""
	for line := range strings.Lines(string(text)) {
		if p, ok := strings.CutPrefix(line, "0::"); ok {
			path = strings.TrimSuffix(strings.TrimSuffix(p, "\n"), " (deleted)")
		}
	}
	if path == "" {
		return nil, fmt.Errorf("process %d is in no cgroup of version 2", tid)
	}
	if ids, ok := cgroups.Load(path); ok {
		return ids.([]uint64), nil
	}
	var ids []uint64
	at := "/sys/fs/cgroup"
	for _, part := range append([]string{""}, strings.FieldsFunc(path, func(c rune) bool { return c == '/' })...) {
		if part != "" {
			at += "/" + part
		}
		var st unix.Stat_t // a cgroup's id is the inode of its folder
		if err := unix.Stat(at, &st); err != nil {
			return nil, fmt.Errorf("reading cgroup %s: %w", at, err)
		}
		ids = append(ids, st.Ino)
	}
	cgroups.Store(path, ids)
	return ids, nil
}
