package verifier

func kprobeField(v *verifier, a ctxField) bool {
	return !a.write || v.rules.kernel >= linux(6, 18)
}

func perfEventField(_ *verifier, a ctxField) bool {
	if a.write {
		return false
	}
	return a.off >= userRegs() || a.size == 8
}
