package vm

import (
	"errors"
	"fmt"
	"unsafe"

	"skep/vm/code"
	"skep/vm/engine"
	"skep/vm/helper"
	"skep/vm/maps"
	"skep/vm/memory"
)

// A function is what a helper does. Its arguments have been checked, by the wrapper that prototypes give it or by a verifier.
type function func(t *Thread, a *[5]uint64) uint64

// implementation is what the machine has of package helper's table.
func implementation(number int32) function {
	if number < 0 || int(number) >= len(implementations) {
		return nil
	}
	return implementations[number]
}

var implementations = [...]function{
	1:   mapLookupElem,
	2:   mapUpdateElem,
	3:   mapDeleteElem,
	4:   probeRead,
	5:   ktimeGetNs,
	6:   tracePrintk,
	7:   getPrandom,
	8:   getProcessor,
	9:   skbStoreBytes,
	10:  l3CsumReplace,
	11:  l4CsumReplace,
	12:  tailCall,
	13:  cloneRedirect,
	14:  currentPidTgid,
	15:  currentUidGid,
	16:  currentComm,
	17:  cgroupClassID,
	18:  skbVlanPush,
	19:  skbVlanPop,
	20:  skbGetTunnelKey,
	21:  skbSetTunnelKey,
	22:  perfEventRead,
	23:  redirect,
	24:  nothing,
	25:  perfEventOutput,
	26:  skbLoadBytes,
	27:  getStackID,
	28:  csumDiff,
	29:  skbGetTunnelOpt,
	30:  skbSetTunnelOpt,
	31:  skbChangeProto,
	32:  skbChangeType,
	33:  skbUnderCgroup,
	34:  getHash,
	35:  currentTask,
	36:  probeWriteUser,
	37:  currentUnderCgroup,
	38:  skbChangeTail,
	39:  skbPullData,
	40:  csumUpdate,
	41:  setHashInvalid,
	42:  nothing, // get_numa_node_id
	43:  skbChangeHead,
	44:  xdpAdjustHead,
	45:  probeReadStr,
	46:  socketCookie,
	47:  socketUID,
	48:  setHash,
	49:  setSockopt,
	50:  skbAdjustRoom,
	51:  redirectMap,
	54:  xdpAdjustMeta,
	55:  perfEventReadValue,
	56:  noHardware, // perf_prog_read_value
	57:  getSockopt,
	58:  overrideReturn,
	59:  sockOpsFlagsSet,
	65:  xdpAdjustTail,
	67:  getStack,
	68:  skbLoadBytesRelative,
	69:  fibLookup,
	79:  skbCgroupID,
	80:  currentCgroupID,
	81:  localStorage,
	83:  skbAncestorCgroupID,
	84:  skLookupTCP,
	85:  skLookupUDP,
	86:  skRelease,
	87:  mapPushElem,
	88:  mapPopElem,
	89:  mapPeekElem,
	93:  spinLock,
	94:  spinUnlock,
	95:  skFullsock,
	96:  tcpSock,
	97:  skbEcnSetCE,
	98:  listenerSock,
	99:  skcLookupTCP,
	105: strtol,
	106: strtoul,
	107: storageGet,
	108: storageDelete,
	109: sendSignal,
	112: probeReadUser,
	113: probeRead,
	114: probeReadUserStr,
	115: probeReadStr,
	117: sendSignalThread,
	118: jiffies,
	119: noHardware, // read_branch_records
	120: nsCurrentPidTgid,
	122: netnsCookie,
	123: currentAncestorCgroupID,
	124: skAssign,
	125: ktimeGetBootNs,
	126: seqPrintf,
	127: seqWrite,
	128: skCgroupID,
	129: skAncestorCgroupID,
	130: ringbufOutput,
	131: ringbufReserve,
	132: ringbufSubmit,
	133: ringbufDiscard,
	134: ringbufQuery,
	135: csumLevel,
	141: getTaskStack,
	145: storageGet,
	146: storageDelete,
	147: dPath,
	148: copyFromUser,
	149: snprintfBTF,
	150: seqPrintfBTF,
	151: nothing, // skb_cgroup_classid
	152: redirectNeigh,
	155: redirect, // redirect_peer
	156: storageGet,
	157: storageDelete,
	158: currentTask,
	160: ktimeGetNs, // coarse
	163: checkMTU,
	164: forEachMapElem,
	165: snprintf,
	169: timerInit,
	170: timerSetCallback,
	171: timerStart,
	172: timerCancel,
	173: funcIP,
	174: attachCookie,
	175: taskRegs,
	176: noHardware, // get_branch_snapshot
	177: traceVprintk,
	179: kallsymsLookupName,
	181: loop,
	182: strncmp,
	183: funcArg,
	184: funcRet,
	185: funcArgCount,
	186: getRetval,
	187: setRetval,
	188: xdpBuffLen,
	189: xdpLoadBytes,
	190: xdpStoreBytes,
	191: copyFromUser, // copy_from_user_task
	192: skbSetTstamp,
	194: kptrXchg,
	195: mapLookupPercpuElem,
	197: dynptrFromMem,
	198: ringbufReserveDynptr,
	199: ringbufSubmitDynptr,
	200: ringbufDiscardDynptr,
	201: dynptrRead,
	202: dynptrWrite,
	203: dynptrData,
	204: tcpGenCookieIPv4,
	205: tcpGenCookieIPv6,
	206: tcpCheckCookieIPv4,
	207: tcpCheckCookieIPv6,
	208: ktimeGetTAINs,
	210: storageGet,
	211: storageDelete,
}

