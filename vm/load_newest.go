package vm

import (
	"errors"

	"skep/vm/verifier"
)

// keepsNewestRules asks about a program that its own kernel accepts by the newest rules. Those of older kernels have gaps that were closed
// since: they tell what loads there, and not what may run here without checks.
func (l *loader) keepsNewestRules(name string) (bool, error) {
	const newest = uint32(verifier.Linux6_18)
	if l.machine.options.KernelVersion >= newest {
		return true, nil
	}
	newer := *l
	newer.machine = &Machine{options: l.machine.options}
	newer.machine.options.KernelVersion = newest
	accepted, err := newer.verifyProgram(name)
	var refused *verifier.Rejection
	if errors.As(err, &refused) {
		return false, nil
	}
	return accepted, err
}
