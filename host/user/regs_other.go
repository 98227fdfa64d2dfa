//go:build !amd64

package user

import "golang.org/x/sys/unix"

// supported says that this architecture cannot be traced yet: Load refuses, and nothing below is called.
const supported = false

const (
	auditArch  = 0
	ptRegsSize = 8
)

func copyRegs([]byte, *unix.PtraceRegs)            {}
func callNumber(*unix.PtraceRegs) int              { return -1 }
func callResult(*unix.PtraceRegs) uint64           { return 0 }
func callArgs(*unix.PtraceRegs) [6]uint64          { return [6]uint64{} }
func compat(*unix.PtraceRegs) bool                 { return false }
func userFrame(*unix.PtraceRegs) (ip, fp uint64)   { return 0, 0 }
func becomeCall(*unix.PtraceRegs, int, ...uint64)  {}
func again(start unix.PtraceRegs) *unix.PtraceRegs { return &start }
func stackPointer(*unix.PtraceRegs) uint64         { return 0 }

const (
	breakByte      = 0
	maxInstruction = 16
)

type instruction struct {
	code, moved [maxInstruction]byte
	length      int
	calls       bool
}

func makesTask(int) bool                      { return false }
func cloneFlags(int, *unix.PtraceRegs) uint64 { return 0 }
func address(*unix.PtraceRegs) uint64         { return 0 }
func breakAddress(*unix.PtraceRegs) uint64    { return 0 }
func setAddress(*unix.PtraceRegs, uint64)     {}
func decode([]byte) (i instruction, e error)  { return i, unix.ENOSYS }

func (i *instruction) emulate(*unix.PtraceRegs, func(addr, value uint64) error) bool { return false }

func (i *instruction) lend(*unix.PtraceRegs, uint64) func(*unix.PtraceRegs) {
	return func(*unix.PtraceRegs) {}
}

func notifiedRegs(*unix.PtraceRegs, *notification) {}
func inNotification(int, int) bool                 { return false }
