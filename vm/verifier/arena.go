package verifier

import "github.com/cilium/ebpf"

// Casts of pointers from one address space to the other.
const (
	castToKernel = 1
	castToUser   = 1 << 16
)

// castSpace makes of a number a pointer into the program's arena, which may be followed wherever it leads, or a number again.
func (v *verifier) castSpace(in insn) {
	if in.Imm != castToKernel && in.Imm != castToUser {
		v.reject("opcode", "there is no cast %#x of address spaces", in.Imm)
	}
	if v.arena() == nil {
		v.reject("arena", "addresses are cast in programs that use an arena only")
	}
	v.read(in.Src())
	d := v.write(in.Dst())
	if in.Imm == castToKernel {
		d.setPointer(ptrArena, 0)
	} else {
		d.setUnknown()
	}
}

// arena is the one that the program uses; nil if it uses none.
func (v *verifier) arena() (one *mapDef) {
	for _, m := range v.prog.maps {
		if m.spec.Type == ebpf.Arena {
			if one != nil && one != m {
				v.reject("arena", "a program can use one arena only, and not %s and %s", one.name, m.name)
			}
			one = m
		}
	}
	return one
}

// arenaAccess follows a pointer into an arena.
func (v *verifier) arenaAccess(a access) {
	if a.signed {
		v.unmodelled("loads from arenas that extend the sign")
	}
	if a.atomic && (v.prog.insns[v.insn].Imm != opADD || v.rules.kernel < Linux6_12) {
		v.unmodelled("atomic operations on arenas other than additions") // which of them there are depends on the machine
	}
	v.loaded(a)
}
