// Package render draws histograms, series, stacks and tables as text for a terminal.
//
// Histograms and series look as bpftrace draws them, to the blank, because programs read them.
package render

import (
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"
)

const barWidth = 52

// Hist draws a histogram: a line for each bucket from the first to the last one that is not empty, with label(i) as its
// name. The counts are shown divided by div. Nothing is drawn if all are empty.
func Hist(w io.Writer, counts []uint64, div uint64, label func(i int) string) error {
	first, last := 0, len(counts)
	for first < last && counts[first] == 0 {
		first++
	}
	for last > first && counts[last-1] == 0 {
		last--
	}
	most := uint64(0)
	for _, n := range counts[first:last] {
		most = max(most, n/div)
	}
	var line []byte
	for i := first; i < last; i++ {
		n := counts[i] / div
		line = line[:0]
		line = fmt.Appendf(line, "%-16s%8d |", label(i), n)
		bar := scale(n, most)
		line = append(line, stars[:bar]...)
		line = append(line, blanks[:barWidth-bar]...)
		line = append(line, "|\n"...)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

const (
	stars  = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"
	blanks = "                                                    "
)

// scale is n/most of the width of a bar, rounded down.
func scale(n, most uint64) int {
	if most == 0 {
		return 0
	}
	hi, lo := bits.Mul64(n, barWidth)
	bar, _ := bits.Div64(hi, lo, most) // hi < most, for n ≤ most and most ≥ 1 of 64 bits
	return int(bar)
}

// Log2Label names buckets of a histogram of powers of two that are cut in 2^extra parts. Bucket 0 is that of negative
// values; the others begin at from(i) and end before from(i+1), which may be 2^63.
func Log2Label(extra int, from func(i int) uint64) func(i int) string {
	return func(i int) string {
		if i == 0 {
			return "(..., 0)"
		}
		lo, hi := from(i), from(i+1)
		if hi == lo+1 {
			return "[" + strconv.FormatUint(lo, 10) + "]"
		}
		return "[" + binary(lo, extra) + ", " + binary(hi, extra) + ")"
	}
}

// binary shortens v, the border of a bucket, by the greatest power of 1024 by which all borders of the buckets between
// the powers of two around v can be divided.
func binary(v uint64, extra int) string {
	unit := max(0, bits.Len64(v)-1-extra) / 10
	if unit == 0 {
		return strconv.FormatUint(v, 10)
	}
	return strconv.FormatUint(v>>(10*unit), 10) + " KMGTPE"[unit:unit+1]
}

// LinearLabel names the buckets of lhist(v, low, high, step): bucket 0 is below low, the last one of n from its end on.
func LinearLabel(low, step int64, n int) func(i int) string {
	return func(i int) string {
		lo := low + int64(i-1)*step
		switch {
		case i == 0:
			return "(..., " + linear(low, step) + ")"
		case i == n-1:
			return "[" + linear(lo, step) + ", ...)"
		case step == 1:
			return fmt.Sprintf("[%d]", lo)
		}
		return "[" + linear(lo, step) + ", " + linear(lo+step, step) + ")"
	}
}

// linear shortens v, the border of a bucket, where steps are whole K. Nothing is shortened beyond M.
func linear(v, step int64) string {
	switch {
	case v == 0 || step%1024 != 0 || v%1024 != 0:
		return strconv.FormatInt(v, 10)
	case v%(1<<20) != 0:
		return strconv.FormatInt(v>>10, 10) + "K"
	}
	return strconv.FormatInt(v>>20, 10) + "M"
}

// Stack draws the frames of a stack as the value of a variable: each on a line of its own.
func Stack(w io.Writer, frames []string, indent int) error {
	var b strings.Builder
	b.WriteByte('\n')
	for _, f := range frames {
		for range indent {
			b.WriteByte(' ')
		}
		b.WriteString(f)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
