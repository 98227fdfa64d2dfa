package vm

import (
	"sync"
	"time"
)

// A Clock is the time that programs see, in nanoseconds, and what their timers wait for.
type Clock interface {
	// Monotonic is the time since the kernel started, without that in suspension.
	Monotonic() uint64
	// Boot is the time since the kernel started.
	Boot() uint64
	// TAI is the time since 1970 with leap seconds.
	TAI() uint64
	// AfterFunc calls f, in its own goroutine or from what advances the clock, after d. Stop reports whether it came before that.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// realClock reads the kernel's clocks once and then Go's, which costs no system call.
type realClock struct {
	start                time.Time
	monotonic, boot, tai uint64
}

func (c *realClock) since() uint64     { return uint64(time.Since(c.start)) }
func (c *realClock) Monotonic() uint64 { return c.monotonic + c.since() }
func (c *realClock) Boot() uint64      { return c.boot + c.since() }
func (c *realClock) TAI() uint64       { return c.tai + c.since() }

func (c *realClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// A ManualClock stands still until it is advanced: for tests and for recordings, whose time is that of their events.
type ManualClock struct {
	mu      sync.Mutex
	now     uint64
	waiting []*alarm
}

type alarm struct {
	at   uint64
	f    func()
	done bool
}

// Monotonic is the time that the clock has been advanced by.
func (c *ManualClock) Monotonic() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Boot is the same.
func (c *ManualClock) Boot() uint64 { return c.Monotonic() }

// TAI is the same.
func (c *ManualClock) TAI() uint64 { return c.Monotonic() }

// AfterFunc has f called by the Advance that reaches the time.
func (c *ManualClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{at: c.now + uint64(max(d, 0)), f: f}
	c.waiting = append(c.waiting, a)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		was := a.done
		a.done = true
		return !was
	}
}

// Advance moves the clock forward and calls what is due on the way, earliest first, each at its own time.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.now + uint64(max(d, 0))
	for {
		var next *alarm
		left := c.waiting[:0]
		for _, a := range c.waiting {
			if a.done {
				continue
			}
			left = append(left, a)
			if a.at <= end && (next == nil || a.at < next.at) {
				next = a
			}
		}
		c.waiting = left
		if next == nil {
			break
		}
		next.done = true
		c.now = max(c.now, next.at)
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}
