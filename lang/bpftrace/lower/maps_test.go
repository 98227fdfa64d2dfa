package lower

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/rlimit"

	"skep/internal/ktest"
)

// TestMapLimit loads a program with as many maps as may be, and wants a message for one with one more.
func TestMapLimit(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	// Besides the script's maps, the program uses the data ring and the state, which says whether its reader sleeps, and the counters of
	// what is lost.
	const most = maxMaps - 3
	script := func(n int) string {
		var b strings.Builder
		b.WriteString("BEGIN { print(pid);")
		for i := range n {
			fmt.Fprintf(&b, " @m%d = pid;", i)
		}
		return b.String() + " }"
	}
	target := liveTarget(t)
	loadScript(t, script(most), target, Options{})
	_, err := compileScript(script(most+1), target, Options{})
	if want := fmt.Sprintf("too many maps in one probe: %d, at most %d", most+1, most); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("one more: %v\nwant %s", err, want)
	}
}
