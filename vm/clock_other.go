//go:build !linux

package vm

import "time"

// leapSeconds is the difference of TAI and UTC since 2017.
const leapSeconds = 37 * time.Second

func systemClock() Clock {
	now := time.Now()
	return &realClock{start: now, tai: uint64(now.Add(leapSeconds).UnixNano())}
}
