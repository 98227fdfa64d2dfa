package verifier

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// tally counts how often we say what the kernel says.
type tally struct {
	same, unsound, strict, unmodelled int
	accepted, sameInsns, sameStates   int
	unasked                           int
	ours, kernels                     time.Duration
	lines                             []string
	missing                           map[string]int
	apart                             []sample // of which the kernel thinks otherwise
}

func (y *tally) add(s sample, r *Result, k kernelAnswer) {
	name := s.name
	switch {
	case errors.Is(k.err, unix.EPERM) && k.insns == 0:
		y.unasked++ // the kernel has not the hook, and says nothing of the program
		return
	case r.Verdict == NotModelled:
		y.unmodelled++
		if y.missing == nil {
			y.missing = map[string]int{}
		}
		y.missing[r.Missing]++
		y.lines = append(y.lines, fmt.Sprintf("%s: not modelled: %s (kernel: accepted %v)", name, r.Missing, k.accepted))
	case r.Verdict == Accepted && !k.accepted:
		y.unsound++
		y.apart = append(y.apart, s)
		y.lines = append(y.lines, fmt.Sprintf("%s: UNSOUND: kernel: %s", name, k.reason()))
	case r.Verdict == Rejected && k.accepted:
		y.strict++
		y.apart = append(y.apart, s)
		y.lines = append(y.lines, fmt.Sprintf("%s: too strict: %v", name, r.Rejection))
	default:
		y.same++
	}
	if r.Verdict == Accepted && k.accepted {
		y.accepted++
		if r.Cost.Insns == k.insns {
			y.sameInsns++
		} else {
			y.apart = append(y.apart, s)
			y.lines = append(y.lines, fmt.Sprintf("%s: %d insns, kernel %d", name, r.Cost.Insns, k.insns))
		}
		if r.Cost.States == k.states {
			y.sameStates++
		}
	}
}

func (y *tally) String() string {
	n := y.same + y.unsound + y.strict
	return fmt.Sprintf("%d programs: %d same verdict (%.1f %%), %d accepted where the kernel rejects, %d too strict, %d that it says nothing of, %d not modelled %v; of %d accepted %d have the kernel's number of instructions (%.1f %%), %d of states",
		n+y.unmodelled, y.same, 100*float64(y.same)/float64(max(1, n)), y.unsound, y.strict, y.unasked, y.unmodelled, y.missing, y.accepted, y.sameInsns,
		100*float64(y.sameInsns)/float64(max(1, y.accepted)), y.sameStates)
}

// gravity orders what is listed: the worst first.
func gravity(line string) int {
	for i, what := range []string{": UNSOUND: ", ": too strict: ", " insns, kernel "} {
		if strings.Contains(line, what) {
			return i
		}
	}
	return 9
}

// log prints the figures, what the kernel disagrees about, and where the walks of the first such programs part.
func (y *tally) log(t *testing.T, k *kernelUnderTest, most int) {
	t.Log(y)
	for _, s := range y.apart[:min(2, len(y.apart))] {
		k.compareWalks(t, s)
	}
	slices.SortStableFunc(y.lines, func(a, b string) int { return cmp.Compare(gravity(a), gravity(b)) })
	t.Log("\n" + strings.Join(y.lines[:min(most, len(y.lines))], "\n"))
}

// TestScriptsAgree compares verdicts and costs on what our compiler makes.
func TestScriptsAgree(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	k := runningKernel(t)
	var y tally
	for _, s := range scriptPrograms(t, k.version) {
		start := time.Now()
		r := verify(s.prog, k.version, k.options())
		took := time.Since(start)
		a := k.load(s.prog, false)
		k.closeMaps() // those of all scripts would fill a guest's memory
		if a.accepted {
			y.ours, y.kernels = y.ours+took, y.kernels+a.took
		}
		y.add(s, r, a)
	}
	t.Logf("%v here, %v in the kernel", y.ours, y.kernels)
	y.log(t, k, 60)
	if y.unsound > 0 {
		t.Error("programs are accepted that the kernel rejects")
	}
}
