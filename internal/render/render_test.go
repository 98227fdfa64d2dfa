package render

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/golden"
	"skep/schema"
)

// TestGolden draws each NAME.in as NAME.out.
func TestGolden(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, ar *txtar.Archive) map[string]string {
		got := map[string]string{}
		for _, f := range ar.Files {
			if name, ok := strings.CutSuffix(f.Name, ".in"); ok {
				kind, values, _ := strings.Cut(string(f.Data), "\n")
				got[name+".out"] = draw(t, kind, strings.Fields(strings.ReplaceAll(values, " *", "*")))
			}
		}
		return got
	})
}

func draw(t *testing.T, kind string, values []string) string {
	t.Helper()
	var b strings.Builder
	var extra int
	var low, high, step int64
	var interval, at string
	switch {
	case scan(kind, "hist %d", &extra):
		counts := make([]uint64, schema.HistBuckets(extra))
		for _, v := range numbers(t, values) {
			counts[schema.HistIndex(v, extra)]++
		}
		from := func(i int) uint64 {
			lo, _ := schema.HistRange(i, extra)
			return uint64(lo)
		}
		check(t, Hist(&b, counts, 1, Log2Label(extra, from)))
	case scan(kind, "lhist %d %d %d", &low, &high, &step):
		counts := make([]uint64, schema.LHistBuckets(low, high, step))
		for _, v := range numbers(t, values) {
			i := (v-low)/step + 1
			if v < low {
				i = 0
			}
			counts[min(i, int64(len(counts)-1))]++
		}
		check(t, Hist(&b, counts, 1, LinearLabel(low, step, len(counts))))
	case scan(kind, "series %s %s", &interval, &at):
		each, err := time.ParseDuration(interval)
		check(t, err)
		when, err := time.Parse("15:04:05", at)
		check(t, err)
		var points []Point
		for _, v := range values {
			p := Point{At: when, Empty: v == "-"}
			if !p.Empty {
				p.Value = numbers(t, []string{v})[0]
			}
			points = append(points, p)
			when = when.Add(each)
		}
		check(t, Series(&b, each, points))
	default:
		t.Fatalf("unknown kind %q", kind)
	}
	return b.String()
}

func scan(text, format string, args ...any) bool {
	n, err := fmt.Sscanf(text, format, args...)
	return err == nil && n == len(args)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func numbers(t *testing.T, values []string) []int64 {
	t.Helper()
	var all []int64
	for _, v := range values {
		var from, to, times int64
		switch {
		case scan(v, "%d..%d*%d", &from, &to, &times):
			for i := from; i < to; i++ {
				all = append(all, i*times)
			}
		case scan(v, "%d", &from):
			all = append(all, from)
		default:
			t.Fatalf("not a number: %q", v)
		}
	}
	return all
}

// TestLog2Labels compares the first and the last bucket's names, which no golden reaches.
func TestLog2Labels(t *testing.T) {
	for extra, want := range []string{"[4E, 8E)", "[6E, 8E)", "[7E, 8E)", "[7680P, 8E)", "[7936P, 8192P)", "[8064P, 8192P)"} {
		from := func(i int) uint64 {
			lo, _ := schema.HistRange(i, extra)
			return uint64(lo)
		}
		label := Log2Label(extra, from)
		if got := label(schema.HistBuckets(extra) - 1); got != want {
			t.Errorf("with %d bits: last bucket is %s, want %s", extra, got, want)
		}
		if got := label(1); got != "[0]" {
			t.Errorf("with %d bits: first bucket is %s", extra, got)
		}
	}
}

// TestExtremes draws values that do not fit into sums and products of 64 bits.
func TestExtremes(t *testing.T) {
	var b strings.Builder
	check(t, Hist(&b, []uint64{math.MaxUint64, math.MaxUint64 / 2}, 1, func(i int) string { return "x" }))
	if got := strings.Count(b.String(), "@"); got != 52+25 {
		t.Errorf("%d marks in\n%s", got, b.String())
	}
	for _, points := range [][]Point{
		{{Value: math.MinInt64}, {Value: math.MaxInt64}},
		{{Value: math.MinInt64}},
		{{Value: math.MaxInt64}},
	} {
		b.Reset()
		check(t, Series(&b, time.Second, points))
		if got := strings.Count(b.String(), "*"); got != len(points) {
			t.Errorf("%d marks for %d points in\n%s", got, len(points), b.String())
		}
	}
}

func TestSeriesEmpty(t *testing.T) {
	var b strings.Builder
	check(t, Series(&b, time.Second, []Point{{Empty: true}}))
	if b.String() != "" {
		t.Errorf("got %q, want nothing", b.String())
	}
}

func TestStack(t *testing.T) {
	var b strings.Builder
	check(t, Stack(&b, []string{"f+1", "g+20"}, 8))
	if want := "\n        f+1\n        g+20\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestTable(t *testing.T) {
	tab := Table{Right: []bool{false, true}}
	tab.Row("PID", "COUNT", "COMM")
	tab.Row("1", "12345678", "größe", "x")
	tab.Row("1234", "", "")
	tab.Row("5", "", "a", "y")
	var b strings.Builder
	check(t, tab.Write(&b))
	want := "" +
		"PID      COUNT  COMM\n" +
		"1     12345678  größe  x\n" +
		"1234\n" +
		"5               a      y\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
