package maps

import "encoding/binary"

func (m *Trie) userLookup(key, value []byte, _ uint64) error {
	if binary.NativeEndian.Uint32(key) > m.longest {
		return ENOENT
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.longestPrefix(key)
	if found == 0 {
		return ENOENT
	}
	copy(value, memoryAt(found, m.valueSize))
	return nil
}

func (m *Trie) userUpdate(key, value []byte, flags uint64) error {
	return m.Update(0, key, value, flags)
}

func (m *Trie) userDelete(key []byte) error { return m.Delete(key) }

// nextKey goes through the trie so that longer prefixes come before those that contain them.
func (m *Trie) nextKey(key, next []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.root == 0 {
		return ENOENT
	}
	n := m.after(key)
	if n == nil {
		return ENOENT
	}
	copy(next, n.key(m.keySize))
	return nil
}

// after is the entry after a key, or the first one if the key is not there.
func (m *Trie) after(key []byte) *trieNode {
	if key == nil || binary.NativeEndian.Uint32(key) > m.longest {
		return m.deepest(m.root)
	}
	way, common := m.way(key)
	if n := m.exact(way[len(way)-1], key, common); n == nil || n.branch != 0 {
		return m.deepest(m.root)
	}
	for i := len(way) - 1; i > 0; i-- {
		parent := m.node(*way[i-1] - 1)
		if way[i] == &parent.child[0] && parent.child[1] != 0 {
			return m.deepest(parent.child[1])
		}
		if parent.branch == 0 {
			return parent
		}
	}
	return nil
}

// deepest is the first entry in a part of the trie. Every leaf is one.
func (m *Trie) deepest(link uint32) *trieNode {
	for {
		n := m.node(link - 1)
		switch {
		case n.child[0] != 0:
			link = n.child[0]
		case n.child[1] != 0:
			link = n.child[1]
		default:
			return n
		}
	}
}

// each takes the entries of one moment.
func (m *Trie) each(f func(key, value []byte) bool) error {
	type entry struct{ key, value []byte }
	var all []entry
	m.mu.Lock()
	m.walk(m.root, func(i uint32, n *trieNode) {
		all = append(all, entry{append([]byte(nil), n.key(m.keySize)...), append([]byte(nil), bytesAt(m.at(i, 0), m.valueSize)...)})
	})
	m.mu.Unlock()
	for _, e := range all {
		if !f(e.key, e.value) {
			break
		}
	}
	return nil
}

func (m *Trie) walk(link uint32, f func(i uint32, n *trieNode)) {
	if link == 0 {
		return
	}
	n := m.node(link - 1)
	m.walk(n.child[0], f)
	m.walk(n.child[1], f)
	if n.branch == 0 {
		f(link-1, n)
	}
}
