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
	case ptrCtx, ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock, ptrBTF:
		return true
	}
	return false
}

// follow compares the pointer that an instruction follows with those of other paths. What may be trusted on one path and not on the other
// is read by a load that can fail.
func (v *verifier) follow(n uint8, r followed, load bool) {
	was := &v.followed[v.insn]
	switch {
	case was.kind == notInit:
		*was = r
	case *was == r, !was.kind.converted() && !r.kind.converted():
	case load && v.rules.trustedArgs && was.kind == ptrBTF && r.kind == ptrBTF:
	case load && v.rules.voidCasts && fallible(was.kind) && fallible(r.kind):
	default:
		v.rejectReg(int(n), "another pointer", "r%d is %s here, and a pointer of another kind on another path: the same instruction cannot be used for both", n, v.regs()[n].describe())
	}
}

func fallible(k kind) bool { return k == ptrBTF || k == ptrMem }
