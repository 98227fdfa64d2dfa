package verifier

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
)

// A twin is a pair of programs, of which the first keeps a rule and the second breaks it.
type twin struct {
	name  string
	kind  ebpf.ProgramType
	to    ebpf.AttachType
	good  asm.Instructions
	bad   asm.Instructions
	since Kernel // of the good one, 0 for all
}

// twinMaps are the maps that the twins use.
func twinMaps() map[string]*ebpf.MapSpec {
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: &btf.Int{Name: "unsigned int", Size: 4}}}}
	locked := &btf.Struct{Name: "locked", Size: 16, Members: []btf.Member{
		{Name: "lock", Type: lock}, {Name: "n", Type: &btf.Int{Name: "unsigned long", Size: 8}, Offset: 64},
	}}
	inner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4}
	return map[string]*ebpf.MapSpec{
		"array":  {Type: ebpf.Array, KeySize: 4, ValueSize: 64, MaxEntries: 8},
		"one":    {Type: ebpf.Array, KeySize: 4, ValueSize: 64, MaxEntries: 1},
		"hash":   {Type: ebpf.Hash, KeySize: 8, ValueSize: 32, MaxEntries: 16},
		"ring":   {Type: ebpf.RingBuf, MaxEntries: 4096},
		"progs":  {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
		"locked": {Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4, Key: &btf.Int{Name: "int", Size: 4}, Value: locked},
		"outer":  {Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerMap: inner},
		"queue":  {Type: ebpf.Queue, ValueSize: 8, MaxEntries: 4},
	}
}

// twinPrograms are the programs of all twins.
func twinPrograms() []sample {
	var all []sample
	m := twinMaps()
	for _, w := range twins() {
		for i, insns := range []asm.Instructions{w.good, w.bad} {
			if insns == nil {
				continue
			}
			kind := w.kind
			if kind == 0 {
				kind = ebpf.SocketFilter
			}
			name := w.name + []string{"/good", "/bad"}[i]
			spec := &ebpf.ProgramSpec{Name: "twin", Type: kind, AttachType: w.to, License: "GPL", Instructions: insns}
			p, err := flatten(&ebpf.CollectionSpec{Maps: m}, spec, nil)
			if err != nil {
				panic(fmt.Sprintf("%s: %v", name, err))
			}
			all = append(all, sample{name, p})
		}
	}
	// One definition a map, so that the kernel is given one.
	shared := map[string]*mapDef{}
	for _, s := range all {
		for at, d := range s.prog.maps {
			if shared[d.name] == nil {
				shared[d.name] = d
			}
			s.prog.maps[at] = shared[d.name]
		}
	}
	return all
}

// TestTwins asks of each pair that one is accepted and the other is not.
func TestTwins(t *testing.T) {
	accepted := map[string]Verdict{}
	for _, s := range twinPrograms() {
		r := verify(s.prog, Linux6_18, Options{})
		accepted[s.name] = r.Verdict
		if r.Verdict == NotModelled {
			t.Errorf("%s is not modelled: %s", s.name, r.Missing)
		}
	}
	for _, w := range twins() {
		if v := accepted[w.name+"/good"]; w.good != nil && v != Accepted {
			t.Errorf("%s: the good one is %v", w.name, v)
		}
		if v := accepted[w.name+"/bad"]; w.bad != nil && v != Rejected {
			t.Errorf("%s: the bad one is %v", w.name, v)
		}
	}
}

// TestTwinsAgree compares with the running kernel.
func TestTwinsAgree(t *testing.T) {
	ktest.Need(t, ktest.Root)
	k := runningKernel(t)
	var y tally
	for _, s := range twinPrograms() {
		y.add(s, verify(s.prog, k.version, k.options()), k.load(s.prog, false))
	}
	y.log(t, k, 80)
	if y.unsound > 0 || y.strict*50 > y.same {
		t.Error("the kernel disagrees")
	}
}
