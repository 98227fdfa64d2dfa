package maps

import "github.com/cilium/ebpf"

// User is a map as the bpf system call shows it to user space.
type User struct{ Map Map }

// ValueSize is the size of the values here: for per-CPU kinds those of all CPUs, each rounded up to 8 bytes.
func (u User) ValueSize() int { return u.Map.userValueSize() }

// Lookup copies the value of a key. The key of a kind without keys is nil; a bloom filter looks for the value it is given.
func (u User) Lookup(key, value []byte, flags uint64) error {
	b := u.Map.core()
	switch {
	case flags&^Lock != 0:
		return EINVAL
	case b.flags&flagWriteOnly != 0:
		return EPERM
	case flags&Lock != 0 && b.fields.Lock < 0, len(key) != b.keySize, len(value) != u.ValueSize():
		return EINVAL
	}
	return u.Map.userLookup(key, value, flags)
}

// Update sets the value of a key, or pushes a value if there are no keys.
func (u User) Update(key, value []byte, flags uint64) error {
	b := u.Map.core()
	switch {
	case !u.writable():
		return EPERM
	case flags&Lock != 0 && b.fields.Lock < 0, len(key) != b.keySize, len(value) != u.ValueSize():
		return EINVAL
	}
	return u.Map.userUpdate(key, value, flags)
}

// Delete removes an entry.
func (u User) Delete(key []byte) error {
	switch {
	case !u.writable():
		return EPERM
	case len(key) != u.Map.KeySize():
		return EINVAL
	}
	return u.Map.userDelete(key)
}

// LookupAndDelete copies a value and removes its entry in one step; of a queue or stack, it pops.
func (u User) LookupAndDelete(key, value []byte, flags uint64) error {
	b := u.Map.core()
	switch {
	case flags&^Lock != 0:
		return EINVAL
	case !u.writable() || b.flags&flagWriteOnly != 0:
		return EPERM
	case flags != 0 && (b.kind == ebpf.Queue || b.kind == ebpf.Stack),
		flags&Lock != 0 && b.fields.Lock < 0, len(key) != b.keySize, len(value) != u.ValueSize():
		return EINVAL
	}
	return u.Map.userTake(key, value, flags)
}

// NextKey gives the key that comes after another one; the first one if the other is nil or, in a kind without order, is not there.
// It is ENOENT after the last.
func (u User) NextKey(key, next []byte) error {
	b := u.Map.core()
	switch {
	case b.flags&flagWriteOnly != 0:
		return EPERM
	case key != nil && len(key) != b.keySize, len(next) != b.keySize:
		return EINVAL
	}
	return u.Map.nextKey(key, next)
}

// Each gives copies of all entries until f returns false: each entry once that is there all the time, whatever others do to the map.
// The slices are valid until f returns, and f may change the map. Kinds whose entries cannot be listed give EINVAL.
func (u User) Each(f func(key, value []byte) bool) error {
	if u.Map.core().flags&flagWriteOnly != 0 {
		return EPERM
	}
	return u.Map.each(f)
}

// Freeze makes the map read-only for user space, for ever.
func (u User) Freeze() error {
	b := u.Map.core()
	switch {
	case b.fields.special():
		return ENOTSUPP
	case b.flags&flagReadOnly != 0:
		return EPERM
	case !b.frozen.CompareAndSwap(false, true):
		return EPERM
	}
	return nil
}

func (u User) writable() bool {
	b := u.Map.core()
	return b.flags&flagReadOnly == 0 && !b.frozen.Load()
}
