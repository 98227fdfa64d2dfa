package kernel

import (
	"encoding/binary"
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
	f.Fuzz(func(t *testing.T, data []byte, position, ahead, limit uint64) {
		size := uint64(64)
		memory := make([]byte, size)
		copy(memory, data)
		position &= 1<<40 - 8
		producer := position + ahead%(size+1)&^7
		consumer := position
		r := &ring{data: memory, consumer: &consumer, producer: &producer, position: position}
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
