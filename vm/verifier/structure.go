package verifier

import "github.com/cilium/ebpf"

const (
	maxInsns     = 1_000_000 // of a program, and walked
	maxFrames    = 8
	maxStack     = 512
	maxSubprogs  = 256
	maxUsedMaps  = 64
	maxVarOffset = 1 << 29
)

// checkStructure is what can be said of each instruction by itself: that it exists, and that its unused parts are 0.
func (v *verifier) checkStructure() {
	p := v.prog
	n := len(p.insns)
	if n == 0 || n > maxInsns {
		v.reject("size", "the program has %d instructions, 1 to %d are allowed", n, maxInsns)
	}
	v.findSubprograms()
	for _, m := range p.maps {
		v.readFields(m)
	}
	used := map[*mapDef]bool{}
	for i := 0; i < n; i++ {
		v.insn = i
		in := p.insns[i]
		v.checkOpcode(in)
		if in.class() == classLDX && (in.mode() != modeMEM && in.mode() != modeMEMSX || in.Imm != 0) {
			v.reject("opcode", "the load uses reserved fields")
		}
		if in.Op == loadImm64 {
			v.checkLoadImm64(i)
			if m := p.maps[i]; m != nil {
				used[m] = true
				v.checkMapMade(m)
				v.checkMapFits(m)
			}
			i++
		}
	}
	if len(used) > maxUsedMaps {
		v.reject("maps", "the program uses %d maps, at most %d are allowed", len(used), maxUsedMaps)
	}
}

func (v *verifier) checkLoadImm64(i int) {
	p := v.prog
	in := p.insns[i]
	if i+1 >= len(p.insns) {
		v.reject("opcode", "the second half of a 64-bit immediate load is missing")
	}
	next := p.insns[i+1]
	if next.Op != 0 || next.Regs != 0 || next.Off != 0 || in.Off != 0 {
		v.reject("opcode", "a 64-bit immediate load uses reserved fields")
	}
	switch in.Src() {
	case 0:
	case pseudoMapFD, pseudoMapIdx:
		if next.Imm != 0 && p.maps[i] != nil {
			v.reject("opcode", "a load of a map has an offset")
		}
		if p.maps[i] == nil {
			v.unmodelled("a map that is not in the collection")
		}
	case pseudoMapValue, pseudoMapIdxValue:
		m := p.maps[i]
		if m == nil {
			v.unmodelled("a map that is not in the collection")
		}
		if m.spec.Type == ebpf.Arena {
			v.unmodelled("variables in arenas")
		}
		if m.spec.Type != ebpf.Array || m.spec.MaxEntries != 1 {
			v.reject("map", "the address of a value can be had of arrays of one element only, not of %s", m.name)
		}
		if off := uint32(next.Imm); off >= m.spec.ValueSize {
			v.reject("map", "offset %d is outside of the value of %s, which has %d bytes", off, m.name, m.spec.ValueSize)
		}
	case pseudoBTFID:
		v.unmodelled("addresses of kernel variables (ksyms)")
	case pseudoFunc:
		if v.subprogramAt(i+1+int(in.Imm)) < 0 {
			v.reject("subprogram", "the function referred to does not exist")
		}
	default:
		v.reject("opcode", "a 64-bit immediate load of an unknown kind")
	}
}

