package kernel

import (
	"errors"
	"os"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"skep/ir"
	"skep/probe"
)

// features remembers what was found out.
type features struct {
	sync.Mutex
	known map[ir.Feature]bool
}

// Has reports whether the kernel has a feature. What every kernel of a version has is not tried there; an older version
// may have it all the same, since distributions take features back.
func (h *Host) Has(f ir.Feature) bool {
	h.features.Lock()
	defer h.features.Unlock()
	if has, ok := h.features.known[f]; ok {
		return has
	}
	has := tryFeature(f, version() >= f.Since())
	if h.features.known == nil {
		h.features.known = map[ir.Feature]bool{}
	}
	h.features.known[f] = has
	return has
}

// helperOf is the helper that a feature consists of.
var helperOf = map[ir.Feature]asm.BuiltinFunc{
	ir.AttachCookie:     asm.FnGetAttachCookie,
	ir.CurrentTaskBTF:   asm.FnGetCurrentTaskBtf,
	ir.ForEachMapElem:   asm.FnForEachMapElem,
	ir.Loop:             asm.FnLoop,
	ir.Strncmp:          asm.FnStrncmp,
	ir.FuncIPKprobe:     asm.FnGetFuncIp,
	ir.LookupPerCPU:     asm.FnMapLookupPercpuElem,
	ir.KtimeTAI:         asm.FnKtimeGetTaiNs,
	ir.NsPidTgid:        asm.FnGetNsCurrentPidTgid,
	ir.TaskPtRegs:       asm.FnTaskPtRegs,
	ir.CopyFromUserTask: asm.FnCopyFromUserTask,
}

