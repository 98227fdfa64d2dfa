package verifier

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/internal/ktest"
)

// TestMapMade compares with the kernel which maps it makes.
func TestMapMade(t *testing.T) {
	array := func(key, flags uint32) *ebpf.MapSpec {
		return &ebpf.MapSpec{Type: ebpf.Array, KeySize: key, ValueSize: 8, MaxEntries: 1, Flags: flags}
	}
	for name, c := range map[string]struct {
		spec *ebpf.MapSpec
		ok   bool
	}{
		"array":           {array(4, 0), true},
		"read-only":       {array(4, rdonlyProg), true},
		"write-only":      {array(4, wronlyProg), true},
		"neither":         {array(4, rdonlyProg|wronlyProg), false},
		"wide keys":       {array(8, 0), false},
		"trie":            {&ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1, Flags: 1}, true},
		"trie beforehand": {&ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := &ebpf.ProgramSpec{Name: "made", Type: ebpf.SocketFilter, License: "GPL", Instructions: join(mapAt(asm.R1, "m"), ret(0))}
			p, err := flatten(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": c.spec}}, spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := verify(p, Linux6_18, Options{})
			if (r.Verdict == Accepted) != c.ok || !c.ok && r.Rejection.Rule != "map" {
				t.Errorf("the program is %v: %v", r.Verdict, r.Rejection)
			}
			ktest.Need(t, ktest.Root)
			m, err := ebpf.NewMap(c.spec)
			if (err == nil) != c.ok {
				t.Errorf("the kernel says %v", err)
			}
			if err == nil {
				m.Close()
			}
		})
	}
}
