package trace

import (
	"bytes"
	"encoding/binary"
	"time"

	"skep/internal/render"
	"skep/schema"
)

// words are the buckets of a histogram.
func words(b []byte) []uint64 {
	counts := make([]uint64, len(b)/8)
	for i := range counts {
		counts[i] = binary.NativeEndian.Uint64(b[8*i:])
	}
	return counts
}

// draw appends a histogram or time series, with its lines' ends.
func (v *values) draw(dst []byte, t *schema.Type, e entry) []byte {
	b, div := e.value, uint64(e.div)
	w := bytes.NewBuffer(dst)
	switch t.Kind {
	case schema.Hist:
		render.Hist(w, words(b), div, render.Log2Label(t.Bits, func(i int) uint64 {
			lo, _ := schema.HistRange(i, t.Bits)
			return uint64(lo)
		}))
	case schema.LHist:
		counts := words(b)
		render.Hist(w, counts, div, render.LinearLabel(t.Min, t.Step, len(counts)))
	case schema.TSeries:
		if points := v.points(t, b); len(points) > 0 {
			render.Series(w, time.Duration(t.Interval), points)
		}
	}
	return w.Bytes()
}

// points are the intervals of a time series from the first to the last one that has a value.
func (v *values) points(t *schema.Type, b []byte) []render.Point {
	var first, last uint64
	byEpoch := map[uint64]int{}
	for i := 0; i+slotSize <= len(b); i += slotSize {
		epoch := unsigned(b[i:], 8)
		if epoch == 0 {
			continue
		}
		byEpoch[epoch] = i
		if first == 0 || epoch < first {
			first = epoch
		}
		last = max(last, epoch)
	}
	if len(byEpoch) == 0 {
		return nil
	}
	// Slots that were not written again since the ring of intervals came round are too old to be shown.
	if n := uint64(t.Buckets); last-first >= n {
		first = last - n + 1
	}
	var points []render.Point
	for epoch := first; epoch <= last; epoch++ {
		p := render.Point{At: v.clock.time(schema.Wall, epoch*t.Interval)}
		if i, ok := byEpoch[epoch]; ok {
			p.Value = slotValue(b[i:i+slotSize], t)
		} else if len(points) == 0 {
			continue
		} else {
			p.Empty = true
		}
		points = append(points, p)
	}
	return points
}

// bucketRange is the range of a histogram's bucket, both ends inclusive; noMin and noMax say that it is open.
func bucketRange(t *schema.Type, i, n int) (low, high int64, noMin, noMax bool) {
	if t.Kind == schema.Hist {
		if i == 0 {
			return 0, -1, true, false
		}
		lo, hi := schema.HistRange(i, t.Bits)
		return lo, hi - 1, false, false
	}
	low = t.Min + int64(i-1)*t.Step
	return low, low + t.Step - 1, i == 0, i == n-1
}
