package trace

import (
	"encoding/binary"
	"strconv"

	"skep/schema"
)

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

func appendUint(dst []byte, n uint64, base int) []byte { return strconv.AppendUint(dst, n, base) }

// unsigned loads an integer of size bytes, or of all there are.
func unsigned(b []byte, size int) uint64 {
	switch {
	case size >= 8 && len(b) >= 8:
		return binary.NativeEndian.Uint64(b)
	case size >= 4 && len(b) >= 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case size >= 2 && len(b) >= 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case len(b) >= 1:
		return uint64(b[0])
	}
	return 0
}

// extend gives the low size bytes of n the sign that they have.
func extend(n uint64, size int) int64 {
	switch size {
	case 1:
		return int64(int8(n))
	case 2:
		return int64(int16(n))
	case 4:
		return int64(int32(n))
	}
	return int64(n)
}

// integer loads a value as an integer, whatever it is.
func integer(t *schema.Type, b []byte) int64 {
	switch t.Kind {
	case schema.Bool:
		if len(b) > 0 && b[0] != 0 {
			return 1
		}
		return 0
	case schema.Avg, schema.Stats:
		return average(t, b)
	case schema.Errno, schema.SignalName:
		return int64(int32(unsigned(b, 4)))
	case schema.Struct, schema.Tuple, schema.Array, schema.String, schema.Buffer, schema.Hist, schema.LHist, schema.TSeries:
		return 0
	}
	n := unsigned(b, t.Size)
	if t.Signed {
		return extend(n, t.Size)
	}
	return int64(n)
}

// average is the total of Avg and Stats divided by the count, rounded towards zero.
func average(t *schema.Type, b []byte) int64 {
	if len(b) < 16 {
		return 0
	}
	total, count := binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:])
	switch {
	case count == 0:
		return 0
	case t.Signed:
		return int64(total) / int64(count)
	}
	return int64(total / count)
}

// appendNumber appends an integer with the sign that its type has.
func appendNumber(dst []byte, t *schema.Type, n int64) []byte {
	if t.Signed {
		return appendInt(dst, n)
	}
	return appendUint(dst, uint64(n), 10)
}
