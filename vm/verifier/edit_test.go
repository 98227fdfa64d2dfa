package verifier

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestVariableLength asks where memory ends that a pointer into a section leads to.
func TestVariableLength(t *testing.T) {
	m := &mapDef{spec: &ebpf.MapSpec{ValueSize: 136, Value: &btf.Datasec{Size: 136, Vars: []btf.VarSecinfo{{Offset: 0, Size: 8}, {Offset: 8, Size: 100}}}}}
	for off, want := range map[int32]int{0: 8, 7: 8, 8: 108, 107: 108, 108: 136, -1: 136} {
		if got := (&reg{kind: ptrMapValue, mp: m, off: off}).length(); got != want {
			t.Errorf("%d: %d instead of %d", off, got, want)
		}
	}
}

// TestEdits asks that the edits found are accepted, and looks at what is found for the bad twins.
func TestEdits(t *testing.T) {
	found, rejected := 0, 0
	for _, s := range twinPrograms() {
		r := verify(s.prog, Linux6_18, Options{})
		if r.Verdict != Rejected {
			continue
		}
		rejected++
		edits := r.Rejection.Edits()
		if edits != nil {
			found++
		}
		t.Logf("%s: %v: %+v", s.name, r.Rejection, edits)
	}
	t.Logf("%d of %d", found, rejected)
	if found*100 < rejected*35 {
		t.Error("for many rejections there is an edit")
	}
}
