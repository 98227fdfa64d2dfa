package maps

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// TestTable prints what a look-up costs beside one in a map of Go's: pieces by turns, of which the median counts, as what else the machine
// does takes the caches from both. SKEP_BENCH=1 go test -run Table -v ./vm/maps
func TestTable(t *testing.T) {
	if os.Getenv("SKEP_BENCH") == "" {
		t.Skip("a measurement: SKEP_BENCH=1 asks for it")
	}
	for _, n := range []int{100, 10_000, 1_000_000} {
		compareLookups(t, n, 4, func(i int) uint32 { return uint32(i) })
		compareLookups(t, n, 8, func(i int) uint64 { return uint64(i) })
		compareLookups(t, n, 40, func(i int) (k [40]byte) { binary.NativeEndian.PutUint32(k[:], uint32(i)); return k })
	}
}

func compareLookups[K comparable](t *testing.T, n, keySize int, key func(int) K) {
	m := newTest(t, &ebpf.MapSpec{Type: ebpf.Hash, KeySize: uint32(keySize), ValueSize: 8, MaxEntries: uint32(n)})
	theirs := make(map[K]uint64, n)
	bytes := make([]byte, keySize)
	value := binary.NativeEndian.AppendUint64(nil, 1)
	for i := range n {
		binary.NativeEndian.PutUint32(bytes, uint32(i))
		if err := m.Update(0, bytes, value, Any); err != nil {
			t.Fatal(err)
		}
		theirs[key(i)] = 1
	}
	const piece = 1 << 15
	rounds := 60
	keys, flat := make([]K, piece), make([]byte, piece*keySize)
	var ours, other []float64
	for range rounds {
		for i := range keys {
			k := rand.IntN(n)
			keys[i] = key(k)
			binary.NativeEndian.PutUint32(flat[i*keySize:], uint32(k))
		}
		found := 0
		start := time.Now()
		for i := range piece {
			if m.Lookup(0, flat[i*keySize:][:keySize]) != 0 {
				found++
			}
		}
		ours = append(ours, float64(time.Since(start))/piece)
		start = time.Now()
		for _, k := range keys {
			found += int(theirs[k])
		}
		other = append(other, float64(time.Since(start))/piece)
		if found != 2*piece {
			t.Fatal("a key was not found")
		}
	}
	slices.Sort(ours)
	slices.Sort(other)
	fmt.Printf("BENCH|look-up, keys of %d bytes, %d entries|%.2f|ns|%.2f\n", keySize, n, ours[rounds/2], other[rounds/2])
}
