//go:build !linux

package maps

func (e Errno) isNative(error) bool { return false }
