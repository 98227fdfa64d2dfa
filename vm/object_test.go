package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
	"skep/vm/jit"
)

var compiled = struct {
	sync.Mutex
	files map[string][]byte
}{files: map[string][]byte{}}

// compileC makes an ELF object of testdata/c/name.c.
func compileC(t testing.TB, name string) []byte {
	t.Helper()
	if ktest.Emulated() {
		t.Skip("there is no compiler in guests; what it makes runs on the live kernel")
	}
	clang, err := exec.LookPath("clang")
	if err != nil {
		t.Skip("clang is not installed (Debian: apt-get install clang)")
	}
	compiled.Lock()
	defer compiled.Unlock()
	if b := compiled.files[name]; b != nil {
		return b
	}
	out := filepath.Join(t.TempDir(), "object.o")
	cmd := exec.Command(clang, "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-Wno-unused", "-c", "-o", out,
		filepath.Join("testdata", "c", name+".c"))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	compiled.files[name] = b
	return b
}

// readObject is what testdata/c/name.c compiles to.
func readObject(t testing.TB, name string) *ebpf.CollectionSpec {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(compileC(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// types are those that testdata/c/name.c defines.
func types(t testing.TB, name string) *btf.Spec {
	t.Helper()
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(compileC(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// variants are all ways to run a program.
func variants() []variant {
	vs := []variant{
		{"interpreter", LoadOptions{Engine: Interpreter, Trusted: true}},
		{"interpreter, checked", LoadOptions{Engine: Interpreter}},
		{"fastest, verified", LoadOptions{Verify: true}},
	}
	if jit.Supported {
		vs = append(vs, variant{"JIT", LoadOptions{Engine: JIT, Trusted: true}}, variant{"JIT, checked", LoadOptions{Engine: JIT}})
	}
	return vs
}

type variant struct {
	name    string
	options LoadOptions
}