// helpers are the functions behind a program's calls. It is an error if the program's type may not call one; a call of what the machine
// does not have ends the program when it happens.
func (l *loader) helpers(p *Program) ([]engine.Helper, error) {
	fs := make([]engine.Helper, len(p.code.Calls))
	for i, c := range p.code.Calls {
		row := helper.ByNumber(c.ID)
		if row != nil && p.Type != 0 && !row.Programs.Has(p.Type) {
			return nil, fmt.Errorf("programs of type %s may not call %s", p.Type, row.Name)
		}
		f := implementation(c.ID)
		if c.ID < 0 {
			f = kfuncs[c.Name]
		}
		switch {
		case f == nil:
			fs[i] = unknown(c, row)
		case p.trusted || row == nil:
			fs[i] = trustedHelper(f)
		default:
			fs[i] = checked(row, f)
		}
	}
	return fs, nil
}

// trustedHelper is a function as engines call it. An engine's thread is where the machine's thread that it is part of begins, so that a
// pointer to one is a pointer to the other, and a function that takes one is as good as one that takes the other: a wrapper around it
// would be half the time of a short one's call.
func trustedHelper(f function) engine.Helper {
	const _ = -unsafe.Offsetof(Thread{}.engine) // it is 0, or this does not compile
	return *(*engine.Helper)(unsafe.Pointer(&f))
}

// unknown asks the host. Without one, what may return no pointer has none, as a look-up of a socket, and anything else ends the program.
func unknown(c code.Call, row *helper.Helper) engine.Helper {
	return func(e *engine.Thread, a *[5]uint64) uint64 {
		t := e.Machine.(*Thread)
		if host := t.machine.options.Host.Unknown; host != nil {
			r0, err := host(t, c.Name, a)
			if err != nil {
				return t.fail("%s: %w", c.Name, err)
			}
			return r0
		}
		if row != nil && mayBeNull(row.Ret) {
			return 0
		}
		if why := missing(c.ID); why != "" {
			return t.fail("the machine has no %s: %s (Host.Unknown may answer it)", c.Name, why)
		}
		return t.fail("the machine has no %s", c.Name)
	}
}

// missing says why the machine lacks a helper that kernels have.
func missing(number int32) string {
	switch number {
	case 52, 53, 60, 61, 62, 63, 70, 71, 72, 90, 91, 82, 116:
		return "it moves what streams and sockets carry, and there are none without a network stack"
	case 64:
		return "it binds a socket of the kernel's"
	case 66, 73, 74, 75, 76:
		return "it needs the kernel's IPsec, tunnels or segment routing"
	case 77, 78, 92:
		return "it needs a receiver of infrared light"
	case 100, 110:
		return "it needs a listening socket's secret; tcp_raw_gen_syncookie_ipv4 and its like do not"
	case 101, 102, 103, 104:
		return "it reads and writes what the kernel's sysctl tables have"
	case 111, 121:
		return "its context is a packet of the kernel's own form"
	case 142, 143, 144:
		return "it reads and writes headers of TCP connections of the kernel's"
	case 154:
		return "it reads the kernel's variables of each CPU"
	case 159, 161, 193:
		return "it is for security modules of the kernel"
	case 166, 167, 168:
		return "it makes system calls"
	case 180:
		return "it needs the memory mappings of a task"
	case 209:
		return "the machine has no ring buffers that user space writes"
	}
	return ""
}

