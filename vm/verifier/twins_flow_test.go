package verifier

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

func packetTwins() []twin {
	pointers := func(data, end int16) asm.Instructions {
		return join(asm.Mov.Reg(asm.R6, asm.R1), asm.LoadMem(asm.R2, asm.R6, data, asm.Word), asm.LoadMem(asm.R3, asm.R6, end, asm.Word))
	}
	xdp, skb := pointers(0, 4), pointers(76, 80)
	checked := func(n int32) asm.Instructions {
		return join(asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, n), asm.JGT.Reg(asm.R4, asm.R3, "out"))
	}
	variable := func(mask int32, size asm.Size) asm.Instructions {
		return join(xdp, checked(14), asm.LoadMem(asm.R5, asm.R2, 0, asm.Byte), asm.And.Imm(asm.R5, mask), asm.Add.Reg(asm.R2, asm.R5), checked(8),
			asm.LoadMem(asm.R0, asm.R2, 4, size), leave())
	}
	x := func(name string, good, bad asm.Instructions) twin {
		return twin{name: "xdp " + name, kind: ebpf.XDP, good: good, bad: bad}
	}
	return []twin{
		x("bounds", join(xdp, checked(14), asm.LoadMem(asm.R0, asm.R2, 12, asm.Half), leave()), join(xdp, checked(14), asm.LoadMem(asm.R0, asm.R2, 13, asm.Half), leave())),
		x("unchecked", join(xdp, checked(1), asm.LoadMem(asm.R0, asm.R2, 0, asm.Byte), leave()), join(xdp, asm.LoadMem(asm.R0, asm.R2, 0, asm.Byte), leave())),
		x("wrong branch", join(xdp, asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14), asm.JLE.Reg(asm.R4, asm.R3, "in"), ret(1), label(asm.LoadMem(asm.R0, asm.R2, 0, asm.Byte), "in"), ret(2)),
			join(xdp, asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14), asm.JGT.Reg(asm.R4, asm.R3, "in"), ret(1), label(asm.LoadMem(asm.R0, asm.R2, 0, asm.Byte), "in"), ret(2))),
		x("end first", join(xdp, asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14), asm.JLT.Reg(asm.R3, asm.R4, "out"), asm.LoadMem(asm.R0, asm.R2, 13, asm.Byte), leave()),
			join(xdp, asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14), asm.JLT.Reg(asm.R3, asm.R4, "out"), asm.LoadMem(asm.R0, asm.R2, 14, asm.Byte), leave())),
		x("open end", join(xdp, asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14), asm.JGE.Reg(asm.R4, asm.R3, "out"), asm.LoadMem(asm.R0, asm.R2, 14, asm.Byte), leave()),
			join(xdp, asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14), asm.JGE.Reg(asm.R4, asm.R3, "out"), asm.LoadMem(asm.R0, asm.R2, 15, asm.Byte), leave())),
		x("variable offset", variable(60, asm.Word), variable(60, asm.DWord)),
		x("adjust head", join(xdp, asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 0), asm.FnXdpAdjustHead.Call(), asm.LoadMem(asm.R2, asm.R6, 0, asm.Word), asm.LoadMem(asm.R3, asm.R6, 4, asm.Word), checked(14), asm.LoadMem(asm.R0, asm.R2, 0, asm.Byte), leave()),
			join(xdp, checked(14), asm.Mov.Reg(asm.R7, asm.R2), asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 0), asm.FnXdpAdjustHead.Call(), asm.LoadMem(asm.R0, asm.R7, 0, asm.Byte), leave())),
		x("metadata", join(asm.LoadMem(asm.R2, asm.R1, 8, asm.Word), asm.LoadMem(asm.R3, asm.R1, 0, asm.Word), checked(8), asm.LoadMem(asm.R0, asm.R2, 0, asm.DWord), leave()),
			join(asm.LoadMem(asm.R2, asm.R1, 8, asm.Word), asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), checked(8), asm.LoadMem(asm.R0, asm.R2, 0, asm.DWord), leave())),
		x("write", join(xdp, checked(14), put(asm.R2, 0, 1, asm.Half), leave()), join(xdp, checked(14), put(asm.R2, 13, 1, asm.Half), leave())),
		x("context", join(asm.LoadMem(asm.R0, asm.R1, 12, asm.Word), ret(0)), join(asm.LoadMem(asm.R0, asm.R1, 20, asm.Word), ret(0))),
		x("packet as a key", join(xdp, checked(14), mapAt(asm.R1, "hash"), asm.FnMapLookupElem.Call(), leave()), join(xdp, checked(7), mapAt(asm.R1, "hash"), asm.FnMapLookupElem.Call(), leave())),
		{name: "tc packet", kind: ebpf.SchedCLS, good: join(skb, checked(14), asm.LoadMem(asm.R0, asm.R2, 12, asm.Half), leave()), bad: join(skb, checked(12), asm.LoadMem(asm.R0, asm.R2, 12, asm.Half), leave())},
		{name: "tc context", kind: ebpf.SchedCLS, good: join(put(asm.R1, 48, 1, asm.Word), put(asm.R1, 8, 1, asm.Word), ret(0)), bad: join(put(asm.R1, 0, 1, asm.Word), ret(0))},
		{name: "tc pull", kind: ebpf.SchedCLS, good: join(skb, asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 64), asm.FnSkbPullData.Call(), ret(0)),
			bad: join(skb, checked(14), asm.Mov.Reg(asm.R7, asm.R2), asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 64), asm.FnSkbPullData.Call(), asm.LoadMem(asm.R0, asm.R7, 0, asm.Byte), leave())},
		{name: "cgroup packet", kind: ebpf.CGroupSKB, to: ebpf.AttachCGroupInetIngress, good: join(skb, checked(14), asm.LoadMem(asm.R0, asm.R2, 12, asm.Byte), label(asm.Mov.Imm(asm.R0, 1), "out"), asm.Return()),
			bad: join(skb, checked(14), put(asm.R2, 0, 1, asm.Byte), leave())},
		{name: "cgroup return", kind: ebpf.CGroupSKB, to: ebpf.AttachCGroupInetIngress, good: ret(1), bad: ret(2)},
		{name: "cgroup egress return", kind: ebpf.CGroupSKB, to: ebpf.AttachCGroupInetEgress, good: ret(3), bad: ret(4)},
		{name: "socket filter context", good: join(asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), ret(0)), bad: join(asm.LoadMem(asm.R0, asm.R1, 76, asm.Word), ret(0))},
		{name: "narrow context", good: join(asm.LoadMem(asm.R0, asm.R1, 1, asm.Byte), ret(0)), bad: join(asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord), ret(0))},
		{name: "moved context", good: join(asm.Mov.Reg(asm.R2, asm.R1), asm.LoadMem(asm.R0, asm.R2, 4, asm.Word), ret(0)), bad: join(asm.Add.Imm(asm.R1, 4), asm.LoadMem(asm.R0, asm.R1, 0, asm.Word), ret(0))},
		{name: "one instruction, two pointers", kind: ebpf.SocketFilter,
			good: join(asm.Mov.Reg(asm.R6, asm.R1), asm.FnGetPrandomU32.Call(), put(asm.RFP, -8, 1, asm.DWord),
				asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), asm.JEq.Imm(asm.R0, 0, "read"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), label(asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), "read"), ret(0)),
			bad: join(asm.Mov.Reg(asm.R6, asm.R1), asm.FnGetPrandomU32.Call(), put(asm.RFP, -8, 1, asm.DWord),
				asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), asm.JEq.Imm(asm.R0, 0, "read"), asm.Mov.Reg(asm.R2, asm.R6), label(asm.LoadMem(asm.R0, asm.R2, 0, asm.Word), "read"), ret(0))},
		{name: "load by offset", good: join(asm.Mov.Reg(asm.R6, asm.R1), asm.LoadAbs(0, asm.Byte), ret(0)), bad: join(asm.LoadAbs(0, asm.Byte), ret(0))},
		{name: "device context", kind: ebpf.CGroupDevice, good: join(asm.LoadMem(asm.R0, asm.R1, 0, asm.Half), asm.LoadMem(asm.R0, asm.R1, 4, asm.Word), ret(1)), bad: join(asm.LoadMem(asm.R0, asm.R1, 4, asm.Half), ret(1))},
		{name: "sysctl context", kind: ebpf.CGroupSysctl, good: join(asm.LoadMem(asm.R0, asm.R1, 0, asm.Byte), put(asm.R1, 4, 0, asm.Word), ret(1)), bad: join(put(asm.R1, 0, 0, asm.Word), ret(1))},
		{name: "connect context", kind: ebpf.CGroupSockAddr, to: ebpf.AttachCGroupInet4Connect, good: join(asm.LoadMem(asm.R0, asm.R1, 4, asm.Word), put(asm.R1, 24, 0, asm.Word), ret(1)), bad: join(asm.LoadMem(asm.R0, asm.R1, 8, asm.Word), ret(1))},
		{name: "sock context", kind: ebpf.CGroupSock, to: ebpf.AttachCGroupInetSockCreate, good: join(put(asm.R1, 16, 1, asm.Word), ret(1)), bad: join(put(asm.R1, 4, 1, asm.Word), ret(1))},
		{name: "sk_lookup context", kind: ebpf.SkLookup, to: ebpf.AttachSkLookup, good: join(asm.LoadMem(asm.R0, asm.R1, 8, asm.Word), ret(1)), bad: join(put(asm.R1, 8, 1, asm.Word), ret(1))},
		{name: "tracepoint context", kind: ebpf.TracePoint, good: join(asm.LoadMem(asm.R0, asm.R1, 8, asm.DWord), ret(0)), bad: join(asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord), ret(0))},
		{name: "perf context", kind: ebpf.PerfEvent, good: join(asm.LoadMem(asm.R0, asm.R1, 168, asm.DWord), asm.LoadMem(asm.R0, asm.R1, 8, asm.DWord), ret(0)), bad: join(asm.LoadMem(asm.R0, asm.R1, 8, asm.Word), ret(0))},
		{name: "raw tracepoint context", kind: ebpf.RawTracepoint, good: join(asm.LoadMem(asm.R0, asm.R1, 88, asm.DWord), ret(0)), bad: join(asm.LoadMem(asm.R0, asm.R1, 96, asm.DWord), ret(0))},
	}
}

