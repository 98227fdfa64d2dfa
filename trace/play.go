package trace

import (
	"context"
	"time"
)

// play is the loop for a session whose events are played: whatever they ask for is done before the next one, so that the output does not
// depend on how fast the reader is.
func (r *run) play(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	told := time.Now()
	for more := true; more && !r.exited && r.out.err == nil && ctx.Err() == nil; {
		more = r.playSome(ctx)
		if time.Since(told) > lossInterval {
			told = time.Now()
			r.tick()
		}
	}
}

// playRest plays what happened before the end. The session has been told of that.
func (r *run) playRest(ctx context.Context) {
	for r.playSome(ctx) && !r.exited && r.out.err == nil {
	}
}

func (r *run) playSome(ctx context.Context) (more bool) {
	more, err := r.player.Play(ctx)
	if err != nil {
		r.message("ERROR: " + err.Error())
		r.failed = true
		return false
	}
	for r.drain(false) > 0 || len(r.pending) > 0 {
		if r.exited || r.out.err != nil {
			return false
		}
		if u := &r.values.stacks.unwound; u.since >= u.limit {
			r.gather()
		}
	}
	r.out.idle()
	return more
}

// now is the time: that of the event in work, if events are played.
func (r *run) now() time.Time {
	if r.player != nil {
		return r.player.Now()
	}
	return time.Now()
}
