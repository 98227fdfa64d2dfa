package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"skep/host"
	"skep/lang/bpftrace/lower"
	"skep/probe"
	"skep/schema"
)

// run is one run of a unit. All of it belongs to the goroutine of run(), except where channels say otherwise.
type run struct {
	session host.Session
	player  host.Player // the session, if it is one; else nil
	unit    *lower.Unit
	script  *schema.Script
	opt     Options

	data, control host.Ring
	state         []uint64
	events        []event
	values        *values
	out           *output
	sink          sink
	loss          *loss
	errors        *errorSites
	commands      *commands

	pending   []controlRecord // control records that wait for the data records before them
	spare     []byte          // memory of pending
	waiters   sync.WaitGroup
	waitError chan error    // room for one of each ring
	stopped   chan struct{} // closed when the run is to end
	stopping  atomic.Bool
	exited    bool // exit() was called
	exitGiven bool // it was, at any time
	exitCode  int
	erred     bool // errorf() was called
	failed    bool // events could not be played

	interrupted atomic.Int64 // when the user ended the run, in nanoseconds since 1970; 0 if not
	ended       bool         // no program runs any more for an event
	catchingUp  bool         // what came before that is being shown
	unshown     int          // prints of maps that were left out then, since the user waits
}

// controlRecord is a copy of a record of the control ring.
type controlRecord struct {
	position uint64 // of the data ring's producer
	from, to int    // in spare
	waited   time.Time
}

func newRun(session host.Session, unit *lower.Unit, opt Options) *run {
	r := &run{session: session, unit: unit, script: unit.Script, opt: opt, stopped: make(chan struct{}), waitError: make(chan error, 2)}
	r.player, _ = session.(host.Player)
	r.data, r.control = session.Ring(lower.MapEvents), session.Ring(lower.MapControl)
	r.state = session.State()
	r.values = newValues(unit.Script, session, opt.Symbols)
	r.out = &output{w: opt.Output, mode: opt.Buffer}
	if opt.JSON {
		r.sink = &jsonSink{output: r.out, values: r.values}
	} else {
		r.values.escape = opt.Terminal
		r.sink = &textSink{output: r.out, values: r.values, errors: opt.Errors, colour: opt.Colour, noWarnings: opt.NoWarnings}
	}
	r.loss = newLoss(session, r.sink, r.message, remedies{unit.Script, opt.BufferFlag})
	r.errors = newErrorSites(unit.Script, r.sink)
	r.errors.player = r.player != nil && !opt.HelperErrors
	r.values.names.answers = opt.Answers
	r.commands = newCommands()
	r.events = make([]event, len(unit.Script.Events))
	for i, e := range unit.Script.Events {
		r.events[i] = newEvent(e)
	}
	return r
}

// stop ends the run in order. Any goroutine may call it.
func (r *run) stop() {
	if r.stopping.CompareAndSwap(false, true) {
		close(r.stopped)
	}
}

// interrupt ends the run because the user wants it to.
func (r *run) interrupt() {
	r.interrupted.Store(time.Now().UnixNano())
	r.stop()
}

// printPatience is for how long after the user has ended the run maps are printed as asked for before: that takes long, and they are printed
// at the end in any case.
const printPatience = 300 * time.Millisecond

// late reports whether the user has waited longer than that for the end of the run.
func (r *run) late() bool {
	at := r.interrupted.Load()
	return at != 0 && r.catchingUp && time.Since(time.Unix(0, at)) > printPatience
}