func flowTwins() []twin {
	loop := func(limit int32) asm.Instructions {
		return join(asm.Mov.Imm(asm.R6, 0), label(asm.Add.Imm(asm.R6, 1), "again"), asm.JLT.Imm(asm.R6, limit, "again"), ret(0))
	}
	return []twin{
		{name: "bounded loop", good: loop(100), bad: join(asm.Mov.Imm(asm.R6, 0), label(asm.Mov.Imm(asm.R7, 1), "again"), asm.JLT.Imm(asm.R6, 10, "again"), ret(0))},
		{name: "endless loop", good: loop(3), bad: join(label(asm.Mov.Imm(asm.R0, 0), "again"), asm.Ja.Label("again"))},
		{name: "loop by an unknown number", good: join(random(), asm.And.Imm(asm.R7, 15), label(asm.Sub.Imm(asm.R7, 1), "again"), asm.JSGT.Imm(asm.R7, 0, "again"), ret(0)),
			bad: join(random(), label(asm.FnGetPrandomU32.Call(), "again"), asm.JNE.Imm(asm.R0, 0, "again"), ret(0))},
		{name: "unreachable", good: join(asm.JEq.Imm(asm.R1, 0, "out"), leave()), bad: join(asm.Ja.Label("out"), asm.Mov.Imm(asm.R0, 1), leave())},
		{name: "no exit", good: ret(0), bad: join(asm.Mov.Imm(asm.R0, 0))},
		{name: "jump out", good: join(raw(0x05, 0, 0, 0, 0), ret(0)), bad: join(raw(0x05, 0, 0, 9, 0), ret(0))},
		{name: "jump back too far", good: ret(0), bad: join(asm.Mov.Imm(asm.R0, 0), raw(0x05, 0, 0, -9, 0))},
		{name: "return value", good: ret(0), bad: join(asm.Return())},
		{name: "may_goto", since: linux(6, 9), good: join(raw(0xe5, 0, 0, 1, 0), raw(0x05, 0, 0, -2, 0), ret(0)), bad: join(raw(0xe5, 0, 2, 1, 0), raw(0x05, 0, 0, -2, 0), ret(0))},
		{name: "may_goto loop", since: linux(6, 9), good: join(value(), asm.Mov.Reg(asm.R8, asm.R0), asm.Mov.Imm(asm.R6, 0), raw(0xe5, 0, 0, 4, 0), asm.Add.Imm(asm.R6, 1), asm.And.Imm(asm.R6, 31), asm.Add.Imm(asm.R6, 0), raw(0x05, 0, 0, -5, 0),
			asm.And.Imm(asm.R6, 31), asm.Add.Reg(asm.R8, asm.R6), asm.LoadMem(asm.R1, asm.R8, 0, asm.Byte), leave()),
			bad: join(value(), asm.Mov.Reg(asm.R8, asm.R0), asm.Mov.Imm(asm.R6, 0), raw(0xe5, 0, 0, 2, 0), asm.Add.Imm(asm.R6, 1), raw(0x05, 0, 0, -3, 0),
				asm.Add.Reg(asm.R8, asm.R6), asm.LoadMem(asm.R1, asm.R8, 0, asm.Byte), leave())},
		{name: "long jump", since: linux(6, 6), good: join(raw(0x06, 0, 0, 0, 0), ret(0)), bad: join(raw(0x06, 0, 0, 1, 0), ret(0))},
	}
}

