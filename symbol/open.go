package symbol

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

var errNotRegular = errors.New("not a regular file")

// openRegular opens a file for reading if it is a regular one. The path may have been made by anyone: a FIFO would
// block, and opening a device has effects, so the file is looked at before it is opened. dir is the directory that path
// is relative to, or unix.AT_FDCWD; with inRoot, dir is also the root that no symbolic link leads out of.
func openRegular(dir int, path string, inRoot bool) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC}
	if inRoot {
		how.Resolve = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	}
	fd, err := unix.Openat2(dir, path, &how)
	if errors.Is(err, unix.ENOSYS) && !inRoot {
		fd, err = unix.Openat(dir, path, int(how.Flags), 0)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return reopen(fd, path)
}

// reopen opens for reading what an O_PATH descriptor stands for, if it is a regular file.
func reopen(fd int, path string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &os.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	// O_NONBLOCK keeps the runtime from registering it with its poller, and a lease from blocking.
	read, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(read), path), nil
}

// openRoot opens the root directory of a process; everything of its mount namespace is below it.
func openRoot(pid int) (int, error) {
	path := fmt.Sprintf("/proc/%d/root", pid)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// openInRoot opens the path as the process sees it.
func openInRoot(pid int, path string) (*os.File, error) {
	root, err := openRoot(pid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	return openRegular(root, path, true)
}

// fileKey is the identity of a file's content.
type fileKey struct {
	dev, inode  uint64
	mtime, size int64
}

func keyOf(f *os.File) (fileKey, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fileKey{}, err
	}
	return fileKey{dev: st.Dev, inode: st.Ino, mtime: st.Mtim.Nano(), size: st.Size}, nil
}
