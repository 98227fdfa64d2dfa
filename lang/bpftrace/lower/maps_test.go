package lower

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"skep/internal/ktest"
	"skep/ir"
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

// TestSetInPlace: where no entry is ever deleted, the one that is there is written to, and the kernel is asked for a new one only if there
// is none.
func TestSetInPlace(t *testing.T) {
	ktest.Need(t, ktest.Root)
	for script, lookups := range map[string]int{
		"BEGIN { @at[pid] = nsecs; }":                                  1,
		"BEGIN { $x = @at[pid]; @at[pid] = $x + 1; }":                  1,
		"BEGIN { $x = @at[pid]; @at[5] = 2; @at[pid] = $x + 1; }":      3,
		"BEGIN { $x = @at[rand]; @at[rand] = $x + 1; }":                2,
		"BEGIN { @at[pid] = nsecs; } END { delete(@at, pid); }":        0,
		"BEGIN { @at[pid] = nsecs; } END { delete(@at[pid]); }":        0,
		"BEGIN { @at[pid] = comm; }":                                   0,
		"let @at = lruhash(10); BEGIN { @at[pid] = nsecs; @at[1]++; }": 2,
	} {
		u, err := compileScript(script, &ir.Target{Kernel: 6<<16 | 18<<8, Arch: "amd64", CPUs: 2}, Options{})
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		found, updated := 0, 0
		for _, ins := range u.Spec.Programs["p0_begin"].Instructions {
			if ins.IsBuiltinCall() {
				switch asm.BuiltinFunc(ins.Constant) {
				case asm.FnMapLookupElem:
					found++
				case asm.FnMapUpdateElem:
					updated++
				}
			}
		}
		if found != lookups || updated == 0 {
			t.Errorf("%s: %d lookups, not %d, and %d updates", script, found, lookups, updated)
		}
	}
}

// TestMapsInAdvance: a probe that runs where the kernel allocates memory sees nothing of what its own map needs.
func TestMapsInAdvance(t *testing.T) {
	ktest.Need(t, ktest.Root)
	for probe, wanted := range map[string]bool{
		"rawtracepoint:kmem_cache_alloc": true, "rawtracepoint:mm_page_alloc,rawtracepoint:sched_switch": true, "rawtracepoint:sched_switch": false,
	} {
		script := "config = { max_map_keys = 1000000 } " + probe + " { @[arg0] = arg1; }"
		u, err := compileScript(script, &ir.Target{Kernel: 6<<16 | 18<<8, Arch: "amd64", CPUs: 2}, Options{})
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		for _, m := range u.Spec.Maps {
			if advance := m.Flags&unix.BPF_F_NO_PREALLOC == 0; m.MaxEntries == 1000000 && advance != wanted {
				t.Errorf("%s: entries made in advance: %t", script, advance)
			}
		}
	}
}

// TestQuietRing: the data ring is small where few records are sent at a time, and else as the host has it, unless the script says.
func TestQuietRing(t *testing.T) {
	ktest.Need(t, ktest.Root)
	for script, pages := range map[string]int{
		`BEGIN { printf("a"); } rawtracepoint:sched_switch { @ = count(); } interval:s:1 { print(@); }`: quietRing,
		`rawtracepoint:sched_switch { printf("a"); }`:                                                   0,
		`BEGIN { unroll(100) { printf("a"); } }`:                                                        0,
		`interval:s:1 { for ($i : 0..1000) { printf("a"); } }`:                                          0,
		`config = { perf_rb_pages = 16 } BEGIN { printf("a"); }`:                                        16,
	} {
		u, err := compileScript(script, &ir.Target{Kernel: 6<<16 | 18<<8, Arch: "amd64", CPUs: 2}, Options{})
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		if got := u.Script.Config.RingPages; got != pages {
			t.Errorf("%s: %d pages, not %d", script, got, pages)
		}
	}
}

// TestMapsInBursts: where several new keys may come while interrupts are off, values of each CPU are made in advance.
func TestMapsInBursts(t *testing.T) {
	ktest.Need(t, ktest.Root)
	for probe, wanted := range map[string]bool{
		"rawtracepoint:sched_switch": true, "kprobe:try_to_wake_up": true, "kprobe:vfs_read,kprobe:enqueue_task_fair": true,
		"rawtracepoint:sys_enter": false, "kprobe:vfs_read": false,
	} {
		script := "config = { max_map_keys = 65536 } " + probe + " { @[nsecs] = count(); }"
		u, err := compileScript(script, &ir.Target{Kernel: 6<<16 | 18<<8, Arch: "amd64", CPUs: 2}, Options{})
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		for _, m := range u.Spec.Maps {
			if advance := m.Flags&unix.BPF_F_NO_PREALLOC == 0; m.MaxEntries == 65536 && advance != wanted {
				t.Errorf("%s: entries made in advance: %t", script, advance)
			}
		}
	}
}
