package trace

import (
	"encoding/binary"

	"skep/schema"
)

// merge makes one value of those of all CPUs. take copies memory.
func merge(t *schema.Type, values [][]byte, take func([]byte) []byte) []byte {
	if len(values) == 0 {
		return nil
	}
	out := take(values[0])
	if len(values) == 1 {
		return out
	}
	switch t.Kind {
	case schema.Count, schema.Sum, schema.Avg, schema.Stats, schema.Hist, schema.LHist:
		for _, b := range values[1:] {
			addWords(out, b)
		}
	case schema.Min, schema.Max:
		for _, b := range values[1:] {
			mergeExtreme(out, b, t.Kind == schema.Min, t.Signed)
		}
	case schema.TSeries:
		for _, b := range values[1:] {
			for i := 0; i+slotSize <= min(len(out), len(b)); i += slotSize {
				mergeSlot(out[i:i+slotSize], b[i:i+slotSize], t)
			}
		}
	case schema.Int:
		n := integer(t, out)
		for _, b := range values[1:] {
			n += integer(t, b)
		}
		var sum [8]byte
		binary.NativeEndian.PutUint64(sum[:], uint64(n))
		copy(out, sum[:min(t.Size, 8)])
	default:
		// A value that is not a number, per CPU: the first that was written.
		for _, b := range values {
			if !isZero(b) {
				copy(out, b)
				break
			}
		}
	}
	return out
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func addWords(to, from []byte) {
	for i := 0; i+8 <= min(len(to), len(from)); i += 8 {
		n := binary.NativeEndian.Uint64(to[i:]) + binary.NativeEndian.Uint64(from[i:])
		binary.NativeEndian.PutUint64(to[i:], n)
	}
}

// mergeExtreme keeps the smaller or larger of two {value, set}.
func mergeExtreme(to, from []byte, least, signed bool) {
	if len(to) < 16 || len(from) < 16 || unsigned(from[8:], 8) == 0 {
		return
	}
	a, b := unsigned(to, 8), unsigned(from, 8)
	less := b < a
	if signed {
		less = int64(b) < int64(a)
	}
	if unsigned(to[8:], 8) == 0 || a != b && less == least {
		copy(to, from[:16])
	}
}

// slotSize is the size of an interval of a time series: {epoch, a, b}.
const slotSize = 24

// mergeSlot merges an interval: a later epoch wins, the same one is combined as the series wants.
func mergeSlot(to, from []byte, t *schema.Type) {
	e, f := unsigned(to, 8), unsigned(from, 8)
	switch {
	case f < e || f == 0:
	case f > e:
		copy(to, from)
	case t.Agg == "avg" || t.Agg == "sum":
		addWords(to[8:], from[8:])
	case t.Agg == "min" || t.Agg == "max":
		mergeExtreme(to[8:], from[8:], t.Agg == "min", t.Signed)
	case unsigned(from[16:], 8) > unsigned(to[16:], 8): // the value that was written last
		copy(to, from)
	}
}

// slotValue is the number that an interval shows.
func slotValue(b []byte, t *schema.Type) int64 {
	a, n := unsigned(b[8:], 8), unsigned(b[16:], 8)
	if t.Agg != "avg" || n == 0 {
		return int64(a)
	}
	if t.Signed {
		return int64(a) / int64(n)
	}
	return int64(a / n)
}

// divide divides the numbers of a value in place, as print(@m, top, div) wants.
func divide(t *schema.Type, b []byte, div int64) {
	words := 0
	switch t.Kind {
	case schema.Count, schema.Sum, schema.Min, schema.Max:
		words = 1
	case schema.Avg:
		// The average is shown, so the total is divided: exactly, but for rounding.
		words = 1
	case schema.Int:
		n := integer(t, b)
		if t.Signed {
			n /= div
		} else {
			n = int64(uint64(n) / uint64(div))
		}
		var word [8]byte
		binary.NativeEndian.PutUint64(word[:], uint64(n))
		copy(b, word[:min(t.Size, 8)])
		return
	}
	for i := 0; i < words && 8*i+8 <= len(b); i++ {
		n := unsigned(b[8*i:], 8)
		if t.Signed {
			n = uint64(int64(n) / div)
		} else {
			n /= uint64(div)
		}
		binary.NativeEndian.PutUint64(b[8*i:], n)
	}
}
