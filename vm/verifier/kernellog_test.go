package verifier_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"skep/internal/ktest"
	"skep/vm/kernellog"
	"skep/vm/verifier"
)

// TestKernelLogs explains the running kernel's logs of what it rejects, and compares with what is said here without a log.
func TestKernelLogs(t *testing.T) {
	ktest.Need(t, ktest.Root)
	k := verifier.Running(t)
	twins := verifier.TwinSamples()
	samples := twins
	for i := range uint64(1500) {
		g := rand.New(rand.NewPCG(i, 9))
		samples = append(samples, twins[g.IntN(len(twins))].Mutate(g, i))
	}
	logs, known, sameRule, sameInsn := 0, 0, 0, 0
	unknown, other := map[string]int{}, map[string]int{}
	for _, s := range samples {
		log := k.Log(s)
		if strings.TrimSpace(log) == "" {
			continue
		}
		e, err := kernellog.Explain(log)
		if err != nil {
			continue // rejected without a reason
		}
		logs++
		if e.Rule == "" {
			unknown[e.Kernel]++
			continue
		}
		known++
		w := s.Walk(k.Version, verifier.Options{}, 4000)
		if w.Result.Verdict != verifier.Rejected {
			continue
		}
		r := w.Result.Rejection
		if e.At.Insn == r.Insn || e.At.Insn < 0 {
			sameInsn++
		}
		if e.Rule == r.Rule {
			sameRule++
		} else {
			other[r.Rule+" / "+e.Rule+": "+r.Text+" / "+e.Kernel]++
		}
	}
	t.Logf("%d logs, %d known, %d with our rule, %d at our instruction", logs, known, sameRule, sameInsn)
	for m, n := range unknown {
		t.Logf("unknown: %4d %s", n, m)
	}
	for m, n := range other {
		t.Logf("other: %4d %s", n, m)
	}
	if known*100 < logs*95 {
		t.Error("many messages are not known")
	}
}
