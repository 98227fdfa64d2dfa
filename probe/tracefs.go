package probe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Tracefs is the kernel's tracing file system. Where it is not mounted, a private instance is opened that nobody else sees
// and that goes away with this process.
type Tracefs struct {
	once sync.Once
	dir  string
	fd   int // of the private mount, kept open; -1 if it is mounted
	err  error
}

// OpenTracefs returns the tracefs that is mounted at dir, for tests and unusual places.
func OpenTracefs(dir string) *Tracefs {
	t := &Tracefs{dir: dir, fd: -1}
	t.once.Do(func() {})
	return t
}

// NoTracefs returns a tracefs that cannot be read, for the reason given, and is not looked for.
func NoTracefs(reason error) *Tracefs {
	t := &Tracefs{fd: -1, err: reason}
	t.once.Do(func() {})
	return t
}

// Err tells why tracefs cannot be read, and what to do, or nil.
func (t *Tracefs) Err() error {
	t.once.Do(t.open)
	return t.err
}

func (t *Tracefs) open() {
	t.fd = -1
	denied := false
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		_, err := os.Stat(dir + "/events")
		if err == nil {
			t.dir = dir
			return
		}
		denied = denied || errors.Is(err, fs.ErrPermission)
	}
	fd, err := privateMount("tracefs")
	if err != nil {
		t.err = fmt.Errorf("tracefs is not mounted and cannot be: %w (try: mount -t tracefs tracefs /sys/kernel/tracing)", err)
		if denied || errors.Is(err, unix.EPERM) {
			t.err = fmt.Errorf("tracefs cannot be read: %w (run as root, or give read access to /sys/kernel/tracing)", err)
		}
		return
	}
	if err := unix.Faccessat(fd, "events", unix.F_OK, 0); err != nil {
		unix.Close(fd)
		t.err = errors.New("tracefs is empty: the kernel is built without tracepoints")
		if text, err := os.ReadFile("/sys/kernel/security/lockdown"); err == nil && strings.Contains(string(text), "[confidentiality]") {
			t.err = errors.New("tracefs is empty: lockdown=confidentiality forbids to read it")
		}
		return
	}
	t.fd = fd
}

// privateMount makes an instance of a file system that is not in any mount namespace (fsopen, Linux 5.2).
func privateMount(fstype string) (fd int, err error) {
	conf, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	defer unix.Close(conf)
	if err := unix.FsconfigCreate(conf); err != nil {
		return -1, fmt.Errorf("fsconfig %s: %w", fstype, err)
	}
	fd, err = unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOEXEC|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("fsmount %s: %w", fstype, err)
	}
	return fd, nil
}

// Open opens a file or directory of tracefs for reading. A private instance has no path of its own, and /proc, through which it
// would have one, need not be mounted where there is no /sys.
func (t *Tracefs) Open(name string) (*os.File, error) {
	if err := t.Err(); err != nil {
		return nil, err
	}
	if t.fd < 0 {
		return os.Open(t.dir + "/" + name)
	}
	for {
		fd, err := unix.Openat(t.fd, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), "tracefs/"+name), nil
		}
		if err != unix.EINTR {
			return nil, &fs.PathError{Op: "open", Path: "tracefs/" + name, Err: err}
		}
	}
}

// Read returns a file of tracefs.
func (t *Tracefs) Read(name string) ([]byte, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// List returns the names in a directory of tracefs, sorted.
func (t *Tracefs) List(name string) ([]string, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	sortStrings(names)
	return names, nil
}
