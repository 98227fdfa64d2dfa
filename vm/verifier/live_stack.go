package verifier

// Which slots of the stack may still be read, gathered while walking for each function as it was called, whatever the path (Linux 6.18 and
// newer). A slot that is not read any more need not be equal for a state to be covered.

// stackLiveness gathers reads and writes of the stack.
type stackLiveness struct {
	v         *verifier
	instances map[instanceKey]*instance
	writes    [maxFrames]uint64 // of the instruction being walked, certain ones
}

// instanceKey is a function as called: the calls that lead to it.
type instanceKey struct {
	top, start int
	calls      [maxFrames]int
}

// An instance is the reads and writes in a function, by frame and instruction.
type instance struct {
	key     instanceKey
	start   int
	end     int
	masks   [maxFrames][]slotMask
	updated bool
	dropped bool // a write turned out not to be certain
	order   []int
}

type slotMask struct {
	read    uint64 // may be read
	write   uint64 // is certainly written
	written bool   // write has been set
	acc     uint64 // written on all paths from here on
	live    uint64 // may be read from here on, before being written
}

func newStackLiveness(v *verifier) *stackLiveness {
	return &stackLiveness{v: v, instances: map[instanceKey]*instance{}}
}

func (l *stackLiveness) key(s *state, frame int) instanceKey {
	k := instanceKey{top: frame}
	for i := 0; i < frame; i++ {
		k.calls[i] = s.frames[i+1].callsite
	}
	k.start = l.v.subs[s.frames[frame].sub].start
	return k
}

func (l *stackLiveness) instance(k instanceKey) *instance {
	in := l.instances[k]
	if in == nil {
		sub := l.v.subs[l.v.subprogramAt(k.start)]
		in = &instance{key: k, start: k.start, end: sub.end}
		l.instances[k] = in
	}
	return in
}

func (in *instance) at(frame, insn int) *slotMask {
	if in.masks[frame] == nil {
		in.masks[frame] = make([]slotMask, in.end-in.start)
	}
	return &in.masks[frame][insn-in.start]
}

// begin starts an instruction.
func (l *stackLiveness) begin() { l.writes = [maxFrames]uint64{} }

// read notes that a slot of a frame is read by the instruction.
func (l *stackLiveness) read(frame int, mask uint64) {
	if !l.v.rules.staticStack {
		return
	}
	in := l.instance(l.key(l.v.cur, l.v.cur.top))
	m := in.at(frame, l.v.insn)
	if mask&^m.read != 0 {
		m.read |= mask
		in.updated = true
	}
}

// write notes that a slot is written as a whole.
func (l *stackLiveness) write(frame int, mask uint64) { l.writes[frame] |= mask }

// commit ends the instruction: what it has written in some walk but not in this one is not certain.
func (l *stackLiveness) commit(insn int, k instanceKey) {
	if !l.v.rules.staticStack {
		return
	}
	in := l.instances[k]
	for f := 0; f <= k.top; f++ {
		mask := l.writes[f]
		if mask == 0 && (in == nil || in.masks[f] == nil) {
			continue
		}
		if in == nil {
			in = l.instance(k)
		}
		m := in.at(f, insn)
		next := mask
		if m.written {
			next &= m.write
		}
		if next != m.write {
			in.dropped = in.dropped || m.write&^next != 0
			in.updated = true
			m.write = next
		}
		m.written = true
	}
}

// update computes what is live in an instance, if anything has been noted since.
func (l *stackLiveness) update(in *instance) {
	if !in.updated {
		return
	}
	if in.order == nil {
		in.order = l.postorder(in)
	}
	if in.dropped {
		for f := range in.masks {
			for i := range in.masks[f] {
				in.masks[f][i].acc = 0
			}
		}
		in.dropped = false
	}
	var to [2]int
	for changed := true; changed; {
		changed = false
		for f := 0; f <= in.key.top; f++ {
			if in.masks[f] == nil {
				continue
			}
			for _, i := range in.order {
				m := in.at(f, i)
				var after uint64
				acc := ^uint64(0)
				n := l.v.successors(i, &to)
				if n == 0 {
					acc = 0
				}
				for _, next := range to[:n] {
					s := in.at(f, next)
					after |= s.live
					acc &= s.acc
				}
				before, all := after&^m.write|m.read, acc|m.write
				if before != m.live || all != m.acc {
					m.live, m.acc = before, all
					changed = true
				}
			}
		}
	}
	in.updated = false
	l.propagate(in)
}

// propagate tells the callers what is read and written of their frames.
func (l *stackLiveness) propagate(in *instance) {
	if in.key.top == 0 {
		return
	}
	k := in.key
	k.top--
	call := k.calls[k.top]
	k.calls[k.top] = 0
	k.start = l.v.subs[l.v.subprogramOf(call)].start
	outer := l.instance(k)
	for f := 0; f <= k.top; f++ {
		if in.masks[f] == nil {
			continue
		}
		entry := in.at(f, in.start)
		m := outer.at(f, call)
		if entry.live&^m.read != 0 {
			m.read |= entry.live
			outer.updated = true
		}
		if w := entry.acc; !m.written || m.write != w {
			old := m.write
			m.write, m.written = w, true
			outer.dropped = outer.dropped || old&^w != 0
			outer.updated = outer.updated || old != w
		}
	}
	l.update(outer)
}

func (l *stackLiveness) postorder(in *instance) []int {
	seen := make([]bool, in.end-in.start)
	var order, stack []int
	step := make([]uint8, in.end-in.start)
	var to [2]int
	stack = append(stack, in.start)
	seen[0] = true
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		n := l.v.successors(w, &to)
		if i := step[w-in.start]; int(i) < n {
			step[w-in.start]++
			if next := to[i] - in.start; next >= 0 && next < len(seen) && !seen[next] {
				seen[next] = true
				stack = append(stack, to[i])
			}
			continue
		}
		order = append(order, w)
		stack = stack[:len(stack)-1]
	}
	return order
}

// alive reports whether a slot of a stored state's frame may still be read.
func (l *stackLiveness) alive(s *state, frame, spi int) bool {
	top := l.instances[l.key(s, s.top)]
	if top.liveBefore(frame, s.insn, spi) {
		return true
	}
	for i := frame; i < s.top; i++ {
		call := s.frames[i+1].callsite
		in := l.instances[l.key(s, i)]
		at := call + 1
		if l.v.marks[call]&callsBack != 0 {
			at = call
		}
		if in.liveBefore(frame, at, spi) {
			return true
		}
	}
	return false
}

func (in *instance) liveBefore(frame, insn, spi int) bool {
	return in != nil && in.masks[frame] != nil && insn < in.end && in.masks[frame][insn-in.start].live>>spi&1 != 0
}

// prepare updates what alive needs of a state.
func (l *stackLiveness) prepare(s *state) {
	for i := 0; i <= s.top; i++ {
		if in := l.instances[l.key(s, i)]; in != nil {
			l.update(in)
		}
	}
}
