package maps

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"skep/vm/memory"
)

// A Trie is BPF_MAP_TYPE_LPM_TRIE. A key is a u32 with the length of a prefix in bits, and the bits; a look-up gives the entry with the
// longest prefix of what it looks for.
//
// Readers take no lock: they go down again if a writer was there meanwhile. Nodes are never unmapped, and links lead only to nodes.
type Trie struct {
	base
	slots
	longest uint32        // prefix
	root    uint32        // the number of a node + 1, or 0
	writes  atomic.Uint32 // odd while there is a writer

	mu      sync.Mutex // of writers
	entries int
}

// A trieNode is the head of an element; the key follows. A branch has two children and no value: it is there for their common prefix.
type trieNode struct {
	child  [2]uint32 // in the place of the slotHeader
	branch uint32    // 1 for a branch
	length uint32    // of the prefix, the first part of the key
}

const maxTrieData = 256

func newTrie(a *attr, opts Options) (Map, error) {
	if a.maxEntries == 0 || a.flags&flagNoPrealloc == 0 || !a.only(flagNoPrealloc|flagNUMANode|flagsAccess) ||
		a.keySize < 5 || a.keySize > 4+maxTrieData || a.valueSize == 0 || a.valueSize > maxAllocation-maxTrieData-40 {
		return nil, EINVAL
	}
	m := &Trie{base: a.base(opts), longest: (a.keySize - 4) * 8}
	// There are fewer branches than entries, and a replaced value has its place until the new one is there.
	err := m.prepare(&m.base, slotSizes{
		meta: slotHeaderSize + 4 + (m.keySize+3)&^3, value: m.valueSize, copies: 1, limit: min(2*uint64(a.maxEntries), 1<<32-2), grows: true,
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Trie) opened() { m.grown = m.opts.Grow }

func (m *Trie) Regions() []memory.Region { return m.regions() }
func (m *Trie) Close() error             { return m.slots.close() }

func (m *Trie) node(i uint32) *trieNode { return (*trieNode)(unsafe.Pointer(m.header(i))) }

func (n *trieNode) key(size int) []byte { return bytesAt(unsafe.Pointer(&n.length), size) }

// bit is the bit that follows a prefix of some length, and chooses the child.
func bit(data []byte, at uint32) uint32 { return uint32(data[at/8]>>(7-at%8)) & 1 }

// common is the length of the prefix that a node and a key share. Readers call it while the node may be given to another entry; each
// word is loaded at once, so that what comes after in the program is not read before.
func (m *Trie) common(n *trieNode, k []byte) uint32 {
	limit := min(atomic.LoadUint32(&n.length), binary.NativeEndian.Uint32(k))
	at := uint32(0)
	for data := k[4:]; at < limit; at, data = at+32, data[min(4, len(data)):] {
		word := bits.ReverseBytes32(atomic.LoadUint32((*uint32)(unsafe.Add(unsafe.Pointer(n), unsafe.Sizeof(*n)+uintptr(at/8)))))
		if isBigEndian {
			word = bits.ReverseBytes32(word)
		}
		var own uint32
		if len(data) >= 4 {
			own = binary.BigEndian.Uint32(data)
		} else {
			for i, c := range data {
				own |= uint32(c) << (24 - 8*i)
			}
		}
		if same := bits.LeadingZeros32(word ^ own); same < 32 {
			return min(at+uint32(same), limit)
		}
	}
	return limit
}

var isBigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

func (m *Trie) Lookup(_ int, key []byte) uint64 {
	if len(key) != m.keySize || binary.NativeEndian.Uint32(key) > m.longest {
		return 0
	}
	for range 100 {
		writes := m.writes.Load()
		if writes&1 != 0 {
			runtime.Gosched()
			continue
		}
		found := m.longestPrefix(key)
		if m.writes.Load() == writes {
			return found
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.longestPrefix(key)
}

func (m *Trie) longestPrefix(key []byte) uint64 {
	var found uint32
	link := atomic.LoadUint32(&m.root)
	// A way down has at most this many nodes, unless a writer is at work.
	for depth := uint32(0); link != 0 && depth <= m.longest; depth++ {
		n := m.node(link - 1)
		length := atomic.LoadUint32(&n.length)
		if m.common(n, key) < length {
			break
		}
		if atomic.LoadUint32(&n.branch) == 0 {
			found = link
		}
		if length >= m.longest {
			break
		}
		link = atomic.LoadUint32(&n.child[bit(key[4:], length)])
	}
	if found == 0 {
		return 0
	}
	return address(m.at(found-1, 0))
}

// way goes down to where a key is or would be: the last node on the way, its number, and the links that lead there.
func (m *Trie) way(key []byte) (slots []*uint32, common uint32) {
	length := binary.NativeEndian.Uint32(key)
	slots = append(slots, &m.root)
	for {
		link := *slots[len(slots)-1]
		if link == 0 {
			return slots, 0
		}
		n := m.node(link - 1)
		common = m.common(n, key)
		if n.length != common || n.length == length {
			return slots, common
		}
		slots = append(slots, &n.child[bit(key[4:], n.length)])
	}
}

// exact says whether the last link of a way leads to a node with just this prefix.
func (m *Trie) exact(slot *uint32, key []byte, common uint32) *trieNode {
	if *slot == 0 {
		return nil
	}
	n := m.node(*slot - 1)
	if n.length != common || n.length != binary.NativeEndian.Uint32(key) {
		return nil
	}
	return n
}

func (m *Trie) Update(_ int, key, value []byte, flags uint64) error {
	if flags > Exist || len(key) != m.keySize || binary.NativeEndian.Uint32(key) > m.longest {
		return EINVAL
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	way, common := m.way(key)
	slot := way[len(way)-1]
	old := m.exact(slot, key, common)
	isNew := old == nil || old.branch != 0
	switch {
	case isNew && flags == Exist:
		return ENOENT
	case isNew && m.entries == m.maxEntries:
		return ENOSPC
	case !isNew && flags == NoExist:
		return EEXIST
	}
	i, err := m.take()
	if err != nil {
		return ENOMEM
	}
	branch := uint32(0)
	if old == nil && *slot != 0 && common < binary.NativeEndian.Uint32(key) {
		if branch, err = m.take(); err != nil {
			m.give(i)
			return ENOMEM
		}
	}
	m.writes.Add(1)
	defer m.writes.Add(1)
	n := m.node(i)
	m.fill(n, key, binary.NativeEndian.Uint32(key))
	copy(bytesAt(m.at(i, 0), m.valueSize), value)
	was := *slot
	switch {
	case was == 0:
		atomic.StoreUint32(slot, i+1)
	case old != nil:
		n.child = old.child
		atomic.StoreUint32(slot, i+1)
		m.give(was - 1)
	case common == n.length:
		n.child[bit(m.node(was - 1).key(m.keySize)[4:], common)] = was
		atomic.StoreUint32(slot, i+1)
	default:
		b := m.node(branch)
		m.fill(b, m.node(was-1).key(m.keySize), common)
		b.branch = 1
		side := bit(key[4:], common)
		b.child[side], b.child[1-side] = i+1, was
		atomic.StoreUint32(slot, branch+1)
	}
	if isNew {
		m.entries++
	}
	return nil
}

// fill makes a node new. The key has bits behind the prefix too, which user space gets back.
func (m *Trie) fill(n *trieNode, key []byte, length uint32) {
	n.child, n.branch = [2]uint32{}, 0
	copy(n.key(m.keySize), key)
	n.length = length
}

func (m *Trie) Delete(key []byte) error {
	if len(key) != m.keySize || binary.NativeEndian.Uint32(key) > m.longest {
		return EINVAL
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	way, common := m.way(key)
	slot := way[len(way)-1]
	n := m.exact(slot, key, common)
	if n == nil || n.branch != 0 {
		return ENOENT
	}
	m.writes.Add(1)
	defer m.writes.Add(1)
	m.entries--
	if n.child[0] != 0 && n.child[1] != 0 {
		atomic.StoreUint32(&n.branch, 1)
		return nil
	}
	was := *slot
	child := n.child[0] | n.child[1] // one at most
	if child == 0 && len(way) > 1 {
		above := way[len(way)-2]
		if parent := m.node(*above - 1); parent.branch != 0 {
			// Its other child takes its place.
			branch := *above
			atomic.StoreUint32(above, parent.child[0]+parent.child[1]-was)
			m.give(branch - 1)
			m.give(was - 1)
			return nil
		}
	}
	atomic.StoreUint32(slot, child)
	m.give(was - 1)
	return nil
}
