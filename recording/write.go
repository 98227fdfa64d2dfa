package recording

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"
)

const (
	// fullBlock is when a block is written, flushEvery the longest that an event waits for that: who is killed loses no more.
	fullBlock  = 256 << 10
	flushEvery = 100 * time.Millisecond
	// mostEvent is less than the most that a block can have. An event that is larger loses what was read for it.
	mostEvent = mostContent / 2
	// mostKnown bounds the tables of tasks and stacks of which the writer knows that the file has them.
	mostKnown = 1 << 16
)

// castagnoli is made on first use: few runs record.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// A Writer writes a recording. Its methods may be called from several goroutines.
type Writer struct {
	mu      sync.Mutex
	w       io.Writer
	content []byte
	scratch []byte
	packed  bytes.Buffer
	flate   *flate.Writer
	tasks   table
	stacks  table
	events  uint64
	err     error
	done    chan struct{}
	flusher sync.WaitGroup
}

// table numbers what is written once and referred to then.
type table struct {
	numbers map[string]uint64
	next    uint64
}

// number gives the number of content; isNew if the file does not have it.
func (t *table) number(content []byte) (n uint64, isNew bool) {
	if n, ok := t.numbers[string(content)]; ok {
		return n, false
	}
	if t.numbers == nil || len(t.numbers) >= mostKnown {
		t.numbers = map[string]uint64{}
	}
	t.next++
	t.numbers[string(content)] = t.next - 1
	return t.next - 1, true
}

// NewWriter begins a recording. types is BTF, or nil.
func NewWriter(w io.Writer, h *Header, types []byte) (*Writer, error) {
	r := &Writer{w: w, done: make(chan struct{}), flate: newFlate()}
	start := binary.LittleEndian.AppendUint32([]byte(magic), version)
	if _, err := w.Write(start); err != nil {
		return nil, fmt.Errorf("writing the recording: %w", err)
	}
	if len(types) > 0 {
		r.entry(entryTypes, types)
	}
	if err := r.json(entryHeader, h); err != nil {
		return nil, err
	}
	r.flusher.Go(func() {
		t := time.NewTicker(flushEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				r.mu.Lock()
				r.flush()
				r.mu.Unlock()
			case <-r.done:
				return
			}
		}
	})
	return r, nil
}

func newFlate() *flate.Writer {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return w
}

// Begin says what is known when all is attached.
func (r *Writer) Begin(s *Start) error { return r.json(entryStart, s) }

func (r *Writer) json(kind byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("writing the recording: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry(kind, text)
	r.flush()
	return r.failure()
}

func (r *Writer) failure() error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("writing the recording: %w", r.err)
}

// Event writes an event. Its memory is the caller's again afterwards.
func (r *Writer) Event(e *Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	task := r.known(&r.tasks, entryTask, appendTask(r.scratch[:0], &e.Task))
	stacks := make([]uint64, 0, 4)
	for i := range e.Results {
		if k := e.Results[i].Kind; k == UserStack || k == KernelStack {
			stacks = append(stacks, r.known(&r.stacks, entryStack, appendFrames(r.scratch[:0], e.Results[i].Frames)))
		}
	}
	b := appendEvent(r.scratch[:0], e, task, stacks)
	if len(b) > mostEvent {
		less := *e
		less.Results, less.Incomplete = nil, true
		b = appendEvent(b[:0], &less, task, nil)
	}
	r.entry(entryEvent, b)
	r.scratch = b[:0]
	r.events++
	return r.failure()
}

// known writes content that the file does not have yet, and gives its number.
func (r *Writer) known(t *table, kind byte, content []byte) uint64 {
	r.scratch = content[:0]
	n, isNew := t.number(content)
	if isNew {
		r.entry(kind, content)
	}
	return n
}

// Answer writes what the machine has said.
func (r *Writer) Answer(a Answer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := appendText(nil, a.About)
	b = appendText(b, a.Question)
	r.entry(entryAnswer, appendText(b, a.Text))
	return r.failure()
}

// entry appends an entry to the block.
func (r *Writer) entry(kind byte, payload []byte) {
	r.content = append(r.content, kind)
	r.content = binary.AppendUvarint(r.content, uint64(len(payload)))
	r.content = append(r.content, payload...)
	if len(r.content) >= fullBlock {
		r.flush()
	}
}

// flush writes the block.
func (r *Writer) flush() {
	if len(r.content) == 0 || r.err != nil {
		r.content = r.content[:0]
		return
	}
	r.packed.Reset()
	r.packed.Write(make([]byte, blockHeader))
	r.flate.Reset(&r.packed)
	_, err := r.flate.Write(r.content)
	if err = errors.Join(err, r.flate.Close()); err != nil {
		r.err = err
		return
	}
	b := r.packed.Bytes()
	stored := b[blockHeader:]
	binary.LittleEndian.PutUint32(b, uint32(len(stored)))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(r.content)))
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(stored, castagnoli()))
	_, r.err = r.w.Write(b)
	r.content = r.content[:0]
}

// Close ends the recording in order. The file is the caller's to close.
func (r *Writer) Close(end End) error {
	close(r.done)
	r.flusher.Wait()
	end.Events = r.events
	return r.json(entryEnd, &end)
}
