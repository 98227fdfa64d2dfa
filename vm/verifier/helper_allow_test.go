package verifier

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/internal/ktest"
	"skep/vm/helper"
)

// A helperPlace is programs that may call the same helpers.
type helperPlace struct {
	kind ebpf.ProgramType
	to   ebpf.AttachType
	name string
}

// helperPlaces are the types of programs, and where they are attached if that matters.
var helperPlaces = []helperPlace{
	{kind: ebpf.SocketFilter}, {kind: ebpf.Kprobe}, {kind: ebpf.SchedCLS}, {kind: ebpf.SchedACT}, {kind: ebpf.TracePoint}, {kind: ebpf.XDP},
	{kind: ebpf.PerfEvent}, {kind: ebpf.CGroupSKB}, {kind: ebpf.CGroupSock, to: ebpf.AttachCGroupInetSockCreate},
	{kind: ebpf.CGroupSock, to: ebpf.AttachCgroupInetSockRelease}, {kind: ebpf.CGroupSock, to: ebpf.AttachCGroupInet4PostBind},
	{kind: ebpf.LWTIn}, {kind: ebpf.LWTOut}, {kind: ebpf.LWTXmit}, {kind: ebpf.LWTSeg6Local}, {kind: ebpf.SockOps, to: ebpf.AttachCGroupSockOps},
	{kind: ebpf.SkSKB}, {kind: ebpf.CGroupDevice, to: ebpf.AttachCGroupDevice}, {kind: ebpf.SkMsg, to: ebpf.AttachSkMsgVerdict},
	{kind: ebpf.RawTracepoint}, {kind: ebpf.RawTracepointWritable}, {kind: ebpf.LircMode2},
	{kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupInet4Connect}, {kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupInet6Connect},
	{kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupInet4Bind}, {kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupInet6Bind},
	{kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupUDP4Sendmsg}, {kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupUDP6Sendmsg},
	{kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupUDP4Recvmsg}, {kind: ebpf.CGroupSockAddr, to: ebpf.AttachCgroupInet4GetPeername},
	{kind: ebpf.CGroupSockAddr, to: ebpf.AttachCgroupInet4GetSockname}, {kind: ebpf.SkReuseport, to: ebpf.AttachSkReuseportSelect},
	{kind: ebpf.FlowDissector}, {kind: ebpf.CGroupSysctl, to: ebpf.AttachCGroupSysctl},
	{kind: ebpf.CGroupSockopt, to: ebpf.AttachCGroupGetsockopt}, {kind: ebpf.CGroupSockopt, to: ebpf.AttachCGroupSetsockopt},
	{kind: ebpf.SkLookup, to: ebpf.AttachSkLookup}, {kind: ebpf.Syscall},
	{kind: ebpf.Tracing, to: ebpf.AttachTraceRawTp, name: "sched_switch"}, {kind: ebpf.Tracing, to: ebpf.AttachTraceFEntry, name: "vfs_read"},
	{kind: ebpf.Tracing, to: ebpf.AttachTraceFExit, name: "vfs_read"}, {kind: ebpf.Tracing, to: ebpf.AttachModifyReturn, name: "security_file_open"},
	{kind: ebpf.Tracing, to: ebpf.AttachTraceIter, name: "task"}, {kind: ebpf.LSM, to: ebpf.AttachLSMMac, name: "file_open"},
	{kind: ebpf.LSM, to: ebpf.AttachLSMCgroup, name: "socket_bind"}, {kind: ebpf.Netfilter, to: ebpf.AttachNetfilter},
}

// TestHelpersAgree asks the running kernel of each helper which types of programs may call it.
func TestHelpersAgree(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.BTF)
	k := runningKernel(t)
	var wrong []string
	for _, at := range helperPlaces {
		var yes, no []string
		set := make([]byte, 32)
		for n := int32(1); n <= helper.Max(); n++ {
			h := helper.ByNumber(n)
			if h.Flags&helper.Sleeps != 0 || h.Name == "probe_write_user" || h.Name == "override_return" {
				continue // that depends on the program, or on what the kernel is locked down to
			}
			var insns asm.Instructions
			for r := asm.R1; r <= asm.R5; r++ {
				insns = append(insns, asm.Mov.Imm(r, 0))
			}
			insns = append(insns, asm.BuiltinFunc(n).Call(), asm.Mov.Imm(asm.R0, 1), asm.Return())
			spec := &ebpf.ProgramSpec{Name: "helper", Type: at.kind, AttachType: at.to, AttachTo: at.name, License: "GPL", Instructions: insns}
			if at.kind == ebpf.Syscall {
				spec.Flags = sleepable
			}
			p, err := flatten(&ebpf.CollectionSpec{}, spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			a := k.load(p, true)
			if !a.accepted && !strings.Contains(a.log, ": (") {
				yes, no, set = nil, nil, nil
				break // the kernel has not this type of programs, or says nothing of it
			}
			have := a.accepted || !strings.Contains(a.log, "unknown func") && !strings.Contains(a.log, "cannot use helper") && !strings.Contains(a.log, "invalid func") && !strings.Contains(a.log, "not supported for program type") && !strings.Contains(a.log, "not allowed in probe")
			if have {
				set[n/8] |= 1 << (n % 8)
			}
			r := verify(p, k.version, k.options())
			if r.Verdict == NotModelled {
				continue
			}
			ours := r.Verdict == Accepted || r.Rejection.Rule != "helper"
			switch {
			case have && !ours:
				yes = append(yes, h.Name)
			case ours && !have:
				no = append(no, h.Name)
			}
		}
		t.Logf("ROW %v %d %d %x", k.version, at.kind, at.to, set)
		if len(yes)+len(no) > 0 {
			wrong = append(wrong, fmt.Sprintf("%v %v %s: the kernel has %v, and has not %v", at.kind, at.to, at.name, yes, no))
		}
	}
	if len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}
