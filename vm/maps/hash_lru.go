package maps

import (
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
)

// lru chooses which entry an LRU table gives up for a new one: of a few that it looks at by chance, the one that was used longest ago.
// That is nearly the order of last use, and takes the same short time whatever the size; the kernel's own order is another
// approximation, which depends on the number of CPUs.
type lru struct {
	m     *Hash
	clock atomic.Uint32 // elements have the time of their last use; goes on with what is inserted, 64 times in a generation
	tick  int           // insertions into one list after which the clock goes on
	turn  atomic.Uint32 // choices that were made, of a repeatable map
	lists []lruList     // one, or with BPF_F_NO_COMMON_LRU one for each CPU
}

type lruList struct {
	mu       sync.Mutex
	count    atomic.Int64 // elements in use, or about to be
	limit    int64
	inserted int
	hand     uint32
	_        [40]byte
}

func newLRU(m *Hash) *lru {
	l := &lru{m: m, lists: make([]lruList, 1)}
	if m.flags&flagNoCommonLRU != 0 {
		l.lists = make([]lruList, m.opts.CPUs)
	}
	for i := range l.lists {
		l.lists[i].limit = int64(m.maxEntries / len(l.lists))
	}
	l.tick = 1 << max(bits.Len(uint(m.maxEntries))-7, 0)
	return l
}

// touch notes that an element is used.
func (l *lru) touch(e *slotState) {
	// Only written if it changes, so that CPUs can share it.
	if now := l.clock.Load(); atomic.LoadUint32(&e.used) != now {
		atomic.StoreUint32(&e.used, now)
	}
}

// take gives an element that is in no bucket. No lock of a shard is held.
func (l *lru) take(cpu int) (uint32, error) {
	number := cpu % len(l.lists)
	list := &l.lists[number]
	list.mu.Lock()
	defer list.mu.Unlock()
	if list.inserted++; list.inserted%l.tick == 0 {
		l.clock.Add(1)
	}
	for try := 0; ; try++ {
		if list.count.Load() < list.limit {
			i, err := l.m.take()
			if err != nil {
				return 0, ENOMEM
			}
			list.count.Add(1)
			l.enter(i, number)
			return i, nil
		}
		if i, ok := l.evict(list, number); ok {
			l.enter(i, number)
			return i, nil
		}
		// All elements are in the hands of others who are about to use them.
		if try == 100 {
			return 0, ENOMEM
		}
		runtime.Gosched()
	}
}

func (l *lru) enter(i uint32, list int) {
	e := l.m.state(i)
	atomic.StoreUint32(&e.link, uint32(list))
	l.touch(e)
}

// giveBack lets others have an element, and then says so.
func (l *lru) giveBack(i uint32) {
	list := &l.lists[atomic.LoadUint32(&l.m.state(i).link)]
	l.m.give(i)
	list.count.Add(-1)
}

// replace has an element count instead of another one, which becomes spare.
func (l *lru) replace(old, by uint32) {
	was := l.m.state(old)
	l.enter(by, int(atomic.LoadUint32(&was.link)))
	atomic.StoreUint32(&was.link, noList)
}

// evict takes an element of a list out of its bucket.
func (l *lru) evict(list *lruList, number int) (uint32, bool) {
	for range 4 {
		if i, ok := l.oldest(number); ok && l.remove(i, number) {
			return i, true
		}
	}
	elements := l.m.fresh.Load()
	for range elements {
		i := list.hand % elements
		list.hand = i + 1
		if l.remove(i, number) {
			return i, true
		}
	}
	return 0, false
}

// any chooses an element.
func (l *lru) any(elements uint32) uint32 {
	if !l.m.opts.Repeatable {
		return rand.Uint32N(elements)
	}
	return hashWord(uint64(l.turn.Add(1)), 0) % elements
}

// oldest is the one of some elements that was used longest ago. It may be free meanwhile: removing tells.
func (l *lru) oldest(number int) (oldest uint32, ok bool) {
	const candidates, tries = 8, 32
	elements := l.m.fresh.Load()
	now := l.clock.Load()
	age, seen := uint32(0), 0
	for range tries {
		i := l.any(elements)
		e := l.m.state(i)
		if atomic.LoadUint32(&e.link) != uint32(number) {
			continue
		}
		if a := now - atomic.LoadUint32(&e.used); seen == 0 || a > age {
			oldest, age = i, a
		}
		if seen++; seen == candidates {
			break
		}
	}
	return oldest, seen > 0
}

// noList is in the place of the list's number in elements that are spare.
const noList = 1<<32 - 1

// remove takes an element out of its bucket, if it is in one and counts in the list.
func (l *lru) remove(i uint32, number int) bool {
	m := l.m
	e := m.header(i)
	h := atomic.LoadUint32(&e.hash)
	s := m.shard(h)
	s.Lock()
	defer s.Unlock()
	// If it is in a bucket, link is that of its list.
	if atomic.LoadUint32(&e.hash) != h || atomic.LoadUint32(&m.state(i).link) != uint32(number) || !m.unlink(i, h) {
		return false
	}
	m.release(m.at(i, 0))
	return true
}
