package enginetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"

	"skep/vm/engine"
	"skep/vm/maps"
	"skep/vm/memory"
)

// A State is what a run of a random program begins with, and what it leaves.
type State struct {
	Value  []byte // of the array map: registers and memory to work on
	Packet []byte
	Hash   []byte // the entries of the hash map after the run; it begins with those that the run before has left
}

// NewState makes registers, memory and a packet for a run.
func NewState(r *rand.Rand) *State {
	s := &State{Value: make([]byte, ValueSize), Packet: make([]byte, packetSize)}
	for i := 0; i < ValueSize; i += 8 {
		n := r.Uint64() >> r.IntN(64)
		if r.IntN(2) == 0 {
			n = edges[r.IntN(len(edges))]
		}
		binary.NativeEndian.PutUint64(s.Value[i:], n)
	}
	for i := range s.Packet {
		s.Packet[i] = byte(r.Uint32())
	}
	return s
}

func (s *State) clone() *State {
	return &State{bytes.Clone(s.Value), bytes.Clone(s.Packet), bytes.Clone(s.Hash)}
}

// difference tells where two states differ, or nothing.
func (s *State) difference(other *State) string {
	for _, part := range []struct {
		name      string
		one, that []byte
	}{{"value", s.Value, other.Value}, {"packet", s.Packet, other.Packet}, {"hash map", s.Hash, other.Hash}} {
		if bytes.Equal(part.one, part.that) {
			continue
		}
		at := 0
		for at < min(len(part.one), len(part.that)) && part.one[at] == part.that[at] {
			at++
		}
		at &^= 7
		return fmt.Sprintf("the %s at %d: % x, % x", part.name, at, part.one[at:min(at+8, len(part.one))], part.that[at:min(at+8, len(part.that))])
	}
	return ""
}

// The hash map of random programs has less room than there are keys.
const (
	hashKeys    = 8
	hashEntries = 5
)

// hashSpec is the hash map of a random program.
func hashSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "hash", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: hashEntries}
}

// dumpHash has for each key whether it is there, and its value.
func dumpHash(lookup func(key, value []byte) error) []byte {
	out := make([]byte, hashKeys*16)
	for k := range hashKeys {
		if lookup(binary.NativeEndian.AppendUint32(nil, uint32(k)), out[k*16+8:k*16+16]) == nil {
			out[k*16] = 1
		}
	}
	return out
}

// A ground is what random programs find when an engine runs them.
type ground struct {
	thread  *engine.Thread
	value   *memory.Block
	context *memory.Block // a struct __sk_buff
	packet  *memory.Block
	hash    maps.Map
}

// newGround makes everything but the hash map.
func newGround(t testing.TB, checked bool) *ground {
	t.Helper()
	packet, err := memory.NewLow(packetSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packet.Free() })
	g := &ground{NewThread(t, checked), NewBlock(t, ValueSize), NewBlock(t, skbSize), packet, nil}
	binary.NativeEndian.PutUint32(g.context.Bytes()[skbData:], uint32(packet.Base()))
	binary.NativeEndian.PutUint32(g.context.Bytes()[skbDataEnd:], uint32(packet.Base()+packetSize))
	if checked {
		g.thread.Space.Add(memory.Region{Base: g.value.Base(), Size: ValueSize, Name: "value"})
		g.thread.Space.Add(memory.Region{Base: g.context.Base(), Size: skbSize, ReadOnly: true, Name: "context"})
		g.thread.Space.Add(memory.Region{Base: packet.Base(), Size: packetSize, Name: "packet"})
	}
	g.thread.Packet = func(_ *engine.Thread, _ uint64, off int32, size int) (value uint64, ok bool) {
		if off < 0 || int(off)+size > packetSize {
			return 0, false
		}
		for _, b := range packet.Bytes()[off : int(off)+size] {
			value = value<<8 | uint64(b)
		}
		return value, true
	}
	return g
}

// renew gives the next program an empty hash map, if it has one.
func (g *ground) renew(r *Random) error {
	if err := g.drop(); err != nil || !r.Hash {
		return err
	}
	var err error
	if g.hash, err = maps.New(hashSpec(), maps.Options{CPUs: 1}); err != nil {
		return err
	}
	if space := g.thread.Space; space != nil {
		for _, region := range g.hash.Regions() {
			space.Add(region)
		}
	}
	return nil
}

// drop takes the hash map away.
func (g *ground) drop() error {
	if g.hash == nil {
		return nil
	}
	if space := g.thread.Space; space != nil {
		for _, region := range g.hash.Regions() {
			space.Remove(region.Base)
		}
	}
	err := g.hash.Close()
	g.hash = nil
	return err
}

// run runs a program on a state, which it changes.
func (g *ground) run(m engine.Image, s *State) error {
	copy(g.value.Bytes(), s.Value)
	copy(g.packet.Bytes(), s.Packet)
	_, err := m.Run(g.thread, 0, engine.Args{R1: g.context.Base()})
	copy(s.Value, g.value.Bytes())
	copy(s.Packet, g.packet.Bytes())
	if g.hash != nil {
		s.Hash = dumpHash(func(key, value []byte) error { return maps.User{Map: g.hash}.Lookup(key, value, 0) })
	}
	return err
}
