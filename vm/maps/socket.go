package maps

import (
	"encoding/binary"
	"math"
	"sync/atomic"
)

// A SockMap is BPF_MAP_TYPE_SOCKMAP or XSKMAP: sockets to redirect to. A word is the number that [Options.Target] gives for a socket,
// which is not 0; user space reads it from a sockmap as the socket's cookie.
type SockMap struct{ *words }

func newSockMap(a *attr, opts Options) (Map, error) {
	if err := a.checkTargets(flagNUMANode | flagReadOnly | flagWriteOnly); err != nil {
		return nil, err
	}
	w, err := newWords(a, opts)
	return &SockMap{w}, err
}

func newXSKMap(a *attr, opts Options) (Map, error) {
	if a.valueSize != 4 {
		return nil, EINVAL
	}
	if err := a.checkTargets(flagNUMANode | flagReadOnly | flagWriteOnly); err != nil {
		return nil, err
	}
	w, err := newWords(a, opts)
	return &XSKMap{SockMap{w}}, err
}

// Put sets the socket at an index, as a host does that has no file descriptors.
func (m *SockMap) Put(i uint32, socket, flags uint64) error {
	switch {
	case flags > Exist:
		return EINVAL
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	}
	for {
		old := atomic.LoadUint64(m.at(i))
		switch {
		case old != 0 && flags == NoExist:
			return EEXIST
		case old == 0 && flags == Exist:
			return ENOENT
		case atomic.CompareAndSwapUint64(m.at(i), old, socket):
			return nil
		}
	}
}

// socket is what a value of user space means.
func (b *base) socket(value []byte) (uint64, error) {
	fd := uint64(binary.NativeEndian.Uint32(value))
	if len(value) == 8 {
		fd = binary.NativeEndian.Uint64(value)
	}
	if fd > math.MaxInt32 {
		return 0, EINVAL
	}
	return b.opts.target(b.kind, uint32(fd))
}

func (m *SockMap) userUpdate(key, value []byte, flags uint64) error {
	socket, err := m.socket(value)
	if err != nil {
		return err
	}
	return m.Put(index(key), socket, flags)
}

func (m *SockMap) userLookup(key, value []byte, flags uint64) error {
	if len(value) != 8 {
		return ENOSPC
	}
	return m.words.userLookup(key, value, flags)
}

func (m *SockMap) each(f func(key, value []byte) bool) error {
	if m.valueSize != 8 {
		return ENOSPC
	}
	return m.words.each(f)
}

func (m *SockMap) Delete(key []byte) error {
	if i := index(key); uint(i) >= uint(m.maxEntries) || atomic.SwapUint64(m.at(i), 0) == 0 {
		return EINVAL
	}
	return nil
}

func (m *SockMap) userDelete(key []byte) error { return m.Delete(key) }

// An XSKMap is BPF_MAP_TYPE_XSKMAP.
type XSKMap struct{ SockMap }

func (m *XSKMap) userLookup(_, _ []byte, _ uint64) error { return EOPNOTSUPP }

func (m *XSKMap) userUpdate(key, value []byte, flags uint64) error {
	i := index(key)
	switch {
	case flags > Exist:
		return EINVAL
	case uint(i) >= uint(m.maxEntries):
		return E2BIG
	}
	socket, err := m.opts.target(m.kind, index(value))
	switch {
	case err != nil:
		return err
	case m.get(i) == socket:
		return nil // also with BPF_NOEXIST
	}
	return m.Put(i, socket, flags)
}

func (m *XSKMap) Delete(key []byte) error {
	i := index(key)
	if uint(i) >= uint(m.maxEntries) {
		return EINVAL
	}
	atomic.StoreUint64(m.at(i), 0)
	return nil
}

func (m *XSKMap) userDelete(key []byte) error             { return m.Delete(key) }
func (m *XSKMap) each(func(key, value []byte) bool) error { return EOPNOTSUPP }

// A SockHash is BPF_MAP_TYPE_SOCKHASH. Values are as in a [SockMap].
type SockHash struct{ *Hash }

func newSockHash(a *attr, opts Options) (Map, error) {
	const maxKey = 512
	switch {
	case a.maxEntries == 0 || a.keySize == 0 || a.valueSize != 4 && a.valueSize != 8 || a.flags&^(flagNUMANode|flagReadOnly|flagWriteOnly) != 0:
		return nil, EINVAL
	case a.keySize > maxKey:
		return nil, E2BIG
	case a.maxEntries > 1<<31:
		return nil, EINVAL
	}
	table, err := newTable(a, opts, tableShape{value: 8})
	if err != nil {
		return nil, err
	}
	return &SockHash{table}, nil
}

// Put sets the socket of a key.
func (m *SockHash) Put(key []byte, socket, flags uint64) error {
	if flags > Exist {
		return EINVAL
	}
	var value [8]byte
	binary.NativeEndian.PutUint64(value[:], socket)
	return m.Hash.Update(0, key, value[:], flags)
}

// Target is the socket of a key; 0 if there is none.
func (m *SockHash) Target(key []byte) uint64 {
	if at := m.Lookup(0, key); at != 0 {
		return binary.NativeEndian.Uint64(memoryAt(at, 8))
	}
	return 0
}

func (m *SockHash) Update(int, []byte, []byte, uint64) error            { return EINVAL }
func (m *SockHash) ForEach(int, func([]byte, uint64) bool) (int, error) { return 0, EINVAL }
func (m *SockHash) userTake(_, _ []byte, _ uint64) error                { return ENOTSUPP }

func (m *SockHash) userUpdate(key, value []byte, flags uint64) error {
	socket, err := m.socket(value)
	if err != nil {
		return err
	}
	return m.Put(key, socket, flags)
}

func (m *SockHash) userLookup(key, value []byte, flags uint64) error {
	if len(value) != 8 {
		return ENOSPC
	}
	return m.Hash.userLookup(key, value, flags)
}

func (m *SockHash) each(f func(key, value []byte) bool) error {
	if m.valueSize != 8 {
		return ENOSPC
	}
	return m.Hash.each(f)
}
