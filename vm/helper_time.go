package vm

func ktimeGetNs(t *Thread, _ *[5]uint64) uint64     { return t.machine.clock.Monotonic() }
func ktimeGetBootNs(t *Thread, _ *[5]uint64) uint64 { return t.machine.clock.Boot() }
func ktimeGetTAINs(t *Thread, _ *[5]uint64) uint64  { return t.machine.clock.TAI() }

// jiffies is the time in ticks of a kernel with CONFIG_HZ=250, whose counter wraps around its lower 32 bits five minutes after the start.
func jiffies(t *Thread, _ *[5]uint64) uint64 {
	const tick, hz = 4_000_000, 250
	return t.machine.clock.Monotonic()/tick + 1<<32 - 300*hz
}

func getPrandom(t *Thread, _ *[5]uint64) uint64 { return uint64(t.machine.random()) }

func getProcessor(t *Thread, _ *[5]uint64) uint64 { return uint64(t.engine.CPU) }
