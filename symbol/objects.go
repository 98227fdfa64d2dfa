package symbol

import (
	"container/list"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// file is a file that some process maps: as its mappings name it, shared by all that map it.
type file struct {
	id     fileID
	module string // what people are told

	// pin is an O_PATH descriptor of a file that our own root directory does not have, or -1.
	pin int
	// unreached says that it has not been found by any root yet.
	unreached bool

	object   *object
	key      fileKey
	tried    time.Time // when opening it went wrong last
	hopeless bool      // it is not ELF
}

type fileID struct {
	dev, inode uint64
	path       string
	buildID    string
}

// Bounds on what is held for files.
const (
	maxPins  = 512
	maxFiles = 1 << 15
	retry    = time.Second
)

// objectCache holds the files that are mapped somewhere, and the symbol tables of those that were asked for. Tables are
// shared by content: the same file under several paths, or in several mount namespaces, is read once.
type objectCache struct {
	maxBytes int64
	maxOpen  int

	files   map[fileID]*file
	pins    int
	entries map[fileKey]*cacheEntry
	lru     list.List // of *cacheEntry, most recently used first
	bytes   int64
	vdso    map[uint64]*object // by size

	forgetAt int // number of files at which to look for unused ones
}

type cacheEntry struct {
	key    fileKey
	object *object
	files  []*file
	bytes  int64
	lru    *list.Element
}

func newObjectCache(maxBytes int64, maxOpen int) objectCache {
	return objectCache{
		maxBytes: maxBytes, maxOpen: maxOpen,
		files: make(map[fileID]*file), entries: make(map[fileKey]*cacheEntry), vdso: make(map[uint64]*object),
		forgetAt: 4096,
	}
}

// file returns the file of a mapping. One that cannot be reached from our root is pinned while a process has it: the first of pids,
// or, if that has ended, another that may have the same root.
func (c *objectCache) file(pids []int, m Mapping) *file {
	id := fileID{m.Dev, m.Inode, m.Path, m.BuildID}
	f, known := c.files[id]
	if known && !f.unreached {
		return f
	}
	if !known {
		f = &file{id: id, module: printable(strings.TrimSuffix(m.Path, deleted)), pin: -1}
	}
	if !m.hasFile() {
		if !strings.HasPrefix(m.Path, "[") {
			f.module = "[unknown]"
		}
	} else if c.pins < maxPins && len(c.files) < maxFiles && !f.inOurRoot() {
		c.reach(f, pids, m)
	}
	if len(c.files) < maxFiles {
		c.files[id] = f
	}
	return f
}

// reach pins a file by the root of a process.
func (c *objectCache) reach(f *file, pids []int, m Mapping) {
	for i, pid := range pids {
		fd, err := f.openPath(pid, m, i == 0)
		if err == nil {
			f.unreached = false
			if f.pin = fd; fd >= 0 {
				c.pins++
			}
			return
		}
	}
	f.unreached = true
}

// inOurRoot reports whether our own root directory has the file under its path.
func (f *file) inOurRoot() bool {
	var st unix.Stat_t
	return unix.Lstat(f.id.path, &st) == nil && f.id.inode != 0 && st.Ino == f.id.inode && st.Dev == f.id.dev
}

// openPath opens the file without reading it; -1 without an error if it need not be. own says that it is the process itself that maps
// it, else the root of pid may have another file of that name.
func (f *file) openPath(pid int, m Mapping, own bool) (int, error) {
	fd, err := -1, error(os.ErrNotExist)
	if own {
		fd, err = unix.Open(fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, m.Start, m.End), unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		if strings.HasSuffix(m.Path, deleted) {
			return -1, nil
		}
		root, err := openRoot(pid)
		if err != nil {
			return -1, err
		}
		defer unix.Close(root)
		fd, err = unix.Openat2(root, m.Path, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err != nil {
			return -1, err
		}
	}
	var ours, theirs unix.Stat_t
	if err := unix.Fstat(fd, &theirs); err != nil {
		unix.Close(fd)
		return -1, err
	}
	// A build identifier is compared when the file is read.
	if !own && m.BuildID == "" && (m.Inode == 0 || theirs.Ino != m.Inode) {
		unix.Close(fd)
		return -1, os.ErrNotExist
	}
	// Devices of overlayfs and btrfs differ between maps and stat; this compares stat with stat.
	if unix.Lstat(m.Path, &ours) == nil && ours.Dev == theirs.Dev && ours.Ino == theirs.Ino {
		unix.Close(fd)
		return -1, nil
	}
	return fd, nil
}

// mayBeJIT tells mappings that can hold code which a process made at run time.
func (f *file) mayBeJIT() bool {
	m := Mapping{Path: f.id.path}
	return !m.hasFile() || strings.HasPrefix(f.id.path, "/memfd:") || strings.HasPrefix(f.id.path, "/dev/shm/")
}

// object returns what names the code in a file, or nil. q and r are a process that has it mapped, and where.
func (c *objectCache) object(f *file, q *process, r *region) *object {
	if f.object != nil {
		if e := c.entries[f.key]; e != nil {
			c.lru.MoveToFront(e.lru)
		}
		return f.object
	}
	if f.id.path == "[vdso]" {
		return c.vdsoObject(q, r)
	}
	if m := (Mapping{Path: f.id.path}); f.hopeless || !m.hasFile() {
		return nil
	}
	if !f.tried.IsZero() && time.Since(f.tried) < retry {
		return nil
	}
	in, root, err := f.open(q, r)
	if err != nil {
		f.tried = time.Now()
		return nil
	}
	key, err := keyOf(in)
	if err != nil {
		in.Close()
		f.tried = time.Now()
		return nil
	}
	if e, ok := c.entries[key]; ok {
		in.Close()
		f.object, f.key = e.object, key
		e.files = append(e.files, f)
		c.lru.MoveToFront(e.lru)
		return f.object
	}
	o, err := openObject(in, strings.TrimSuffix(f.id.path, deleted), root)
	if err != nil {
		in.Close()
		f.hopeless = true
		return nil
	}
	if f.id.buildID != "" && o.im.buildID() != f.id.buildID {
		o.close()
		f.tried = time.Now()
		return nil
	}
	e := &cacheEntry{key: key, object: o, files: []*file{f}}
	e.lru = c.lru.PushFront(e)
	c.entries[key] = e
	f.object, f.key = o, key
	return o
}

// open opens the file by the surest way that there is. root is the process whose root directory it was found in, 0 for
// ours.
func (f *file) open(q *process, r *region) (in *os.File, root int, err error) {
	wasDeleted := strings.HasSuffix(f.id.path, deleted)
	if !q.gone {
		in, err = openRegular(unix.AT_FDCWD, fmt.Sprintf("/proc/%d/map_files/%x-%x", q.pid, r.start, r.end), false)
		if err == nil && f.same(in) {
			return in, q.pid, nil
		}
		if err == nil {
			in.Close()
		}
		// The kernel gives paths from our root where that leads to the file (into a chroot, too), else from the process's.
		if !wasDeleted && q.space.find(r.start) == r && !f.inOurRoot() {
			if in, err = openInRoot(q.pid, f.id.path); err == nil {
				return in, q.pid, nil
			}
		}
	}
	if f.pin >= 0 {
		in, err = reopen(f.pin, f.id.path)
		return in, 0, err
	}
	if wasDeleted {
		return nil, 0, os.ErrNotExist
	}
	if in, err = openRegular(unix.AT_FDCWD, f.id.path, false); err != nil {
		return nil, 0, err
	}
	if f.id.inode != 0 && !f.same(in) || f.id.inode == 0 && f.id.buildID == "" {
		in.Close()
		return nil, 0, os.ErrNotExist // another file of that name
	}
	return in, 0, nil
}

// same reports whether an open file can be this one. The device is not compared: see [Mapping].
func (f *file) same(in *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(in.Fd()), &st) == nil && (f.id.inode == 0 || st.Ino == f.id.inode)
}

// account notes what a file's tables take of memory since they were used.
func (c *objectCache) account(f *file) {
	if e := c.entries[f.key]; e != nil {
		now := e.object.cost()
		c.bytes += now - e.bytes
		e.bytes = now
	}
}

// trim drops the tables used longest ago until the rest is within bounds; the one used last stays.
func (c *objectCache) trim() {
	for c.lru.Len() > 1 && (c.bytes > c.maxBytes || c.lru.Len() > c.maxOpen) {
		c.drop(c.lru.Back().Value.(*cacheEntry))
	}
}

func (c *objectCache) drop(e *cacheEntry) {
	c.lru.Remove(e.lru)
	delete(c.entries, e.key)
	c.bytes -= e.bytes
	for _, f := range e.files {
		f.object = nil
	}
	e.object.close()
}

func (c *objectCache) clear() {
	for c.lru.Len() > 0 {
		c.drop(c.lru.Back().Value.(*cacheEntry))
	}
	for _, f := range c.files {
		f.unpin(c)
	}
}

func (f *file) unpin(c *objectCache) {
	if f.pin >= 0 {
		unix.Close(f.pin)
		f.pin = -1
		c.pins--
	}
}

// forget drops the files that no process maps any more.
func (c *objectCache) forget(processes map[int]*process) {
	used := make(map[*file]bool)
	mark := func(s *space) {
		if s != nil {
			for i := range s.regions {
				used[s.regions[i].file] = true
			}
		}
	}
	for _, q := range processes {
		mark(q.space)
		for _, s := range q.previous {
			mark(s)
		}
	}
	for id, f := range c.files {
		if !used[f] {
			f.unpin(c)
			delete(c.files, id)
		}
	}
	c.forgetAt = max(4096, 2*len(c.files))
}

// vdsoObject returns the code that the kernel maps into each process: the process's own, or ours if it is as long.
func (c *objectCache) vdsoObject(q *process, r *region) *object {
	const maxVdso = 1 << 20
	size := r.end - r.start
	if o, ok := c.vdso[size]; ok {
		return o
	}
	if size > maxVdso || len(c.vdso) >= 8 {
		return nil
	}
	pid, start := q.pid, r.start
	maps, _ := ReadMaps(os.Getpid())
	for _, m := range maps {
		if m.Path == "[vdso]" && m.End-m.Start == size {
			pid, start = os.Getpid(), m.Start
		}
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil
	}
	defer mem.Close()
	b := make([]byte, size)
	if n, _ := mem.ReadAt(b, int64(start)); n == 0 {
		return nil
	}
	o, err := inMemory(b)
	if err != nil {
		return nil
	}
	c.vdso[size] = o
	return o
}
