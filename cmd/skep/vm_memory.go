package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"skep/vm"
)

// memoryImage is memory at addresses, for programs to read.
type memoryImage []memoryPiece

type memoryPiece struct {
	addr  uint64
	bytes []byte
}

// readMemoryImage reads an ELF core, or lines of an address and bytes in hexadecimal; "#" begins a comment.
func readMemoryImage(path string) (memoryImage, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(content, []byte(elf.ELFMAG)) {
		return readCore(content)
	}
	var image memoryImage
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, len(content)+1)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		addr, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if addr == "" {
			continue
		}
		at, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSuffix(addr, ":"), "0x"), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is no address", n, addr)
		}
		b, err := unhex(rest)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		image = append(image, memoryPiece{at, b})
	}
	return image, lines.Err()
}

func readCore(content []byte) (memoryImage, error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	var image memoryImage
	for _, p := range file.Progs {
		if p.Type != elf.PT_LOAD || p.Filesz == 0 {
			continue
		}
		if p.Filesz > uint64(len(content)) {
			return nil, errors.New("a segment is longer than the file")
		}
		b := make([]byte, p.Filesz)
		if _, err := io.ReadFull(p.Open(), b); err != nil {
			return nil, fmt.Errorf("reading the segment at %#x: %w", p.Vaddr, err)
		}
		image = append(image, memoryPiece{p.Vaddr, b})
	}
	return image, nil
}

var errNotInImage = errors.New("the image has no such memory")

func (m memoryImage) read(_ *vm.Thread, addr uint64, to []byte) error {
	for _, p := range m {
		if past := addr - p.addr; addr >= p.addr && past <= uint64(len(p.bytes)) && uint64(len(to)) <= uint64(len(p.bytes))-past {
			copy(to, p.bytes[past:])
			return nil
		}
	}
	return errNotInImage
}
