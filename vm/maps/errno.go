package maps

import "io/fs"

// An Errno is an error number of Linux, whatever system this runs on: programs get it negated.
type Errno int

const (
	EPERM      Errno = 1
	ENOENT     Errno = 2
	E2BIG      Errno = 7
	EBADF      Errno = 9
	EAGAIN     Errno = 11
	ENOMEM     Errno = 12
	EACCES     Errno = 13
	EFAULT     Errno = 14
	EBUSY      Errno = 16
	EEXIST     Errno = 17
	ENODEV     Errno = 19
	EINVAL     Errno = 22
	ENOSPC     Errno = 28
	EOVERFLOW  Errno = 75
	EOPNOTSUPP Errno = 95
	ENOTSUPP   Errno = 524 // which the kernel keeps to itself, but shows for maps
)

var errnoText = map[Errno]string{
	EPERM:      "operation not permitted",
	ENOENT:     "no such entry",
	E2BIG:      "the map is full, or the key or size too big",
	EBADF:      "bad file descriptor",
	EAGAIN:     "no room now",
	ENOMEM:     "cannot allocate memory",
	EACCES:     "permission denied",
	EFAULT:     "bad address",
	EBUSY:      "busy",
	EEXIST:     "entry exists",
	ENODEV:     "no such device",
	EINVAL:     "invalid argument",
	ENOSPC:     "value size does not fit",
	EOVERFLOW:  "value too large",
	EOPNOTSUPP: "operation not supported by this map",
	ENOTSUPP:   "operation is not supported",
}

func (e Errno) Error() string {
	if text := errnoText[e]; text != "" {
		return text
	}
	return "unknown error"
}

// Is lets errors.Is find the meanings that package fs names, and on Linux the numbers of package syscall.
func (e Errno) Is(target error) bool {
	switch target {
	case fs.ErrPermission:
		return e == EPERM
	case fs.ErrNotExist:
		return e == ENOENT
	case fs.ErrExist:
		return e == EEXIST
	}
	return e.isNative(target)
}
