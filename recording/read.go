package recording

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"skep/probe"
)

// A Reader reads a recording. All but the events is known when it has been opened.
type Reader struct {
	Header  Header
	Types   []byte // BTF; nil if there is none
	Start   Start
	Started bool // Start is known
	End     End
	Ended   bool // the recording has ended in order, as End says
	Answers []Answer
	Events  int // that can be read
	// Broken is why it cannot be read to its end; nil if it can.
	Broken *Error

	file    io.ReadSeeker
	in      *bufio.Reader
	offset  int64 // of the next block
	block   int64 // of the one in content
	content []byte
	at      int // in content
	tasks   []Task
	stacks  [][]uint64
	given   int // events
}

// Open reads a recording once, to know what stands behind its events. The error is of a file that is no recording at all, or of which
// nothing can be used.
func Open(file io.ReadSeeker) (*Reader, error) {
	r := &Reader{file: file}
	if err := r.rewind(); err != nil {
		return nil, err
	}
	header := false
	for {
		kind, d, err := r.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = r.keep(kind, d, &header)
		}
		if err != nil {
			if r.Broken = broken(err); r.Broken == nil {
				return nil, err
			}
			break
		}
	}
	if !header {
		if r.Broken == nil {
			r.Broken = &Error{Offset: r.offset, Inside: -1, What: "the recording ends before its header", Cut: true}
		}
		return nil, r.Broken
	}
	return r, r.rewind()
}

// broken gives the *Error, nil if it is another error.
func broken(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// rewind goes to the first block.
func (r *Reader) rewind() error {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the recording: %w", err)
	}
	r.in = bufio.NewReaderSize(r.file, 64<<10)
	r.content, r.at, r.tasks, r.stacks = nil, 0, nil, nil
	start := make([]byte, fileHeader)
	if _, err := io.ReadFull(r.in, start); err != nil || string(start[:len(magic)]) != magic {
		return &Error{Inside: -1, What: "this is not a recording of skep"}
	}
	if v := binary.LittleEndian.Uint32(start[len(magic):]); v != version {
		return &Error{Offset: int64(len(magic)), Inside: -1, What: fmt.Sprintf("the recording has version %d of the format, and this skep reads version %d", v, version)}
	}
	r.offset = int64(fileHeader)
	return nil
}

// keep takes what stands between the events.
func (r *Reader) keep(kind byte, d *decoder, header *bool) error {
	if !*header && kind != entryHeader && kind != entryTypes {
		return r.wrong(d, "the header does not come first")
	}
	var into any
	switch kind {
	case entryHeader:
		*header, into = true, &r.Header
	case entryTypes:
		r.Types = bytes.Clone(d.b)
	case entryStart:
		r.Started, into = true, &r.Start
	case entryEnd:
		r.Ended, into = true, &r.End
	case entryAnswer:
		a := Answer{About: string(d.text()), Question: string(d.text()), Text: string(d.text())}
		r.Answers = append(r.Answers, a)
	case entryEvent:
		d.event(r)
		r.Events++
	}
	if into != nil {
		if err := json.Unmarshal(d.b, into); err != nil {
			return r.wrong(d, "JSON: "+strings.TrimPrefix(err.Error(), "json: "))
		}
		if what := r.implausible(); what != "" {
			return r.wrong(d, what)
		}
	}
	if d.what != "" {
		if kind == entryEvent {
			r.Events--
		}
		return r.wrong(d, d.what)
	}
	return nil
}

const (
	mostCPUs   = 1024
	mostState  = 64
	mostRecord = 1 << 16 // bytes of a tracepoint's record
)

