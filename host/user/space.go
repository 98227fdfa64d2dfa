package user

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skep/probe"
	"skep/symbol"
)

// target is a place in a file at which programs wait.
type target struct {
	path   string
	dev    uint64
	ino    uint64
	offset uint64
	hook   hook
	atEnd  bool // of the function that begins there
	golang bool // the file is made by the Go compiler
}

// addTarget puts a program on a place in a file.
func (h *hooks) addTarget(p probe.Point, program hook) error {
	var st unix.Stat_t
	if err := unix.Stat(p.Binary, &st); err != nil {
		return fmt.Errorf("%s: %w", p.Binary, err)
	}
	h.targets = append(h.targets, target{
		path: p.Binary, dev: st.Dev, ino: st.Ino, offset: p.FileOffset, hook: program, atEnd: p.Kind == probe.Uretprobe,
		golang: p.Kind == probe.Uretprobe && isGo(p.Binary),
	})
	return nil
}

func isGo(path string) bool {
	f, err := symbol.OpenELF(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.IsGo()
}

// space is the memory of a process and those that share it, with the breakpoints in it.
type space struct {
	users   int // tasks
	memory  *os.File
	word    int    // bytes of an address: 8, or 4 of programs of 32 bits
	slot    uint64 // where instructions are stepped over: the first code of the program, which does not run again
	breaks  map[uint64]*breakpoint
	returns map[returning][]uint64 // addresses of the functions that will return, those that have jumped to another one first
	again   map[returning]bool     // breakpoints that will be reached again, without an event
}

// breakpoint is an instruction that begins with int3.
type breakpoint struct {
	addr     uint64
	original instruction
	enter    []hook // run when it is reached
	exit     []hook // run when the function that begins here returns
	removed  bool   // the original is there again
	golang   bool   // it is in code of Go, or where that returns to
}

// returning is a call that programs wait for the end of: where it returns to, with the stack as it is then. It needs nothing on the stack,
// so that nobody who looks at return addresses is misled.
type returning struct{ addr, stack, routine uint64 }

// mostReturns bounds the calls that are waited for: those of functions that are left by longjmp or exceptions never return, and are forgotten
// with all others when there are so many.
const mostReturns = 1 << 16

// enterSpace gives a task a new memory: that of the program that it has begun to run.
func (t *tracer) enterSpace(k *task) {
	if len(t.session.hooks.targets) == 0 {
		return
	}
	k.leaveSpace()
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", k.tid), os.O_RDWR, 0)
	if err != nil {
		return // it has been killed
	}
	auxv := readAuxiliary(k.tid)
	k.space = &space{users: 1, memory: memory, word: auxv.word, slot: auxv.value(auxEntry), breaks: map[uint64]*breakpoint{}, returns: map[returning][]uint64{}, again: map[returning]bool{}}
	t.placeBreaks(k)
}

// inheritSpace gives a new task the memory of its parent, or a copy.
func (t *tracer) inheritSpace(parent, child *task, shared bool) {
	s := parent.space
	if s == nil || child.space != nil {
		return
	}
	if shared {
		s.users++
		child.space = s
		return
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", child.tid), os.O_RDWR, 0)
	if err != nil {
		return
	}
	own := &space{users: 1, memory: memory, word: s.word, slot: s.slot, breaks: map[uint64]*breakpoint{}, returns: maps.Clone(s.returns), again: maps.Clone(s.again)}
	for addr, b := range s.breaks {
		other := *b
		own.breaks[addr] = &other
	}
	child.space = own
	if t.closing { // its parent's are removed, but it may have been made before
		own.removeBreaks()
	}
}

func (k *task) leaveSpace() {
	s := k.space
	if s == nil {
		return
	}
	k.space = nil
	if s.users--; s.users == 0 {
		s.memory.Close()
	}
}

// placeBreaks puts breakpoints where the process has mapped files with targets.
func (t *tracer) placeBreaks(k *task) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", k.tid))
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m, ok := parseMapping(lines.Text())
		if !ok || !m.executable {
			continue
		}
		for i := range t.session.hooks.targets {
			target := &t.session.hooks.targets[i]
			if (target.path != m.path && (target.ino != m.inode || target.dev != m.dev)) || target.offset < m.offset || target.offset-m.offset >= m.end-m.start {
				continue
			}
			if err := t.place(k.space, m.start+target.offset-m.offset, target); err != nil {
				t.session.runner.say(saidBreak, fmt.Sprintf("WARNING: a uprobe in %s is not seen in process %d: %v", target.path, k.pid, err))
			}
		}
	}
}

