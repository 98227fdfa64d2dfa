package verifier

import (
	"runtime"

	"github.com/cilium/ebpf"
)

// A ctxTable says what programs of a type may do with their context.
type ctxTable struct {
	size int
	// field checks an access of the context and says what is loaded: a number unless it sets the register's kind.
	field func(v *verifier, a ctxField) bool
	// writesPacket: through pointers. readsPacketInHelpers: helpers may be given memory of the packet.
	writesPacket         bool
	readsPacketInHelpers bool
}

// A ctxField is an access of the context.
type ctxField struct {
	off, size int
	write     bool
	signed    bool
	kind      *kind
	flags     *flags
}

func (a ctxField) in(lo, hi int) bool { return a.off >= lo && a.off < hi }

// narrow is a field of width bytes of which parts may be read, but which is written as a whole.
func (a ctxField) narrow(width int) bool {
	if a.write {
		return a.size == width
	}
	return a.size <= width
}

func (a ctxField) pointer(k kind, f flags, width int) bool {
	if a.write || a.signed || a.size != width {
		return false
	}
	*a.kind, *a.flags = k, f
	return true
}

// checkProgramType finds the table of the program's type.
func (v *verifier) checkProgramType() {
	spec := v.prog.spec
	v.ctx = ctxOf(spec.Type)
	if v.ctx == nil {
		v.unmodelled("programs of type " + spec.Type.String())
	}
	v.checkFlags()
	if spec.Flags&1 != 0 {
		v.unmodelled("strict alignment")
	}
	switch spec.Type {
	case ebpf.Tracing, ebpf.LSM, ebpf.StructOps, ebpf.Netfilter:
		v.findAttachType()
	}
}

// Flags of programs.
const (
	flagStrictAlignment = 1 << 0
	flagAnyAlignment    = 1 << 1
	flagOftenState      = 1 << 3
	sleepable           = 1 << 4
	flagFragments       = 1 << 5
)

// checkFlags asks that programs of this type may have the flags that they have.
func (v *verifier) checkFlags() {
	spec := v.prog.spec
	if spec.Flags&^(sleepable|flagStrictAlignment|flagAnyAlignment|flagOftenState|flagFragments) != 0 {
		v.unmodelled("flags of the program")
	}
	if spec.Flags&flagFragments != 0 && (spec.Type != ebpf.XDP || v.rules.kernel < linux(5, 18)) {
		v.reject("flags", "packets in fragments are for XDP programs since Linux 5.18")
	}
	if spec.Type == ebpf.Syscall && spec.Flags&sleepable == 0 {
		v.reject("sleep", "programs of type %s must be declared as ones that may sleep", spec.Type)
	}
	if spec.Flags&sleepable == 0 {
		return
	}
	ok := false
	switch spec.Type {
	case ebpf.Tracing:
		ok = spec.AttachType != ebpf.AttachTraceRawTp && (spec.AttachType != ebpf.AttachTraceIter || v.rules.kernel >= linux(5, 18))
	case ebpf.LSM, ebpf.Syscall:
		ok = true
	case ebpf.Kprobe:
		ok = v.rules.kernel >= linux(6, 0)
	case ebpf.StructOps:
		v.unmodelled("operations that may sleep")
	}
	if !ok {
		v.reject("sleep", "programs of type %s may not sleep", spec.Type)
	}
}

