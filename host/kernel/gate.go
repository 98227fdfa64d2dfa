package kernel

import (
	"sync/atomic"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"skep/probe"
)

// To take a program off a perf event, a function or many raw tracepoints takes the kernel up to a tenth of a second each, and
// disabling a perf event of a tracepoint, kprobe or uprobe does not keep the program from being run. So such programs get
// a gate before their first instruction: they return when a word in memory that we share with them is not 0.

// manyTracepoints is the number of raw tracepoints from which on they are gated too: each takes 0.2 ms to detach.
const manyTracepoints = 32

func slowToDetach(how probe.How) bool {
	switch how {
	case probe.TracepointPerf, probe.KprobePerf, probe.KprobeMulti, probe.UprobePerf, probe.UprobeMulti, probe.Trampoline:
		return true
	}
	return false
}

// gatedPrograms gives the names of the programs that get a gate.
func (s *session) gatedPrograms() map[string]bool {
	gated := map[string]bool{}
	tracepoints := 0
	for _, a := range s.attach {
		if a.How == probe.RawTP || a.How == probe.BTFTP {
			tracepoints++
		}
	}
	for _, a := range s.attach {
		if slowToDetach(a.How) || tracepoints > manyTracepoints && (a.How == probe.RawTP || a.How == probe.BTFTP) {
			gated[a.Program] = true
		}
	}
	return gated
}

func (s *session) gated() bool { return len(s.gatedPrograms()) > 0 }

// withGate puts the gate before the instructions, and returns how many raw ones it has. It uses R0 and R2, which hold nothing
// when a program starts.
func (s *session) withGate(insns asm.Instructions) (asm.Instructions, int) {
	load := asm.LoadMapValue(asm.R2, 0, 0)
	load.AssociateMap(s.gateMap) // cannot fail: it is a load from a map
	open := asm.JEq.Imm(asm.R2, 0, "")
	open.Offset = 2
	gate := asm.Instructions{load, asm.LoadMem(asm.R2, asm.R2, 0, asm.DWord), open, asm.Mov.Imm(asm.R0, 0), asm.Return()}

	// What belongs to the function as a whole goes to its new first instruction.
	first := insns[0]
	gate[0] = gate[0].WithSymbol(first.Symbol()).WithSource(first.Source())
	if f := btf.FuncMetadata(&first); f != nil {
		gate[0] = btf.WithFuncMetadata(gate[0], f)
	}
	reference, m := first.Reference(), first.Map()
	first.Metadata = asm.Metadata{}
	if reference != "" {
		first = first.WithReference(reference)
	}
	if m != nil {
		first.AssociateMap(m)
	}
	insns[0] = first
	return append(gate, insns...), 6
}

func (s *session) closeGate() {
	if len(s.gate) > 0 {
		atomic.StoreUint64(&s.gate[0], 1)
	}
}
