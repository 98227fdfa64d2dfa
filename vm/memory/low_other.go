//go:build !linux

package memory

import "errors"

func allocateLow(int) ([]byte, error) { return nil, errors.ErrUnsupported }

func releaseLow([]byte) error { return nil }
