package verifier

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/internal/ktest"
)

// TestNullableArgs compares the table of tracepoints' arguments that may be null with the running kernel, which is asked by programs that
// follow each of them.
func TestNullableArgs(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	if ktest.Emulated() {
		t.Skip("guests are slow: one kernel is enough")
	}
	k := runningKernel(t)
	if k.version < linux(6, 13) || k.types == nil {
		t.Skip("kernels before 6.13 do not say which arguments may be null")
	}
	var lacks []string
	for typ, err := range k.types.All() {
		def, ok := typ.(*btf.Typedef)
		if err != nil || !ok || !strings.HasPrefix(def.Name, "btf_trace_") {
			continue
		}
		name := strings.TrimPrefix(def.Name, "btf_trace_")
		if got := k.weakArgs(t, name, def); got != weakArgs[name] {
			lacks = append(lacks, fmt.Sprintf("%q: {%#x, %#x},", name, got.null, got.number))
		}
	}
	slices.Sort(lacks)
	if len(lacks) > 0 {
		t.Errorf("the table lacks\n%s", strings.Join(lacks, "\n"))
	}
}

// weakArgs asks the kernel which of a tracepoint's arguments may be null, or are no pointers at all.
func (k *kernelUnderTest) weakArgs(t *testing.T, name string, def *btf.Typedef) (weak weakArg) {
	p, _ := btf.UnderlyingType(def).(*btf.Pointer)
	if p == nil {
		return weak
	}
	proto, _ := btf.UnderlyingType(p.Target).(*btf.FuncProto)
	if proto == nil || len(proto.Params) == 0 {
		return weak
	}
	for i, param := range proto.Params[1:] {
		ptr, _ := btf.UnderlyingType(param.Type).(*btf.Pointer)
		if ptr == nil || strings.HasSuffix(param.Name, "__nullable") {
			continue
		}
		if _, ok := btf.UnderlyingType(ptr.Target).(*btf.Struct); !ok {
			continue
		}
		insns := asm.Instructions{asm.LoadMem(asm.R1, asm.R1, int16(8*i), asm.DWord), asm.LoadMem(asm.R1, asm.R1, 0, asm.Byte), asm.Mov.Imm(asm.R0, 0), asm.Return()}
		spec := &ebpf.ProgramSpec{Name: "p", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: name, License: "GPL", Instructions: insns}
		prog, err := flatten(&ebpf.CollectionSpec{}, spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := k.load(prog, false)
		switch {
		case a.accepted:
		case strings.Contains(a.reason(), "_or_null"):
			weak.null |= 1 << i
		case strings.Contains(a.reason(), "invalid mem access 'scalar'"):
			weak.number |= 1 << i
		}
	}
	return weak
}
