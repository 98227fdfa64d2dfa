package verifier

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
)

// objectPrograms are the programs in the C files of this package and of the machine's tests. Guests, which have no compiler, are given those
// that were written with SKEP_OBJECTS=testdata/objects before.
func objectPrograms(t testing.TB, types Types) []sample {
	t.Helper()
	objects, _ := filepath.Glob("testdata/objects/*.o")
	if !ktest.Emulated() {
		objects = compileObjects(t, "testdata/c/*.c", "../testdata/c/*.c")
	} else if len(objects) == 0 {
		t.Skip("there is no compiler in guests; what it makes is compared on the live kernel")
	}
	return samplesOf(t, types, objects)
}

func samplesOf(t testing.TB, types Types, objects []string) (all []sample) {
	t.Helper()
	for _, path := range objects {
		coll, err := ebpf.LoadCollectionSpec(path)
		if err != nil {
			t.Fatal(err)
		}
		tagTypes(coll.Types)
		file := strings.TrimSuffix(filepath.Base(path), ".o")
		for _, name := range slices.Sorted(maps.Keys(coll.Programs)) {
			p, err := flatten(coll, coll.Programs[name], types)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sample{file + "/" + name, p})
		}
	}
	return all
}

// tagTypes makes tags of types of those of members, since only clang 15 and later write the former.
func tagTypes(types *btf.Spec) {
	for t, err := range types.All() {
		s, ok := t.(*btf.Struct)
		if err != nil || !ok {
			continue
		}
		for i := range s.Members {
			m := &s.Members[i]
			p, ok := m.Type.(*btf.Pointer)
			if !ok {
				continue
			}
			for _, tag := range m.Tags {
				if kind, is := strings.CutPrefix(tag, "type:"); is && len(tagsOf(p.Target)) == 0 {
					m.Type = &btf.Pointer{Target: &btf.TypeTag{Value: kind, Type: p.Target}}
				}
			}
		}
	}
}

// compileObjects compiles the files of some patterns for each instruction set.
func compileObjects(t testing.TB, patterns ...string) (objects []string) {
	t.Helper()
	ktest.NeedTool(t, "clang")
	var files []string
	for _, pattern := range patterns {
		more, err := filepath.Glob(pattern)
		if err != nil || len(more) == 0 {
			t.Fatal("no C files", pattern, err)
		}
		files = append(files, more...)
	}
	dir := os.Getenv("SKEP_OBJECTS")
	if dir == "" {
		dir = t.TempDir()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		for _, cpu := range []string{"v1", "v2", "v3"} {
			if strings.HasSuffix(path, "_v3.c") && cpu != "v3" {
				continue // there are no such instructions
			}
			object := filepath.Join(dir, strings.TrimSuffix(filepath.Base(path), ".c")+"-"+cpu+".o")
			text, err := exec.Command("clang", "-target", "bpf", "-mcpu="+cpu, "-O2", "-g", "-Wno-unused", "-c", "-o", object, path).CombinedOutput()
			if err != nil {
				t.Logf("%s for %s: %s", path, cpu, text)
				continue
			}
			objects = append(objects, object)
		}
	}
	return objects
}

// TestObjectsAgree compares verdicts and costs on what clang makes.
func TestObjectsAgree(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	k := runningKernel(t)
	var y tally
	for _, s := range objectPrograms(t, k.types) {
		y.add(s, verify(s.prog, k.version, k.options()), k.load(s.prog, false))
	}
	y.log(t, k, 60)
	if y.unsound > 0 {
		t.Error("programs are accepted that the kernel rejects")
	}
}

// TestKconfig asks for programs of which one part is for newer kernels only.
func TestKconfig(t *testing.T) {
	programs := samplesOf(t, nil, compileObjects(t, "../testdata/c/version.c"))
	if len(programs) != 9 {
		t.Errorf("there are %d programs", len(programs))
	}
	for _, s := range programs {
		for _, k := range []Kernel{Linux5_10, Linux6_1} {
			want := Accepted
			if strings.Contains(s.name, "asks_badly") && k == Linux5_10 {
				want = Rejected
			}
			if r := verify(s.prog, k, Options{}); r.Verdict != want {
				t.Errorf("%s for %v is %v", s.name, k, r.Verdict)
			}
		}
	}
}
