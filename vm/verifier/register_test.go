package verifier

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var scalarText = regexp.MustCompile(`\b(R\d)=P?(?:scalar\(([^()]*(?:\([^()]*\)[^()]*)*)\)|(-?\d+|0x[0-9a-f]+)\b)`)

// parseScalar reads what the kernel's log says of a number: the bounds that it names, others being none.
func parseScalar(fields, constant string) (r reg, ok bool) {
	r.setUnknown()
	if constant != "" {
		n, err := parseNumber(constant)
		r.setBounds(n)
		return r, err == nil
	}
	for _, part := range strings.Split(strings.ReplaceAll(fields, "; ", ";"), ",") {
		words := strings.Split(part, "=")
		last := words[len(words)-1]
		for _, w := range words[:len(words)-1] {
			n, err := parseNumber(last)
			switch w {
			case "smin":
				r.smin = int64(n)
			case "smax":
				r.smax = int64(n)
			case "umin":
				r.umin = n
			case "umax":
				r.umax = n
			case "smin32":
				r.s32min = int32(n)
			case "smax32":
				r.s32max = int32(n)
			case "umin32":
				r.u32min = uint32(n)
			case "umax32":
				r.u32max = uint32(n)
			case "var_off":
				v, m, _ := strings.Cut(strings.Trim(last, "()"), ";")
				var err2 error
				r.bits.value, err = parseNumber(v)
				r.bits.mask, err2 = parseNumber(m)
				if err2 != nil {
					return r, false
				}
			case "id", "off":
				err = nil
			default:
				return r, false
			}
			if err != nil {
				return r, false
			}
		}
	}
	return r, true
}

func parseNumber(s string) (uint64, error) {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n), nil
	}
	return strconv.ParseUint(s, 0, 64)
}

// registerDifference compares the numbers that a line of the kernel's log names with those of the registers behind that instruction.
func registerDifference(line string, regs *[11]reg) string {
	for _, m := range scalarText.FindAllStringSubmatch(line, -1) {
		n := int(m[1][1] - '0')
		want, ok := parseScalar(m[2], m[3])
		got := regs[n]
		if !ok || got.kind != scalar {
			continue
		}
		// The log leaves out bounds of 32 bits that are no news.
		same := want.smin == got.smin && want.smax == got.smax && want.umin == got.umin && want.umax == got.umax && want.bits == got.bits
		if got.umax > math.MaxUint32 || got.smin < 0 {
			same = same && (want.s32min == got.s32min && want.s32max == got.s32max && want.u32min == got.u32min && want.u32max == got.u32max)
		}
		if !same {
			return fmt.Sprintf("r%d is %s here", n, got.debug())
		}
	}
	return ""
}
