package interp

// Division by 0 gives 0, and a remainder of it the dividend.

func div64(a, b uint64) uint64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func div32(a, b uint32) uint64 {
	if b == 0 {
		return 0
	}
	return uint64(a / b)
}

func mod64(a, b uint64) uint64 {
	if b == 0 {
		return a
	}
	return a % b
}

func mod32(a, b uint32) uint64 {
	if b == 0 {
		return uint64(a)
	}
	return uint64(a % b)
}

// The lowest number divided by -1 is itself, with a remainder of 0. Go says so too, for the machines that trap.

func sdiv64(a, b int64) uint64 {
	if b == 0 {
		return 0
	}
	return uint64(a / b)
}

func sdiv32(a, b int32) uint64 {
	if b == 0 {
		return 0
	}
	return uint64(uint32(a / b))
}

func smod64(a, b int64) uint64 {
	if b == 0 {
		return uint64(a)
	}
	return uint64(a % b)
}

func smod32(a, b int32) uint64 {
	if b == 0 {
		return uint64(uint32(a))
	}
	return uint64(uint32(a % b))
}
