package maps

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"

	"skep/vm/memory"
)

// A Hash is one of the hash tables: HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH.
//
// Buckets are chains of elements. Readers take no lock: a chain ends with the number of its bucket, so a reader whose element was given
// to another bucket meanwhile notices and begins again. Writers hold the lock of the bucket's shard. Replacing a value puts another
// element in the chain, so a reader has the old value or the new one; the old element is the shard's spare for the next replacement.
type Hash struct {
	base
	slots
	mixer
	mask   uint32 // of buckets
	shards []shard
	stored int  // see tableShape
	plain  bool // see tableShape
	perCPU bool
	copies int  // values of an element: 1, or one for each CPU
	lru    *lru // nil for tables that refuse what does not fit
	heads  *memory.Block
	head0  unsafe.Pointer // u64s, for each bucket the first element's tag, and below its number + 1, or 0 if there is none
	tags
}

// tags is how a table remembers in a bucket's head which key the first element has: by as much of the key's hash as there is room for.
// With it, most look-ups find out without looking at the element, which would be another cache miss.
type tags struct {
	linkBits uint8 // of a head, for the element
	drop     uint8 // bits of the hash that the bucket's number tells, and a tag need not
	exact    bool  // equal tags in a bucket mean equal keys: hashes of words are permutations
}

// newTags makes the tags as exact as the size of keys and the numbers of buckets and elements allow.
func newTags(keySize int, buckets uint32, elements uint64) tags {
	drop, link := bits.Len32(buckets-1), bits.Len64(elements)
	switch {
	case keySize == 4:
		return tags{linkBits: 32, exact: true}
	case keySize == 8 && link <= drop:
		return tags{linkBits: uint8(link), drop: uint8(drop), exact: true}
	}
	return tags{linkBits: 32}
}

func (t *tags) linkOf(head uint64) uint32 { return uint32(head & (1<<(t.linkBits&63) - 1)) }

// headOf is the head of a chain that begins with an element.
func (m *Hash) headOf(i, hash uint32) uint64 {
	tag := uint64(hash)
	if m.drop != 0 {
		tag = m.mix64(*(*uint64)(key(m.header(i)))) >> (m.drop & 63)
	}
	return tag<<(m.linkBits&63) | uint64(i+1)
}

// A shard is the buckets whose numbers are equal modulo the number of shards.
type shard struct {
	sync.Mutex
	spare uint32 // an element, under the lock
	_     [48]byte
}

// chainEnd marks the end of a chain that has elements; the bucket's number is below.
const chainEnd = 1 << 31

const maxShards = 64

