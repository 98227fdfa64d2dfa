package trace

import (
	"io"
	"sync/atomic"
)

// output is the buffer in front of the writer of a run. What formats appends to buf; nothing is copied twice.
type output struct {
	w    io.Writer
	mode Buffering
	buf  []byte
	err  error // of the first write that failed; nothing is written after it

	writing atomic.Bool // waits for its reader
}

// outputSize is when the buffer is handed on even while more events wait.
const outputSize = 64 << 10

func (o *output) raw(s string) { o.buf = append(o.buf, s...) }

// recordDone is called after each event.
func (o *output) recordDone() {
	if len(o.buf) >= outputSize || o.mode == FlushLines {
		o.flush()
	}
}

// idle is called when no more events wait.
func (o *output) idle() {
	if o.mode != FlushFull {
		o.flush()
	}
}

func (o *output) flush() {
	if len(o.buf) > 0 && o.err == nil {
		o.writing.Store(true)
		_, o.err = o.w.Write(o.buf)
		o.writing.Store(false)
	}
	if cap(o.buf) > 4*outputSize {
		o.buf = nil // after a map of megabytes
	}
	o.buf = o.buf[:0]
}

// A Watched output can tell that nobody reads it any more.
type Watched interface {
	// Watch returns the error that a write would.
	Watch() error
}

// watch ends a run that has nothing to say when its reader has gone.
func (o *output) watch() {
	if w, ok := o.w.(Watched); ok && o.err == nil {
		o.err = w.Watch()
	}
}
