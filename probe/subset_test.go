package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

// TestSubset asks BTF of what was asked for the same again.
func TestSubset(t *testing.T) {
	types, err := LoadTypes()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the kernel has no BTF: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	types.Remember()
	layout := func(types *Types) (members []string) {
		found, err := types.Struct("task_struct")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range found.(*btf.Struct).Members {
			size, _ := btf.Sizeof(m.Type)
			members = append(members, fmt.Sprint(m.Name, m.Offset, m.BitfieldSize, size))
		}
		return members
	}
	want := layout(types)
	proto, err := types.Func("vfs_read")
	if err != nil {
		t.Fatal(err)
	}
	b, err := types.Subset()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 1<<18 {
		t.Errorf("the subset has %d bytes", len(b))
	}
	less, err := NewTypes(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, layout(less)); diff != "" {
		t.Error(diff)
	}
	if again, err := less.Func("vfs_read"); err != nil || len(again.Params) != len(proto.Params) {
		t.Errorf("%v, %v", again, err)
	}
	if _, err := less.Struct("inode"); !errors.Is(err, ErrNoType) {
		t.Errorf("a type that nobody asked for: %v", err)
	}
}