func newHash(a *attr, opts Options) (Map, error) {
	m, err := newTable(a, opts, tableShape{value: int(a.valueSize), limit: uint64(a.maxEntries)})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// A tableShape is where tables under other kinds of maps differ from hash maps.
type tableShape struct {
	value int    // the size that is stored, of which user space sees the first part
	limit uint64 // of entries
	plain bool   // the key, of 4 bytes, is its own hash, and buckets are as many as in the kernel: entries come in its order
}

// checkTable says what tables do not want.
func (a *attr) checkTable() error {
	perCPU := a.kind == ebpf.PerCPUHash || a.kind == ebpf.LRUCPUHash
	isLRU := a.kind == ebpf.LRUHash || a.kind == ebpf.LRUCPUHash
	ownLRU := a.flags&flagNoCommonLRU != 0
	switch {
	case !a.only(flagNoPrealloc | flagNoCommonLRU | flagNUMANode | flagsAccess | flagZeroSeed), ownLRU && !isLRU:
		return EINVAL
	case isLRU && a.flags&flagNoPrealloc != 0:
		return ENOTSUPP
	case a.flags&flagNUMANode != 0 && (perCPU || ownLRU), a.maxEntries == 0 || a.keySize == 0 || a.valueSize == 0:
		return EINVAL
	case uint64(a.keySize)+uint64(a.valueSize) >= maxAllocation-48, perCPU && roundUp8(int(a.valueSize)) > maxPerCPU:
		return E2BIG
	}
	return nil
}

func newTable(a *attr, opts Options, shape tableShape) (*Hash, error) {
	if err := a.checkTable(); err != nil {
		return nil, err
	}
	perCPU := a.kind == ebpf.PerCPUHash || a.kind == ebpf.LRUCPUHash
	m := &Hash{base: a.base(opts), mixer: newMixer(newSeed(a.flags, opts)), stored: shape.value, plain: shape.plain, perCPU: perCPU, copies: 1}
	if perCPU {
		m.copies = opts.CPUs
	}
	if a.flags&flagNoCommonLRU != 0 {
		// Each CPU has as many.
		cpus := opts.CPUs
		if m.maxEntries = (m.maxEntries + cpus - 1) / cpus * cpus; uint64(m.maxEntries) > math.MaxUint32 {
			m.maxEntries -= cpus
		}
	}
	buckets, ok := powerAbove(uint32(m.maxEntries))
	if !ok || buckets > 1<<27 {
		return nil, E2BIG
	}
	if 3*m.maxEntries > 2*int(buckets) && !shape.plain {
		buckets *= 2 // chains are short, and most often the head says already whether the first is the one
	}
	m.mask = buckets - 1
	m.shards = make([]shard, min(buckets, maxShards))
	spares := len(m.shards)
	if perCPU {
		spares = 0
	}
	if a.kind == ebpf.LRUHash || a.kind == ebpf.LRUCPUHash {
		m.lru = newLRU(m)
	}
	limit := max(shape.limit, uint64(m.maxEntries)) + uint64(spares)
	m.tags = newTags(m.keySize, buckets, limit)
	err := m.prepare(&m.base, slotSizes{
		meta: slotHeaderSize + m.keySize, value: shape.value, copies: m.copies, limit: limit, grows: a.flags&flagNoPrealloc != 0,
	})
	if err != nil {
		return nil, err
	}
	for i := range spares {
		if m.shards[i].spare, err = m.take(); err != nil {
			m.slots.close()
			return nil, err
		}
		m.state(m.shards[i].spare).link = noList
	}
	if m.heads, err = memory.New(int(buckets) * 8); err != nil {
		m.slots.close()
		return nil, ENOMEM
	}
	hugePages(m.heads)
	m.head0 = unsafe.Pointer(unsafe.SliceData(m.heads.Bytes()))
	return m, nil
}

func (m *Hash) opened() { m.grown = m.opts.Grow }

func (m *Hash) Regions() []memory.Region { return m.regions() }

func (m *Hash) Close() error {
	if m.opts.Release != nil && m.fields.special() {
		m.ForEach(0, func(_ []byte, value uint64) bool {
			m.opts.Release(value)
			return true
		})
	}
	if err := m.heads.Free(); err != nil {
		return err
	}
	return m.slots.close()
}

func (m *Hash) hash(key []byte) uint32 {
	switch len(key) {
	case 4:
		return m.hash4(binary.NativeEndian.Uint32(key))
	case 8:
		return uint32(m.mix64(binary.NativeEndian.Uint64(key)))
	}
	return hash(key, m.seed)
}

func (m *Hash) hash4(k uint32) uint32 {
	if m.plain {
		return k
	}
	return m.mix32(k)
}

func (m *Hash) head(bucket uint32) *uint64 { return (*uint64)(unsafe.Add(m.head0, uintptr(bucket)*8)) }

// first is the start of a bucket's chain.
func (m *Hash) first(bucket uint32) uint32 { return m.linkOf(atomic.LoadUint64(m.head(bucket))) }

func (m *Hash) shard(hash uint32) *shard { return &m.shards[hash&m.mask&uint32(len(m.shards)-1)] }

func (m *Hash) value(i uint32, cpu int) []byte { return bytesAt(m.at(i, cpu), m.stored) }

// find gives the element with a key, with or without the shard's lock.
func (m *Hash) find(k []byte, hash uint32) (i uint32, ok bool) {
	switch len(k) {
	case 4:
		return findWord(m, binary.NativeEndian.Uint32(k), uint64(hash))
	case 8:
		k := binary.NativeEndian.Uint64(k)
		return findWord(m, k, m.mix64(k))
	}
	bucket := hash & m.mask
	for {
		head := atomic.LoadUint64(m.head(bucket))
		link := uint32(head)
		if link != 0 && uint32(head>>32) != hash {
			link = atomic.LoadUint32(&m.header(link - 1).next)
		}
		for link-1 < chainEnd-1 {
			e := m.header(link - 1)
			if atomic.LoadUint32(&e.hash) == hash && string(k) == unsafe.String((*byte)(key(e)), m.keySize) {
				return link - 1, true
			}
			link = atomic.LoadUint32(&e.next)
		}
		if link == 0 || link == chainEnd|bucket {
			return 0, false
		}
	}
}

// findWord is find for the keys that most programs have.
func findWord[K uint32 | uint64](m *Hash, k K, hash uint64) (i uint32, ok bool) {
	bucket := uint32(hash) & m.mask
	for {
		head := atomic.LoadUint64(m.head(bucket))
		link := m.linkOf(head)
		if m.exact && link != 0 {
			if head>>(m.linkBits&63) == hash>>(m.drop&63) {
				return link - 1, true
			}
			link = atomic.LoadUint32(&m.header(link - 1).next)
		}
		for link-1 < chainEnd-1 {
			e := m.header(link - 1)
			if *(*K)(key(e)) == k {
				return link - 1, true
			}
			link = atomic.LoadUint32(&e.next)
		}
		if link == 0 || link == chainEnd|bucket {
			return 0, false
		}
	}
}

func (m *Hash) Lookup(cpu int, key []byte) uint64 {
	var i uint32
	var ok bool
	switch {
	case len(key) != m.keySize:
		return 0
	case len(key) == 4:
		k := binary.NativeEndian.Uint32(key)
		i, ok = findWord(m, k, uint64(m.hash4(k)))
	case len(key) == 8:
		k := binary.NativeEndian.Uint64(key)
		i, ok = findWord(m, k, m.mix64(k))
	default:
		i, ok = m.find(key, m.hash(key))
	}
	if !ok {
		return 0
	}
	if m.lru != nil {
		m.lru.touch(m.state(i))
	}
	if !m.perCPU {
		cpu = 0
	}
	return address(m.at(i, cpu))
}

func (m *Hash) Update(cpu int, key, value []byte, flags uint64) error {
	return m.update(cpu, key, value, flags, false)
}

// update sets the value of one CPU, or of all that value has one after the other.
func (m *Hash) update(cpu int, key, value []byte, flags uint64, all bool) error {
	locked := flags&Lock != 0
	switch {
	case flags&^Lock > Exist, locked && (m.fields.Lock < 0 || m.lru != nil || m.perCPU):
		return EINVAL
	case len(key) != m.keySize:
		return EINVAL
	}
	h := m.hash(key)
	s := m.shard(h)
	s.Lock()
	defer s.Unlock()
	old, ok := m.find(key, h)
	if !ok {
		if flags&^Lock == Exist {
			return ENOENT
		}
		n, err := m.takeFor(cpu, s, h)
		if err != nil {
			return err
		}
		// An LRU table may have let go of the lock.
		if old, ok = m.find(key, h); !ok {
			m.write(n, cpu, value, true, all)
			m.link(n, key, h)
			return nil
		}
		m.giveBack(n)
	}
	if flags&^Lock == NoExist {
		return EEXIST
	}
	switch {
	case locked:
		m.setLocked(m.value(old, 0), value)
	case m.perCPU:
		m.write(old, cpu, value, false, all)
		if m.lru != nil {
			m.lru.touch(m.state(old))
		}
	default:
		n := s.spare
		m.write(n, 0, value, true, false)
		if m.lru != nil {
			m.lru.replace(old, n)
		}
		m.link(n, key, h)
		m.unlink(old, h)
		m.release(m.at(old, 0))
		s.spare = old
	}
	return nil
}

// takeFor gives an element for a new key. Of an LRU table it may be one that others have, for which the shard's lock is opened.
func (m *Hash) takeFor(cpu int, s *shard, h uint32) (uint32, error) {
	if m.lru == nil {
		return m.take()
	}
	s.Unlock()
	defer s.Lock()
	return m.lru.take(cpu)
}

func (m *Hash) giveBack(i uint32) {
	if m.lru != nil {
		m.lru.giveBack(i)
	} else {
		m.give(i)
	}
}

// write sets the value of an element. What a new one has of other CPUs is zero.
func (m *Hash) write(i uint32, cpu int, value []byte, isNew, all bool) {
	switch {
	case !m.perCPU:
		to := m.value(i, 0)
		copy(to, value)
		m.clear(to)
	case all:
		size := roundUp8(m.valueSize)
		for cpu := range m.copies {
			copy(bytesAt(m.at(i, cpu), size), value[cpu*size:])
		}
	default:
		if isNew {
			for other := range m.copies {
				clear(bytesAt(m.at(i, other), roundUp8(m.valueSize)))
			}
		}
		copy(m.value(i, cpu), value)
	}
}

// link puts an element at the start of its bucket.
func (m *Hash) link(i uint32, k []byte, h uint32) {
	e := m.header(i)
	bucket := h & m.mask
	next := m.first(bucket)
	if next == 0 {
		next = chainEnd | bucket
	}
	copy(bytesAt(key(e), m.keySize), k)
	atomic.StoreUint32(&e.hash, h)
	atomic.StoreUint32(&e.next, next)
	atomic.StoreUint64(m.head(bucket), m.headOf(i, h))
}

// unlink takes an element out of its bucket, and says whether it was there. What follows stays reachable from it for readers.
func (m *Hash) unlink(i, h uint32) bool {
	head := m.head(h & m.mask)
	link := m.linkOf(*head)
	if link == i+1 {
		next := atomic.LoadUint32(&m.header(i).next)
		if next&chainEnd != 0 {
			atomic.StoreUint64(head, 0)
		} else {
			atomic.StoreUint64(head, m.headOf(next-1, m.header(next-1).hash))
		}
		return true
	}
	for link-1 < chainEnd-1 {
		e := m.header(link - 1)
		if link = atomic.LoadUint32(&e.next); link == i+1 {
			atomic.StoreUint32(&e.next, atomic.LoadUint32(&m.header(i).next))
			return true
		}
	}
	return false
}

func (m *Hash) Delete(key []byte) error { return m.remove(key, nil) }

// remove deletes an entry after f has seen it, under the lock.
func (m *Hash) remove(key []byte, f func(i uint32)) error {
	if len(key) != m.keySize {
		return EINVAL
	}
	h := m.hash(key)
	s := m.shard(h)
	s.Lock()
	defer s.Unlock()
	i, ok := m.find(key, h)
	if !ok {
		return ENOENT
	}
	if f != nil {
		f(i)
	}
	m.unlink(i, h)
	m.release(m.at(i, 0))
	m.giveBack(i)
	return nil
}
