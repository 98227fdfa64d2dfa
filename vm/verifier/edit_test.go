package verifier

import "testing"

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
