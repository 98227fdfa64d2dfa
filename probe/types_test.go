package probe

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func loadTypes(t testing.TB) *Types {
	t.Helper()
	types, err := LoadTypes()
	if err != nil {
		t.Skip("the kernel's BTF cannot be read: ", err)
	}
	return types
}

// TestTypesAgree compares with the library's reader on structs that together have every kind of member.
func TestTypesAgree(t *testing.T) {
	types := loadTypes(t)
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"task_struct", "sk_buff", "sock", "tcp_sock", "file", "bio", "request", "mm_struct", "iphdr", "sockaddr_in6"} {
		got, err := types.Struct(name)
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := spec.AnyTypesByName(name)
		if err != nil {
			t.Fatal(err)
		}
		compared := 0
		for _, w := range want {
			if s, ok := w.(*btf.Struct); ok {
				compareStruct(t, name, s.Members, got.(*btf.Struct).Members, 0)
				compared++
			}
		}
		if compared == 0 {
			t.Errorf("the library has no struct %s", name)
		}
	}
}

func compareStruct(t *testing.T, name string, want, got []btf.Member, depth int) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d members, want %d", name, len(got), len(want))
		return
	}
	for i, w := range want {
		g := got[i]
		if w.Name != g.Name || w.Offset != g.Offset || w.BitfieldSize != g.BitfieldSize {
			t.Errorf("%s.%s: got %s at %d:%d, want %d:%d", name, w.Name, g.Name, g.Offset, g.BitfieldSize, w.Offset, w.BitfieldSize)
		}
		ws, err1 := btf.Sizeof(w.Type)
		gs, err2 := btf.Sizeof(g.Type)
		if ws != gs || (err1 == nil) != (err2 == nil) {
			t.Errorf("%s.%s: size %d, want %d", name, w.Name, gs, ws)
		}
		// What function pointers take is left out.
		if decl := declare(w.Type, w.Name); !strings.Contains(decl, "(*") && decl != declare(g.Type, g.Name) {
			t.Errorf("%s: %s, want %s", name, declare(g.Type, g.Name), declare(w.Type, w.Name))
		}
		wi, ok1 := w.Type.(*btf.Struct)
		gi, ok2 := g.Type.(*btf.Struct)
		if ok1 && ok2 && depth < 4 {
			compareStruct(t, name+"."+w.Name, wi.Members, gi.Members, depth+1)
		}
	}
}

func TestTypesByName(t *testing.T) {
	types := loadTypes(t)
	proto, err := types.Func("vfs_read")
	if err != nil {
		t.Fatal(err)
	}
	if got := declare(proto.Params[0].Type, proto.Params[0].Name); got != "struct file *file" {
		t.Errorf("vfs_read takes %s", got)
	}
	if e, err := types.Enum("pid_type"); err != nil || e.Values[0].Name != "PIDTYPE_PID" {
		t.Errorf("enum pid_type: %v, %v", e, err)
	}
	if e, ok := types.EnumConstant("PIDTYPE_SID"); !ok || e.Name != "pid_type" {
		t.Errorf("PIDTYPE_SID: %v", e)
	}
	if size, err := types.Typedef("size_t"); err != nil || declare(size, "") != "size_t" {
		t.Errorf("size_t: %v, %v", size, err)
	}
	if _, err := types.Struct("no_such_struct_at_all"); !errors.Is(err, ErrNoType) {
		t.Errorf("error %v", err)
	}
	names := []TypeName{{"btf_trace_sched_switch", false}, {"vfs_read", true}}
	if ids, err := TypeIDs("", names); err != nil || len(ids) != 2 || ids[names[0]] == 0 || ids[names[1]] == 0 {
		t.Error("no ids", err)
	}
}

func FuzzTypes(f *testing.F) {
	f.Add([]byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 'a', 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		types, err := NewTypes(raw)
		if err != nil {
			return
		}
		types.Names(func(_, name string) { _, _ = types.Struct(name) })
		_, _ = types.Func("a")
		types.EnumConstant("a")
		names := []TypeName{{"a", true}, {"a", false}, {"", true}}
		if split, err := newBlob(raw, types.blob, nil); err != nil || len(split.ids(names)) > 3 || len(types.ids(names)) > 3 {
			t.Error(err)
		}
	})
}

func BenchmarkTaskStruct(b *testing.B) {
	for b.Loop() {
		types, err := LoadTypes()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := types.Struct("task_struct"); err != nil {
			b.Fatal(err)
		}
	}
}
