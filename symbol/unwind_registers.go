package symbol

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"runtime"
)

// maxColumns is the number of registers that any architecture here has.
const maxColumns = 33

// Registers are the registers of a thread in user mode.
type Registers struct {
	// Machine is what the thread runs as: elf.EM_X86_64 or elf.EM_AARCH64.
	Machine elf.Machine
	// Value has the registers by their numbers in DWARF: for x86-64 rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, rip;
	// for arm64 x0 to x30, sp, pc.
	Value [maxColumns]uint64
	// Known has the bit of each register that is in Value. Without rip and rsp (pc and sp) there is nothing to unwind; the
	// registers that functions save (rbx, rbp, r12 to r15; x19 to x30) may be needed, others seldom are.
	Known uint64
}

// architecture is what unwinding has to know about a machine, as data.
type architecture struct {
	machine elf.Machine
	columns uint8 // registers 0 up to this are followed
	ip      uint8 // where the thread is
	sp, fp  uint8
	link    bool    // calls put the return address into a register
	mask    uint64  // of the bits that an address has
	kernel  []uint8 // the registers in the order of the kernel's struct pt_regs
}

// noColumn marks what is no register of DWARF.
const noColumn = 0xff

func architectureOf(m elf.Machine) *architecture {
	switch m {
	case elf.EM_X86_64:
		return &x86
	case elf.EM_AARCH64:
		return &aarch64
	}
	return nil
}

// Machine is the machine that this program runs on, 0 if stacks of it are not understood.
func Machine() elf.Machine {
	switch runtime.GOARCH {
	case "amd64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	}
	return elf.EM_NONE
}

// StackPointer is where the thread's stack ends.
func (r *Registers) StackPointer() uint64 {
	arch := architectureOf(r.Machine)
	if arch == nil {
		return 0
	}
	return r.Value[arch.sp]
}

// KernelRegisters reads a struct pt_regs of the kernel; PTRACE_GETREGSET for NT_PRSTATUS gives the same.
func KernelRegisters(machine elf.Machine, b []byte) (Registers, error) {
	r := Registers{Machine: machine}
	arch := architectureOf(machine)
	if arch == nil {
		return r, fmt.Errorf("reading registers: %w", UnwindMachine)
	}
	if len(b) < 8*len(arch.kernel) {
		return r, fmt.Errorf("reading registers: %d bytes instead of %d", len(b), 8*len(arch.kernel))
	}
	for i, column := range arch.kernel {
		if column != noColumn {
			r.Value[column] = binary.LittleEndian.Uint64(b[8*i:])
			r.Known |= 1 << column
		}
	}
	return r, nil
}
