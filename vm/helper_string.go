package vm

import (
	"encoding/binary"
	"math"

	"skep/vm/maps"
	"skep/vm/memory"
)

func strncmp(_ *Thread, a *[5]uint64) uint64 {
	one, two, size := a[0], a[2], int(uint32(a[1]))
	for i := range size {
		x, y := memory.At(one+uint64(i), 1)[0], memory.At(two+uint64(i), 1)[0]
		switch {
		case x < y:
			return math.MaxUint64
		case x > y:
			return 1
		case x == 0:
			return 0
		}
	}
	return 0
}

const erange maps.Errno = 34

func strtol(_ *Thread, a *[5]uint64) uint64 {
	n, used, e := parseNumber(memory.At(a[0], int(uint32(a[1]))), a[2], true)
	if e == 0 {
		limit := uint64(math.MaxInt64)
		negative := used < 0
		if negative {
			limit++
		}
		if n > limit {
			e = erange
		} else if negative {
			n = -n
		}
	}
	return storeNumber(a[3], n, used, e)
}

func strtoul(_ *Thread, a *[5]uint64) uint64 {
	n, used, e := parseNumber(memory.At(a[0], int(uint32(a[1]))), a[2], false)
	return storeNumber(a[3], n, used, e)
}

// storeNumber stores a number and returns how many bytes it took, or neither.
func storeNumber(to, n uint64, used int, e maps.Errno) uint64 {
	if e != 0 {
		return errno(e)
	}
	binary.NativeEndian.PutUint64(memory.At(to, 8), n)
	return uint64(max(used, -used))
}

// parseNumber reads a number after white space. The number of bytes used is negative if a minus sign was one of them.
func parseNumber(b []byte, flags uint64, signed bool) (n uint64, used int, e maps.Errno) {
	base := flags & 31
	if flags&^31 != 0 || base != 0 && base != 8 && base != 10 && base != 16 || len(b) == 0 {
		return 0, 0, maps.EINVAL
	}
	at := 0
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	negative := at < len(b) && b[at] == '-'
	if negative {
		if !signed {
			return 0, 0, maps.EINVAL
		}
		at++
	}
	rest := b[at:]
	hex := len(rest) > 2 && rest[0] == '0' && rest[1]|0x20 == 'x' && digit(rest[2]) < 16
	switch {
	case base == 0 && hex:
		base, at = 16, at+2
	case base == 0 && len(rest) > 0 && rest[0] == '0':
		base = 8
	case base == 0:
		base = 10
	case base == 16 && hex:
		at += 2
	}
	digits := 0
	for ; at < len(b) && digit(b[at]) < base; at++ {
		d := digit(b[at])
		if n > (math.MaxUint64-d)/base {
			return 0, 0, erange
		}
		n = n*base + d
		digits++
	}
	if digits == 0 {
		return 0, 0, maps.EINVAL
	}
	if negative {
		at = -at
	}
	return n, at, 0
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0xa0 }

func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return 99
}
