package helper

import "github.com/cilium/ebpf"

// Program types one by one.
const (
	socketFilter   Programs = 1 << ebpf.SocketFilter
	kprobe         Programs = 1 << ebpf.Kprobe
	schedCLS       Programs = 1 << ebpf.SchedCLS
	schedACT       Programs = 1 << ebpf.SchedACT
	tracepoint     Programs = 1 << ebpf.TracePoint
	xdp            Programs = 1 << ebpf.XDP
	perfEvent      Programs = 1 << ebpf.PerfEvent
	cgroupSKB      Programs = 1 << ebpf.CGroupSKB
	cgroupSock     Programs = 1 << ebpf.CGroupSock
	lwtIn          Programs = 1 << ebpf.LWTIn
	lwtOut         Programs = 1 << ebpf.LWTOut
	lwtXmit        Programs = 1 << ebpf.LWTXmit
	lwtSeg6        Programs = 1 << ebpf.LWTSeg6Local
	sockOps        Programs = 1 << ebpf.SockOps
	skSKB          Programs = 1 << ebpf.SkSKB
	cgroupDevice   Programs = 1 << ebpf.CGroupDevice
	skMsg          Programs = 1 << ebpf.SkMsg
	rawTracepoint  Programs = 1<<ebpf.RawTracepoint | 1<<ebpf.RawTracepointWritable
	cgroupSockAddr Programs = 1 << ebpf.CGroupSockAddr
	lirc           Programs = 1 << ebpf.LircMode2
	reuseport      Programs = 1 << ebpf.SkReuseport
	flowDissector  Programs = 1 << ebpf.FlowDissector
	cgroupSysctl   Programs = 1 << ebpf.CGroupSysctl
	cgroupSockopt  Programs = 1 << ebpf.CGroupSockopt
	tracing        Programs = 1 << ebpf.Tracing
	structOps      Programs = 1 << ebpf.StructOps
	lsm            Programs = 1 << ebpf.LSM
	skLookup       Programs = 1 << ebpf.SkLookup
	syscall        Programs = 1 << ebpf.Syscall
	netfilter      Programs = 1 << ebpf.Netfilter
)

// Groups that the kernel's tables share.
const (
	everything = socketFilter | kprobe | tc | tracepoint | xdp | perfEvent | cgroups | lwt | sockOps | skSKB | skMsg | rawTracepoint |
		lirc | reuseport | flowDissector | tracing | structOps | lsm | skLookup | syscall | netfilter

	tc      = schedCLS | schedACT
	lwt     = lwtIn | lwtOut | lwtXmit | lwtSeg6
	cgroups = cgroupSKB | cgroupSock | cgroupDevice | cgroupSockAddr | cgroupSysctl | cgroupSockopt
	// probes are what the kernel calls tracing programs: they share a table.
	probes = kprobe | tracepoint | perfEvent | rawTracepoint | tracing | lsm | syscall
	// trampolines know the BTF types of their arguments.
	trampolines = tracing | lsm
	// sockets share the table for everything with a socket near.
	sockets = socketFilter | tc | xdp | cgroupSKB | cgroupSock | cgroupSockAddr | cgroupSockopt | sockOps | skSKB | skMsg | lwt | reuseport |
		flowDissector | skLookup
	// current are cgroup programs that run in the task which caused the event.
	current = cgroupDevice | cgroupSysctl | cgroupSockopt | cgroupSock | cgroupSockAddr
	// lookups may look for sockets.
	lookups = tc | xdp | cgroupSKB | cgroupSockAddr | skSKB
)
