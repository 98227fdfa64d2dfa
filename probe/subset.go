package probe

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// Remember makes the types remember what they are asked for, for Subset.
func (t *Types) Remember() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked == nil {
		t.asked = map[uint32]btf.Type{}
	}
}

// Subset is BTF of what was asked for since Remember: enough to ask for the same again.
func (t *Types) Subset() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	order := binary.ByteOrder(binary.LittleEndian)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = binary.BigEndian
	}
	var b btf.Builder
	for _, id := range slices.Sorted(maps.Keys(t.asked)) {
		if _, err := b.Add(t.asked[id]); err != nil {
			return nil, fmt.Errorf("type %d: %w", id, err)
		}
	}
	return b.Marshal(nil, &btf.MarshalOptions{Order: order, PreventNoTypeFound: true})
}
