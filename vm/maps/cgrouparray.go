package maps

import "sync/atomic"

// A CgroupArray is BPF_MAP_TYPE_CGROUP_ARRAY: cgroups to ask about. A word is the number that [Options.Target] gives for a cgroup, or
// that Put was given.
type CgroupArray struct{ *ProgArray }

func newCgroupArray(a *attr, opts Options) (Map, error) {
	m, err := newProgArray(a, opts)
	if err != nil {
		return nil, err
	}
	return &CgroupArray{m.(*ProgArray)}, nil
}

// Put sets the cgroup at an index.
func (m *CgroupArray) Put(i uint32, cgroup uint64) error {
	if err := m.mayPut(i, Any); err != nil {
		return err
	}
	atomic.StoreUint64(m.at(i), cgroup)
	return nil
}

func (m *CgroupArray) userUpdate(key, value []byte, flags uint64) error {
	i := index(key)
	if err := m.mayPut(i, flags); err != nil {
		return err
	}
	cgroup, err := m.opts.target(m.kind, index(value))
	if err != nil {
		return err
	}
	return m.Put(i, cgroup)
}

func (m *CgroupArray) userLookup(_, _ []byte, _ uint64) error { return ENOTSUPP }

func (m *CgroupArray) each(func(key, value []byte) bool) error { return ENOTSUPP }
