package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"skep/host"
	"skep/probe"
)

// program is a loaded program.
type program struct {
	name string
	spec *ebpf.ProgramSpec
	fd   int
	// gate is the number of raw instructions that were put before its own.
	gate int
}

// Load creates the maps and loads the programs.
func (h *Host) Load(spec *ebpf.CollectionSpec, attach []probe.Attach, opt host.Options) (host.Session, error) {
	raiseMemlock()
	s := &session{host: h, opt: opt, attach: attach, maps: map[string]*hostMap{}, rings: map[string]*ring{}, programs: map[string]*program{}}
	if err := s.load(spec); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) load(spec *ebpf.CollectionSpec) error {
	for _, a := range s.attach {
		if spec.Programs[a.Program] == nil {
			return fmt.Errorf("program %s to attach is not in the collection", a.Program)
		}
	}
	targets := make(chan attachTargets, 1)
	go func() { targets <- findTargets(spec, s.attach) }()
	err := s.createMaps(spec)
	found := <-targets
	defer found.close()
	if err != nil {
		return err
	}
	if found.err != nil {
		return found.err
	}
	// To map a large ring takes as long as the verifier does with a small program.
	opened := make(chan error, 1)
	go func() { opened <- s.openRings() }()
	if s.opt.Loading != nil {
		s.opt.Loading()
	}
	err = s.loadPrograms(spec, &found)
	if ringErr := <-opened; err == nil {
		err = ringErr
	}
	return err
}

func (s *session) openRings() error {
	for name, m := range s.maps {
		if m.kind != ebpf.RingBuf {
			continue
		}
		r, err := openRing(m)
		if err != nil {
			return err
		}
		s.rings[name] = r
	}
	return nil
}

