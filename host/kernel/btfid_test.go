package kernel

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
)

// TestFindBTF compares ids with those of the library, which decodes everything: of the kernel, and of a module with BTF
// if one is loaded.
func TestFindBTF(t *testing.T) {
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
	var names []btfName
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
		names, want = append(names, btfName{btfFunc, f.Name}), append(want, id)
	}
	if len(names) < atLeast {
		t.Fatalf("%s: no functions to compare", module)
	}
	got, err := findBTF(module, append(names, btfName{btfFunc, "no such function"}))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		if got[n] != uint32(want[i]) {
			t.Errorf("%s %s: id %d, want %d", module, n.name, got[n], want[i])
		}
	}
	if len(got) != len(names) {
		t.Errorf("%s: found %d of %d", module, len(got), len(names))
	}
}

// FuzzBTF: BTF of any bytes gives an error or no names, and ends.
func FuzzBTF(f *testing.F) {
	header := binary.NativeEndian.AppendUint16(nil, 0xeb9f)
	header = append(header, 1, 0)
	for _, word := range []uint32{24, 0, 12, 12, 8} {
		header = binary.NativeEndian.AppendUint32(header, word)
	}
	f.Add(append(header, 1, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 'f', 0, 'g', 'h', 0, 0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &btfBlob{blob: data}
		if err := b.parse(); err != nil {
			return
		}
		found, err := b.find([]btfName{{btfFunc, "f"}}, nil)
		if err != nil && !errors.Is(err, errBTF) {
			t.Error(err)
		}
		if len(found) > 1 {
			t.Error(found)
		}
	})
}