func helperTwins() []twin {
	reserve := join(mapAt(asm.R1, "ring"), asm.Mov.Imm(asm.R2, 16), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(), asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R6, asm.R0))
	submit := join(asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, 0), asm.FnRingbufSubmit.Call())
	read := func(at, size int32) asm.Instructions {
		return join(asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, at), asm.Mov.Imm(asm.R2, size), asm.Mov.Imm(asm.R3, 0), asm.FnProbeReadKernel.Call())
	}
	comm := func(size int32) asm.Instructions {
		return join(asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -16), asm.Mov.Imm(asm.R2, size), asm.FnGetCurrentComm.Call(), ret(0))
	}
	held := func(then ...any) asm.Instructions {
		return join(append([]any{asm.Mov.Imm(asm.R6, 0), asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R6, asm.R0), lookup("locked"), asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R7, asm.R0),
			asm.Mov.Reg(asm.R1, asm.R7), asm.FnSpinLock.Call()}, then...)...)
	}
	unlock := join(asm.Mov.Reg(asm.R1, asm.R7), asm.FnSpinUnlock.Call())
	tuple := join(asm.Mov.Reg(asm.R6, asm.R1), put(asm.RFP, -16, 0, asm.DWord), put(asm.RFP, -8, 0, asm.DWord), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -16), asm.Mov.Imm(asm.R3, 12),
		asm.Mov.Imm(asm.R4, 0), asm.Mov.Imm(asm.R5, 0), asm.FnSkLookupTcp.Call(), asm.JEq.Imm(asm.R0, 0, "out"))
	return []twin{
		{name: "reserve", good: join(reserve, put(asm.R6, 8, 1, asm.DWord), submit, leave()), bad: join(reserve, put(asm.R6, 9, 1, asm.DWord), submit, leave())},
		{name: "release", good: join(reserve, submit, leave()), bad: join(reserve, leave())},
		{name: "release twice", good: join(reserve, submit, leave()), bad: join(reserve, submit, submit, leave())},
		{name: "use after release", good: join(reserve, asm.LoadMem(asm.R8, asm.R6, 0, asm.DWord), submit, leave()), bad: join(reserve, submit, asm.LoadMem(asm.R8, asm.R6, 0, asm.DWord), leave())},
		{name: "reserve may fail", good: join(reserve, submit, leave()), bad: join(mapAt(asm.R1, "ring"), asm.Mov.Imm(asm.R2, 16), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(), asm.Mov.Reg(asm.R6, asm.R0), submit, ret(0))},
		{name: "reserve size", good: join(reserve, submit, leave()), bad: join(random(), mapAt(asm.R1, "ring"), asm.Mov.Reg(asm.R2, asm.R7), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(), asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R6, asm.R0), submit, leave())},
		{name: "moved record", good: join(reserve, submit, leave()), bad: join(reserve, asm.Add.Imm(asm.R6, 8), submit, leave())},
		{name: "read into the stack", kind: ebpf.Kprobe, good: join(read(-16, 16), ret(0)), bad: join(read(-16, 17), ret(0))},
		{name: "read into nothing", kind: ebpf.Kprobe, good: join(read(-16, 0), ret(0)), bad: join(asm.Mov.Imm(asm.R1, 0), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0), asm.FnProbeReadKernel.Call(), ret(0))},
		{name: "read an unknown size", kind: ebpf.Kprobe,
			good: join(random(), put(asm.RFP, -16, 0, asm.DWord), put(asm.RFP, -8, 0, asm.DWord), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -16), asm.Mov.Reg(asm.R2, asm.R7), asm.And.Imm(asm.R2, 15), asm.Mov.Imm(asm.R3, 0), asm.FnProbeReadKernel.Call(), ret(0)),
			bad:  join(random(), put(asm.RFP, -16, 0, asm.DWord), put(asm.RFP, -8, 0, asm.DWord), asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -16), asm.Mov.Reg(asm.R2, asm.R7), asm.Mov.Imm(asm.R3, 0), asm.FnProbeReadKernel.Call(), ret(0))},
		{name: "string length", kind: ebpf.Kprobe,
			good: join(random(), asm.Mov.Reg(asm.R6, asm.R7), lookup("array"), asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R9, asm.R0), asm.Mov.Reg(asm.R1, asm.R9), asm.Mov.Imm(asm.R2, 32), asm.Mov.Imm(asm.R3, 0), asm.FnProbeReadKernelStr.Call(), asm.JSLT.Imm(asm.R0, 0, "out"), asm.Add.Reg(asm.R9, asm.R0), asm.LoadMem(asm.R1, asm.R9, 31, asm.Byte), leave()),
			bad:  join(random(), asm.Mov.Reg(asm.R6, asm.R7), lookup("array"), asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R9, asm.R0), asm.Mov.Reg(asm.R1, asm.R9), asm.Mov.Imm(asm.R2, 32), asm.Mov.Imm(asm.R3, 0), asm.FnProbeReadKernelStr.Call(), asm.JSLT.Imm(asm.R0, 0, "out"), asm.Add.Reg(asm.R9, asm.R0), asm.LoadMem(asm.R1, asm.R9, 32, asm.Byte), leave())},
		{name: "comm", kind: ebpf.TracePoint, good: comm(16), bad: comm(0)},
		{name: "lock", kind: ebpf.SchedCLS, good: join(held(put(asm.R7, 8, 1, asm.DWord), unlock), leave()), bad: join(held(), leave())},
		{name: "lock twice", kind: ebpf.SchedCLS, good: join(held(unlock), leave()), bad: join(held(asm.Mov.Reg(asm.R1, asm.R7), asm.FnSpinLock.Call(), unlock), leave())},
		{name: "call with a lock", kind: ebpf.SchedCLS, good: join(held(unlock, asm.FnKtimeGetNs.Call()), leave()), bad: join(held(asm.FnKtimeGetNs.Call(), unlock), leave())},
		{name: "write the lock", kind: ebpf.SchedCLS, good: join(held(put(asm.R7, 4, 1, asm.Word), unlock), leave()), bad: join(held(put(asm.R7, 0, 1, asm.Word), unlock), leave())},
		{name: "socket", kind: ebpf.SchedCLS, good: join(tuple, asm.Mov.Reg(asm.R1, asm.R0), asm.FnSkRelease.Call(), leave()), bad: join(tuple, leave())},
		{name: "socket field", kind: ebpf.SchedCLS, good: join(tuple, asm.LoadMem(asm.R7, asm.R0, 4, asm.Word), asm.Mov.Reg(asm.R1, asm.R0), asm.FnSkRelease.Call(), leave()), bad: join(tuple, asm.LoadMem(asm.R7, asm.R0, 80, asm.Word), asm.Mov.Reg(asm.R1, asm.R0), asm.FnSkRelease.Call(), leave())},
		{name: "tail call", good: join(mapAt(asm.R2, "progs"), asm.Mov.Imm(asm.R3, 1), asm.FnTailCall.Call(), ret(0)), bad: join(mapAt(asm.R2, "array"), asm.Mov.Imm(asm.R3, 1), asm.FnTailCall.Call(), ret(0))},
		{name: "program type", kind: ebpf.XDP, good: join(asm.FnKtimeGetNs.Call(), ret(0)), bad: join(asm.FnGetStackid.Call(), ret(0))},
		{name: "queue", good: join(put(asm.RFP, -8, 1, asm.DWord), mapAt(asm.R1, "queue"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), asm.Mov.Imm(asm.R3, 0), asm.FnMapPushElem.Call(), ret(0)),
			bad: join(put(asm.RFP, -8, 1, asm.DWord), mapAt(asm.R1, "queue"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), asm.FnMapLookupElem.Call(), ret(0))},
		{name: "array index", since: linux(6, 14), good: join(asm.Mov.Imm(asm.R6, 7), asm.StoreMem(asm.RFP, -8, asm.R6, asm.Word), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), mapAt(asm.R1, "array"), asm.FnMapLookupElem.Call(), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), ret(0)),
			bad: join(asm.Mov.Imm(asm.R6, 8), asm.StoreMem(asm.RFP, -8, asm.R6, asm.Word), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8), mapAt(asm.R1, "array"), asm.FnMapLookupElem.Call(), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), ret(0))},
		{name: "no such helper", good: ret(0), bad: join(asm.Mov.Imm(asm.R1, 0), raw(0x85, 0, 0, 0, 5000), ret(0))},
	}
}

