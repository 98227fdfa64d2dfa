package trace

import (
	"cmp"
	"slices"
	"strconv"
)

// rowCounts are rows that are not shown as they come: count_rows() counts those that look the same.
type rowCounts struct {
	of map[countedRow]uint64
}

// countedRow is a row as it looks, under the header that it belongs to.
type countedRow struct{ header, line string }

func (c *rowCounts) add(header string, line []byte) {
	if c.of == nil {
		c.of = map[countedRow]uint64{}
	}
	c.of[countedRow{header, string(line)}]++
}

// each calls f with all rows, the most frequent first, and forgets them.
func (c *rowCounts) each(f func(r countedRow, n uint64)) {
	rows := make([]countedRow, 0, len(c.of))
	for r := range c.of {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b countedRow) int {
		return cmp.Or(cmp.Compare(c.of[b], c.of[a]), cmp.Compare(a.header, b.header), cmp.Compare(a.line, b.line))
	})
	for _, r := range rows {
		f(r, c.of[r])
	}
	c.of = nil
}

// countWidth is the width of the column that stands before counted rows.
const countWidth = 9

// countedRows prints the rows that have been counted, with their number before them.
func (s *textSink) countedRows() {
	s.counts.each(func(r countedRow, n uint64) {
		header := "COUNT\n"
		if r.header != "" {
			header = string(padded("COUNT")) + r.header
		}
		s.tableHeader(header)
		s.buf = append(append(s.buf, padded(strconv.FormatUint(n, 10))...), r.line...)
	})
}

func padded(text string) []byte {
	return pad([]byte(text), 0, &op{width: countWidth, minus: true}, ' ')
}

func (s *jsonSink) countedRows() {
	s.counts.each(func(r countedRow, n uint64) {
		s.raw(`{"count":` + strconv.FormatUint(n, 10) + "," + r.line[1:])
	})
}
