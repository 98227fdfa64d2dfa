package verifier

import (
	_ "embed"
	"encoding/hex"
	"strconv"
	"strings"

	"skep/vm/helper"
)

// measuredHelpers are the helpers that programs may call, as the kernels themselves say: a line for each kernel, type of program and place
// of attachment, with a set of numbers, the lowest bit of the first byte being number 0. TestHelpersAgree prints these lines.
//
//go:embed helper_measured.txt
var measuredHelpers string

// A helperSet is the numbers of helpers.
type helperSet []byte

func (s helperSet) has(n int32) bool { return int(n/8) < len(s) && s[n/8]>>(n%8)&1 != 0 }

// helpersOf finds the helpers of a program's type: those of the newest kernel measured that is not newer than the one asked about, and of
// the next one for helpers which that had not yet.
func (v *verifier) helpersOf() (set, later helperSet) {
	kind, place := strconv.Itoa(int(v.prog.spec.Type)), strconv.Itoa(int(v.prog.spec.AttachType))
	set, later = v.helpersAt(kind, place)
	if set == nil {
		set, later = v.helpersAt(kind, "")
	}
	return set, later
}

// helpersAt finds the helpers for programs of a type that are attached at a place, or at the first of all places if that is "".
func (v *verifier) helpersAt(kind, place string) (set, later helperSet) {
	var best Kernel
	for line := range strings.Lines(measuredHelpers) {
		f := strings.Fields(line)
		if len(f) != 4 || f[1] != kind || place != "" && f[2] != place {
			continue
		}
		k, err := ParseKernel(f[0])
		bits, bad := hex.DecodeString(f[3])
		switch {
		case err != nil || bad != nil:
		case k <= v.rules.kernel && k > best:
			best, set = k, bits
		case k > v.rules.kernel && later == nil:
			later = bits
		}
	}
	return set, later
}

// measured reports whether programs of this type may call the helper, where that has been measured.
func (v *verifier) measured(h *helper.Helper) (may, known bool) {
	if !v.helpersRead {
		v.helpers, v.laterHelpers = v.helpersOf()
		v.helpersRead = true
	}
	if v.helpers == nil {
		return false, false
	}
	return v.helpers.has(h.Number) || Kernel(h.Kernel()) > v.measuredAt() && v.laterHelpers.has(h.Number), true
}

// measuredAt is the newest kernel measured that is not newer than the one asked about.
func (v *verifier) measuredAt() (k Kernel) {
	for _, m := range append(Kernels[:len(Kernels):len(Kernels)], Linux7_2) {
		if m <= v.rules.kernel {
			k = m
		}
	}
	return k
}
