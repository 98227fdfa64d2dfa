package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"skep/vm"
	"skep/vm/disasm"
)

const disasmUsage = `skep disasm shows eBPF instructions as text, in the notation of the kernel and of LLVM

USAGE
    skep disasm FILE     an ELF object, or instructions in hexadecimal; "-" is standard input
`

func runDisasm(env *environment, args []string) int {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
		return write(env, disasmUsage)
	}
	if len(args) != 1 || len(args[0]) > 1 && strings.HasPrefix(args[0], "-") {
		fmt.Fprint(env.stderr, "usage: skep disasm FILE\n")
		return exitUsage
	}
	content, err := readInput(env, args[0])
	if err == nil {
		err = disassemble(env, content)
	}
	if err != nil {
		return fail(env, fmt.Errorf("%s: %w", args[0], err))
	}
	return 0
}

func readInput(env *environment, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(env.stdin)
	}
	b, err := os.ReadFile(name)
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err // the name is said anyway
	}
	return b, err
}

func disassemble(env *environment, content []byte) error {
	if !bytes.HasPrefix(content, []byte(elf.ELFMAG)) {
		b, err := unhex(string(content))
		if err != nil {
			return err
		}
		return disasm.Bytes(env.stdout, b)
	}
	spec, err := vm.ReadObject(bytes.NewReader(content))
	if err != nil {
		return err
	}
	if len(spec.Programs) == 0 {
		return errors.New("the object has no program")
	}
	names := slices.Sorted(maps.Keys(spec.Programs))
	slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(section(spec, a), section(spec, b)) })
	for i, name := range names {
		if i > 0 {
			fmt.Fprintln(env.stdout)
		}
		p := spec.Programs[name]
		fmt.Fprintf(env.stdout, "%s (section %s, %s)\n", name, p.SectionName, p.Type)
		if err := disasm.Program(env.stdout, p); err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
	}
	return nil
}

func section(spec *ebpf.CollectionSpec, name string) string { return spec.Programs[name].SectionName }