func callTwins() []twin {
	long := number()
	static := func(body ...any) asm.Instructions {
		return join(append([]any{entry(asm.Mov.Imm(asm.R1, 5)), callTo("f"), asm.Return()}, body...)...)
	}
	deep := func(n int32) asm.Instructions {
		return join(entry(put(asm.RFP, -int16(n), 0, asm.DWord)), callTo("f"), asm.Return(), function(put(asm.RFP, -256, 0, asm.DWord), "f", btf.StaticFunc), ret(0))
	}
	loop := func(rounds int32, body ...any) asm.Instructions {
		return join(append([]any{entry(put(asm.RFP, -8, 0, asm.DWord)), asm.Mov.Imm(asm.R1, rounds), funcRef(asm.R2, "body"), asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8), asm.Mov.Imm(asm.R4, 0), asm.FnLoop.Call(),
			asm.LoadMem(asm.R0, asm.RFP, -8, asm.DWord), asm.Return()}, body...)...)
	}
	global := func(arg ...any) asm.Instructions {
		return join(append(append([]any{entry(asm.Mov.Reg(asm.R6, asm.R1))}, arg...), callTo("g"), asm.Mov.Imm(asm.R0, 0), asm.Return(), function(asm.Mov.Reg(asm.R0, asm.R1), "g", btf.GlobalFunc, long), asm.Return())...)
	}
	return []twin{
		{name: "function", good: static(function(asm.Mov.Reg(asm.R0, asm.R1), "f", btf.StaticFunc, long), asm.Return()), bad: static(function(asm.Mov.Reg(asm.R0, asm.R6), "f", btf.StaticFunc, long), asm.Return())},
		{name: "recursion", good: static(function(asm.Mov.Reg(asm.R0, asm.R1), "f", btf.StaticFunc, long), asm.Return()), bad: static(function(asm.Mov.Imm(asm.R1, 1), "f", btf.StaticFunc, long), callTo("f"), asm.Return())},
		{name: "stack of two functions", good: deep(248), bad: deep(272)},
		{name: "pointer to the stack returned", good: static(function(asm.Mov.Imm(asm.R0, 1), "f", btf.StaticFunc, long), asm.Return()), bad: static(function(asm.Mov.Reg(asm.R0, asm.RFP), "f", btf.StaticFunc, long), asm.Return())},
		{name: "caller's stack", good: join(entry(asm.Mov.Reg(asm.R1, asm.RFP)), asm.Add.Imm(asm.R1, -8), callTo("f"), asm.LoadMem(asm.R0, asm.RFP, -8, asm.DWord), asm.Return(), function(put(asm.R1, 0, 7, asm.DWord), "f", btf.StaticFunc, long), ret(0)),
			bad: join(entry(asm.Mov.Reg(asm.R1, asm.RFP)), asm.Add.Imm(asm.R1, -8), callTo("f"), asm.LoadMem(asm.R0, asm.RFP, -8, asm.DWord), asm.Return(), function(asm.StoreMem(asm.R1, 0, asm.RFP, asm.DWord), "f", btf.StaticFunc, long), ret(0))},
		{name: "range over a call", good: join(entry(asm.Mov.Imm(asm.R1, 5)), callTo("f"), asm.Mov.Reg(asm.R7, asm.R0), asm.Mov.Imm(asm.R6, 0), asm.Mov.Reg(asm.R8, asm.R7), asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R6, asm.R0), lookup("array"), asm.JEq.Imm(asm.R0, 0, "out"), asm.Add.Reg(asm.R0, asm.R8), asm.LoadMem(asm.R1, asm.R0, 58, asm.Byte), leave(),
			function(asm.Mov.Reg(asm.R0, asm.R1), "f", btf.StaticFunc, long), asm.Return()),
			bad: join(entry(asm.Mov.Imm(asm.R1, 5)), callTo("f"), asm.Mov.Reg(asm.R7, asm.R0), asm.Mov.Imm(asm.R6, 0), asm.Mov.Reg(asm.R8, asm.R7), asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R6, asm.R0), lookup("array"), asm.JEq.Imm(asm.R0, 0, "out"), asm.Add.Reg(asm.R0, asm.R8), asm.LoadMem(asm.R1, asm.R0, 59, asm.Byte), leave(),
				function(asm.Mov.Reg(asm.R0, asm.R1), "f", btf.StaticFunc, long), asm.Return())},
		{name: "global function", good: global(asm.Mov.Imm(asm.R1, 3)), bad: global()},
		{name: "global function's result", good: join(entry(asm.Mov.Imm(asm.R1, 3)), callTo("g"), asm.Return(), function(asm.Mov.Imm(asm.R0, 3), "g", btf.GlobalFunc, long), asm.Return()), bad: join(entry(asm.Mov.Imm(asm.R1, 3)), callTo("g"), asm.Return(), function(asm.Mov.Reg(asm.R0, asm.RFP), "g", btf.GlobalFunc, long), asm.Return())},
		{name: "bpf_loop", since: linux(5, 17), good: loop(100, function(asm.StoreMem(asm.R2, 0, asm.R1, asm.DWord), "body", btf.StaticFunc, long, long), ret(0)), bad: loop(100, function(asm.StoreMem(asm.R2, 8, asm.R1, asm.DWord), "body", btf.StaticFunc, long, long), ret(0))},
		{name: "bpf_loop return", since: linux(5, 17), good: loop(100, function(asm.Mov.Imm(asm.R0, 1), "body", btf.StaticFunc, long, long), asm.Return()), bad: loop(100, function(asm.Mov.Imm(asm.R0, 2), "body", btf.StaticFunc, long, long), asm.Return())},
		{name: "bpf_loop sums", since: linux(5, 17), good: loop(1000, function(asm.LoadMem(asm.R3, asm.R2, 0, asm.DWord), "body", btf.StaticFunc, long, long), asm.Add.Imm(asm.R3, 1), asm.StoreMem(asm.R2, 0, asm.R3, asm.DWord), ret(0)),
			bad: loop(1000, function(asm.LoadMem(asm.R3, asm.R2, 0, asm.DWord), "body", btf.StaticFunc, long, long), asm.Add.Reg(asm.R2, asm.R3), put(asm.R2, 0, 0, asm.Byte), ret(0))},
		{name: "each element", since: linux(5, 13), good: join(entry(mapAt(asm.R1, "hash")), funcRef(asm.R2, "body"), asm.Mov.Imm(asm.R3, 0), asm.Mov.Imm(asm.R4, 0), asm.FnForEachMapElem.Call(), asm.Return(), function(asm.LoadMem(asm.R5, asm.R2, 0, asm.DWord), "body", btf.StaticFunc, long, long, long, long), asm.StoreMem(asm.R3, 24, asm.R5, asm.DWord), ret(0)),
			bad: join(entry(mapAt(asm.R1, "hash")), funcRef(asm.R2, "body"), asm.Mov.Imm(asm.R3, 0), asm.Mov.Imm(asm.R4, 0), asm.FnForEachMapElem.Call(), asm.Return(), function(asm.LoadMem(asm.R5, asm.R2, 0, asm.DWord), "body", btf.StaticFunc, long, long, long, long), asm.StoreMem(asm.R2, 0, asm.R5, asm.DWord), ret(0))},
		{name: "tail call in a function", good: join(entry(asm.Mov.Reg(asm.R6, asm.R1)), callTo("f"), ret(0), function(mapAt(asm.R2, "progs"), "f", btf.StaticFunc, long), asm.Mov.Imm(asm.R3, 1), asm.FnTailCall.Call(), ret(0)),
			bad: join(entry(put(asm.RFP, -264, 0, asm.DWord)), callTo("f"), ret(0), function(mapAt(asm.R2, "progs"), "f", btf.StaticFunc, long), asm.Mov.Imm(asm.R3, 1), asm.FnTailCall.Call(), ret(0))},
	}
}
