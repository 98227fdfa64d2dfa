package maps

import "syscall"

func (e Errno) isNative(target error) bool {
	n, ok := target.(syscall.Errno)
	return ok && int(n) == int(e)
}
