package check

// maxStackCopy is how much of a stack dw_ustack can copy: the kernel gives programs no more than 32 KB of memory for each CPU.
const maxStackCopy = 28 << 10

// checkUnwound reports what cannot be done with a map whose keys have stacks of dw_ustack. Each of them is another one to the program, even
// where the frames are the same: user space finds that out, and makes one entry of those with the same frames. So their values must be of
// a kind that can be put together, and programs cannot look for an entry.
func (c *checker) checkUnwound(m *mapState) {
	key, value := m.key.typ(), m.value.typ()
	if key == nil || value == nil || value == typeBad || !key.HasUnwound() {
		return
	}
	switch {
	case !isAggregate(value.Kind):
		c.list.Errorf(m.value.at, "%s has dw_ustack in its key, and so cannot hold values of type %s: there is an entry for each sample until they are put together",
			m.Name, TypeName(value)).Hint = m.Name + "[dw_ustack] = count() counts stacks; sum(), min(), max(), avg(), stats() and hist() work, too"
	case m.inside != nil:
		c.list.Errorf(*m.inside, "%s has dw_ustack in its key, and so can only be printed, cleared and zeroed: programs cannot find its entries", m.Name).
			Hint = "a stack of ustack can be looked for"
	}
}
