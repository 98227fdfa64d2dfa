package render

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Table collects rows of text and aligns their columns.
type Table struct {
	Right []bool // which columns are aligned at the right; those beyond it are not
	rows  [][]string
}

// Row adds a row. Rows may have different lengths.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Write draws the rows, with two blanks between the columns and none at the end of a line.
func (t *Table) Write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		blank := 0 // owed before the next cell
		for i, cell := range row {
			pad := widths[i] - utf8.RuneCountInString(cell)
			if i < len(t.Right) && t.Right[i] {
				blank += pad
				pad = 0
			}
			if cell != "" {
				b.WriteString(strings.Repeat(" ", blank))
				blank = 0
				b.WriteString(cell)
			}
			blank += pad + 2
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
