package render

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"
	"time"
)

// Point is the value of one interval of a time series. Empty says that nothing happened in it.
type Point struct {
	At    time.Time
	Value int64
	Empty bool
}

// Series draws points, one below the other, between their least and their greatest value. Where values lie on both
// sides of zero, it is marked.
func Series(w io.Writer, interval time.Duration, points []Point) error {
	low, high, any := int64(0), int64(0), false
	for _, p := range points {
		if p.Empty {
			continue
		}
		if !any {
			low, high, any = p.Value, p.Value, true
		}
		low, high = min(low, p.Value), max(high, p.Value)
	}
	if !any {
		return nil
	}
	if low == high {
		low, high = max(low, math.MinInt64+1)-1, min(high, math.MaxInt64-1)+1
	}
	header, layout := clock(interval)
	pad := len(layout) + 1
	var b strings.Builder
	least, most := fmt.Sprint(low), fmt.Sprint(high)
	borders := strings.Repeat(" ", pad) + least +
		strings.Repeat(" ", max(1, barWidth+1-len(least)-len(most))) + most + "\n"
	rule := strings.Repeat("_", barWidth-1)
	b.WriteString(borders)
	fmt.Fprintf(&b, "%s%s|%s|\n", header, strings.Repeat(" ", pad-len(header)), rule)
	for _, p := range points {
		row := []byte("|" + blanks[:barWidth-1] + "|")
		if low < 0 && high > 0 {
			row[position(0, low, high, true)] = '.'
		}
		value := "-"
		if !p.Empty {
			row[position(p.Value, low, high, false)] = '*'
			value = fmt.Sprint(p.Value)
		}
		fmt.Fprintf(&b, "%s %s %s\n", p.At.Format(layout), row, value)
	}
	fmt.Fprintf(&b, "%*sv%sv\n", pad, "", rule)
	b.WriteString(borders)
	_, err := io.WriteString(w, b.String())
	return err
}

// position is the column of v: points are rounded down, the line at zero to the nearest column.
func position(v, low, high int64, nearest bool) int {
	span := uint64(high) - uint64(low)
	hi, lo := bits.Mul64(uint64(v)-uint64(low), barWidth)
	if nearest {
		var carry uint64
		lo, carry = bits.Add64(lo, span/2, 0)
		hi += carry
	}
	column, _ := bits.Div64(hi, lo, span)
	return int(column)
}

// clock is how times are written: with as many digits as the interval needs. Whole seconds get all digits, as in
// bpftrace.
func clock(interval time.Duration) (header, layout string) {
	switch {
	case interval < time.Millisecond && interval%time.Microsecond == 0:
		return "hh:mm:ss.μs", "15:04:05.000000"
	case interval < time.Second && interval%time.Millisecond == 0:
		return "hh:mm:ss.ms", "15:04:05.000"
	}
	return "hh:mm:ss.ns", "15:04:05.000000000"
}
