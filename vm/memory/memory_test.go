package memory

import (
	"runtime"
	"testing"
)

func TestBlock(t *testing.T) {
	b, err := New(100)
	if err != nil {
		t.Fatal(err)
	}
	b.Bytes()[99] = 7
	if got := At(b.Base()+99, 1)[0]; got != 7 {
		t.Errorf("the last byte is %d at its address, not 7", got)
	}
	if err := b.Free(); err != nil {
		t.Error(err)
	}
	if err := b.Free(); err != nil {
		t.Errorf("freed twice: %v", err)
	}
}

func TestLow(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets programs choose addresses")
	}
	var blocks []*Block
	for range 3 {
		b, err := NewLow(5000)
		if err != nil {
			t.Fatal(err)
		}
		if b.Base()+5000 > 1<<31 {
			t.Errorf("the block is at %#x", b.Base())
		}
		At(b.Base()+4999, 1)[0] = 1
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		if err := b.Free(); err != nil {
			t.Error(err)
		}
		if err := b.Free(); err != nil {
			t.Error(err)
		}
	}
}

func TestParent(t *testing.T) {
	var maps Space
	maps.Add(Region{Base: 500, Size: 10, Name: "map"})
	s := Space{Parent: &maps}
	s.Add(Region{Base: 1000, Size: 10, Name: "stack"})
	for addr, want := range map[uint64]bool{500: true, 1000: true, 510: true, 511: false, 999: false} {
		if _, ok := s.Find(addr, 0); ok != want {
			t.Errorf("%d is found: %v", addr, ok)
		}
	}
	for addr, want := range map[uint64]string{600: "map", 1500: "stack", 400: ""} {
		if r, _ := s.Before(addr); r.Name != want {
			t.Errorf("before %d there is %q, not %q", addr, r.Name, want)
		}
	}
}

func TestPrivate(t *testing.T) {
	s := Space{Private: true}
	for i := range 10 {
		s.Add(Region{Base: uint64(1000 - i*100), Size: 10})
	}
	allocations := testing.AllocsPerRun(10, func() {
		s.Remove(500)
		if _, ok := s.Find(500, 1); ok {
			t.Error("a region that was removed is found")
		}
		s.Add(Region{Base: 500, Size: 20})
		if _, ok := s.Find(519, 1); !ok {
			t.Error("the region is not found")
		}
	})
	if allocations != 0 {
		t.Errorf("changes in place allocate %v times", allocations)
	}
}

func TestSpace(t *testing.T) {
	var s Space
	s.Add(Region{Base: 1000, Size: 10, Name: "a"})
	s.Add(Region{Base: 1010, Size: 10, Name: "b"})
	s.Add(Region{Base: 100, Size: 10, Name: "c"})
	for _, c := range []struct {
		addr, size uint64
		want       string
	}{
		{1000, 10, "a"}, {1009, 1, "a"}, {1009, 2, ""}, {1010, 1, "b"}, {1020, 0, "b"}, {1020, 1, ""}, {999, 1, ""},
		{109, 1, "c"}, {99, 1, ""}, {0, 1, ""}, {105, ^uint64(0), ""}, {^uint64(0), 2, ""},
	} {
		if r, ok := s.Find(c.addr, c.size); ok != (c.want != "") || ok && r.Name != c.want {
			t.Errorf("%d bytes at %d are found in %q, not in %q", c.size, c.addr, r.Name, c.want)
		}
	}
	s.Remove(1000)
	if _, ok := s.Find(1000, 1); ok {
		t.Error("a region that was removed is found")
	}
}

func TestSpaceBefore(t *testing.T) {
	var s Space
	s.Add(Region{Base: 1000, Size: 10, Name: "a"})
	s.Add(Region{Base: 2000, Size: 10, Name: "b"})
	for addr, want := range map[uint64]string{999: "", 1000: "a", 1999: "a", 2000: "b", ^uint64(0): "b"} {
		if r, ok := s.Before(addr); ok != (want != "") || r.Name != want {
			t.Errorf("before %d is %q, not %q", addr, r.Name, want)
		}
	}
	before := s.Removed()
	s.Remove(1000)
	s.Remove(1000)
	if got := s.Removed() - before; got != 1 {
		t.Errorf("one region was removed, and %d were counted", got)
	}
}
