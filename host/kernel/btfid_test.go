package kernel

import (
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
	"skep/probe"
)

// TestTypeIDs compares ids with those of the library, which decodes everything: of the kernel, and of a module with BTF
// if one is loaded.
func TestTypeIDs(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	compareIDs(t, "", spec, 1)
	files, err := os.ReadDir(btfDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "vmlinux" {
			continue
		}
		module, err := btf.LoadKernelModuleSpec(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		compareIDs(t, f.Name(), module, 0)
		fd, err := moduleBTF(f.Name())
		if err != nil {
			t.Errorf("BTF object of module %s: %v", f.Name(), err)
			continue
		}
		closeAll([]int{fd})
		return
	}
	t.Log("no module with BTF is loaded")
}

func compareIDs(t *testing.T, module string, spec *btf.Spec, atLeast int) {
	t.Helper()
	var names []probe.TypeName
	var want []btf.TypeID
	i := 0
	for typ, err := range spec.All() {
		if err != nil {
			t.Fatal(err)
		}
		f, isFunc := typ.(*btf.Func)
		if i++; !isFunc || i%1009 != 0 && module == "" || len(names) == 30 {
			continue
		}
		if _, err := spec.TypeID(f); err != nil {
			continue // of the base
		}
		var same *btf.Func
		if err := spec.TypeByName(f.Name, &same); err != nil {
			continue // several have this name
		}
		id, err := spec.TypeID(same)
		if err != nil {
			t.Fatal(err)
		}
		names, want = append(names, probe.TypeName{Name: f.Name, Function: true}), append(want, id)
	}
	if len(names) < atLeast {
		t.Fatalf("%s: no functions to compare", module)
	}
	got, err := probe.TypeIDs(module, append(names, probe.TypeName{Name: "no such function", Function: true}))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		if got[n] != uint32(want[i]) {
			t.Errorf("%s %s: id %d, want %d", module, n.Name, got[n], want[i])
		}
	}
	if len(got) != len(names) {
		t.Errorf("%s: found %d of %d", module, len(got), len(names))
	}
}
