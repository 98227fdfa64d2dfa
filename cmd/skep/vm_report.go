package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	vmmaps "skep/vm/maps"
)

// verdictNames are the names of what programs of a type return.
func verdictNames(t ebpf.ProgramType) map[uint32]string {
	switch t {
	case ebpf.XDP:
		return map[uint32]string{0: "XDP_ABORTED", 1: "XDP_DROP", 2: "XDP_PASS", 3: "XDP_TX", 4: "XDP_REDIRECT"}
	case ebpf.SchedCLS, ebpf.SchedACT:
		return map[uint32]string{
			1<<32 - 1: "TC_ACT_UNSPEC", 0: "TC_ACT_OK", 1: "TC_ACT_RECLASSIFY", 2: "TC_ACT_SHOT", 3: "TC_ACT_PIPE", 4: "TC_ACT_STOLEN",
			5: "TC_ACT_QUEUED", 6: "TC_ACT_REPEAT", 7: "TC_ACT_REDIRECT",
		}
	case ebpf.CGroupSKB:
		return map[uint32]string{0: "drop", 1: "pass"}
	}
	return nil
}

// passes reports whether a packet goes on after the verdict.
func passes(t ebpf.ProgramType, verdict uint32) bool {
	switch t {
	case ebpf.XDP:
		return verdict >= 2 && verdict <= 4
	case ebpf.SchedCLS, ebpf.SchedACT:
		return verdict != 2 && verdict != 4 && verdict != 5
	}
	return verdict != 0
}

func (r *vmRun) report() {
	names := verdictNames(r.program.Type)
	for _, v := range slices.Sorted(maps.Keys(r.verdicts)) {
		name := names[uint32(v)]
		if name == "" {
			name = fmt.Sprintf("returned %d", uint32(v))
		}
		fmt.Fprintf(r.env.stdout, "%-16s %d\n", name, r.verdicts[v])
	}
	if r.repeat > 1 && r.runs > 0 {
		per := "run"
		if r.pcap != "" {
			per = "packet"
		}
		fmt.Fprintf(r.env.stdout, "%d runs, %.1f ns per %s\n", r.runs, float64(r.spent/time.Nanosecond)/float64(r.runs), per)
	}
	for _, name := range slices.Sorted(maps.Keys(r.collection.Maps)) {
		if !strings.HasPrefix(name, ".rodata") && name != ".kconfig" {
			r.reportMap(name, r.collection.Maps[name])
		}
	}
}

// reportMap shows the entries of a map; of an array, those that are not zero.
func (r *vmRun) reportMap(name string, m vmmaps.Map) {
	spec := r.spec.Maps[name]
	if spec == nil {
		return
	}
	u := vmmaps.User{Map: m}
	var lines []string
	zeros := 0
	err := u.Each(func(key, value []byte) bool {
		if isArray(m.Type()) && isZero(value) {
			zeros++
			return true
		}
		name := showValue(spec.Key, key)
		if isArray(m.Type()) {
			name = fmt.Sprint(number(key))
		}
		lines = append(lines, fmt.Sprintf("  %s: %s", name, showValues(spec, m, value)))
		return true
	})
	if err != nil {
		return // a kind whose entries cannot be listed
	}
	if !isArray(m.Type()) {
		slices.Sort(lines)
	}
	fmt.Fprintf(r.env.stdout, "%s (%s)\n", name, spec.Type)
	for _, l := range lines {
		fmt.Fprintln(r.env.stdout, l)
	}
	if zeros > 0 {
		fmt.Fprintf(r.env.stdout, "  %d of zeros\n", zeros)
	}
}

func isArray(t ebpf.MapType) bool { return t == ebpf.Array || t == ebpf.PerCPUArray }

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// showValues shows the value of an entry, or that of each CPU.
func showValues(spec *ebpf.MapSpec, m vmmaps.Map, value []byte) string {
	size := m.ValueSize()
	if len(value) <= size || size == 0 {
		return showValue(spec.Value, value)
	}
	step := (size + 7) &^ 7
	var parts []string
	for at := 0; at+size <= len(value); at += step {
		parts = append(parts, showValue(spec.Value, value[at:at+size]))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func showBytes(b []byte) string { return hex.EncodeToString(b) }
