package recording

import (
	"encoding/binary"
	"math"
)

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

func appendTask(b []byte, t *Task) []byte {
	for _, n := range [...]uint32{t.TID, t.PID, t.UID, t.GID, t.ParentPID, t.OwnTID, t.OwnPID} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.LittleEndian.AppendUint64(b, t.Address)
	b = appendText(appendText(b, t.Comm), t.ParentComm)
	b = binary.AppendUvarint(b, uint64(len(t.Cgroups)))
	for _, id := range t.Cgroups {
		b = binary.AppendUvarint(b, id)
	}
	return b
}

// appendFrames writes addresses as distances, which are short.
func appendFrames(b []byte, frames []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(frames)))
	last := uint64(0)
	for _, ip := range frames {
		b = binary.AppendVarint(b, int64(ip-last))
		last = ip
	}
	return b
}

const incomplete = 1

func appendEvent(b []byte, e *Event, task uint64, stacks []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(e.Probe))
	flags := uint64(0)
	if e.Incomplete {
		flags |= incomplete
	}
	b = binary.AppendUvarint(b, flags)
	b = binary.AppendUvarint(b, e.Boot)
	b = binary.AppendUvarint(b, uint64(e.CPU))
	b = binary.AppendUvarint(b, task)
	b = appendText(b, e.Context)
	b = binary.AppendUvarint(b, uint64(len(e.Results)))
	for i := range e.Results {
		r := &e.Results[i]
		b = append(b, byte(r.Kind))
		b = binary.AppendUvarint(b, uint64(r.Errno))
		switch r.Kind {
		case ReadUser, ReadKernel:
			b = binary.LittleEndian.AppendUint64(b, r.Addr)
			if r.Errno != 0 {
				b = binary.AppendUvarint(b, r.Value)
			} else {
				b = appendText(b, r.Data)
			}
		case UserStack, KernelStack:
			b = binary.AppendUvarint(b, stacks[0])
			stacks = stacks[1:]
		default:
			b = binary.AppendUvarint(b, r.Value)
		}
	}
	return b
}

// decoder reads a payload. After the first mistake it gives zeros only.
type decoder struct {
	b    []byte
	at   int
	what string // is wrong
}

func (d *decoder) fail(what string) {
	if d.what == "" {
		d.what = what
	}
	d.b = d.b[:0]
}

func (d *decoder) number() uint64 { return varint(d, binary.Uvarint) }
func (d *decoder) signed() int64  { return varint(d, binary.Varint) }

func varint[T uint64 | int64](d *decoder, read func([]byte) (T, int)) T {
	n, size := read(d.b)
	if size <= 0 {
		d.fail("a number is cut short")
		return 0
	}
	d.b, d.at = d.b[size:], d.at+size
	return n
}

func (d *decoder) small(most uint64, what string) int {
	n := d.number()
	if n > most {
		d.fail(what + " is out of range")
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("bytes are missing")
		return nil
	}
	part := d.b[:n:n]
	d.b, d.at = d.b[n:], d.at+int(n)
	return part
}

func (d *decoder) word() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) text() []byte { return d.bytes(d.number()) }

// count reads how many follow, each of at least one byte.
func (d *decoder) count() int { return d.small(uint64(len(d.b)), "a length") }

func (d *decoder) task() (t Task) {
	for _, n := range [...]*uint32{&t.TID, &t.PID, &t.UID, &t.GID, &t.ParentPID, &t.OwnTID, &t.OwnPID} {
		*n = uint32(d.small(math.MaxUint32, "an id"))
	}
	t.Address = d.word()
	t.Comm, t.ParentComm = string(d.text()), string(d.text())
	for range d.count() {
		t.Cgroups = append(t.Cgroups, d.number())
	}
	return t
}

func (d *decoder) frames() []uint64 {
	var frames []uint64
	last := uint64(0)
	for range d.count() {
		last += uint64(d.signed())
		frames = append(frames, last)
	}
	return frames
}

func (d *decoder) event(r *Reader) *Event {
	if len(r.Header.Probes) == 0 {
		d.fail("an event, and the header has no probes")
	}
	e := &Event{Probe: d.small(uint64(max(len(r.Header.Probes)-1, 0)), "the probe")}
	e.Incomplete = d.number()&incomplete != 0
	e.Boot = d.number()
	e.CPU = d.small(uint64(max(r.Header.CPUs, 1)-1), "the CPU")
	if task := d.small(math.MaxInt32, "the task"); task < len(r.tasks) {
		e.Task = r.tasks[task]
	} else {
		d.fail("the task has not been described")
	}
	e.Context = d.text()
	n := d.count()
	for range n {
		if d.what != "" {
			break
		}
		e.Results = append(e.Results, d.result(r))
	}
	return e
}

func (d *decoder) result(r *Reader) (v Result) {
	if b := d.bytes(1); b != nil {
		v.Kind = Kind(b[0])
	}
	if v.Kind >= kinds {
		d.fail("a result is of an unknown kind")
		return v
	}
	v.Errno = d.small(4095, "an error number")
	switch v.Kind {
	case ReadUser, ReadKernel:
		v.Addr = d.word()
		if v.Errno != 0 {
			v.Value = d.number()
		} else {
			v.Data = d.text()
		}
	case UserStack, KernelStack:
		if n := d.small(math.MaxInt32, "the stack"); n < len(r.stacks) {
			v.Frames = r.stacks[n]
		} else {
			d.fail("the stack has not been described")
		}
	default:
		v.Value = d.number()
	}
	return v
}
