package replay

import (
	"fmt"
	"time"

	"skep/probe"
)

// longestPause is the longest time between two events that is believed.
const longestPause = uint64(366 * 24 * time.Hour)

// tick is an interval that nobody recorded: it goes by the recorded time.
type tick struct {
	hook   hook
	period uint64
	next   uint64
}

func newTick(h hook, p probe.Point, start uint64) *tick {
	period := p.Period
	if p.Frequency != 0 {
		period = time.Second / time.Duration(p.Frequency)
	}
	t := &tick{hook: h, period: uint64(max(period, 1))}
	t.next = start + t.period
	return t
}

// tickUntil lets the earliest interval tick that is due, if there is one.
func (s *fileSession) tickUntil(until uint64) (ticked bool, err error) {
	if pause := until - s.now; len(s.ticks) > 0 && until > s.now && pause > longestPause {
		return false, fmt.Errorf("the recorded time goes forward by %d years at once, for which intervals cannot tick", pause/longestPause)
	}
	var first *tick
	for _, t := range s.ticks {
		if t.next <= until && (first == nil || t.next < first.next) {
			first = t
		}
	}
	if first == nil {
		return false, nil
	}
	s.now = first.next
	first.next += first.period
	return true, s.self(first.hook)
}
