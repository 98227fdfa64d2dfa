package trace

import (
	"encoding/hex"

	"skep/host"
	"skep/schema"
	"skep/symbol"
)

// systemSymbols names addresses of the running system.
type systemSymbols struct {
	kernel    *symbol.Kernel
	processes *symbol.Processes
}

// NewSymbols names addresses of the running kernel and of processes; nil stands for a table of processes of its own.
func NewSymbols(processes *symbol.Processes) Symbols {
	if processes == nil {
		processes = symbol.NewProcesses(symbol.ProcessesOptions{})
	}
	return &systemSymbols{kernel: symbol.NewKernel(), processes: processes}
}

// Kernel leaves addresses without names if the kernel hides them; the host has said so by then.
func (s *systemSymbols) Kernel(addrs []uint64) []symbol.Symbol {
	symbols, _ := s.kernel.Symbols(addrs)
	return symbols
}

func (s *systemSymbols) User(pid int, addrs []uint64) []symbol.Symbol {
	return s.processes.Symbols(pid, addrs)
}

func (s *systemSymbols) Unwind(dst []uint64, pid int, regs *symbol.Registers, stack symbol.UserStack, limit int) ([]uint64, error) {
	return s.processes.Unwind(dst, pid, regs, stack, limit)
}

func (s *systemSymbols) BuildID(pid int, addr uint64) (id string, offset uint64, ok bool) {
	return s.processes.BuildID(pid, addr)
}

// Prepare leaves an error to the one who asks for names.
func (s *systemSymbols) Prepare() { _ = s.kernel.Prepare() }

func (s *systemSymbols) Snapshot(pid int) {
	if pid == 0 {
		s.processes.Snapshot()
	} else {
		s.processes.Snapshot(pid)
	}
}

// Track gives what a run needs to name addresses of processes that have ended by the time their names are asked for: a
// sink for the options of the host, and symbols for those of the run.
func Track(script *schema.Script) (host.ProcessSink, Symbols) {
	p := symbol.NewProcesses(symbol.ProcessesOptions{KeepMangled: !script.Config.CppDemangle})
	return tracker{p}, NewSymbols(p)
}

// tracker is a host.ProcessSink that tells a process table what the host sees.
type tracker struct{ *symbol.Processes }

// Lost is of no consequence: a process whose mappings are not known is looked up when it is needed.
func (t tracker) Lost(uint64) {}

func (t tracker) Mmap(pid int, addr, length, pgoff uint64, path string, dev, inode uint64, buildID []byte) {
	t.Processes.Mmap(pid, symbol.Mapping{Start: addr, End: addr + length, Offset: pgoff, Dev: dev, Inode: inode, Path: path,
		Executable: true, BuildID: hex.EncodeToString(buildID)})
}
