package maps

import (
	"testing"

	"github.com/cilium/ebpf/btf"
)

// typedAs gives the kernel BTF types of key and value.
func typedAs(t testing.TB, key, value btf.Type) func(*createArgs) {
	b, err := btf.NewBuilder([]btf.Type{key, value}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := btf.NewHandle(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	spec, err := h.Spec(nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids [2]btf.TypeID
	for i, want := range []btf.Type{key, value} {
		typ, err := spec.AnyTypeByName(want.TypeName())
		if err != nil {
			t.Fatal(err)
		}
		if ids[i], err = spec.TypeID(typ); err != nil {
			t.Fatal(err)
		}
	}
	return func(args *createArgs) {
		args.btf, args.btfKey, args.btfValue = uint32(h.FD()), uint32(ids[0]), uint32(ids[1])
	}
}

func keyType() *btf.Int { return &btf.Int{Name: "map_key", Size: 4, Encoding: btf.Signed} }

// plainType has a number of bytes and nothing special.
func plainType(size uint32) *btf.Struct {
	char := &btf.Int{Name: "char", Size: 1}
	return &btf.Struct{Name: "plain", Size: size, Members: []btf.Member{{Name: "bytes", Type: &btf.Array{Type: char, Index: &btf.Int{Name: "int", Size: 4}, Nelems: size}}}}
}

// special are the kernel's own fields.
func spinLock() *btf.Struct {
	return &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: &btf.Int{Name: "unsigned int", Size: 4}}}}
}

func timer() *btf.Struct {
	long := &btf.Int{Name: "unsigned long long", Size: 8}
	return &btf.Struct{Name: "bpf_timer", Size: 16, Members: []btf.Member{{Name: "a", Type: long}, {Name: "b", Type: long, Offset: 64}}}
}

func workQueue() *btf.Struct {
	long := &btf.Int{Name: "unsigned long long", Size: 8}
	return &btf.Struct{Name: "bpf_wq", Size: 16, Members: []btf.Member{{Name: "a", Type: long}, {Name: "b", Type: long, Offset: 64}}}
}

// lockedType is a u64, a spin lock, and a u32.
func lockedType() *btf.Struct {
	return &btf.Struct{Name: "locked", Size: 16, Members: []btf.Member{
		{Name: "a", Type: &btf.Int{Name: "unsigned long long", Size: 8}},
		{Name: "lock", Type: spinLock(), Offset: 64},
		{Name: "b", Type: &btf.Int{Name: "unsigned int", Size: 4}, Offset: 96},
	}}
}

// timedType is a u64, a timer and a work queue.
func timedType() *btf.Struct {
	return &btf.Struct{Name: "timed", Size: 40, Members: []btf.Member{
		{Name: "a", Type: &btf.Int{Name: "unsigned long long", Size: 8}},
		{Name: "t", Type: timer(), Offset: 64},
		{Name: "w", Type: workQueue(), Offset: 192},
	}}
}