func tryFeature(f ir.Feature, byVersion bool) bool {
	switch f {
	case ir.KprobeHooks:
		return exists("/sys/bus/event_source/devices/kprobe/type")
	case ir.BTFTracepoint:
		return byVersion && exists(vmlinuxBTF)
	case ir.FentryProg:
		return byVersion && exists(vmlinuxBTF) && tryFentry()
	case ir.ReadKernel:
		return byVersion && tryHelper(ebpf.RawTracepoint, asm.FnProbeReadKernel)
	case ir.KprobeMulti:
		return exists("/sys/bus/event_source/devices/kprobe/type") && tryKprobeMulti()
	case ir.UprobeMulti:
		return exists("/sys/bus/event_source/devices/uprobe/type") && tryUprobeMulti()
	}
	if byVersion {
		return true
	}
	if helper, ok := helperOf[f]; ok {
		return tryHelper(ebpf.Kprobe, helper)
	}
	switch f {
	case ir.RingBuf:
		return tryMap(&mapCreateAttr{mapType: uint32(ebpf.RingBuf), maxEntries: uint32(os.Getpagesize())})
	case ir.PerfLink:
		return tryPerfLink()
	case ir.FetchAtomics:
		add := asm.FetchAdd.Mem(asm.RFP, asm.R0, asm.DWord, -8)
		add.Constant = int64(asm.FetchAdd >> 8) // version 0.22 of the library forgets to encode it, which leaves a plain addition
		return tryProgram(ebpf.RawTracepoint, 0, asm.Instructions{
			asm.Mov.Imm(asm.R0, 0),
			asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
			add,
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		})
	case ir.ISAv4:
		return tryProgram(ebpf.RawTracepoint, 0, asm.Instructions{
			asm.Mov.Imm(asm.R0, 4),
			asm.Mov.Imm(asm.R1, 2),
			asm.SDiv.Reg(asm.R0, asm.R1),
			asm.Return(),
		})
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tryHelper finds out whether programs of a kind may call a helper: with no arguments the call is wrong, but the verifier
// says so in other words if it does not know the helper.
func tryHelper(kind ebpf.ProgramType, fn asm.BuiltinFunc) bool {
	code, err := assemble(asm.Instructions{fn.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()})
	if err != nil {
		return false
	}
	log := make([]byte, 4<<10) // of three instructions
	attr := progLoadAttr{progType: uint32(kind), insnCount: uint32(len(code) / asm.InstructionSize), insns: pointer(code),
		license: cString("GPL"), logLevel: 1, logSize: uint32(len(log)), log: &log[0]}
	fd, err := bpf(unix.BPF_PROG_LOAD, &attr)
	if err == nil {
		unix.Close(fd)
		return true
	}
	return errors.Is(err, unix.EACCES) && !unknownHelper(unix.ByteSliceToString(log))
}

func tryProgram(kind ebpf.ProgramType, attachType uint32, insns asm.Instructions) bool {
	fd, err := loadSmall(kind, attachType, insns)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

func loadSmall(kind ebpf.ProgramType, attachType uint32, insns asm.Instructions) (int, error) {
	code, err := assemble(insns)
	if err != nil {
		return -1, err
	}
	return bpf(unix.BPF_PROG_LOAD, &progLoadAttr{progType: uint32(kind), attachType: attachType,
		insnCount: uint32(len(code) / asm.InstructionSize), insns: pointer(code), license: cString("GPL")})
}

// tryFentry puts a program on the entry of a function that is hardly ever called: some kernels load such programs and then cannot
// redirect functions.
func tryFentry() bool {
	function := probe.TypeName{Name: "set_user_nice", Function: true}
	ids, err := probe.TypeIDs("", []probe.TypeName{function})
	if err != nil || ids[function] == 0 {
		return false
	}
	code, err := assemble(asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()})
	if err != nil {
		return false
	}
	fd, err := bpf(unix.BPF_PROG_LOAD, &progLoadAttr{progType: uint32(ebpf.Tracing), attachType: uint32(ebpf.AttachTraceFEntry), attachBTFID: ids[function],
		insnCount: uint32(len(code) / asm.InstructionSize), insns: pointer(code), license: cString("GPL")})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	link, err := bpf(unix.BPF_RAW_TRACEPOINT_OPEN, &rawTracepointAttr{fd: uint32(fd)})
	if err != nil {
		return false
	}
	unix.Close(link)
	return true
}

func tryMap(attr *mapCreateAttr) bool {
	fd, err := bpf(unix.BPF_MAP_CREATE, attr)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// tryLink reports the error of a link that cannot be: the errno shows how far the kernel got.
func tryLink[A any](kind ebpf.ProgramType, attachType uint32, attr *A, prog *uint32) error {
	fd, err := loadSmall(kind, attachType, asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	*prog = uint32(fd)
	link, err := bpf(unix.BPF_LINK_CREATE, attr)
	if err == nil {
		unix.Close(link)
	}
	return err
}

func tryPerfLink() bool {
	attr := perfLinkAttr{linkCreateAttr: linkCreateAttr{target: ^uint32(0), attachType: unix.BPF_PERF_EVENT}}
	return errors.Is(tryLink(ebpf.TracePoint, 0, &attr, &attr.prog), unix.EBADF)
}

// tryKprobeMulti: a kernel that knows this link looks for the symbol, and finds none.
func tryKprobeMulti() bool {
	name := cString("no such function")
	names := []*byte{name}
	attr := kprobeMultiAttr{linkCreateAttr: linkCreateAttr{attachType: unix.BPF_TRACE_KPROBE_MULTI}, count: 1,
		symbols: unsafe.Pointer(&names[0])}
	err := tryLink(ebpf.Kprobe, unix.BPF_TRACE_KPROBE_MULTI, &attr, &attr.prog)
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT)
}

// tryUprobeMulti: a kernel that knows this link looks at the path, and it is not a file's.
func tryUprobeMulti() bool {
	offsets := []uint64{0}
	attr := uprobeMultiAttr{linkCreateAttr: linkCreateAttr{attachType: unix.BPF_TRACE_UPROBE_MULTI}, path: cString("/"), count: 1,
		offsets: unsafe.Pointer(&offsets[0])}
	return errors.Is(tryLink(ebpf.Kprobe, unix.BPF_TRACE_UPROBE_MULTI, &attr, &attr.prog), unix.EBADF)
}
