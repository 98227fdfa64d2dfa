package verifier

// mark says what the walk does at an instruction.
type mark uint8

const (
	prunePoint mark = 1 << iota // states are compared
	jumpPoint                   // the jump here is remembered
	forcePoint                  // a state is always stored
	callsBack                   // the helper called runs a function of the program, any number of times
	discovered
	explored
)

// checkFlow visits all instructions in the order of the jumps, marks where states are to be compared and asks that each is reached.
func (v *verifier) checkFlow() {
	n := len(v.prog.insns)
	v.marks = make([]mark, n)
	next := make([]uint8, n)
	stack := []int{0}
	v.marks[0] |= discovered
	var edges [2]edge
	for len(stack) > 0 {
		t := stack[len(stack)-1]
		v.insn = t
		count := v.edges(t, &edges)
		if int(next[t]) == count {
			v.marks[t] |= explored
			stack = stack[:len(stack)-1]
			continue
		}
		e := edges[next[t]]
		next[t]++
		if e.to < 0 || e.to >= n {
			v.reject("jump", "instruction %d leads to %d, outside of the program", t, e.to)
		}
		if e.branch {
			v.marks[e.to] |= prunePoint | jumpPoint
		}
		if v.marks[e.to]&discovered == 0 {
			v.marks[e.to] |= discovered
			stack = append(stack, e.to)
		}
	}
	for i := 0; i < n; i++ {
		v.insn = i
		if v.marks[i]&explored == 0 {
			v.reject("unreachable", "instruction %d is never reached", i)
		}
		if v.prog.insns[i].Op == loadImm64 {
			if v.marks[i+1]&discovered != 0 {
				v.reject("jump", "a jump leads into the middle of a 64-bit immediate load")
			}
			i++
		}
	}
}

type edge struct {
	to     int
	branch bool
}

// edges gives the instructions that may follow, in the order in which they are visited, and marks where states are worth comparing.
func (v *verifier) edges(t int, to *[2]edge) int {
	in := v.prog.insns[t]
	m := v.marks
	point := func(at int, what mark) {
		if at < len(m) && at >= 0 {
			m[at] |= what
		}
	}
	back := func() {
		m[t] |= callsBack
		if v.rules.callbackLoops {
			m[t] |= prunePoint | jumpPoint | forcePoint
		}
	}
	call := func(callee bool) int {
		after := t + in.width()
		point(after, prunePoint|jumpPoint)
		to[0] = edge{to: after}
		if !callee {
			return 1
		}
		m[t] |= prunePoint
		to[1] = edge{t + 1 + int(in.Imm), true}
		return 2
	}
	if in.isFuncRef() {
		return call(true)
	}
	if !in.isJump() {
		to[0] = edge{to: t + in.width()}
		return 1
	}
	switch in.op() {
	case jEXIT:
		return 0
	case jCALL:
		if in.isHelper() {
			switch in.Imm {
			case helperTimerSetCallback:
				m[t] |= prunePoint
			case helperForEachMapElem, helperLoop, helperFindVMA, helperUserRingbufDrain:
				back()
			}
		}
		if in.isKfunc() && v.prog.kfuncs[t] == "bpf_rbtree_add_impl" {
			back()
		}
		if v.iterates(t) {
			m[t] |= prunePoint | forcePoint
		}
		return call(in.isSubcall())
	case jA:
		dest := in.target(t)
		to[0] = edge{to: dest}
		point(dest, prunePoint|jumpPoint)
		return 1
	}
	m[t] |= prunePoint
	if in.isMayGoto() {
		m[t] |= forcePoint
	}
	to[0] = edge{to: t + 1}
	to[1] = edge{t + 1 + int(in.Off), true}
	return 2
}

// successors are the instructions of the same function that may follow.
func (v *verifier) successors(t int, to *[2]int) int {
	in := v.prog.insns[t]
	if in.isJump() {
		switch in.op() {
		case jEXIT:
			return 0
		case jA:
			to[0] = in.target(t)
			return 1
		case jCALL:
		default:
			to[0], to[1] = t+1, t+1+int(in.Off)
			return 2
		}
	}
	if t+in.width() >= len(v.prog.insns) {
		return 0
	}
	to[0] = t + in.width()
	return 1
}

// findLoops numbers the sets of instructions that can reach each other; 0 is for those that cannot come back to themselves.
func (v *verifier) findLoops() {
	n := len(v.prog.insns)
	v.loop = make([]int, n)
	index, low := make([]int, n), make([]int, n) // index 0 is not visited, -1 done
	step := make([]uint8, n)
	var stack, walk []int
	clock, ids := 0, 0
	var to [2]int
	for root := range n {
		if index[root] != 0 || v.marks[root]&explored == 0 {
			continue
		}
		walk = append(walk, root)
		for len(walk) > 0 {
			w := walk[len(walk)-1]
			if index[w] == 0 {
				clock++
				index[w], low[w] = clock, clock
				stack = append(stack, w)
			}
			count := v.successors(w, &to)
			if int(step[w]) < count {
				next := to[step[w]]
				step[w]++
				if index[next] == 0 {
					walk = append(walk, next)
				}
				continue
			}
			self := false
			for _, next := range to[:count] {
				self = self || next == w
				if index[next] > 0 {
					low[w] = min(low[w], low[next])
				}
			}
			walk = walk[:len(walk)-1]
			if low[w] != index[w] {
				continue
			}
			many := stack[len(stack)-1] != w
			if many || self {
				ids++
			}
			for {
				top := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				index[top], low[top] = -1, n+n
				if many || self {
					v.loop[top] = ids
				}
				if top == w {
					break
				}
			}
		}
	}
}
