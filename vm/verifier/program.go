package verifier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/vm/code"
	"skep/vm/metadata"
)

// Classes, modes, operations and sources of raw instructions.
const (
	classLD, classLDX, classST, classSTX, classALU, classJMP, classJMP32, classALU64 = 0, 1, 2, 3, 4, 5, 6, 7

	modeIMM, modeABS, modeIND, modeMEM, modeMEMSX, modeATOMIC = 0x00, 0x20, 0x40, 0x60, 0x80, 0xc0

	opADD, opSUB, opMUL, opDIV, opOR, opAND, opLSH, opRSH, opNEG, opMOD, opXOR, opMOV, opARSH, opEND = 0x00, 0x10, 0x20, 0x30,
		0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0

	jA, jEQ, jGT, jGE, jSET, jNE, jSGT, jSGE, jCALL, jEXIT, jLT, jLE, jSLT, jSLE, jCOND = 0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60,
		0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0

	loadImm64 = 0x18

	pseudoMapFD, pseudoMapValue, pseudoBTFID, pseudoFunc, pseudoMapIdx, pseudoMapIdxValue = 1, 2, 3, 4, 5, 6
	pseudoCall, pseudoKfunc                                                               = 1, 2

	atomicFetch, atomicXchg, atomicCmpxchg, atomicLoadAcq, atomicStoreRel = 0x01, 0xe1, 0xf1, 0x100, 0x110
)

type insn struct{ code.Insn }

func (i insn) class() uint8    { return i.Op & 7 }
func (i insn) mode() uint8     { return i.Op & 0xe0 }
func (i insn) op() uint8       { return i.Op & 0xf0 }
func (i insn) fromReg() bool   { return i.Op&8 != 0 }
func (i insn) isJump() bool    { return i.class() == classJMP || i.class() == classJMP32 }
func (i insn) isALU() bool     { return i.class() == classALU || i.class() == classALU64 }
func (i insn) isCall() bool    { return i.Op == classJMP|jCALL }
func (i insn) isHelper() bool  { return i.isCall() && i.Src() == 0 }
func (i insn) isSubcall() bool { return i.isCall() && i.Src() == pseudoCall }
func (i insn) isKfunc() bool   { return i.isCall() && i.Src() == pseudoKfunc }
func (i insn) isExit() bool    { return i.Op == classJMP|jEXIT }
func (i insn) isFuncRef() bool { return i.Op == loadImm64 && i.Src() == pseudoFunc }
func (i insn) isAtomic() bool  { return i.class() == classSTX && i.mode() == modeATOMIC }
func (i insn) isMayGoto() bool { return i.Op == classJMP|jCOND }

// size is the number of bytes that a load or store moves.
func (i insn) size() int { return [4]int{4, 2, 1, 8}[i.Op>>3&3] }

// width is the number of slots.
func (i insn) width() int {
	if i.Op == loadImm64 {
		return 2
	}
	return 1
}

// target is where a jump leads, as a slot.
func (i insn) target(at int) int {
	if i.Op == classJMP32|jA {
		return at + 1 + int(i.Imm)
	}
	return at + 1 + int(i.Off)
}

// A mapDef is a map as programs see it.
type mapDef struct {
	name  string
	spec  *ebpf.MapSpec
	inner *mapDef
	// frozen contents of read-only maps are constants.
	frozen []byte
	// kconfig is what is at which offset of a map of the kernel's configuration.
	kconfig map[uint32]string
	fields  *fields // special ones in its values
}

// A subprogram is a function of the program.
type subprogram struct {
	name        string
	start, end  int
	global      bool // verified by itself
	typ         *btf.FuncProto
	stack       int
	hasTailCall bool
	hasLdAbs    bool
	isAsync     bool
	isCallback  bool
	called      bool
	effects
}

// effects are what calls of a function may do to its callers.
type effects struct {
	changesData bool // of the packet
	throws      bool
}

// A program is the raw form: what the kernel sees.
type program struct {
	name   string
	spec   *ebpf.ProgramSpec
	insns  []insn
	maps   map[int]*mapDef // by slot of the immediate load
	lines  []*Line         // by slot; the last known one
	funcs  map[int]*btf.Func
	kfuncs map[int]string
	types  []btf.Type // of the program itself, that instructions name
	local  *btf.Spec  // all types of the program; nil if not known
	// missing is what was not there to make the raw form; "" if all was.
	missing string
}

