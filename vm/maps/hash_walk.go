package maps

import (
	"bytes"
	"sync/atomic"
)

func (m *Hash) ForEach(cpu int, f func(key []byte, value uint64) bool) (int, error) {
	if !m.perCPU {
		cpu = 0
	}
	n := 0
	for bucket := range m.mask + 1 {
		link := m.first(bucket)
		for link-1 < chainEnd-1 {
			i := link - 1
			e := m.header(i)
			// f may delete the element, and another bucket may get it: read first, and stop where another bucket's begin.
			link = atomic.LoadUint32(&e.next)
			if atomic.LoadUint32(&e.hash)&m.mask != bucket {
				break
			}
			n++
			if !f(bytesAt(key(e), m.keySize), address(m.at(i, cpu))) {
				return n, nil
			}
		}
	}
	return n, nil
}

func (m *Hash) KeyOf(value uint64) []byte {
	i, ok := m.number(value)
	if !ok {
		return nil
	}
	e := m.header(i)
	// Without a lock, since Release is called under one: another key may come in meanwhile.
	for range 100 {
		h := atomic.LoadUint32(&e.hash)
		k := bytes.Clone(bytesAt(key(e), m.keySize))
		if m.hash(k) == h && atomic.LoadUint32(&e.hash) == h {
			return k
		}
	}
	return nil
}

func (m *Hash) userValueSize() int {
	if m.perCPU {
		return roundUp8(m.valueSize) * m.copies
	}
	return m.valueSize
}

func (m *Hash) userLookup(key, value []byte, flags uint64) error {
	h := m.hash(key)
	s := m.shard(h)
	s.Lock()
	defer s.Unlock()
	i, ok := m.find(key, h)
	if !ok {
		return ENOENT
	}
	m.copyOut(value, i, flags)
	return nil
}

// copyOut copies what user space sees of an element.
func (m *Hash) copyOut(value []byte, i uint32, flags uint64) {
	if !m.perCPU {
		m.get(value, m.value(i, 0), flags)
		return
	}
	size := roundUp8(m.valueSize)
	for cpu := range m.copies {
		copy(value[cpu*size:][:size], bytesAt(m.at(i, cpu), size))
	}
}

func (m *Hash) userUpdate(key, value []byte, flags uint64) error {
	return m.update(0, key, value, flags, m.perCPU)
}

func (m *Hash) userDelete(key []byte) error { return m.Delete(key) }

func (m *Hash) userTake(key, value []byte, flags uint64) error {
	return m.remove(key, func(i uint32) { m.copyOut(value, i, flags) })
}

func (m *Hash) nextKey(k, next []byte) error {
	bucket := uint32(0)
	if k != nil {
		h := m.hash(k)
		s := m.shard(h)
		s.Lock()
		if i, ok := m.find(k, h); ok {
			link := atomic.LoadUint32(&m.header(i).next)
			if link&chainEnd == 0 {
				copy(next, bytesAt(key(m.header(link-1)), m.keySize))
				s.Unlock()
				return nil
			}
			bucket = h&m.mask + 1
		}
		s.Unlock()
	}
	for ; bucket <= m.mask; bucket++ {
		if m.firstKey(bucket, next) {
			return nil
		}
	}
	return ENOENT
}

// firstKey gives the key of a bucket's first element.
func (m *Hash) firstKey(bucket uint32, next []byte) bool {
	if m.first(bucket) == 0 {
		return false
	}
	s := m.shard(bucket)
	s.Lock()
	defer s.Unlock()
	link := m.first(bucket)
	if link == 0 {
		return false
	}
	copy(next, bytesAt(key(m.header(link-1)), m.keySize))
	return true
}

// each copies a whole bucket under its lock: a replaced value stays in its bucket, so no entry is missed or seen twice.
func (m *Hash) each(f func(key, value []byte) bool) error {
	valueSize := m.userValueSize()
	var keys, values []byte
	for bucket := range m.mask + 1 {
		if m.first(bucket) == 0 {
			continue
		}
		keys, values = keys[:0], values[:0]
		s := m.shard(bucket)
		s.Lock()
		for link := m.first(bucket); link-1 < chainEnd-1; {
			e := m.header(link - 1)
			keys = append(keys, bytesAt(key(e), m.keySize)...)
			values = append(values, make([]byte, valueSize)...)
			m.copyOut(values[len(values)-valueSize:], link-1, Any)
			link = atomic.LoadUint32(&e.next)
		}
		s.Unlock()
		for i := range len(keys) / m.keySize {
			if !f(keys[i*m.keySize:][:m.keySize], values[i*valueSize:][:valueSize]) {
				return nil
			}
		}
	}
	return nil
}
