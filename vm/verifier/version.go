package verifier

import (
	"fmt"
	"strconv"
	"strings"
)

// A Kernel is a version of Linux as the kernel writes it: major<<16 | minor<<8.
type Kernel uint32

// The kernels whose rules have been compared with the real ones.
const (
	Linux5_10 Kernel = 5<<16 | 10<<8
	Linux6_1  Kernel = 6<<16 | 1<<8
	Linux6_12 Kernel = 6<<16 | 12<<8
	Linux6_18 Kernel = 6<<16 | 18<<8
	Linux7_2  Kernel = 7<<16 | 2<<8 // by the rules of 6.18, with what has been seen to be new
)

// Later are the versions between a kernel and the newest one known here, in their order.
func (k Kernel) Later() (all []Kernel) {
	for v := Linux5_10; v <= Linux6_18; v += 1 << 8 {
		if v == linux(5, 20) {
			v = linux(6, 0)
		}
		if v > k {
			all = append(all, v)
		}
	}
	return all
}

// Kernels are those that are asked about unless others are named.
var Kernels = []Kernel{Linux5_10, Linux6_1, Linux6_12, Linux6_18}

func linux(major, minor uint32) Kernel { return Kernel(major<<16 | minor<<8) }

func (k Kernel) String() string { return fmt.Sprintf("%d.%d", k>>16, k>>8&0xff) }

// ParseKernel reads "6.12", and what comes after it is passed over: "6.12.1-amd64".
func ParseKernel(s string) (Kernel, error) {
	major, rest, ok := strings.Cut(s, ".")
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	a, err1 := strconv.ParseUint(major, 10, 8)
	b, err2 := strconv.ParseUint(rest[:end], 10, 8)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no version of Linux; write 6.12", s)
	}
	return linux(uint32(a), uint32(b)), nil
}

// rules are where kernels differ. Each has the version that brought it.
type rules struct {
	kernel Kernel

	mixedBounds     bool // 6.8: 32-bit and 64-bit ranges learn from each other
	deduceRounds    int  // how often they do: 2 since 6.8, 3 since 6.17
	signCrossing    bool // 6.17: a signed range across 0 and an unsigned one
	signCrossing32  bool // 6.18: the same for 32 bits
	regRegRanges    bool // 6.8: a comparison of two registers narrows both; before, of one with a constant
	wrappedSums     bool // 6.17: sums of which all wrap keep their range
	signedMul       bool // 6.14: products of negative numbers have a range
	equalByRange    bool // 6.4: values of ranges that do not meet are not equal
	unknownOperands bool // 6.10: products, | and ^ of two numbers that are not known have a range
	signedBitwise   bool // 6.9: and, or, xor of negative numbers keep an unsigned range
	negRange        bool // 6.17: -x has a range
	shl32Negative   bool // 6.13: x << 32 keeps the sign's range for negative numbers too
	tnumOverlap     bool // 6.18: equality is decided by known bits
	tnumMulUnion    bool // 6.18: tighter products of partly known bits
	jsetForgets     bool // 6.17: the false branch of & forgets ranges before it learns bits

	deltaLinks     bool // 6.11: rX = rY + K learns from comparisons of rY
	deltaLinks32   bool // 6.18: also differences, and of 32 bits
	forksSigns     bool // 6.18: what is -1 or 0 is walked as both
	spillIDs       bool // 6.8: a spilled number and its register learn from each other
	narrowSpills   bool // 6.9: spills and fills of parts keep ranges
	preciseIDs     bool // 6.5: numbers of one id become precise together
	scalarIDCheck  bool // 6.5: ids of precise numbers are compared
	callPrecision  bool // 6.4: precision is followed through subprograms
	stackPrecision bool // 6.8: and through stack accesses by any register
	lazyPrecision  bool // 6.2: states are stored imprecise until something asks
	uninitStack    bool // 6.3, brought to older ones: privileged programs may read stack never written
	uninitBelow    bool // 6.8: also below all that was written
	miscIsScalar   bool // 6.9: bytes of anything are like a number of which nothing is known
	longHistory    bool // 6.12: a state is stored after 40 jumps remembered

	callbackLoops  bool // 6.8: callbacks are followed as loops, before, once
	callbacks      bool // 5.13
	loopHelper     bool // 5.17
	staticRegs     bool // 6.15: which registers are read is computed beforehand
	staticStack    bool // 6.18: which stack slots are read is gathered for the function, not for the path
	mayGoto        bool // 6.9
	isaV4          bool // 6.6: signed division, sign-extending moves and loads, bswap, long jumps
	fetchAtomics   bool // 5.12
	acquire        bool // 6.15: load-acquire and store-release
	stackRound16   bool // 6.9: a frame's size is rounded to 16 bytes, before to 32
	privateStack   bool // 6.13: probes get a stack of their own
	tailReachable  bool // 6.18: a tail call returns as a call may
	helperAccess   bool // 6.14: helpers that only read memory leave what is known of it
	ctxImmediates  bool // 6.4: constants can be stored in the context
	freeIDs        bool // 6.18: a number that had no id may have one when it comes again
	longJumps      bool // 6.1: jumps of 32 bits, brought to it later
	wholeRecords   bool // 5.18: what is released must be as it was acquired
	trustedArgs    bool // 6.2: pointers of the kernel are trusted, or not
	voidCasts      bool // 6.17: memory of unknown type is read as the kernel's types are
	swapBits       bool // 6.18: known bits are followed through byte swaps
	constantKeys   bool // 6.14: a lookup in an array with a known index does not fail
	memoryNotNull  bool // 6.4: records and trusted pointers are known not to be null
	exactPointers  bool // before 6.3: pointers of most kinds must be the very same for a state to be covered
	globalPackets  bool // 6.2, though brought to some older ones: global functions that move the packet say so
	filledPaths    bool // 6.12: paths that a helper writes need not be there before
	voidGlobals    bool // 7.2: global functions may return nothing
	probeTimers    bool // 7.2: probes may use maps with timers
	nestedRCU      bool // 7.0: sections of RCU may be nested
	allTrusted     bool // 7.0: what functions of the kernel are given must be trusted, whatever they say
	cpuRange       bool // 6.10: the number of the CPU has a bound
	nestedFields   bool // 6.11: special fields are found in structs and arrays in values too
	mostFields     int  // of one value: 11, before 6.11 10
	objectKptrs    bool // 6.12: objects may have pointers of the kernel in them
	treeNodes      bool // 6.16: nodes of trees that are owned can be given to what takes them out
	objects        bool // 6.2: programs may allocate objects of their own types
	releasesDiffer bool // 6.13 to 6.19: some releases accept unsafe uses of objects that kernels before and after refuse
	noProbeDrops   bool // 7.0: probes may not drop objects that own others or may be linked
	loopVisits     bool // 6.17: a program does not end in a loop before a state of it was stored
	globalThrows   bool // 7.0: what global functions throw ends their callers
	arenas         bool // 6.9
	arenasAwake    bool // 7.2: programs that may not sleep get pages of arenas, too
	oneValue       bool // 6.2: values whose address instructions have are known to be the same
	numbersLocked  bool // 6.14: iterators over numbers work while a lock is held
}

