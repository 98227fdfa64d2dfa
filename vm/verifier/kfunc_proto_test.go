package verifier

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
)

// TestPlainProtos compares the prototypes written here with the kernel's own.
func TestPlainProtos(t *testing.T) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		ktest.Need(t, ktest.BTF)
	}
	for name := range plainProtos {
		var f *btf.Func
		if types.TypeByName(name, &f) != nil {
			continue // the kernel has it not yet
		}
		want, have := protoOf(f), plainProto(name)
		if len(want.Params) != len(have.Params) {
			t.Errorf("%s has %d arguments, the kernel's %d", name, len(have.Params), len(want.Params))
			continue
		}
		for i, p := range want.Params {
			_, pointer := resultOf(p.Type)
			_, mine := resultOf(have.Params[i].Type)
			if pointer != mine {
				t.Errorf("%s: the argument %s is another in the kernel", name, p.Name)
			}
			name := strings.Replace(p.Name, "__nullable", "__opt", 1) // as Linux 7.2 calls it
			for _, suffix := range []string{"__uninit", "__szk", "__opt", "__map", "__ign", "__irq_flag"} {
				if strings.HasSuffix(name, suffix) != strings.HasSuffix(have.Params[i].Name, suffix) {
					t.Errorf("%s: the argument %s is called %s by the kernel", name, have.Params[i].Name, p.Name)
				}
			}
		}
	}
}

// TestWithoutTypes asks for programs that call functions of the kernel whose types are not known.
func TestWithoutTypes(t *testing.T) {
	for _, s := range samplesOf(t, nil, compileObjects(t, "testdata/c/iterators.c")) {
		name := s.name[strings.LastIndex(s.name, "/")+1:]
		if !strings.HasPrefix(name, "numbers") {
			continue
		}
		want := Accepted
		if strings.HasSuffix(name, "_bad") {
			want = Rejected
		}
		if r := verify(s.prog, Linux6_12, Options{}); r.Verdict != want {
			t.Errorf("%s is %v: %v %s", s.name, r.Verdict, r.Rejection, r.Missing)
		}
	}
}
