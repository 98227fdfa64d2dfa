package symbol

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// rereadAfter is how long a process's mappings are believed when single addresses are not in them.
const rereadAfter = 20 * time.Millisecond

// Symbol names one address of a process. An address that is not known gives a [Symbol] that is not found; what its
// mapping is called may be known still.
func (p *Processes) Symbol(pid int, addr uint64) Symbol {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.process(pid)
	old := time.Now().Add(-rereadAfter)
	p.verify(q, old)
	s := p.symbol(q, addr, q.read.Before(old))
	p.objects.trim()
	return s
}

// Symbols names addresses of one process, such as a stack, in the order of addrs.
func (p *Processes) Symbols(pid int, addrs []uint64) []Symbol {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.process(pid)
	asked := time.Now()
	p.verify(q, asked)
	out := make([]Symbol, len(addrs))
	for i, a := range addrs {
		// Once in a call is enough to see what was mapped before it.
		out[i] = p.symbol(q, a, q.read.Before(asked))
	}
	p.objects.trim()
	return out
}

// BuildID returns the build id (in hex) of the file that the code at an address comes from, and the offset in that
// file: what names the place on another machine. ok is false if the address or the id is not known.
func (p *Processes) BuildID(pid int, addr uint64) (id string, offset uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.process(pid)
	old := time.Now().Add(-rereadAfter)
	p.verify(q, old)
	r := p.find(q, addr, q.read.Before(old))
	if r == nil || r.file == nil {
		return "", 0, false
	}
	if id = r.file.id.buildID; id == "" {
		if o := p.objects.object(r.file, q, r); o != nil {
			id = o.im.buildID()
			p.objects.trim()
		}
	}
	return id, addr - r.start + r.off, id != ""
}

// find returns the region that an address lies in; mayRead says that /proc can be asked again if it is in none.
func (p *Processes) find(q *process, addr uint64, mayRead bool) *region {
	r := q.space.find(addr)
	if r == nil && mayRead {
		p.refresh(q)
		r = q.space.find(addr)
	}
	for i := 0; r == nil && i < len(q.previous); i++ {
		r = q.previous[i].find(addr)
	}
	return r
}

func (p *Processes) symbol(q *process, addr uint64, mayRead bool) Symbol {
	r := p.find(q, addr, mayRead)
	s := Symbol{Addr: addr, Module: "[unknown]"}
	if r != nil && r.file != nil {
		s.Module = r.file.module
		if o := p.objects.object(r.file, q, r); o != nil {
			if vaddr, ok := o.im.vaddr(addr - r.start + r.off); ok {
				s.Name, s.Offset, _ = o.symbol(vaddr, !p.options.KeepMangled)
				p.objects.account(r.file)
			}
			return s
		}
		if !r.file.mayBeJIT() {
			return s
		}
	}
	if m := q.perfMap(mayRead); m != nil {
		if name, start, ok := m.find(addr); ok {
			s.Name, s.Offset = printable(name), addr-start
		}
	}
	return s
}

// perfMapCache is a process's perf map, and what the file was when it was read.
type perfMapCache struct {
	m    *perfMap
	key  fileKey
	read time.Time
}

// perfMap returns the names that a just-in-time compiler in the process has written down; nil if there are none. The
// map grows while the process runs: mayRead says to look whether it has.
func (q *process) perfMap(mayRead bool) *perfMap {
	if !q.perf.read.IsZero() && (!mayRead || time.Since(q.perf.read) < rereadAfter) {
		return q.perf.m
	}
	q.perf.read = time.Now()
	f, err := q.openPerfMap()
	if err != nil {
		return q.perf.m
	}
	defer f.Close()
	key, err := keyOf(f)
	if err != nil || q.perf.m != nil && key == q.perf.key {
		return q.perf.m
	}
	if m, err := readPerfMap(f); err == nil {
		q.perf.m, q.perf.key = m, key
	}
	return q.perf.m
}

// openPerfMap opens /tmp/perf-PID.map as the process wrote it: in its root, with the pid that it has for itself.
func (q *process) openPerfMap() (*os.File, error) {
	if q.gone {
		return openRegular(unix.AT_FDCWD, fmt.Sprintf("/tmp/perf-%d.map", q.pid), false)
	}
	f, err := openInRoot(q.pid, fmt.Sprintf("/tmp/perf-%d.map", innermostPid(q.pid)))
	if err != nil {
		return nil, err
	}
	// Anyone can write to /tmp.
	var file, owner unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &file); err == nil {
		err = unix.Stat("/proc/"+strconv.Itoa(q.pid), &owner)
	}
	if err != nil || file.Uid != 0 && file.Uid != owner.Uid {
		f.Close()
		return nil, errors.New("not the process's own file")
	}
	return f, nil
}

// innermostPid returns the pid that a process has in its own pid namespace.
func innermostPid(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return pid
	}
	for line := range bytes.Lines(b) {
		if list, ok := strings.CutPrefix(string(line), "NSpid:"); ok {
			if f := strings.Fields(list); len(f) > 0 {
				if n, err := strconv.Atoi(f[len(f)-1]); err == nil {
					return n
				}
			}
		}
	}
	return pid
}