var errOtherBreak = errors.New("there is a breakpoint of another tracer")

// otherPatience is how long all breakpoints of others are waited for: the kernel takes its own out some time after their end.
const otherPatience = time.Second

// place puts a breakpoint at an address for a target, when that of another tracer is gone.
func (t *tracer) place(s *space, addr uint64, target *target) error {
	for {
		err := s.place(addr, target)
		if !errors.Is(err, errOtherBreak) || t.waited >= otherPatience {
			return err
		}
		const step = 10 * time.Millisecond
		time.Sleep(step)
		t.waited += step
	}
}

// place puts a breakpoint at an address for a target, unless it is there already.
func (s *space) place(addr uint64, target *target) error {
	b, err := s.breakAt(addr)
	if err != nil {
		return err
	}
	b.golang = b.golang || target.golang
	to := &b.enter
	if target.atEnd {
		to = &b.exit
	}
	for _, h := range *to {
		if h == target.hook {
			return nil
		}
	}
	*to = append(*to, target.hook)
	return nil
}

// breakAt gives the breakpoint at an address, a new one if there is none.
func (s *space) breakAt(addr uint64) (*breakpoint, error) {
	if b := s.breaks[addr]; b != nil {
		var now breakBytes
		if _, err := s.memory.ReadAt(now[:], int64(addr)); err == nil && now == breakCode() {
			return b, nil
		}
		delete(s.breaks, addr) // something else has been mapped there
	}
	if addr+breakSize > s.slot && addr < s.slot+maxInstruction {
		return nil, fmt.Errorf("it is at the program's entry")
	}
	original, err := s.readInstruction(addr)
	if err != nil {
		return nil, err
	}
	code := breakCode()
	if _, err := s.memory.WriteAt(code[:], int64(addr)); err != nil {
		return nil, fmt.Errorf("writing a breakpoint: %w", err)
	}
	b := &breakpoint{addr: addr, original: original}
	s.breaks[addr] = b
	return b, nil
}

// readInstruction reads the one at an address as it is without breakpoints.
func (s *space) readInstruction(addr uint64) (instruction, error) {
	var code [maxInstruction]byte
	n, _ := s.memory.ReadAt(code[:], int64(addr))
	for i := 0; i+breakSize <= n; i++ {
		if b := s.breaks[addr+uint64(i)]; b != nil && breakBytes(code[i:i+breakSize]) == breakCode() {
			copy(code[i:], b.original.code[:breakSize])
		}
	}
	return decode(code[:n], s.word)
}

// removeBreaks puts back what was there before.
func (s *space) removeBreaks() {
	for addr, b := range s.breaks {
		var now breakBytes
		if _, err := s.memory.ReadAt(now[:], int64(addr)); err == nil && now == breakCode() {
			_, _ = s.memory.WriteAt(b.original.code[:breakSize], int64(addr))
		}
		b.removed = true
	}
}

// mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end, offset, dev, inode uint64
	executable                     bool
	path                           string
}

func parseMapping(line string) (m mapping, ok bool) {
	var major, minor uint32
	var mode string
	n, _ := fmt.Sscanf(line, "%x-%x %s %x %x:%x %d", &m.start, &m.end, &mode, &m.offset, &major, &minor, &m.inode)
	if n < 7 || m.inode == 0 {
		return m, false
	}
	_, path, _ := strings.Cut(line, "/")
	m.path, m.dev, m.executable = "/"+path, unix.Mkdev(major, minor), strings.Contains(mode, "x")
	return m, true
}