// implausible says what in the header nobody has written who had recorded something.
func (r *Reader) implausible() string {
	h := &r.Header
	if h.CPUs < 0 || h.CPUs > mostCPUs || len(r.Start.State) > mostState {
		return "a number of the header is out of range"
	}
	for _, p := range h.Probes {
		switch p.Form {
		case None, Syscall, Record, Words, Regs, Perf:
		default:
			return fmt.Sprintf("contexts of an unknown form, %q", p.Form)
		}
		if _, _, ok := strings.Cut(p.Point.Name, ":"); !ok && p.Form != None || p.Point.Name == "" || p.Point.Kind > probe.Bench {
			return fmt.Sprintf("%q is not a probe", p.Point.Name)
		}
	}
	for name, f := range h.Formats {
		if f == nil {
			return "tracepoint " + name + " has no format"
		}
		for _, field := range f.Fields {
			if field.Offset < 0 || field.Size < 0 || field.Offset > mostRecord || field.Size > mostRecord || field.Array < -1 || field.Array > mostRecord {
				return "field " + field.Name + " of tracepoint " + name + " is out of range"
			}
		}
	}
	return ""
}

func (r *Reader) wrong(d *decoder, what string) error {
	return &Error{Offset: r.block, Inside: d.at, What: what}
}

// Next gives the next event, and io.EOF after the last one that can be read. Its memory is the caller's.
func (r *Reader) Next() (*Event, error) {
	for r.given < r.Events {
		kind, d, err := r.next()
		if err != nil {
			return nil, err
		}
		if kind != entryEvent {
			continue
		}
		e := d.event(r)
		if d.what != "" {
			return nil, r.wrong(d, d.what)
		}
		r.given++
		return e, nil
	}
	return nil, io.EOF
}

// next gives the next entry, with what must be known of tasks and stacks taken in.
func (r *Reader) next() (kind byte, d *decoder, err error) {
	for r.at >= len(r.content) {
		if err := r.readBlock(); err != nil {
			return 0, nil, err
		}
	}
	d = &decoder{b: r.content[r.at:], at: r.at}
	kind = d.b[0]
	d.b, d.at = d.b[1:], d.at+1
	n := d.number()
	at := d.at
	if n > uint64(len(d.b)) {
		d.fail("an entry goes over the end of its block")
	}
	if d.what != "" {
		return 0, nil, r.wrong(d, d.what)
	}
	d.b = d.b[:n:n]
	r.at = at + int(n)
	switch kind {
	case entryTask:
		r.tasks = append(r.tasks, d.task())
	case entryStack:
		r.stacks = append(r.stacks, d.frames())
	}
	if d.what != "" {
		return 0, nil, r.wrong(d, d.what)
	}
	return kind, d, nil
}

func (r *Reader) readBlock() error {
	var h [blockHeader]byte
	at := r.offset
	failed := func(what string, cut bool) error { return &Error{Offset: at, Inside: -1, What: what, Cut: cut} }
	if n, err := io.ReadFull(r.in, h[:]); err != nil {
		if err == io.EOF && n == 0 {
			return io.EOF
		}
		return failed("the recording is cut off in the header of a block", true)
	}
	stored, length := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:])
	if stored > mostContent || length > mostContent {
		return failed(fmt.Sprintf("a block of %d bytes, and at most %d are possible", max(stored, length), mostContent), false)
	}
	var b bytes.Buffer // grows as the file does, whatever the header says
	if n, err := io.CopyN(&b, r.in, int64(stored)); err != nil {
		return failed(fmt.Sprintf("the recording is cut off: %d of the %d bytes of a block are there", n, stored), true)
	}
	if crc32.Checksum(b.Bytes(), castagnoli()) != binary.LittleEndian.Uint32(h[8:]) {
		return failed("a block is damaged: its checksum is another one", false)
	}
	content, err := io.ReadAll(io.LimitReader(flate.NewReader(&b), int64(length)+1))
	if err != nil || len(content) != int(length) {
		return failed("a block is damaged: its content cannot be unpacked", false)
	}
	r.content, r.at, r.block = content, 0, at
	r.offset = at + blockHeader + int64(stored)
	return nil
}
