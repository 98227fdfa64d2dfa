package verifier

// fill is what one byte of the stack holds.
type fill uint8

const (
	fillInvalid fill = iota // never written
	fillSpill               // part of a spilled register
	fillMisc                // anything
	fillZero
	fillDynptr // parts of structs of the kernel
	fillIter
	fillIRQ
)

// A slot is eight bytes of a stack. The byte of index i is at the slot's address + i... counted from its upper end downwards by the
// kernel: the slot n begins at r10 - 8*(n+1).
type slot struct {
	fill [8]fill
	reg  reg // what is spilled
}

func (s *slot) spilled() bool         { return s.fill[7] == fillSpill }
func (s *slot) spilledScalar() bool   { return s.spilled() && s.reg.kind == scalar }
func (s *slot) spilledScalar64() bool { return s.fill[0] == fillSpill && s.reg.kind == scalar }

// A frame is one function at work.
type frame struct {
	regs     [11]reg
	stack    []slot
	callsite int // the instruction that called; -1 for the entry
	sub      int
	number   int
	// callback is set in a function that a helper runs. retLo and retHi are what it may return.
	callback     bool
	retLo, retHi int32
	async        bool
	asyncEntry   int
	depth        int // how often the callbacks of this frame have been entered
}

// A reference is something acquired that must be released.
type reference struct {
	id, insn int
	frame    int
}

// A step is a remembered jump, or what an instruction did that cannot be seen from it.
type step struct {
	insn, prev int32
	access     bool // of the stack slot spi in the frame
	srcStack   bool // the source of the comparison is a pointer to the stack
	dstStack   bool
	frame, spi uint8
	linked     *links
}

// A state is all that is known at an instruction.
type state struct {
	frames  [maxFrames]*frame
	top     int // index of the running frame
	refs    []reference
	lock    lock
	regions regions
	sleeps  bool // in a function that a work queue runs

	parent   *state
	branches int
	insn     int // where it is, of stored states
	first    int // first instruction since the parent
	last     int // the instruction before this one
	history  []step
	cleaned  bool

	goes       int // rounds of may_goto
	unrolled   int // rounds of callbacks
	dfs        int // stored states on the path
	equalState *state
	size       int
	seen       int // the last step of the path, for a watcher
}

// A lock is a held bpf_spin_lock or bpf_res_spin_lock: in a value of a map, or in an allocated object.
type lock struct {
	held    bool
	failing bool // one that might not have been had
	mp      *mapDef
	id      uint32
}

const (
	regSize  = 160
	slotSize = 168
)

func (s *state) frame() *frame { return s.frames[s.top] }

// clone copies all but the jumps remembered.
func (s *state) clone() *state {
	c := *s
	c.size = 200
	for i := 0; i <= s.top; i++ {
		f := *s.frames[i]
		f.stack = append([]slot(nil), f.stack...)
		c.frames[i] = &f
		c.size += 11*regSize + len(f.stack)*slotSize
	}
	for i := s.top + 1; i < maxFrames; i++ {
		c.frames[i] = nil
	}
	c.refs = append([]reference(nil), s.refs...)
	c.history = append([]step(nil), s.history...)
	return &c
}

// each calls f with the registers and spilled registers of all frames.
func (s *state) each(f func(r *reg)) {
	for i := 0; i <= s.top; i++ {
		fr := s.frames[i]
		for j := range fr.regs {
			f(&fr.regs[j])
		}
		for j := range fr.stack {
			if fr.stack[j].spilled() {
				f(&fr.stack[j].reg)
			}
		}
	}
}

// callsAlike reports whether both are in the same functions, called from the same places.
func (s *state) callsAlike(o *state) bool {
	if s.top != o.top {
		return false
	}
	for i := 0; i <= s.top; i++ {
		if s.frames[i].callsite != o.frames[i].callsite {
			return false
		}
	}
	return true
}

// insnOf is where the frame is: at its call, or at the state's instruction.
func (s *state) insnOf(frame int) int {
	if frame == s.top {
		return s.insn
	}
	return s.frames[frame+1].callsite
}

// A stored state and how often it was compared in vain and with success.
type stored struct {
	*state
	hits, misses int
}

// pending is a branch to be walked later.
type pending struct {
	*state
	insn, prev int
}
