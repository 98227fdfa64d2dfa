package verifier

// followed is what an instruction of memory has been given to follow on the paths walked so far. The kernel makes an access of its own
// for the context, sockets and its types, in place of the instruction, which therefore has to be of one of these on every path.
type followed struct {
	kind  kind
	flags flags
}

// converted reports whether the kernel replaces accesses through a pointer.
func (k kind) converted() bool {
	switch k {
	case ptrCtx, ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock, ptrBTF, ptrArena:
		return true
	}
	return false
}

// follow compares the pointer that an instruction has followed with those of other paths. What may be trusted on one path and not on the
// other is read by a load that can fail. Kernels do not compare those of atomic operations, and of stores of constants since they may be to the
// context.
func (v *verifier) follow(a access, r followed) {
	if a.atomic || a.write && a.value < 0 && !v.rules.ctxImmediates {
		return
	}
	was := &v.followed[v.insn]
	switch {
	case was.kind == notInit:
		*was = r
	case *was == r, !was.kind.converted() && !r.kind.converted():
	case !a.write && v.rules.trustedArgs && was.kind == ptrBTF && r.kind == ptrBTF:
	case !a.write && v.rules.voidCasts && fallible(was.kind) && fallible(r.kind):
	default:
		v.rejectReg(a.reg, "another pointer", "r%d is a pointer of another kind here than on another path: the same instruction cannot be used for both", a.reg)
	}
}

func fallible(k kind) bool { return k == ptrBTF || k == ptrMem }
