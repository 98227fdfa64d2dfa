package verifier

import "github.com/cilium/ebpf"

// checkStackDepth adds up the frames of functions that call each other.
func (v *verifier) checkStackDepth() {
	v.cost.Stack = v.depthFrom(0, nil, 0)
	for i, s := range v.subs {
		if s.isAsync {
			v.cost.Stack = max(v.cost.Stack, v.depthFrom(i, nil, 0))
		}
	}
}

func (v *verifier) frameSize(s *subprogram) int {
	if v.rules.stackRound16 {
		return (s.stack + 15) / 16 * 16
	}
	return (max(s.stack, 1) + 31) / 32 * 32
}

// privateStack reports whether the kernel gives the program's functions stacks of their own.
func (v *verifier) privateStack() bool {
	if !v.rules.privateStack {
		return false
	}
	for _, s := range v.subs {
		if s.hasTailCall {
			return false
		}
	}
	switch v.prog.spec.Type {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent, ebpf.RawTracepoint:
		return true
	case ebpf.Tracing:
		return v.prog.spec.AttachType != ebpf.AttachTraceIter
	}
	return false
}

func (v *verifier) depthFrom(sub int, calls []int, depth int) int {
	s := v.subs[sub]
	if len(calls) > 0 && depth >= 256 && s.hasTailCall {
		v.reject("stack depth", "a tail call needs 256 bytes of stack, and its callers use %d", depth)
	}
	size := v.frameSize(s)
	private := v.privateStack() && size >= 64
	if private {
		if size > maxStack {
			v.reject("stack depth", "the function %s needs %d bytes of stack, at most %d are allowed", s.name, size, maxStack)
		}
	} else {
		depth += size
	}
	if depth > maxStack {
		v.reject("stack depth", "the functions that call each other need %d bytes of stack, at most %d are allowed", depth, maxStack)
	}
	most := depth
	if private {
		most = max(most, size)
	}
	for i := s.start; i < s.end; i++ {
		in := v.prog.insns[i]
		if in.isKfunc() && v.prog.kfuncs[i] == throwFunction {
			for _, c := range append(calls, sub) {
				if v.subs[c].isCallback {
					v.insn = i
					v.reject("exception", "functions that helpers call cannot throw, nor can what they call")
				}
			}
		}
		if !in.isSubcall() && !in.isFuncRef() {
			continue
		}
		to := v.subprogramAt(i + 1 + int(in.Imm))
		if in.isFuncRef() && v.subs[to].isAsync {
			continue
		}
		for _, c := range append(calls, sub) {
			if c == to {
				v.insn = i
				v.reject("recursion", "the function %s calls itself", v.subs[to].name)
			}
		}
		if len(calls)+2 > maxFrames {
			v.insn = i
			v.reject("call depth", "the calls are %d deep, at most %d are allowed", len(calls)+2, maxFrames)
		}
		most = max(most, v.depthFrom(to, append(calls[:len(calls):len(calls)], sub), depth))
	}
	return most
}
