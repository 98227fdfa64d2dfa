package kernel

import (
	"encoding/binary"
	"os"
	"testing"
)

// FuzzDrain: whatever is in the memory of a ring, records lie in it, and the consumer stays behind the producer.
func FuzzDrain(f *testing.F) {
	record := func(header uint32, n int) []byte {
		b := binary.NativeEndian.AppendUint32(nil, header)
		return append(b, make([]byte, 4+(n+7)&^7)...)
	}
	f.Add(append(record(5, 5), record(ringDiscard|16, 16)...), uint64(0), uint64(40), uint64(0))
	f.Add(append(record(48, 0), record(ringBusy|8, 8)...), uint64(56), uint64(112), uint64(80))
	f.Add(record(1<<29, 0), uint64(0), uint64(8), uint64(0))
	f.Add(record(4000, 0), uint64(4088), uint64(4088), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, position, ahead, limit uint64) {
		page := os.Getpagesize()
		size := uint64(page)
		memory := make([]byte, size) // data again and again, from the position on
		position &= 1<<40 - 8
		for i := range memory {
			if len(data) > 0 {
				memory[(position+uint64(i))%size] = data[i%len(data)]
			}
		}
		producer := position + ahead%(size+1)&^7
		consumer := position
		r := &ring{size: size, area: make([]byte, 2*page), consumer: &consumer, producer: &producer, position: position}
		r.show = func(offset, length uint64) error {
			for at := range length {
				r.area[at] = memory[(offset+at)%size]
			}
			return nil
		}
		total := 0
		r.Drain(limit, func(record []byte) bool {
			total += len(record)
			return true
		})
		if total > int(size) || consumer > producer || consumer < position || consumer != r.Position() {
			t.Errorf("%d bytes; consumer from %d to %d of %d", total, position, consumer, producer)
		}
	})
}
