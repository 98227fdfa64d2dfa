// Package maps is the maps of the machine, with the kernel's semantics and error numbers. Values lie at addresses that stay,
// outside the garbage collector, and every map may be used from any number of goroutines at once.
//
// A map has two faces. The methods of [Map] are what programs reach through helpers: a look-up gives the address of the value. [User]
// is the bpf system call: values are copied, per-CPU kinds show the values of all CPUs, and frozen maps refuse.
package maps

import (
	"sync/atomic"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// Flags of Update, as the kernel numbers them.
const (
	Any     = 0 // BPF_ANY
	NoExist = 1 // BPF_NOEXIST
	Exist   = 2 // BPF_EXIST
	Lock    = 4 // BPF_F_LOCK
)

// A Map is one map as programs see it. What a kind does not offer fails as in the kernel, with EINVAL, EOPNOTSUPP or ENOTSUPP, though
// verified programs never ask.
//
// Keys and values are slices of exactly KeySize and ValueSize bytes, which are not kept. The CPU is that of the thread that runs the
// program; two threads may run on one CPU only if the program's own use of per-CPU values allows it.
type Map interface {
	Name() string
	Type() ebpf.MapType
	KeySize() int
	ValueSize() int // as the map was made; per-CPU values are apart by this rounded up to 8
	MaxEntries() int
	Flags() uint32
	ID() uint32
	Handle() uint64

	// Lookup gives the address of a value, or 0. It stays memory of this map whatever becomes of the entry. For a map of maps it is the
	// handle of the map inside.
	Lookup(cpu int, key []byte) uint64
	Update(cpu int, key, value []byte, flags uint64) error
	Delete(key []byte) error
	// Push, Pop and Peek are those of queue, stack and bloom filter, which have no keys. Pop and Peek fill value, with zeros if they fail.
	Push(value []byte, flags uint64) error
	Pop(value []byte) error
	Peek(value []byte) error
	// ForEach is bpf_for_each_map_elem: f gets each entry until it returns false, and may change the map. The key is valid until f
	// returns, and may not be memory that programs can reach. It gives how many entries f got.
	ForEach(cpu int, f func(key []byte, value uint64) bool) (int, error)

	// KeyOf gives the key of the entry whose value is at an address, for callbacks of timers; nil where values have none. Others may
	// delete the entry at any time.
	KeyOf(value uint64) []byte

	// Regions is the memory that programs may touch through this map. A map that grows tells of more by [Options.Grow].
	Regions() []memory.Region
	// Fields is where the kernel's own fields are in each value.
	Fields() Fields
	// Close frees the memory. Nothing may use the map any more.
	Close() error

	core() *base
	opened() // the map is made and has its contents: from now on it tells of memory that it gets
	userLookup(key, value []byte, flags uint64) error
	userUpdate(key, value []byte, flags uint64) error
	userDelete(key []byte) error
	userTake(key, value []byte, flags uint64) error
	nextKey(key, next []byte) error // the first one, if key is nil
	userValueSize() int
	each(f func(key, value []byte) bool) error
}

// Options are what a map needs of the machine around it. All but CPUs may be left out.
type Options struct {
	CPUs   int    // how many there are; at least 1
	ID     uint32 // how user space sees this map when it is an entry of another
	Handle uint64 // what programs see as the pointer to this map when it is an entry of another

	// Repeatable makes what is left to chance the same each time: the order of a hash map's entries, which entry of an LRU map goes. Who
	// chooses the keys can make them collide then.
	Repeatable bool

	// Map gives the map that user space means by a file descriptor in a map of maps. The error is an Errno.
	Map func(fd uint32) (Map, error)
	// Target gives what user space means by the file descriptor in a program array (the program's number), a map of sockets (the
	// socket's) or as key of a storage (the owner's). The error is an Errno.
	Target func(t ebpf.MapType, fd uint32) (uint64, error)
	// Device says whether there is a network interface with this index.
	Device func(index uint32) bool
	// Grow is told of memory that the map gets after New, before a program can see an address in it.
	Grow func(memory.Region)
	// Release is told the address of a value with timers or work queues that ends: deleted, replaced or
	// closed. It must not use the map.
	Release func(value uint64)
}

// base is what all kinds have, and what they do when asked for what they do not offer.
type base struct {
	name       string
	kind       ebpf.MapType
	keySize    int
	valueSize  int
	maxEntries int
	flags      uint32
	opts       Options
	fields     Fields
	spans      []span // of the fields
	frozen     atomic.Bool
}

func (b *base) core() *base        { return b }
func (b *base) opened()            {}
func (b *base) Name() string       { return b.name }
func (b *base) Type() ebpf.MapType { return b.kind }
func (b *base) KeySize() int       { return b.keySize }
func (b *base) ValueSize() int     { return b.valueSize }
func (b *base) MaxEntries() int    { return b.maxEntries }
func (b *base) Flags() uint32      { return b.flags }
func (b *base) ID() uint32         { return b.opts.ID }
func (b *base) Handle() uint64     { return b.opts.Handle }
func (b *base) Fields() Fields     { return b.fields }

func (b *base) Lookup(int, []byte) uint64                           { return 0 }
func (b *base) Update(int, []byte, []byte, uint64) error            { return EINVAL }
func (b *base) Delete([]byte) error                                 { return EINVAL }
func (b *base) Push([]byte, uint64) error                           { return EINVAL }
func (b *base) Pop([]byte) error                                    { return EINVAL }
func (b *base) Peek([]byte) error                                   { return EINVAL }
func (b *base) KeyOf(uint64) []byte                                 { return nil }
func (b *base) Regions() []memory.Region                            { return nil }
func (b *base) Close() error                                        { return nil }
func (b *base) userLookup(_, _ []byte, _ uint64) error              { return ENOTSUPP }
func (b *base) userUpdate(_, _ []byte, _ uint64) error              { return EINVAL }
func (b *base) userDelete([]byte) error                             { return EINVAL }
func (b *base) userTake(_, _ []byte, _ uint64) error                { return ENOTSUPP }
func (b *base) nextKey(_, _ []byte) error                           { return EINVAL }
func (b *base) userValueSize() int                                  { return b.valueSize }
func (b *base) each(func(key, value []byte) bool) error             { return EINVAL }
func (b *base) ForEach(int, func([]byte, uint64) bool) (int, error) { return 0, EINVAL }

// regionName is how messages call memory of this map.
func (b *base) regionName() string {
	if b.name == "" {
		return "map of type " + b.kind.String()
	}
	return "map " + b.name
}

func roundUp8(n int) int { return (n + 7) &^ 7 }