// checkOpcode asks whether the kernel knows the operation.
func (v *verifier) checkOpcode(in insn) {
	ok := false
	switch in.class() {
	case classLD:
		ok = in.Op == loadImm64 || (in.mode() == modeABS || in.mode() == modeIND) && in.size() != 8
	case classLDX:
		ok = in.mode() == modeMEM || in.mode() == modeMEMSX && in.size() != 8 && v.rules.isaV4
	case classST:
		ok = in.mode() == modeMEM
	case classSTX:
		ok = in.mode() == modeMEM || in.mode() == modeATOMIC && (in.size() >= 4 || v.rules.acquire && (in.Imm == atomicLoadAcq || in.Imm == atomicStoreRel))
		if in.mode() == modeATOMIC && in.size() < 4 && v.rules.acquire {
			ok = true // refused later, with its operation
		}
	case classALU, classALU64:
		switch op := in.op(); {
		case op == opNEG:
			ok = !in.fromReg()
		case op == opEND:
			ok = in.class() == classALU || v.rules.isaV4 && !in.fromReg()
		default:
			ok = op <= opARSH
		}
	case classJMP:
		switch op := in.op(); op {
		case jA, jCALL, jEXIT:
			ok = !in.fromReg()
		case jCOND:
			ok = v.rules.mayGoto && !in.fromReg()
		default:
			ok = op < jCOND
		}
	case classJMP32:
		switch op := in.op(); op {
		case jA:
			ok = v.rules.longJumps && !in.fromReg()
		case jCALL, jEXIT, jCOND:
		default:
			ok = op < jCOND
		}
	}
	if !ok {
		v.reject("opcode", "operation %#02x does not exist in Linux %s", in.Op, v.rules.kernel)
	}
}

// findSubprograms splits the program at the functions that calls and references name.
func (v *verifier) findSubprograms() {
	p := v.prog
	starts := map[int]bool{0: true}
	for i := 0; i < len(p.insns); i++ {
		in := p.insns[i]
		v.insn = i
		switch {
		case in.isSubcall(), in.isFuncRef():
			to := i + 1 + int(in.Imm)
			if to < 0 || to >= len(p.insns) {
				v.reject("subprogram", "the call leads outside of the program, to instruction %d", to)
			}
			starts[to] = true
			if in.isFuncRef() && !v.rules.callbacks {
				v.reject("opcode", "references to functions do not exist in Linux %s", v.rules.kernel)
			}
		case in.isKfunc():
			if v.rules.kernel < linux(5, 13) {
				v.reject("opcode", "calls of the kernel's functions do not exist in Linux %s", v.rules.kernel)
			}
		}
	}
	for i := range p.insns {
		if starts[i] {
			s := &subprogram{start: i, end: len(p.insns)}
			if f := p.funcs[i]; f != nil {
				s.name = f.Name
				s.global = i > 0 && f.Linkage == btfGlobal
				s.typ = protoOf(f)
			}
			if n := len(v.subs); n > 0 {
				v.subs[n-1].end = i
			}
			v.subs = append(v.subs, s)
		}
	}
	if len(v.subs) > maxSubprogs {
		v.reject("subprogram", "the program has %d functions, at most %d are allowed", len(v.subs), maxSubprogs)
	}
	v.checkSubprograms()
	v.findEffects()
}

// checkSubprograms asks that jumps stay inside of functions and that these end.
func (v *verifier) checkSubprograms() {
	for _, s := range v.subs {
		for i := s.start; i < s.end; i++ {
			in := v.prog.insns[i]
			v.insn = i
			if in.isHelper() && in.Imm == helperTailCall {
				s.hasTailCall = true
			}
			if in.class() == classLD && (in.mode() == modeABS || in.mode() == modeIND) {
				s.hasLdAbs = true
			}
			if in.isJump() && in.op() != jEXIT && in.op() != jCALL {
				if to := in.target(i); to < s.start || to >= s.end {
					v.reject("jump", "the jump leads from instruction %d to %d, outside of its function", i, to)
				}
			}
			if i == s.end-1 && !in.isExit() && in.Op != classJMP|jA && in.Op != classJMP32|jA {
				v.reject("fall through", "the function does not end with an exit or a jump")
			}
		}
	}
}

// subprogramAt returns the index of the function that begins at the slot, -1 if none does.
func (v *verifier) subprogramAt(slot int) int {
	for i, s := range v.subs {
		if s.start == slot {
			return i
		}
	}
	return -1
}

// subprogramOf returns the index of the function that the slot is in.
func (v *verifier) subprogramOf(slot int) int {
	for i, s := range v.subs {
		if slot >= s.start && slot < s.end {
			return i
		}
	}
	return 0
}
