package helper

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestTable compares numbers and names with those of the library that everything else uses.
func TestTable(t *testing.T) {
	for i := range table {
		h := &table[i]
		if int(h.Number) != i+1 {
			t.Errorf("row %d has the number %d", i, h.Number)
		}
		got := strings.ReplaceAll(h.Name, "_", "")
		want := strings.ToLower(strings.TrimPrefix(asm.BuiltinFunc(h.Number).String(), "Fn"))
		if got != want {
			t.Errorf("helper %d is %s, not %s", h.Number, want, got)
		}
		if h.Programs == 0 || h.Since < 3_19 || ByName(h.Name) != h || ByNumber(h.Number) != h {
			t.Errorf("row %s is incomplete", h.Name)
		}
		n := h.NumArgs()
		for j, a := range h.Args {
			if j >= n && a != None {
				t.Errorf("%s: an argument follows none", h.Name)
			}
			if k := a.Kind(); (k == Size || k == SizeOrZero) && (j == 0 || h.Args[j-1].Kind() != Mem || h.Args[j-1].Has(FixedSize)) {
				t.Errorf("%s: argument %d is the size of nothing", h.Name, j+1)
			}
			if a.Kind() == Mem && (a.Has(FixedSize) == (j+1 < n && (h.Args[j+1].Kind() == Size || h.Args[j+1].Kind() == SizeOrZero))) {
				t.Errorf("%s: argument %d has no size, or two", h.Name, j+1)
			}
			if a.Kind() == BTF && h.BTF == "" && h.Name != "kptr_xchg" {
				t.Errorf("%s: no type for argument %d", h.Name, j+1)
			}
		}
	}
	if ByNumber(0) != nil || ByNumber(Max()+1) != nil || ByName("no_such") != nil {
		t.Error("helpers are found that are none")
	}
}

func TestKernel(t *testing.T) {
	if got := ByName("map_lookup_elem").Kernel(); got != 3<<16|19<<8 {
		t.Errorf("map_lookup_elem came with %#x", got)
	}
	if h := ByName("xdp_adjust_head"); !h.Programs.Has(ebpf.XDP) || h.Programs.Has(ebpf.Kprobe) {
		t.Error("xdp_adjust_head is for XDP alone")
	}
}
