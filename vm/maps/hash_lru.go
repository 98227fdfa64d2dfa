package maps

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// lru chooses which entry an LRU table gives up for a new one. A hand goes round over the elements as on a clock: what has been looked
// up since it came by is spared once. That is nearly the order of last use; the kernel's own order is another approximation, which
// differs with the number of CPUs.
type lru struct {
	m     *Hash
	lists []lruList // one, or with BPF_F_NO_COMMON_LRU one for each CPU
}

type lruList struct {
	mu    sync.Mutex
	count atomic.Int64 // elements in use, or about to be
	limit int64
	hand  uint32
	_     [40]byte
}

func newLRU(m *Hash) *lru {
	l := &lru{m: m, lists: make([]lruList, 1)}
	if m.flags&flagNoCommonLRU != 0 {
		l.lists = make([]lruList, m.opts.CPUs)
	}
	for i := range l.lists {
		l.lists[i].limit = int64(m.maxEntries / len(l.lists))
	}
	return l
}

// take gives an element that is in no bucket. No lock of a shard is held.
func (l *lru) take(cpu int) (uint32, error) {
	number := cpu % len(l.lists)
	list := &l.lists[number]
	list.mu.Lock()
	defer list.mu.Unlock()
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
	e := l.m.header(i)
	atomic.StoreUint32(&e.link, uint32(list))
	atomic.StoreUint32(&e.used, 0)
}

// leave counts an element out that goes back to the free ones.
func (l *lru) leave(e *slotHeader) {
	l.lists[atomic.LoadUint32(&e.link)].count.Add(-1)
}

func (l *lru) evict(list *lruList, number int) (uint32, bool) {
	m := l.m
	elements := m.fresh.Load()
	for range 2 * elements {
		i := list.hand
		if list.hand++; list.hand >= elements {
			list.hand = 0
		}
		if i >= elements {
			continue
		}
		e := m.header(i)
		if len(l.lists) > 1 && atomic.LoadUint32(&e.link) != uint32(number) {
			continue
		}
		if atomic.LoadUint32(&e.used) != 0 {
			atomic.StoreUint32(&e.used, 0)
			continue
		}
		if l.remove(i, e, number) {
			return i, true
		}
	}
	return 0, false
}

// remove takes an element out of its bucket, if it is still in one.
func (l *lru) remove(i uint32, e *slotHeader, number int) bool {
	m := l.m
	h := atomic.LoadUint32(&e.hash)
	s := m.shard(h)
	s.Lock()
	defer s.Unlock()
	// If it is in a bucket, link is that of its list.
	if atomic.LoadUint32(&e.hash) != h || atomic.LoadUint32(&e.link) != uint32(number) || !m.unlink(i, h) {
		return false
	}
	m.release(m.at(i, 0))
	return true
}
