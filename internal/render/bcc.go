package render

import (
	"fmt"
	"io"
	"strings"
)

// Bucket is a line of a histogram as BCC's tools draw it.
type Bucket struct {
	Low, High int64
	Count     uint64
}

// Log2 draws a histogram of powers of two as BCC's tools do: a header that names the unit, then a line for each bucket, of numbers that
// fit into ten digits unless wide is set. Nothing is drawn if there are no buckets.
func Log2(w io.Writer, unit string, buckets []Bucket, wide bool) error {
	if len(buckets) == 0 {
		return nil
	}
	digits, stars := 10, 40
	text := fmt.Appendf(nil, "     %-19s : count     distribution\n", unit)
	if wide {
		digits, stars = 20, 20
		text = fmt.Appendf(nil, "               %-29s : count     distribution\n", unit)
	}
	most := mostOf(buckets)
	for _, b := range buckets {
		low := fmt.Sprint(b.Low)
		if b.Low > b.High {
			low = "-inf" // of negative values
		}
		text = fmt.Appendf(text, "%*s -> %-*d : %-8d |%s|\n", digits, low, digits, b.High, b.Count, bar(b.Count, most, stars))
	}
	_, err := w.Write(text)
	return err
}

// Linear draws a histogram of equal steps as BCC's tools do: each line begins with label(i).
func Linear(w io.Writer, unit string, counts []uint64, label func(i int) string) error {
	if len(counts) == 0 {
		return nil
	}
	most := uint64(0)
	for _, n := range counts {
		most = max(most, n)
	}
	text := fmt.Appendf(nil, "     %-13s : count     distribution\n", unit)
	for i, n := range counts {
		text = fmt.Appendf(text, "        %-10s : %-8d |%s|\n", label(i), n, bar(n, most, 40))
	}
	_, err := w.Write(text)
	return err
}

func mostOf(buckets []Bucket) uint64 {
	most := uint64(0)
	for _, b := range buckets {
		most = max(most, b.Count)
	}
	return most
}

// bar is n/most of width stars, rounded down, filled with blanks.
func bar(n, most uint64, width int) string {
	stars := 0
	if most > 0 {
		stars = int(float64(n) * float64(width) / float64(most))
	}
	stars = min(stars, width)
	return strings.Repeat("*", stars) + strings.Repeat(" ", width-stars)
}
