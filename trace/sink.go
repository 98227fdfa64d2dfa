package trace

import (
	"io"

	"skep/internal/diag"
	"skep/internal/render"
	"skep/schema"
)

// sink is an output format: one file implements it for each.
type sink interface {
	attached(n int)
	// printf prints the text of an event whose arguments values.decode has found.
	printf(e *event)
	// row prints the arguments of an event as a row under its header.
	row(e *event)
	// countedRows prints the rows that were not printed, but counted.
	countedRows()
	// value prints the first argument.
	value(e *event)
	// text prints what is text already: the output of time, join, cat and system, whose kinds tell them apart.
	text(kind schema.EventKind, b []byte)
	printMap(m *schema.Map, entries []entry)
	// table begins a table, tableRow prints a row of it, of the values' args.
	table(r *rows)
	tableRow(r *rows)
	// histogram and stackEntries print what print_log2() and print_folded() and the like show.
	histogram(view *schema.View, m *schema.Map, e entry, buckets []render.Bucket)
	stackEntries(view *schema.View, m *schema.Map, entries []stackEntry)
	// report is a message of errorf or warnf, formatted.
	report(e *event, message []byte)
	// failure is a failure at run time; helper and result tell of the kernel's function if one failed. times is how often
	// it happened, where it is more than once.
	failure(at diag.Span, message, helper string, result int, times uint64)
	// lost tells that events were lost since the last time.
	lost(n uint64)
	// end is called when the last event was printed, before the maps.
	end()
}

// textSink prints as people read it.
type textSink struct {
	*output
	values *values
	errors io.Writer
	colour bool
	header string // of the last row
	counts rowCounts
	// scratch is a row that is counted.
	scratch []byte
	// noWarnings leaves failures of programs out.
	noWarnings bool
}