// A Line is a place in the program's source.
type Line struct {
	File   string
	Number int
	Column int
	Text   string
}

func (l *Line) String() string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", l.File, l.Number, l.Column)
}

// flatten makes the raw form of a program.
func flatten(coll *ebpf.CollectionSpec, spec *ebpf.ProgramSpec, types Types) (*program, error) {
	insns := slices.Clone(spec.Instructions)
	p := &program{name: spec.Name, spec: spec, local: coll.Types, maps: map[int]*mapDef{}, funcs: map[int]*btf.Func{}, kfuncs: map[int]string{}}
	p.missing = p.relocate(insns, types)
	known := map[string]*mapDef{}
	var line *Line
	casts := map[int]int16{} // whose kind the marshalled form has not
	for iter := insns.Iterate(); iter.Next(); {
		ins, at := iter.Ins, int(iter.Offset)
		if f := btf.FuncMetadata(ins); f != nil {
			p.funcs[at] = f
		}
		if s := ins.Source(); s != nil {
			line = lineOf(s)
		}
		for range ins.Width() {
			p.lines = append(p.lines, line)
		}
		if ins.OpCode == asm.Mov.Op(asm.RegSource) && ins.Offset != 0 {
			casts[at] = ins.Offset
		}
		if ins.IsKfuncCall() {
			p.kfuncs[at] = ins.Reference()
			continue
		}
		if offset, ok := metadata.KconfigOffset(ins); ok {
			if known[metadata.KconfigName] == nil {
				m, err := kconfigMap(coll.Types)
				if err != nil {
					return nil, fmt.Errorf("program %s: %w", spec.Name, err)
				}
				known[metadata.KconfigName] = m
			}
			p.maps[at] = known[metadata.KconfigName]
			*ins = ins.WithReference(metadata.KconfigName)
			ins.Constant = int64(uint64(offset) << 32)
			continue
		}
		if !ins.IsLoadFromMap() || ins.Reference() == "" {
			continue
		}
		name := ins.Reference()
		ms := coll.Maps[name]
		if ms == nil {
			return nil, fmt.Errorf("program %s: no map %s in the collection", spec.Name, name)
		}
		if known[name] == nil {
			known[name] = newMapDef(name, ms)
		}
		p.maps[at] = known[name]
	}
	var b bytes.Buffer
	if err := insns.Marshal(&b, binary.LittleEndian); err != nil {
		return nil, fmt.Errorf("program %s: %w", spec.Name, err)
	}
	p.insns = decode(b.Bytes())
	for at, kind := range casts {
		p.insns[at].Off = kind
	}
	return p, nil
}

func decode(b []byte) []insn {
	all := make([]insn, 0, len(b)/asm.InstructionSize)
	for ; len(b) >= 8; b = b[8:] {
		all = append(all, insn{code.Insn{
			Op: b[0], Regs: b[1], Off: int16(binary.LittleEndian.Uint16(b[2:])), Imm: int32(binary.LittleEndian.Uint32(b[4:])),
		}})
	}
	return all
}

func lineOf(s fmt.Stringer) *Line {
	if l, ok := s.(*btf.Line); ok {
		return &Line{File: l.FileName(), Number: int(l.LineNumber()), Column: int(l.LineColumn()), Text: l.Line()}
	}
	return &Line{Text: s.String()}
}

func newMapDef(name string, ms *ebpf.MapSpec) *mapDef {
	m := &mapDef{name: name, spec: ms}
	if ms.InnerMap != nil {
		m.inner = newMapDef(name+" (inner)", ms.InnerMap)
	}
	if ms.Flags&rdonlyProg != 0 && ms.Type == ebpf.Array && len(ms.Contents) == 1 && ms.MaxEntries == 1 {
		if data, ok := ms.Contents[0].Value.([]byte); ok {
			m.frozen = data
		}
	}
	return m
}

// line is the source line of a slot.
func (p *program) line(at int) *Line {
	if at < 0 || at >= len(p.lines) {
		return nil
	}
	return p.lines[at]
}
