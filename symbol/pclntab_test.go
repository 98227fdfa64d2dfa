package symbol

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

const goProgram = `package main

import (
	"fmt"
	"os"
)

//go:noinline
func target(n int) int {
	if n == 0 {
		return 0
	}
	return n + target(n-1)
}

type thing struct{}

//go:noinline
func (t *thing) Method() { fmt.Println(target(len(os.Args))) }

func main() { (&thing{}).Method() }
`

// buildGo builds a Go program; it skips if the way of linking is not to be had here.
func buildGo(t *testing.T, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module program\n\ngo 1.21\n")
	write(t, filepath.Join(dir, "main.go"), source)
	cmd := exec.Command("go", append([]string{"build", "-o", "program"}, flags...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-p=1", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("go build %v: %v\n%s", flags, err, out)
	}
	return filepath.Join(dir, "program")
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// withoutSections wipes the header's reference to the section headers.
func withoutSections(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[0x28:0x30])
	clear(b[0x3a:0x40])
	out := path + ".bare"
	if err := os.WriteFile(out, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return out
}

// A stripped Go program names its functions at the addresses that the unstripped one's symbol table has.
func TestGoStripped(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	for _, mode := range [][]string{
		{"-buildmode=exe"},
		{"-buildmode=pie"},
		{"-buildmode=exe", "-linkmode=external"},
		{"-buildmode=pie", "-linkmode=external"},
	} {
		link := ""
		if len(mode) > 1 {
			link = mode[1]
		}
		t.Run(mode[0][len("-buildmode="):]+link, func(t *testing.T) {
			full := buildGo(t, goProgram, mode[0], "-ldflags="+link)
			stripped := full + ".stripped"
			if out, err := exec.Command("strip", "-o", stripped, full).CombinedOutput(); err != nil {
				t.Skipf("strip: %v %s", err, out)
			}
			reference, err := OpenELF(full)
			if err != nil {
				t.Fatal(err)
			}
			defer reference.Close()
			for _, path := range []string{stripped, withoutSections(t, stripped)} {
				e, err := OpenELF(path)
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				if !e.IsGo() {
					t.Errorf("%s: not seen as Go", path)
				}
				listed := make(map[string]Function)
				for f := range e.Functions() {
					listed[f.Name] = f
				}
				for _, name := range []string{"main.target", "main.(*thing).Method", "main.main", "runtime.mallocgc", "fmt.Fprintln"} {
					want, err := reference.Lookup(name)
					if err != nil {
						t.Fatal(err)
					}
					got, err := e.Lookup(name)
					if err != nil || got.Addr != want.Addr || got.Offset != want.Offset || got.Size < want.Size {
						t.Errorf("%s: Lookup(%s) = %+v, %v; want %+v", path, name, got, err, want)
					}
					if listed[name] != got {
						t.Errorf("%s: listed %+v, looked up %+v", path, listed[name], got)
					}
					if s := e.Symbol(want.Offset + 5); s.String() != name+"+5" {
						t.Errorf("%s: %v at %s+5", path, s, name)
					}
				}
				if len(listed) < 1000 {
					t.Errorf("%s: only %d functions", path, len(listed))
				}
			}
		})
	}
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// syntheticPclntab makes an ELF file whose only content is a table of the given version with three functions.
func syntheticPclntab(magic uint32, ptr int, order byteOrder) []byte {
	const text = 0x401000
	names := "\x00main.a\x00main.b\x00main.c\x00"
	nameAt := []uint32{1, 8, 15}
	starts := []uint64{0, 0x40, 0x100}
	const end = 0x180

	word := func(b []byte, v uint64) []byte {
		if ptr == 4 {
			return order.AppendUint32(b, uint32(v))
		}
		return order.AppendUint64(b, v)
	}
	relative := magic == goMagic118 || magic == goMagic120
	number := func(b []byte, v uint64) []byte {
		if relative {
			return order.AppendUint32(b, uint32(v))
		}
		return word(b, v)
	}
	field := len(number(nil, 0))
	address := func(v uint64) uint64 {
		if relative {
			return v
		}
		return text + v
	}
	listSize := (2*len(starts) + 1) * field
	recordSize := field + 4
	var tab []byte
	tab = order.AppendUint32(tab, magic)
	tab = append(tab, 0, 0, 1, byte(ptr))
	tab = word(tab, uint64(len(starts)))
	listAt, nameBase := 0, 0
	switch magic {
	case goMagic12:
		listAt = len(tab)
		nameBase = listAt + listSize + 3*recordSize
	case goMagic116:
		nameBase = 8 + 7*ptr
		listAt = nameBase + len(names)
		for _, v := range []int{0, nameBase, 0, 0, 0, listAt} {
			tab = word(tab, uint64(v))
		}
		tab = append(tab, names...)
	default:
		nameBase = 8 + 8*ptr
		listAt = nameBase + len(names)
		for _, v := range []int{0, text, nameBase, 0, 0, 0, listAt} {
			tab = word(tab, uint64(v))
		}
		tab = append(tab, names...)
	}
	origin := listAt // of the records' positions
	if magic == goMagic12 {
		origin = 0
	}
	for i, s := range starts {
		tab = number(tab, address(s))
		tab = number(tab, uint64(listAt+listSize+i*recordSize-origin))
	}
	tab = number(tab, address(end))
	for i, s := range starts {
		tab = number(tab, address(s))
		at := nameAt[i]
		if magic == goMagic12 {
			at += uint32(nameBase)
		}
		tab = order.AppendUint32(tab, at)
	}
	if magic == goMagic12 {
		tab = append(tab, names...)
	}

	// The file: header, two segments (code with nothing in it, the table), no sections.
	data := elf.ELFDATA2LSB
	if order == byteOrder(binary.BigEndian) {
		data = elf.ELFDATA2MSB
	}
	const tabAt = 0x1000
	var b bytes.Buffer
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(data), 1}
	code, ro := uint64(text), uint64(0x500000)
	if ptr == 8 {
		binary.Write(&b, order, elf.Header64{Ident: ident, Type: uint16(elf.ET_EXEC), Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2})
		binary.Write(&b, order, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_X | elf.PF_R), Off: 0x200, Vaddr: code, Filesz: 0x180, Memsz: 0x180})
		binary.Write(&b, order, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Off: tabAt, Vaddr: ro, Filesz: uint64(len(tab)), Memsz: uint64(len(tab))})
	} else {
		ident[elf.EI_CLASS] = byte(elf.ELFCLASS32)
		binary.Write(&b, order, elf.Header32{Ident: ident, Type: uint16(elf.ET_EXEC), Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: 2})
		binary.Write(&b, order, elf.Prog32{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_X | elf.PF_R), Off: 0x200, Vaddr: uint32(code), Filesz: 0x180, Memsz: 0x180})
		binary.Write(&b, order, elf.Prog32{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Off: tabAt, Vaddr: uint32(ro), Filesz: uint32(len(tab)), Memsz: uint32(len(tab))})
	}
	b.Write(make([]byte, tabAt-b.Len()))
	b.Write(tab)
	return b.Bytes()
}

func TestPclntabVersions(t *testing.T) {
	for _, magic := range []uint32{goMagic12, goMagic116, goMagic118, goMagic120} {
		for _, ptr := range []int{4, 8} {
			for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
				o, err := inMemory(syntheticPclntab(magic, ptr, order))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, a := range []uint64{0x400fff, 0x401000, 0x40103f, 0x401040, 0x4010ff, 0x401100, 0x40117f, 0x401180} {
					name, off, _ := o.symbol(a, true)
					got = append(got, Symbol{Addr: a, Name: name, Offset: off}.String())
				}
				want := []string{"0x400fff", "main.a+0", "main.a+63", "main.b+0", "main.b+191", "main.c+0", "main.c+127", "0x401180"}
				if !slices.Equal(got, want) {
					t.Errorf("magic %#x, %d bytes, %v: %v", magic, ptr, order, got)
				}
			}
		}
	}
}
