package vm

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"skep/vm/metadata"
)

// TestMetadata finds what cilium/ebpf keeps to itself.
func TestMetadata(t *testing.T) {
	var offsets []uint32
	for _, in := range readObject(t, "core").Programs["relocated"].Instructions {
		if offset, ok := metadata.KconfigOffset(&in); ok {
			offsets = append(offsets, offset)
		}
		if metadata.Weak(&in) {
			t.Errorf("%v is weak", in)
		}
	}
	if len(offsets) != 3 {
		t.Errorf("%d loads of .kconfig variables were found, and there are 3", len(offsets))
	}
	weak := 0
	for _, in := range readObject(t, "ksym").Programs["symbols"].Instructions {
		if in.OpCode.IsDWordLoad() && in.Src != asm.PseudoMapValue && metadata.Weak(&in) {
			weak++
		}
	}
	if weak != 1 {
		t.Errorf("%d weak symbols were found, and there is 1", weak)
	}
}

// TestKernelSymbols loads addresses that the host has; a weak symbol may be missing, and no other.
func TestKernelSymbols(t *testing.T) {
	symbol := func(name string) (uint64, bool) { return 0xffff_8000_1234_5678, name == "there" }
	m := machine(t, Options{Host: Host{KernelSymbol: symbol}})
	c, err := m.Load(readObject(t, "ksym"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := m.NewPacket(c.Programs["symbols"].Type, 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := thread(t, m).Run(c.Programs["symbols"], ctx); err != nil {
		t.Fatal(err)
	}
	if got := words(t, c.Maps[".bss"]); uint64(got[0]) != 0xffff_8000_1234_5678 || got[1] != 0 {
		t.Errorf("the symbols are at %#x", got)
	}
	if _, err := machine(t, Options{}).Load(readObject(t, "ksym"), nil); err == nil {
		t.Error("a symbol that the host does not have is found")
	}
}
