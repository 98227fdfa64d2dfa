package ktest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// USDTNote is a probe that [WithUSDT] puts into a program.
type USDTNote struct {
	Provider, Name string
	Function       string // at whose first instruction it is
	Args           string // as an assembler writes them: "8@%rax -4@%ebx"
}

// WithUSDT copies a program and adds notes of USDT probes to the copy, whose path it returns.
func WithUSDT(t testing.TB, program string, notes ...USDTNote) string {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	order := binary.LittleEndian
	var section []byte
	for _, n := range notes {
		var at uint64
		for _, s := range symbols {
			if s.Name == n.Function {
				at = s.Value
			}
		}
		desc := order.AppendUint64(nil, at)
		desc = append(desc, make([]byte, 16)...) // no base, no semaphore
		desc = append(desc, n.Provider+"\x00"+n.Name+"\x00"+n.Args+"\x00"...)
		section = order.AppendUint32(section, 8)
		section = order.AppendUint32(section, uint32(len(desc)))
		section = order.AppendUint32(section, 3)
		section = append(append(section, "stapsdt\x00"...), desc...)
		section = append(section, make([]byte, (4-len(section)%4)%4)...)
	}

	// Behind the old end: the notes, all names of sections and one more, all sections and one more.
	var header elf.Header64
	if _, err := binary.Decode(data, order, &header); err != nil {
		t.Fatal(err)
	}
	names, err := f.Sections[header.Shstrndx].Data()
	if err != nil {
		t.Fatal(err)
	}
	newName := uint32(len(names))
	names = append(append([]byte{}, names...), ".note.stapsdt\x00"...)
	sections := make([]elf.Section64, header.Shnum, header.Shnum+1)
	if _, err := binary.Decode(data[header.Shoff:], order, sections); err != nil {
		t.Fatal(err)
	}
	sections = append(sections, elf.Section64{
		Name: newName, Type: uint32(elf.SHT_NOTE), Off: uint64(len(data)), Size: uint64(len(section)), Addralign: 4,
	})
	data = append(data, section...)
	sections[header.Shstrndx].Off, sections[header.Shstrndx].Size = uint64(len(data)), uint64(len(names))
	data = append(data, names...)
	data = append(data, make([]byte, (8-len(data)%8)%8)...)
	header.Shoff, header.Shnum = uint64(len(data)), header.Shnum+1
	if data, err = binary.Append(data, order, sections); err != nil {
		t.Fatal(err)
	}
	if _, err := binary.Encode(data, order, header); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(program))
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
