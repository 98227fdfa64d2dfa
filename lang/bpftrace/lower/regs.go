package lower

// regs is where pt_regs of an architecture has what probes read: offsets in bytes.
type regs struct {
	args     []int // integer arguments of functions
	syscall  []int // arguments of system calls
	stackArg int   // first argument on the stack, from the stack pointer; at function entry
	result   int
	ip, sp   int
	fp       int
	nr       int // number of the system call, in sys_exit
	nrSize   int
	// A system call is one of a 32-bit process if the compatSize bytes at compat, masked, have this value.
	compat, compatSize      int
	compatMask, compatValue int64
	// What lies in pt_regs from its beginning to the end of what user mode has, and all of it. Of the 8 bytes at mode, those in modeMask are
	// userMode if the registers are those of user mode.
	size, kernelSize   int
	mode               int
	modeMask, userMode int64
	names              func(name string) (int, bool)
}

func regsOf(arch string) regs {
	if arch == "arm64" {
		r := regs{
			args: []int{0, 8, 16, 24, 32, 40, 48, 56}, syscall: []int{0, 8, 16, 24, 32, 40}, stackArg: 0,
			result: 0, sp: 248, ip: 256, fp: 232, nr: 280, nrSize: 4,
			compat: 264, compatSize: 4, compatMask: 0x10, compatValue: 0x10,
			size: 272, kernelSize: 336, mode: 264, modeMask: 0xf, userMode: 0, names: arm64Register,
		}
		// The first argument's register is overwritten by the result; the kernel keeps it in orig_x0.
		r.syscall[0] = 272
		return r
	}
	return regs{
		args: []int{112, 104, 96, 88, 72, 64}, syscall: []int{112, 104, 96, 56, 72, 64}, stackArg: 8,
		result: 80, sp: 152, ip: 128, fp: 32, nr: 120, nrSize: 8,
		compat: 136, compatSize: 2, compatValue: 0x23,
		size: 168, kernelSize: 168, mode: 136, modeMask: 3, userMode: 3, names: amd64Register,
	}
}

func amd64Register(name string) (int, bool) {
	switch name {
	case "r15":
		return 0, true
	case "r14":
		return 8, true
	case "r13":
		return 16, true
	case "r12":
		return 24, true
	case "bp":
		return 32, true
	case "bx":
		return 40, true
	case "r11":
		return 48, true
	case "r10":
		return 56, true
	case "r9":
		return 64, true
	case "r8":
		return 72, true
	case "ax":
		return 80, true
	case "cx":
		return 88, true
	case "dx":
		return 96, true
	case "si":
		return 104, true
	case "di":
		return 112, true
	case "orig_ax", "oax":
		return 120, true
	case "ip", "pc":
		return 128, true
	case "cs":
		return 136, true
	case "flags":
		return 144, true
	case "sp":
		return 152, true
	case "ss":
		return 160, true
	}
	return 0, false
}

func arm64Register(name string) (int, bool) {
	switch name {
	case "sp":
		return 248, true
	case "pc", "ip":
		return 256, true
	case "pstate":
		return 264, true
	}
	if len(name) >= 2 && name[0] == 'r' {
		n := 0
		for _, c := range name[1:] {
			if c < '0' || c > '9' {
				return 0, false
			}
			n = n*10 + int(c-'0')
		}
		if n <= 30 {
			return 8 * n, true
		}
	}
	return 0, false
}
