package lower

import "github.com/cilium/ebpf/asm"

// Numbers of the kernel's helpers.
const (
	fnMapLookup          = int64(asm.FnMapLookupElem)
	fnMapUpdate          = int64(asm.FnMapUpdateElem)
	fnMapDelete          = int64(asm.FnMapDeleteElem)
	fnTracePrintk        = int64(asm.FnTracePrintk)
	fnGetPrandom         = int64(asm.FnGetPrandomU32)
	fnGetCPU             = int64(asm.FnGetSmpProcessorId)
	fnGetPidTgid         = int64(asm.FnGetCurrentPidTgid)
	fnGetUidGid          = int64(asm.FnGetCurrentUidGid)
	fnGetComm            = int64(asm.FnGetCurrentComm)
	fnGetStackid         = int64(asm.FnGetStackid)
	fnGetTask            = int64(asm.FnGetCurrentTask)
	fnGetNuma            = int64(asm.FnGetNumaNodeId)
	fnOverrideReturn     = int64(asm.FnOverrideReturn)
	fnGetStack           = int64(asm.FnGetStack)
	fnGetCgroupID        = int64(asm.FnGetCurrentCgroupId)
	fnSendSignal         = int64(asm.FnSendSignal)
	fnProbeRead          = int64(asm.FnProbeRead)
	fnProbeReadStr       = int64(asm.FnProbeReadStr)
	fnProbeReadUser      = int64(asm.FnProbeReadUser)
	fnProbeReadKernel    = int64(asm.FnProbeReadKernel)
	fnProbeReadUserStr   = int64(asm.FnProbeReadUserStr)
	fnProbeReadKernelStr = int64(asm.FnProbeReadKernelStr)
	fnSendSignalThread   = int64(asm.FnSendSignalThread)
	fnJiffies            = int64(asm.FnJiffies64)
	fnGetNsPidTgid       = int64(asm.FnGetNsCurrentPidTgid)
	fnKtimeBoot          = int64(asm.FnKtimeGetBootNs)
	fnKtimeMono          = int64(asm.FnKtimeGetNs)
	fnKtimeTAI           = int64(asm.FnKtimeGetTaiNs)
	fnRingOutput         = int64(asm.FnRingbufOutput)
	fnRingQuery          = int64(asm.FnRingbufQuery)
	fnDPath              = int64(asm.FnDPath)
	fnGetTaskBTF         = int64(asm.FnGetCurrentTaskBtf)
	fnForEachMapElem     = int64(asm.FnForEachMapElem)
	fnGetAttachCookie    = int64(asm.FnGetAttachCookie)
	fnLoop               = int64(asm.FnLoop)
	fnLookupPerCPU       = int64(asm.FnMapLookupPercpuElem)
	fnTaskPtRegs         = int64(asm.FnTaskPtRegs)
	fnGetFuncIP          = int64(asm.FnGetFuncIp)
)

// helperName is the helper's name as in linux/bpf.h, without bpf_.
func helperName(helper int64) string {
	switch helper {
	case fnMapLookup:
		return "map_lookup_elem"
	case fnMapUpdate:
		return "map_update_elem"
	case fnMapDelete:
		return "map_delete_elem"
	case fnProbeRead:
		return "probe_read"
	case fnProbeReadStr:
		return "probe_read_str"
	case fnProbeReadUser:
		return "probe_read_user"
	case fnProbeReadKernel:
		return "probe_read_kernel"
	case fnProbeReadUserStr:
		return "probe_read_user_str"
	case fnProbeReadKernelStr:
		return "probe_read_kernel_str"
	case fnGetStackid:
		return "get_stackid"
	case fnSendSignal:
		return "send_signal"
	case fnSendSignalThread:
		return "send_signal_thread"
	case fnOverrideReturn:
		return "override_return"
	case fnDPath:
		return "d_path"
	case fnGetNsPidTgid:
		return "get_ns_current_pid_tgid"
	}
	return asm.BuiltinFunc(helper).String()
}

// Flags of map_update_elem.
const (
	updateAny     = 0
	updateNoExist = 1
)
