package trace

import (
	"time"

	"golang.org/x/sys/unix"

	"skep/schema"
)

// clock turns the times of programs into times of day.
type clock struct {
	boot, monotonic time.Duration // what to add to get nanoseconds since 1970
	zone            *time.Location
}

// adjust takes the distance between the clocks as it is now.
func (c *clock) adjust() {
	wall := time.Now().UnixNano()
	c.boot = time.Duration(wall - nanoseconds(unix.CLOCK_BOOTTIME))
	c.monotonic = time.Duration(wall - nanoseconds(unix.CLOCK_MONOTONIC))
}

func (c *clock) time(of schema.Clock, ns uint64) time.Time {
	switch of {
	case schema.Boot:
		ns += uint64(c.boot)
	case schema.Monotonic:
		ns += uint64(c.monotonic)
	}
	t := time.Unix(0, int64(ns))
	if c.zone != nil {
		t = t.In(c.zone)
	}
	return t
}

// toWall is what to add to the boot clock now.
func toWall() uint64 {
	var c clock
	c.adjust()
	return uint64(c.boot)
}

func nanoseconds(id int32) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

func bootNanoseconds() uint64 { return uint64(nanoseconds(unix.CLOCK_BOOTTIME)) }

// appendPadded appends n in at least width places.
func appendPadded(dst []byte, n, width int, with byte) []byte {
	start := len(dst)
	dst = appendInt(dst, int64(n))
	return pad(dst, start, &op{width: width}, with)
}
