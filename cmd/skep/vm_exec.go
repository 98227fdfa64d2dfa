package main

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/spf13/pflag"

	"skep/vm"
)

// runVMExec runs a bare program with r1 = memory and r2 = its length, and prints r0 in hexadecimal. Conformance suites drive it.
func runVMExec(env *environment, args []string) int {
	f := pflag.NewFlagSet("skep vm exec", pflag.ContinueOnError)
	var engine engineFlags
	engine.register(f)
	raw := f.Bool("raw", false, "")
	isELF := f.Bool("elf", false, "")
	text := f.String("program", "", "")
	if code := parseVM(env, f, args); code >= 0 {
		return min(code, 1) // suites know 0 and 1
	}
	r0, err := execBare(env, &engine, f.Args(), *text, *raw, *isELF)
	if err != nil {
		return failVM(env, err)
	}
	fmt.Fprintf(env.stdout, "%x\n", r0)
	return 0
}

func execBare(env *environment, flags *engineFlags, args []string, text string, raw, isELF bool) (uint64, error) {
	engine, err := flags.engine()
	if err != nil {
		return 0, err
	}
	if len(args) > 1 {
		return 0, fmt.Errorf("one piece of memory is possible, and %d are given", len(args))
	}
	content := []byte(text)
	if text == "" {
		if content, err = io.ReadAll(env.stdin); err != nil {
			return 0, fmt.Errorf("reading the program: %w", err)
		}
	}
	if !bytes.HasPrefix(content, []byte(elf.ELFMAG)) {
		if content, err = unhex(string(content)); err != nil {
			return 0, fmt.Errorf("reading the program: %w", err)
		}
	}
	mem, err := unhex(strings.Join(args, ""))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	m, err := vm.New(vm.Options{Host: vm.Host{Task: func(*vm.Thread) vm.Task { return thisTask() }}})
	if err != nil {
		return 0, err
	}
	defer m.Close()
	o := &vm.LoadOptions{Engine: engine, Raw: raw}
	var p *vm.Program
	if isELF {
		p, err = loadBareELF(m, content, o)
	} else {
		p, err = m.LoadCode("program", content, o)
	}
	if err != nil {
		return 0, err
	}
	thread, err := m.NewThread(0)
	if err != nil {
		return 0, err
	}
	thread.Budget = flags.budget
	ctx, err := m.NewMemory(mem)
	if err != nil {
		return 0, err
	}
	return thread.Run(p, ctx)
}

// loadBareELF loads the only program of an object, or the one called main, or the one that no other calls; or the only section with
// instructions if it has no symbols to tell programs by.
func loadBareELF(m *vm.Machine, content []byte, o *vm.LoadOptions) (*vm.Program, error) {
	if file, err := elf.NewFile(bytes.NewReader(content)); err == nil && file.ByteOrder.String() != thisOrder() {
		return nil, fmt.Errorf("the object is for %s, and this computer is not", file.ByteOrder)
	}
	spec, err := vm.ReadObject(bytes.NewReader(content))
	if err == nil && len(spec.Programs) == 0 {
		spec, err = vm.ReadObject(bytes.NewReader(withoutText(content)))
	}
	if err != nil || len(spec.Programs) == 0 {
		insns, bareErr := readCode(content)
		if bareErr != nil {
			return nil, cmp.Or(err, bareErr)
		}
		return m.LoadCode("program", insns, o)
	}
	name, err := bareProgram(spec)
	if err != nil {
		return nil, err
	}
	spec.Programs[name].Type = ebpf.UnspecifiedProgram // its context is bare memory
	o.Programs = []string{name}
	c, err := m.Load(spec, o)
	if err != nil {
		return nil, err
	}
	return c.Programs[name], nil
}

// thisOrder is how package binary calls the byte order of this computer, under the name that is not NativeEndian.
func thisOrder() string {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian.String()
	}
	return binary.BigEndian.String()
}

// withoutText is an object whose section .text has another name, under which its functions are programs and not only what those call.
func withoutText(content []byte) []byte {
	const text, other = ".text\x00", "_text\x00"
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return content
	}
	for _, s := range file.Sections {
		end := s.Offset + s.FileSize
		if s.Type != elf.SHT_STRTAB || s.Name != ".strtab" && s.Name != ".shstrtab" || s.Offset > end || end > uint64(len(content)) {
			continue
		}
		renamed := bytes.Clone(content)
		if at := bytes.Index(renamed[s.Offset:end], []byte(text)); at >= 0 {
			copy(renamed[s.Offset+uint64(at):], other)
			return renamed
		}
	}
	return content
}

// bareProgram chooses among the programs.
func bareProgram(spec *ebpf.CollectionSpec) (string, error) {
	if spec.Programs["main"] != nil {
		return "main", nil
	}
	called := map[string]bool{}
	for name, p := range spec.Programs {
		for i := range p.Instructions {
			if s := p.Instructions[i].Symbol(); s != name {
				called[s] = true
			}
		}
	}
	entries := &ebpf.CollectionSpec{Programs: maps.Clone(spec.Programs)}
	maps.DeleteFunc(entries.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return called[name] })
	return chooseProgram(entries, "", "")
}

// readCode is what the section .text of an object has, or else its only section of instructions.
func readCode(content []byte) ([]byte, error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("reading the object: %w", err)
	}
	var found *elf.Section
	for _, s := range file.Sections {
		switch {
		case s.Type != elf.SHT_PROGBITS || s.Flags&elf.SHF_EXECINSTR == 0 || s.Size == 0:
		case s.Name == ".text" || found == nil:
			found = s
		case found.Name != ".text":
			return nil, fmt.Errorf("the object has the sections %s and %s, and no symbols", found.Name, s.Name)
		}
	}
	if found == nil {
		return nil, errors.New("the object has no program")
	}
	insns, err := found.Data()
	if err != nil {
		return nil, fmt.Errorf("reading section %s: %w", found.Name, err)
	}
	return insns, nil
}

// chooseProgram finds a program by its name, or else by the name of its section; if both are empty, it must be the only one.
func chooseProgram(spec *ebpf.CollectionSpec, name, section string) (string, error) {
	names := slices.Sorted(maps.Keys(spec.Programs))
	switch {
	case name != "":
		if spec.Programs[name] == nil {
			return "", fmt.Errorf("the object has no program %s: it has %s", name, list(names))
		}
		return name, nil
	case section != "":
		found := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return spec.Programs[n].SectionName != section })
		switch len(found) {
		case 0:
			return "", fmt.Errorf("the object has no program in section %s: it has %s", section, list(sections(spec, names)))
		case 1:
			return found[0], nil
		}
		return "", fmt.Errorf("section %s has the programs %s: --program chooses one", section, list(found))
	}
	switch len(names) {
	case 0:
		return "", errors.New("the object has no program")
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("the object has the programs %s: --program chooses one", list(names))
}

func sections(spec *ebpf.CollectionSpec, names []string) []string {
	var all []string
	for _, n := range names {
		all = append(all, spec.Programs[n].SectionName)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// unhex reads bytes in hexadecimal, with white space anywhere, and 0x before a byte if somebody likes.
func unhex(text string) ([]byte, error) {
	var b strings.Builder
	for _, word := range strings.Fields(text) {
		b.WriteString(strings.TrimPrefix(word, "0x"))
	}
	bytes, err := hex.DecodeString(b.String())
	if err != nil {
		return nil, fmt.Errorf("bytes in hexadecimal: %w", err)
	}
	return bytes, nil
}