func ctxOf(t ebpf.ProgramType) *ctxTable {
	switch t {
	case ebpf.SocketFilter:
		return &ctxTable{size: 192, field: socketFilterField}
	case ebpf.SchedCLS, ebpf.SchedACT:
		return &ctxTable{size: 192, field: tcField, writesPacket: true, readsPacketInHelpers: true}
	case ebpf.XDP:
		return &ctxTable{size: 24, field: xdpField, writesPacket: true, readsPacketInHelpers: true}
	case ebpf.CGroupSKB:
		return &ctxTable{size: 192, field: cgroupSKBField, readsPacketInHelpers: true}
	case ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTSeg6Local:
		return &ctxTable{size: 192, field: lwtField, readsPacketInHelpers: true}
	case ebpf.LWTXmit:
		return &ctxTable{size: 192, field: lwtField, writesPacket: true, readsPacketInHelpers: true}
	case ebpf.SkSKB:
		return &ctxTable{size: 192, field: skSKBField, writesPacket: true, readsPacketInHelpers: true}
	case ebpf.CGroupDevice:
		return &ctxTable{size: 12, field: deviceField}
	case ebpf.CGroupSysctl:
		return &ctxTable{size: 8, field: sysctlField}
	case ebpf.CGroupSockopt:
		return &ctxTable{size: 40, field: sockoptField, writesPacket: true}
	case ebpf.CGroupSock:
		return &ctxTable{size: 80, field: sockField}
	case ebpf.CGroupSockAddr:
		return &ctxTable{size: 72, field: sockAddrField}
	case ebpf.SkLookup:
		return &ctxTable{size: 72, field: skLookupField}
	case ebpf.Kprobe:
		return &ctxTable{size: kernelRegs(), field: kprobeField}
	case ebpf.TracePoint:
		return &ctxTable{size: 8192, field: func(_ *verifier, a ctxField) bool { return !a.write && a.off >= 8 }}
	case ebpf.PerfEvent:
		return &ctxTable{size: userRegs() + 16, field: perfEventField}
	case ebpf.RawTracepoint:
		return &ctxTable{size: 96, field: func(_ *verifier, a ctxField) bool { return !a.write }}
	case ebpf.Syscall:
		return &ctxTable{size: 0xffff, field: func(*verifier, ctxField) bool { return true }}
	case ebpf.SockOps:
		return &ctxTable{size: 224, field: sockOpsField}
	case ebpf.SkMsg:
		return &ctxTable{size: 80, field: skMsgField, writesPacket: true, readsPacketInHelpers: true}
	case ebpf.SkReuseport:
		return &ctxTable{size: 56, field: reuseportField, readsPacketInHelpers: true}
	case ebpf.FlowDissector:
		return &ctxTable{size: 192, field: flowDissectorField, readsPacketInHelpers: true}
	case ebpf.RawTracepointWritable:
		return &ctxTable{size: 96, field: writableTracepointField}
	case ebpf.LircMode2:
		return &ctxTable{size: 4, field: lircField}
	case ebpf.Tracing, ebpf.LSM, ebpf.StructOps:
		return &ctxTable{size: 96, field: btfField}
	case ebpf.Netfilter:
		return &ctxTable{size: 16, field: netfilterField}
	}
	return nil
}

// kernelRegs is the size of struct pt_regs on this architecture, userRegs that of what user space knows of it.
func kernelRegs() int {
	if runtime.GOARCH == "arm64" {
		return 336
	}
	return 168
}

func userRegs() int {
	if runtime.GOARCH == "arm64" {
		return 272
	}
	return 168
}

// plainCtx asks that a register is the context as it was given.
func (v *verifier) plainCtx(n int) {
	r := &v.regs()[n]
	if r.off != 0 || r.bits != (tnum{}) {
		v.rejectReg(n, "context", "r%d was moved away from the start of the context", n)
	}
}

func (v *verifier) ctxAccess(a access, r *reg) {
	if v.prog.spec.Type == ebpf.Syscall {
		v.syscallCtx(a, r)
		return
	}
	v.plainCtx(a.reg)
	k, f := scalar, flags(0)
	field := ctxField{off: a.off, size: a.size, write: a.write, signed: a.signed, kind: &k, flags: &f}
	what := "read"
	if a.write {
		what = "written"
	}
	if a.off < 0 || a.off >= v.ctx.size || a.off%a.size != 0 || a.off+a.size > v.ctx.size || !v.ctx.field(v, field) {
		v.rejectReg(a.reg, "context", "%d bytes at offset %d of the context cannot be %s by programs of type %s", a.size, a.off, what, v.prog.spec.Type)
	}
	if a.write || a.value < 0 {
		return
	}
	x := &v.regs()[a.value]
	if k == scalar {
		x.setUnknown()
		return
	}
	x.setPointer(k, f)
	if k == ptrBTF {
		v.loadedBTF(x, a.off)
	}
	if x.nullable() {
		x.id = v.newID()
	}
}

// syscallCtx is memory of the size that the caller gives; constant offsets are checked when it runs.
func (v *verifier) syscallCtx(a access, r *reg) {
	v.plainCtx(a.reg)
	if a.off < 0 || a.off >= v.ctx.size || a.off%a.size != 0 {
		v.rejectReg(a.reg, "context", "%d bytes at offset %d of the context cannot be accessed", a.size, a.off)
	}
	v.loaded(a)
}