func (s *session) createMaps(spec *ebpf.CollectionSpec) error {
	for name, ms := range spec.Maps {
		m, err := s.createMap(name, ms)
		if err != nil {
			return err
		}
		s.maps[name] = m
	}
	if m := s.maps[s.opt.StateMap]; m != nil {
		var err error
		if s.state, s.stateMem, err = m.mapMemory(); err != nil {
			return err
		}
	}
	if s.gated() {
		m, err := s.createMap("gate", &ebpf.MapSpec{Name: "gate", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
		if err != nil {
			return err
		}
		s.gateMap = m
		if s.gate, s.gateMem, err = m.mapMemory(); err != nil {
			return err
		}
	}
	return nil
}

// loadPrograms loads all, several at a time where there are CPUs: the verifier takes most of a start.
func (s *session) loadPrograms(spec *ebpf.CollectionSpec, targets *attachTargets) error {
	names := make([]string, 0, len(spec.Programs))
	for name := range spec.Programs {
		names = append(names, name)
	}
	slices.Sort(names)
	gated := s.gatedPrograms()
	programs, errs := make([]*program, len(names)), make([]error, len(names))
	one := func(i int) {
		programs[i], errs[i] = s.loadProgram(names[i], spec.Programs[names[i]], targets, gated[names[i]])
	}
	if workers := min(runtime.GOMAXPROCS(0), len(names)); workers <= 1 {
		for i := range names {
			if one(i); errs[i] != nil {
				break
			}
		}
	} else {
		var group sync.WaitGroup
		next := make(chan int, len(names))
		for i := range names {
			next <- i
		}
		close(next)
		for range workers {
			group.Go(func() {
				for i := range next {
					one(i)
				}
			})
		}
		group.Wait()
	}
	for i, p := range programs {
		if p != nil {
			s.programs[names[i]] = p
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) loadProgram(name string, spec *ebpf.ProgramSpec, targets *attachTargets, gated bool) (*program, error) {
	p := &program{name: name, spec: spec, fd: -1}
	insns := slices.Clone(spec.Instructions)
	if len(insns) == 0 {
		return nil, fmt.Errorf("program %s has no instructions", name)
	}
	if gated {
		insns, p.gate = s.withGate(insns)
	}
	for i := range insns {
		ins := &insns[i]
		if btf.CORERelocationMetadata(ins) != nil || ins.IsKfuncCall() {
			return nil, fmt.Errorf("program %s: instruction %d needs the kernel's types to be linked, which is not supported yet", name, i)
		}
		if !ins.IsLoadFromMap() || ins.Reference() == "" {
			continue
		}
		m := s.maps[ins.Reference()]
		if m == nil {
			return nil, fmt.Errorf("program %s: no map %s in the collection", name, ins.Reference())
		}
		if err := ins.AssociateMap(m); err != nil {
			return nil, fmt.Errorf("program %s: instruction %d: %w", name, i, err)
		}
	}
	attr := progLoadAttr{
		progType: uint32(spec.Type), attachType: uint32(spec.AttachType), flags: spec.Flags, name: kernelName(spec.Name),
		license: cString(spec.License), ifindex: spec.Ifindex, kernVersion: version(),
	}
	if spec.AttachTo != "" && spec.Type == ebpf.Tracing {
		target := targets.of(spec)
		attr.attachBTFID, attr.attachBTFObjFD = target.id, uint32(target.object)
	}
	closeBTF, err := addFunctionInfo(&attr, insns)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", name, err)
	}
	defer closeBTF()
	code, err := assemble(insns)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", name, err)
	}
	attr.insns, attr.insnCount = pointer(code), uint32(len(code)/asm.InstructionSize)
	if p.fd, err = bpf(unix.BPF_PROG_LOAD, &attr); err != nil {
		return nil, s.explainProgram(p, &attr, err)
	}
	if s.opt.VerifierLog != nil {
		log, fd, err := verifierLog(&attr, 2, logMost)
		if err != nil {
			return nil, fmt.Errorf("loading program %s for its log: %w", name, err)
		}
		unix.Close(fd)
		s.opt.VerifierLog(name, log)
	}
	return p, nil
}

// assemble encodes instructions. Descriptors of maps must be in them.
func assemble(insns asm.Instructions) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(insns) * asm.InstructionSize * 5 / 4)
	if err := insns.Marshal(&b, nativeOrder()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// nativeOrder is binary.NativeEndian as one of the two orders that cilium/ebpf knows.
func nativeOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// addFunctionInfo gives the kernel the types of the program's functions, which it wants where one is a callback.
func addFunctionInfo(attr *progLoadAttr, insns asm.Instructions) (closeBTF func(), err error) {
	closeBTF = func() {}
	var b btf.Builder
	functions, lines, err := btf.MarshalExtInfos(insns, &b)
	if err != nil || b.Empty() {
		return closeBTF, err
	}
	blob, err := b.Marshal(nil, &btf.MarshalOptions{Order: nativeOrder(), PreventNoTypeFound: true})
	if err != nil {
		return closeBTF, err
	}
	fd, err := bpf(unix.BPF_BTF_LOAD, &btfLoadAttr{btf: pointer(blob), size: uint32(len(blob))})
	if err != nil {
		return closeBTF, fmt.Errorf("loading the types of its functions: %w", err)
	}
	attr.btfFD = uint32(fd)
	attr.funcInfo, attr.funcInfoSize, attr.funcInfoCount = pointer(functions), btf.FuncInfoSize, uint32(len(functions))/btf.FuncInfoSize
	attr.lineInfo, attr.lineInfoSize, attr.lineInfoCount = pointer(lines), btf.LineInfoSize, uint32(len(lines))/btf.LineInfoSize
	return func() { unix.Close(fd) }, nil
}

// attachTargets are the types of the kernel that tracing programs are attached to.
type attachTargets struct {
	found   map[string]map[probe.TypeName]uint32 // by module
	objects map[string]int                       // BTF objects of modules
	module  map[*ebpf.ProgramSpec]string
	err     error
}

type attachTarget struct {
	id     uint32
	object int // 0 for the kernel itself
}

func targetName(spec *ebpf.ProgramSpec) probe.TypeName {
	if spec.AttachType == ebpf.AttachTraceRawTp {
		return probe.TypeName{Name: "btf_trace_" + spec.AttachTo}
	}
	return probe.TypeName{Name: spec.AttachTo, Function: true}
}

func findTargets(spec *ebpf.CollectionSpec, attach []probe.Attach) (t attachTargets) {
	t.module = map[*ebpf.ProgramSpec]string{}
	for _, a := range attach {
		if p := spec.Programs[a.Program]; len(a.Points) > 0 && a.Points[0].Module != "vmlinux" {
			t.module[p] = a.Points[0].Module
		}
	}
	wanted := map[string][]probe.TypeName{}
	for _, p := range spec.Programs {
		if p.Type == ebpf.Tracing && p.AttachTo != "" {
			wanted[t.module[p]] = append(wanted[t.module[p]], targetName(p))
		}
	}
	if len(wanted) == 0 {
		return t
	}
	t.found, t.objects = map[string]map[probe.TypeName]uint32{}, map[string]int{}
	for module, names := range wanted {
		if t.found[module], t.err = probe.TypeIDs(module, names); t.err != nil {
			if errors.Is(t.err, unix.ENOENT) {
				t.err = &host.Missing{What: "BTF", Why: btfDir + orVmlinux(module) + " does not exist; CONFIG_DEBUG_INFO_BTF"}
			}
			return t
		}
		for _, n := range names {
			if t.found[module][n] == 0 {
				t.err = fmt.Errorf("the kernel has no %s: not in %s", n.Name, btfDir+orVmlinux(module))
				return t
			}
		}
		if module != "" {
			if t.objects[module], t.err = moduleBTF(module); t.err != nil {
				delete(t.objects, module)
				return t
			}
		}
	}
	return t
}

func orVmlinux(module string) string {
	if module == "" {
		return "vmlinux"
	}
	return module
}

func (t *attachTargets) of(spec *ebpf.ProgramSpec) attachTarget {
	module := t.module[spec]
	return attachTarget{t.found[module][targetName(spec)], t.objects[module]}
}

func (t *attachTargets) close() {
	for _, fd := range t.objects {
		unix.Close(fd)
	}
}