// run is the life of a run, from attaching to closing.
func (r *run) run(ctx context.Context) (int, error) {
	defer r.session.Close()
	if r.opt.Child != nil {
		defer r.opt.Child.end()
		r.opt.Child.settle()
	}
	if r.opt.PID != 0 {
		if err := watchPID(r.opt.PID, r.stop); err != nil {
			return 1, err
		}
	}
	r.setState()
	attached, missing, err := r.session.Attach(ctx)
	if err != nil {
		return 1, err
	}
	if err := r.missing(missing); err != nil {
		return 1, err
	}
	if !r.opt.Quiet && r.opt.Trials == 0 {
		r.sink.attached(attached)
	}
	if r.unit.NeedsUserSymbols && r.opt.PID != 0 {
		r.opt.Symbols.Snapshot(r.opt.PID) // one process is read at once, and it may end as soon
	}
	_ = time.Local.String() // reads the time zone, which is to cause no event of its own later
	r.begin()
	r.out.flush()
	if r.opt.Notify != nil {
		if _, err := io.WriteString(r.opt.Notify, "__BPFTRACE_NOTIFY_PROBES_ATTACHED\n"); err != nil {
			return 1, fmt.Errorf("telling that the probes are attached: %w", err)
		}
	}
	if r.opt.Child != nil && !r.stopping.Load() {
		if err := r.releaseChild(ctx); err != nil {
			r.session.Disable()
			return 1, err
		}
	}
	if r.unit.NeedsUserSymbols && r.opt.PID == 0 {
		go r.opt.Symbols.Snapshot(r.opt.PID)
	}
	if r.unit.NeedsKernelSymbols {
		go r.opt.Symbols.Prepare()
	}

	if r.opt.Child == nil && r.opt.Trials == 0 && r.runsAlone() {
		r.stop() // after begin, nothing more can happen
	}
	failed := false
	switch {
	case r.opt.Trials != 0:
		failed = r.tryAll()
	case r.player != nil:
		r.play(ctx)
	default:
		r.loop(ctx)
	}

	r.stop() // if it has ended by itself
	r.session.Disable()
	if r.player != nil && !r.exited {
		r.playRest(ctx)
	}
	r.ended, r.catchingUp = true, true
	r.drain(true)
	r.catchingUp, r.exited = false, false // END may call exit() with another code
	if r.state != nil {
		// END must run even though exit() has told all programs to return at once.
		atomic.StoreUint64(&r.state[lower.StateStop/8], 0)
	}
	for _, a := range r.unit.Attach {
		if a.How == probe.TestRun && len(a.Points) > 0 && a.Points[0].Kind == probe.End {
			if err := r.session.Run(a.Program); err != nil {
				r.message("WARNING: running END: " + err.Error())
			}
		}
	}
	r.drain(true)
	r.finishCommands()
	r.finish()
	if c := r.opt.Child; c != nil && c.ended.Load() && c.failure != nil {
		return 1, c.failure
	}
	code, err := r.result()
	if (failed || r.failed) && err == nil && code == 0 {
		code = 1
	}
	return code, err
}

// runsAlone reports whether the script has no probes but begin and end.
func (r *run) runsAlone() bool {
	for _, a := range r.unit.Attach {
		if a.How != probe.TestRun {
			return false
		}
	}
	return len(r.unit.Attach) > 0
}

// finish prints the maps and what was lost.
func (r *run) finish() {
	r.sink.countedRows()
	if !r.opt.Bare {
		r.sink.end()
	}
	r.out.flush()
	r.errors.report()
	r.loss.check()
	if r.script.Config.PrintMapsOnExit && r.opt.Trials == 0 {
		for _, m := range sortedMaps(r.script.Maps) {
			r.printMap(m, printMapOptions{final: true})
		}
	}
	r.out.flush()
	if r.unshown > 0 {
		r.message(fmt.Sprintf("WARNING: %d prints of maps were left out, which skep had not got to when it was told to end", r.unshown))
	}
	r.loss.summary()
	r.passedOver()
	r.values.stacks.unwound.report(r.message, r.loss.remedies)
	r.out.flush()
}

// result is the exit code. That the reader of the output went away is no error, but not the script's own end either.
func (r *run) result() (int, error) {
	switch err := r.out.err; {
	case err == nil:
		if c := r.opt.Child; c != nil && !r.exitGiven {
			if code, ok := c.exitStatus(r.session); ok {
				return code, nil
			}
		}
		return r.exitCode, nil
	case errors.Is(err, syscall.EPIPE):
		return pipeExit, nil
	default:
		return 1, fmt.Errorf("writing the output: %w", err)
	}
}

// releaseChild lets the child go and ends the run when it ends.
func (r *run) releaseChild(ctx context.Context) error {
	c := r.opt.Child
	if err := c.release(); err != nil {
		return err
	}
	go func() {
		select {
		case <-c.done:
			r.stop()
		case <-ctx.Done():
		}
	}()
	return nil
}

// loop handles records until the run is to end. While records keep coming it looks for more every drainPause, without
// being woken; only when there are none does it ask to be woken and sleep.
func (r *run) loop(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer r.waiters.Wait() // the session must not be closed under them
	defer cancel()
	dataReady, controlReady := r.waiter(ctx, r.data), r.waiter(ctx, r.control)
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	tick := time.NewTicker(lossInterval)
	defer tick.Stop()
	look, stop := r.values.stacks.unwound.ticker(r.script)
	defer stop()
	for !r.exited && r.out.err == nil {
		n := r.drain(false)
		if r.exited || r.out.err != nil {
			return
		}
		if u := &r.values.stacks.unwound; u.since >= u.limit {
			r.gather()
		}
		if n > 0 || len(r.pending) > 0 {
			pause.Reset(drainPause)
			select {
			case <-pause.C:
			case done := <-r.commands.done:
				r.commandDone(done)
			case <-r.stopped:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
				r.tick()
			}
			continue
		}
		r.out.idle()
		if r.state != nil {
			// The order matters: first say that we sleep, then look again. A record that comes after the look sees the
			// word and wakes us.
			atomic.StoreUint64(&r.state[lower.StateSleeping/8], 1)
			if r.drain(false) > 0 {
				atomic.StoreUint64(&r.state[lower.StateSleeping/8], 0)
				continue
			}
		}
		dataReady.arm()
		controlReady.arm()
		select {
		case <-dataReady.ready:
			dataReady.armed = false
		case <-controlReady.ready:
			controlReady.armed = false
		case done := <-r.commands.done:
			r.commandDone(done)
		case err := <-r.waitError:
			r.message("ERROR: " + err.Error())
			return
		case <-r.stopped:
			return
		case <-ctx.Done():
			return
		case <-look:
		case <-tick.C:
			r.tick()
		}
		if r.state != nil {
			atomic.StoreUint64(&r.state[lower.StateSleeping/8], 0)
		}
	}
}

