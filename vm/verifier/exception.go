package verifier

import "strings"

// throwFunction ends the program, from whichever of its functions, with its argument as what the program returns.
const throwFunction = "bpf_throw"

// throw walks the end of a program by an exception.
func (v *verifier) throw() {
	if !v.returnsNothing(v.cur.frames[0]) {
		v.checkResult(1)
	}
	v.leftByException("an exception")
}

// throwsGlobally walks the end of a program in a global function, of which nothing more is known than that it may throw any number.
func (v *verifier) throwsGlobally(s *subprogram) {
	v.leftByException("a function that may throw")
	f := v.cur.frames[0]
	if _, _, limited := v.resultRange(); limited && f.sub == 0 && !v.returnsNothing(f) {
		v.reject("return value", "the function %s may throw any number, and the program may not return any", s.name)
	}
}

// leftByException asks that nothing is held where the program may end.
func (v *verifier) leftByException(where string) {
	if v.cur.lock.held {
		v.reject("lock", "a lock is held at %s", where)
	}
	if len(v.cur.refs) > 0 {
		v.rejectLeak()
	}
	v.leftRegions(where)
}

// checkExceptions asks that nothing but bpf_throw has to do with exceptions: functions that are called then are named by a tag of the
// program, and loaders need not know it.
func (v *verifier) checkExceptions() {
	f := v.prog.funcs[0]
	if f == nil || v.rules.kernel < linux(6, 7) {
		return
	}
	for _, tag := range f.Tags {
		if strings.HasPrefix(tag, "exception_callback:") {
			v.unmodelled("functions that are called for exceptions")
		}
	}
}