func rulesOf(k Kernel) *rules {
	since := func(major, minor uint32) bool { return k >= linux(major, minor) }
	r := &rules{
		kernel: k, mixedBounds: since(6, 8), deduceRounds: 1, signCrossing: since(6, 17), signCrossing32: since(6, 18), regRegRanges: since(6, 8), wrappedSums: since(6, 17),
		signedMul: since(6, 14), equalByRange: since(6, 4), unknownOperands: since(6, 10), signedBitwise: since(6, 9), negRange: since(6, 17), shl32Negative: since(6, 13), tnumOverlap: since(6, 18),
		tnumMulUnion: since(6, 18), jsetForgets: since(6, 17), deltaLinks: since(6, 11), deltaLinks32: since(6, 18), forksSigns: since(6, 18), spillIDs: since(6, 8), narrowSpills: since(6, 9),
		preciseIDs: since(6, 5), scalarIDCheck: since(6, 5), callPrecision: since(6, 4),
		stackPrecision: since(6, 8), lazyPrecision: since(6, 2), uninitStack: since(5, 10), uninitBelow: since(6, 8), miscIsScalar: since(6, 9), longHistory: since(6, 12),
		callbackLoops: since(6, 8), callbacks: since(5, 13), loopHelper: since(5, 17), staticRegs: since(6, 15), staticStack: since(6, 18),
		mayGoto: since(6, 9), isaV4: since(6, 6), fetchAtomics: since(5, 12), acquire: since(6, 15),
		nestedFields: since(6, 11), mostFields: 10, objectKptrs: since(6, 12), treeNodes: since(6, 16), objects: since(6, 2), releasesDiffer: since(6, 13) && !since(7, 0), noProbeDrops: since(7, 0), loopVisits: since(6, 17), globalThrows: since(7, 0), arenas: since(6, 9), arenasAwake: since(7, 2), oneValue: since(6, 2), numbersLocked: since(6, 14),
		stackRound16: since(6, 9), privateStack: since(6, 13), tailReachable: since(6, 18), helperAccess: since(6, 14), cpuRange: since(6, 10), voidGlobals: since(7, 2), probeTimers: since(7, 2), nestedRCU: since(7, 0), allTrusted: since(7, 0), memoryNotNull: since(6, 4), exactPointers: !since(6, 3), globalPackets: since(6, 2), filledPaths: since(6, 12), constantKeys: since(6, 14), voidCasts: since(6, 17), swapBits: since(6, 18), trustedArgs: since(6, 2), longJumps: since(6, 1), wholeRecords: since(5, 18), freeIDs: since(6, 12), ctxImmediates: since(6, 4),
	}
	if r.nestedFields {
		r.mostFields = 11
	}
	if r.mixedBounds {
		r.deduceRounds = 2
	}
	if r.signCrossing {
		r.deduceRounds = 3
	}
	return r
}