// tick is what happens about once a second.
func (r *run) tick() {
	r.out.idle()
	r.errors.report()
	r.loss.check()
	r.out.idle()
	r.out.watch()
}

// waiter waits for a ring in a goroutine of its own, since a session has two.
type waiter struct {
	wait  chan struct{}
	ready chan struct{}
	armed bool
}

func (r *run) waiter(ctx context.Context, ring host.Ring) *waiter {
	w := &waiter{wait: make(chan struct{}, 1), ready: make(chan struct{}, 1)}
	if ring == nil {
		w.armed = true
		return w
	}
	r.waiters.Go(func() {
		for {
			select {
			case <-w.wait:
			case <-ctx.Done():
				return
			}
			if err := ring.Wait(ctx, -1); err != nil {
				if ctx.Err() == nil {
					r.waitError <- err
				}
				return
			}
			w.ready <- struct{}{}
		}
	})
	return w
}

func (w *waiter) arm() {
	if !w.armed {
		w.armed = true
		w.wait <- struct{}{}
	}
}

// drain handles what is in the rings now and returns how many records there were. A control record is handled exactly
// after the data records that were sent before it: the position of the data ring's producer is read first, so that a
// control record that is not seen now stands behind all data handled now. With all set, it goes on until both rings
// are empty: no program runs any more.
func (r *run) drain(all bool) (n int) {
	for {
		n0, limit := n, uint64(0)
		if r.data != nil {
			limit = r.data.Produced()
		}
		if r.control != nil {
			r.control.Drain(0, r.queueControl)
		}
		n += len(r.pending)
		n += r.handlePending()
		if r.data != nil && len(r.pending) == 0 && limit > r.data.Position() && r.out.err == nil {
			got, _ := r.data.Drain(limit, r.handleData)
			n += got
		}
		if !all || n == n0 && len(r.pending) == 0 || r.out.err != nil {
			return n
		}
	}
}

// queueControl keeps a control record until its turn.
func (r *run) queueControl(record []byte) bool {
	if len(record) < 16 {
		return true
	}
	if len(r.pending) == 0 {
		r.spare = r.spare[:0]
	}
	from := len(r.spare)
	r.spare = append(r.spare, record...)
	r.pending = append(r.pending, controlRecord{
		position: binary.NativeEndian.Uint64(record[8:]), from: from, to: len(r.spare)})
	return true
}

// busyLimit bounds how long a control record waits for data before it that is reserved but not yet submitted, which
// takes microseconds unless its writer was put to sleep.
const busyLimit = 10 * time.Millisecond

// handlePending handles the queued control records whose turn has come, with the data before each.
func (r *run) handlePending() (n int) {
	for i := range r.pending {
		if r.stopping.Load() && !r.ended && r.player == nil {
			r.pending = append(r.pending[:0], r.pending[i:]...)
			return n
		}
		c := &r.pending[i]
		for r.data != nil && r.data.Position() < c.position && r.out.err == nil {
			got, _ := r.data.Drain(c.position, r.handleData)
			n += got
			if got > 0 {
				continue
			}
			if c.waited.IsZero() {
				c.waited = time.Now()
			}
			if time.Since(c.waited) > busyLimit {
				break
			}
			runtime.Gosched()
		}
		r.handleControl(r.spare[c.from:c.to])
	}
	r.pending = r.pending[:0]
	return n
}

// handleData handles one record of the data ring. It is the hot path: it allocates nothing for printf.
func (r *run) handleData(record []byte) bool {
	if len(record) < 8 {
		return true
	}
	id := binary.NativeEndian.Uint32(record)
	if int(id) >= len(r.events) {
		return true
	}
	e := &r.events[id]
	switch {
	case e.schema.Kind == schema.Row:
		r.values.decode(e, record)
		r.sink.row(e)
	case e.schema.Kind == schema.StackCopy:
		r.values.stacks.unwind(e.schema, record)
	case e.schema.Kind == schema.Printf && !e.schema.TextOnly:
		r.values.decode(e, record)
		r.sink.printf(e)
	default:
		r.handleEvent(e, record)
	}
	r.out.recordDone()
	return r.out.err == nil && (r.ended || r.player != nil || !r.stopping.Load())
}

// message writes one line to the user, after the output that came before it.
func (r *run) message(line string) {
	r.out.flush()
	r.opt.Errors.Write([]byte(line + "\n"))
}
