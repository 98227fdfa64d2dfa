package verifier

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestZZ(t *testing.T) {
	k := runningKernel(t)
	seed, _ := strconv.ParseUint(os.Getenv("ZZ"), 10, 64)
	p := generate(rand.New(rand.NewPCG(seed, 2)), newMapDef("array", twinMaps()["array"]))
	var mine []string
	o := k.options()
	o.trace = func(v *verifier) {
		s := fmt.Sprintf("  mine before %d:", v.insn)
		for _, r := range []int{1, 7, 8, 9} {
			x := &v.regs()[r]
			if x.kind == scalar {
				s += fmt.Sprintf(" r%d=%s", r, x.debug())
			}
		}
		mine = append(mine, s)
	}
	verify(p, k.version, o)
	n := 0
	for _, l := range strings.Split(k.load(p, true).log, "\n") {
		if strings.HasPrefix(l, "from") {
			fmt.Println(l)
		}
		if walkedInsn.MatchString(l) {
			if n < len(mine) {
				fmt.Println(mine[n])
			}
			n++
			fmt.Println(l)
		}
	}
}
