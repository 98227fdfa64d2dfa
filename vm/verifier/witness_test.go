package verifier_test

import (
	"testing"

	"github.com/cilium/ebpf"

	"skep/internal/ktest"
	"skep/vm/verifier"
	"skep/vm/witness"
)

// TestWitnesses looks for inputs that show what twins are rejected for.
func TestWitnesses(t *testing.T) {
	if ktest.Emulated() {
		t.Skip("what the machine does is no matter of the running kernel")
	}
	found, all := 0, 0
	for _, s := range verifier.TwinSamples() {
		spec, err := s.Spec()
		if err != nil {
			t.Fatal(err)
		}
		coll := &ebpf.CollectionSpec{Maps: s.Maps, Programs: map[string]*ebpf.ProgramSpec{"p": spec}}
		r, err := verifier.Verify(coll, "p", verifier.Linux6_18, verifier.Options{})
		if err != nil || r.Verdict != verifier.Rejected {
			continue
		}
		w, err := witness.Find(coll, "p", r.Rejection, witness.Options{Kernel: verifier.Linux6_18})
		all++
		if w != nil {
			found++
			if w.Insn < r.Rejection.Insn {
				t.Errorf("%s: the program ended at %d, before the refused instruction", s.Name(), w.Insn)
			}
			t.Logf("%s: %v\n   %+v", s.Name(), r.Rejection, w)
		} else {
			t.Logf("%s: %v\n   none (%v)", s.Name(), r.Rejection, err)
		}
	}
	t.Logf("%d of %d", found, all)
	if found*100 < all*70 {
		t.Error("for most rejections there is an input")
	}
}
