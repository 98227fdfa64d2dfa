package verifier

// kprobeField is struct pt_regs. That 6.18 lets nothing write to it, in uprobes neither, has been measured.
func kprobeField(v *verifier, a ctxField) bool {
	return !a.write || v.rules.kernel > Linux6_18
}

func perfEventField(_ *verifier, a ctxField) bool {
	if a.write {
		return false
	}
	return a.off >= userRegs() || a.size == 8
}
