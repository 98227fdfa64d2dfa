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
