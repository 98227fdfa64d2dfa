package kernel

import (
	"os"
	"testing"

	"skep/internal/ktest"
)

// TestModuleBTF opens the BTF object of a module, if one that has BTF is loaded.
func TestModuleBTF(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	files, err := os.ReadDir(btfDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "vmlinux" {
			continue
		}
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
