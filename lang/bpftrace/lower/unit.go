// Package lower turns a checked script into eBPF programs and the description that user space needs to run it.
package lower

import (
	"github.com/cilium/ebpf"

	"skep/internal/diag"
	"skep/ir"
	"skep/probe"
	"skep/schema"
)

// Names of the maps that every unit may have in its collection besides the script's own. User space finds them by name.
const (
	MapEvents  = "events"  // ring buffer of data records
	MapControl = "control" // ring buffer of control records
	MapScratch = "scratch" // per-CPU array: working memory of the programs
	// MapState is a mappable array of one element, see State.
	MapState = "state"
	// MapDrops is an array of one element, which holds u64 counters: [0] lost data records, [1] lost control records, [2] lost
	// stacks, [3] stacks that the data ring had no room for, then one for each schema.Map at its Drops index. They are counted by atomic additions: a per-CPU map would cost
	// a look-up at each place in a program where something may be lost.
	MapDrops   = "drops"
	MapStrings = "strings" // array of one element: constant strings and zeros
)

// Offsets of the u64 words in the value of MapState, which user space maps into its memory.
const (
	// StateSleeping is not 0 while the reader of the data ring sleeps without a timeout: the next record wakes it and
	// clears the word; otherwise records are submitted with BPF_RB_NO_WAKEUP and the reader comes by itself.
	StateSleeping = 0
	StateStop     = 8  // not 0 after exit(): programs return at once
	StateStart    = 16 // ns of the boot clock when tracing began, for elapsed
	StateCpid     = 24 // pid of the -c child
	StateNsDev    = 32 // device and inode of the tracer's pid namespace
	StateNsIno    = 40
	StateWall     = 48 // what to add to the boot clock to get nanoseconds since 1970
	StateSize     = 64
)

// StackMaps: a stack value (schema.KStack, UStack) is a u64: the low 32 bits are the id in the stack trace map
// StackMapName(user, depth); if bit 63 is set the stack collided there, and the low 32 bits are the key in the hash map
// OverflowMapName(user, depth) whose value is {u32 n, u32 0, u64 ip[depth]}. -1 in all bits means that the stack could
// not be stored (counted in drops[2]); 0xfffffffe… values below -1 are negative errno of the helper, as with an empty stack.
// A UStack is that u64, u32 tgid, u32 tid.

// Unit is a compiled script: pure data, to be run by a host.
type Unit struct {
	Spec                                 *ebpf.CollectionSpec
	Attach                               []probe.Attach
	Script                               *schema.Script
	Programs                             map[string]*Program // by key in Spec.Programs
	NeedsUserSymbols, NeedsKernelSymbols bool
	Warnings                             *diag.List
	Recorded                             []string // keys in Spec.Programs by the numbers in their records; see MapRecording
}

// Program is what is known of a program besides its spec.
type Program struct {
	Object *ir.Object
	Probe  diag.Span
}
