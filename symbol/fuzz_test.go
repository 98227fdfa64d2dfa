package symbol

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"testing"
)

// limitMemory fails if f takes memory out of proportion to its input.
func limitMemory(t *testing.T, input int, f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20+uint64(input)*512 {
		t.Errorf("%d bytes allocated for an input of %d", got, input)
	}
}

func FuzzELF(f *testing.F) {
	for _, path := range []string{"/bin/true", "/proc/self/exe"} {
		if b, err := os.ReadFile(path); err == nil && len(b) < 1<<20 {
			f.Add(b, uint64(0x1000))
		}
	}
	f.Add(syntheticPclntab(goMagic120, 8, binary.LittleEndian), uint64(0x401041))
	f.Add(syntheticPclntab(goMagic12, 4, binary.BigEndian), uint64(0x401041))
	f.Fuzz(func(t *testing.T, b []byte, addr uint64) {
		limitMemory(t, len(b), func() {
			o, err := inMemory(b)
			if err != nil {
				return
			}
			o.symbol(addr, true)
			if v, ok := o.im.vaddr(addr); ok {
				o.symbol(v, true)
			}
			o.im.buildID()
			o.im.debugLink()
			e := &ELF{object: o}
			e.IsGo()
			e.Lookup("main")
			e.LookupVariable("environ")
			n := 0
			for range e.Functions() {
				if n++; n > 1000 {
					break
				}
			}
		})
	})
}

func FuzzPclntab(f *testing.F) {
	for _, magic := range []uint32{goMagic12, goMagic116, goMagic118, goMagic120} {
		file := syntheticPclntab(magic, 8, binary.LittleEndian)
		f.Add(file[0x1000:], uint64(0x401041))
	}
	f.Fuzz(func(t *testing.T, table []byte, addr uint64) {
		file := append(syntheticPclntab(goMagic118, 8, binary.LittleEndian)[:0x1000:0x1000], table...)
		binary.LittleEndian.PutUint64(file[64+56+32:], uint64(len(table)))
		binary.LittleEndian.PutUint64(file[64+56+40:], uint64(len(table)))
		im, err := readImage(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		p := im.findPclntab()
		if p == nil {
			return
		}
		if i, start, end, ok := p.find(addr); ok {
			if addr < start || addr >= end {
				t.Errorf("%#x is not in %#x-%#x", addr, start, end)
			}
			p.name(i)
		}
		n := uint64(0)
		p.scan(func(name string, start, end uint64) bool { n++; return true })
		if n > p.count {
			t.Errorf("%d functions of %d", n, p.count)
		}
	})
}

func FuzzMaps(f *testing.F) {
	if b, err := os.ReadFile("/proc/self/maps"); err == nil {
		f.Add(b)
	}
	f.Add([]byte("1000-2000 r-xp 00000000 fe:00 1 /a\\012b (deleted)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var regions []region
		if err := scanMaps(bytes.NewReader(b), func(m Mapping) bool {
			if m.Start >= m.End {
				t.Errorf("%+v", m)
			}
			regions = append(regions, region{start: m.Start, end: m.End, off: m.Offset})
			return true
		}); err != nil {
			t.Fatal(err)
		}
		// As events, in any order and overlapping, they give a sorted space in which the last one wins.
		var s *space
		for _, r := range regions[:min(len(regions), 100)] {
			s = s.with(r)
			for i := range s.regions {
				if s.regions[i].start >= s.regions[i].end || i > 0 && s.regions[i-1].end > s.regions[i].start {
					t.Fatalf("%+v", s.regions)
				}
			}
			if got := s.find(r.end - 1); got == nil || *got != r {
				t.Fatalf("%+v: %+v", r, got)
			}
		}
	})
}

func FuzzPerfMap(f *testing.F) {
	f.Add([]byte("1000 10 a\n1000 20 b c\n0x1008 0x8 d\n"), uint64(0x1009))
	f.Fuzz(func(t *testing.T, b []byte, addr uint64) {
		p, err := readPerfMap(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if name, start, ok := p.find(addr); ok && (name == "" || start > addr) {
			t.Errorf("%q at %#x for %#x", name, start, addr)
		}
	})
}

func FuzzLibraryCache(f *testing.F) {
	if b, err := os.ReadFile("/etc/ld.so.cache"); err == nil {
		f.Add(b[:min(len(b), 4096)], "libc")
		f.Add(b, "libc")
	}
	f.Fuzz(func(t *testing.T, b []byte, name string) { searchLibraryCache(b, name) })
}