func mayBeNull(r helper.Ret) bool {
	switch r {
	case helper.RetSocketOrNull, helper.RetTCPSockOrNull, helper.RetSockCommonOrNull, helper.RetBTFOrNull, helper.RetMemOrBTFOrNull:
		return true
	}
	return false
}

// maxAccess is more memory than a helper is ever given at once.
const maxAccess = 1 << 29

// checked makes a helper safe for code that nobody has verified: its prototype says which memory it will touch, and the thread's space
// whether the program may.
func checked(row *helper.Helper, f function) engine.Helper {
	return func(e *engine.Thread, a *[5]uint64) uint64 {
		t := e.Machine.(*Thread)
		var m maps.Map
		for i := range row.NumArgs() {
			var size *uint64
			if i+1 < len(a) {
				size = &a[i+1]
			}
			if err := t.check(row.Args[i], a[i], size, &m); err != nil {
				return t.fail("%s: r%d: %w", row.Name, i+1, err)
			}
		}
		return f(t, a)
	}
}

// check looks at one argument; the next one is the size of memory. The map is that of an earlier argument, for keys and values.
func (t *Thread) check(arg helper.Arg, value uint64, next *uint64, m *maps.Map) error {
	write := arg.Has(helper.Write)
	switch arg.Kind() {
	case helper.ConstMap:
		if *m = t.machine.mapAt(value); *m == nil {
			return fmt.Errorf("%#x is not a map", value)
		}
		return nil
	case helper.MapKey:
		return t.access(value, uint64((*m).KeySize()), false)
	case helper.MapValue:
		if value == 0 && arg.Has(helper.MaybeNull) {
			return nil
		}
		return t.access(value, uint64((*m).ValueSize()), write)
	case helper.Mem:
		size := uint64(arg.Size())
		if !arg.Has(helper.FixedSize) {
			size = *next
		}
		if value == 0 && (arg.Has(helper.MaybeNull) || size == 0) {
			if size != 0 {
				return fmt.Errorf("no memory, but a size of %d", size)
			}
			return nil
		}
		return t.access(value, size, write)
	case helper.Ctx:
		if value != t.ctx && !(value == 0 && arg.Has(helper.MaybeNull)) {
			return fmt.Errorf("%#x is not the context", value)
		}
	case helper.SpinLock:
		return t.access(value, 4, true)
	case helper.Timer:
		return t.access(value, timerSize, true)
	case helper.Kptr:
		return t.access(value, 8, true)
	case helper.Dynptr:
		return t.checkDynptr(arg, value)
	case helper.RingbufMem:
		if !t.reserved(value) {
			return fmt.Errorf("%#x is not a record that was reserved", value)
		}
	case helper.Func:
		slot, ok := code.FuncSlot(value)
		if !ok || t.running().code.FuncAt(slot) < 0 {
			return fmt.Errorf("%#x is not a function", value)
		}
	case helper.ConstStr:
		return t.checkString(value)
	}
	return nil
}

// access tells whether the program may touch memory.
func (t *Thread) access(addr, size uint64, write bool) error {
	if size > maxAccess {
		return fmt.Errorf("a size of %d bytes", int64(size))
	}
	_, err := t.engine.Access(addr, int(size), write, false)
	return err
}

func (t *Thread) checkString(addr uint64) error {
	r, ok := t.engine.Region(addr, 1)
	if !ok {
		return t.access(addr, 1, false)
	}
	for _, c := range memory.At(addr, int(r.Base+r.Size-addr)) {
		if c == 0 {
			return nil
		}
	}
	return errors.New("the text does not end")
}

// running is the program that calls a helper: the one begun with, or where a tail call went.
func (t *Thread) running() *Program {
	switch image := t.engine.Running(); {
	case image == nil || image == t.program.image:
		return t.program
	case t.tail != nil && image == t.tail.image:
		return t.tail
	default:
		return t.machine.objects.programWith(image, t.program)
	}
}

// errno is what helpers return for an error.
func errno(e maps.Errno) uint64 { return uint64(-int64(e)) }

// result is what helpers return for what a map or the host says.
func result(err error) uint64 {
	if err == nil {
		return 0
	}
	if e, ok := err.(maps.Errno); ok {
		return errno(e)
	}
	var e maps.Errno
	if errors.As(err, &e) {
		return errno(e)
	}
	return errno(maps.EFAULT)
}

// nothing is for helpers whose answer is always 0 here.
func nothing(*Thread, *[5]uint64) uint64 { return 0 }
