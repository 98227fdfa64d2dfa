package verifier

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"skep/internal/ktest"
)

// objectPrograms are the programs in the C files of the machine's tests.
func objectPrograms(t testing.TB, types Types) (all []sample) {
	t.Helper()
	if ktest.Emulated() {
		t.Skip("there is no compiler in guests; what it makes is compared on the live kernel")
	}
	clang, err := exec.LookPath("clang")
	if err != nil {
		t.Skip("clang is not installed (Debian: apt-get install clang)")
	}
	files, err := filepath.Glob("../testdata/c/*.c")
	if err != nil || len(files) == 0 {
		t.Fatal("no C files", err)
	}
	for _, path := range files {
		for _, cpu := range []string{"v1", "v2", "v3"} {
			object := filepath.Join(t.TempDir(), "object.o")
			if text, err := exec.Command(clang, "-target", "bpf", "-mcpu="+cpu, "-O2", "-g", "-Wno-unused", "-c", "-o", object, path).CombinedOutput(); err != nil {
				t.Logf("%s for %s: %s", path, cpu, text)
				continue
			}
			coll, err := ebpf.LoadCollectionSpec(object)
			if err != nil {
				t.Fatal(err)
			}
			for name, spec := range coll.Programs {
				p, err := flatten(coll, spec, types)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, sample{filepath.Base(path) + "/" + name + "/" + cpu, p})
			}
		}
	}
	return all
}

// TestObjectsAgree compares verdicts and costs on what clang makes.
func TestObjectsAgree(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	k := runningKernel(t)
	var y tally
	for _, s := range objectPrograms(t, k.types) {
		y.add(s.name, verify(s.prog, k.version, k.options()), k.load(s.prog, false))
	}
	y.log(t, 60)
	if y.unsound > 0 {
		t.Error("programs are accepted that the kernel rejects")
	}
}
