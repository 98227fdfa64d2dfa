// Package replay runs programs in the machine of package vm on recorded events: while they are recorded, and again from the file, without
// privileges, on any machine.
//
// What a recording run prints comes from here already. So the same script prints the same again. See docs/recordings.md.
package replay

import (
	"context"
	"errors"
	"io"

	"github.com/cilium/ebpf"

	"skep/host"
	"skep/host/machine"
	"skep/ir"
	"skep/probe"
	"skep/recording"
)

// Host runs programs on the events of a recording.
type Host struct{ Reader *recording.Reader }

var _ host.Host = (*Host)(nil)

// Name is "replay".
func (h *Host) Name() string { return "replay" }

// Target is the machine with the recorded one's architecture and CPUs.
func (h *Host) Target() (*ir.Target, error) { return target(&h.Reader.Header), nil }

func target(h *recording.Header) *ir.Target { return machine.Target(h.Arch, max(h.CPUs, 1)) }

// Load makes the maps and programs.
func (h *Host) Load(spec *ebpf.CollectionSpec, attach []probe.Attach, opt host.Options) (host.Session, error) {
	p, err := newPlayer(&h.Reader.Header, spec, attach, opt)
	if err != nil {
		return nil, err
	}
	types, _ := probe.NewTypes(h.Reader.Types) // without them, members of tasks are not known
	p.types, p.start = types, h.Reader.Start
	return &fileSession{player: p, reader: h.Reader}, nil
}

// fileSession plays a file.
type fileSession struct {
	*player
	reader   *recording.Reader
	ahead    *recording.Event
	ticks    []*tick
	disabled bool
	told     bool // the end has been reached, and what is to be said has been said
}

var _ host.Player = (*fileSession)(nil)

// Attach says which of the points have been recorded, and plays BEGIN.
func (s *fileSession) Attach(context.Context) (attached int, failed []*host.AttachError, err error) {
	for i, word := range s.reader.Start.State {
		if i < len(s.state()) {
			s.state()[i] = word
		}
	}
	s.now = s.reader.Start.Boot
	begun := map[string]bool{} // programs of BEGIN that were recorded
	for n, a := range s.attach {
		for i, point := range a.Points {
			at, ok := s.recorded[key{n, i}]
			switch {
			case ok && s.reader.Start.Failed[at] != "":
				failed = append(failed, &host.AttachError{Attach: a, Point: point, Err: errors.New(s.reader.Start.Failed[at])})
				continue
			case !ok && point.Kind == probe.Interval:
				s.ticks = append(s.ticks, newTick(s.hookOf(n, i), point, s.reader.Start.Boot))
			}
			if ok && point.Kind == probe.Begin {
				begun[a.Program] = true
			}
			attached++
		}
	}
	for n, a := range s.attach {
		if isBegin(a) && !begun[a.Program] {
			if err := s.self(s.hookOf(n, 0)); err != nil {
				return attached, failed, err
			}
		}
	}
	for {
		e, err := s.peek()
		if err != nil || s.header.Probes[e.Probe].Point.Kind != probe.Begin {
			break // the error comes again
		}
		s.ahead = nil
		if err := s.play(e); err != nil {
			return attached, failed, err
		}
	}
	if attached == 0 && len(failed) > 0 {
		err = failed[0]
	}
	return attached, failed, err
}

func isBegin(a probe.Attach) bool {
	return a.How == probe.TestRun && len(a.Points) > 0 && a.Points[0].Kind == probe.Begin
}

// peek gives the next event, which stays the next one.
func (s *fileSession) peek() (*recording.Event, error) {
	if s.ahead == nil {
		e, err := s.reader.Next()
		if err != nil {
			return nil, err
		}
		s.ahead = e
	}
	return s.ahead, nil
}

// mostAtOnce bounds how many events are played before who reads the output looks at it.
const mostAtOnce = 1 << 14

// Play plays events.
func (s *fileSession) Play(ctx context.Context) (more bool, err error) {
	if s.disabled {
		return false, nil
	}
	for range mostAtOnce {
		e, err := s.peek()
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		until := s.endTime()
		if e != nil {
			if s.header.Probes[e.Probe].Point.Kind == probe.End {
				e = nil // it waits for Run
			} else {
				until = e.Boot
			}
		}
		ticked, err := s.tickUntil(until)
		switch {
		case err != nil:
			return false, err
		case ticked:
		case e == nil:
			return false, s.atEnd()
		default:
			s.ahead = nil
			if err := s.play(e); err != nil {
				return false, err
			}
		}
		if s.crowded() {
			return true, nil
		}
	}
	return ctx.Err() == nil, nil
}

// endTime is when the recording ended.
func (s *fileSession) endTime() uint64 { return max(s.reader.End.Boot, s.now) }

// atEnd tells what the recording is not.
func (s *fileSession) atEnd() error {
	if s.told {
		return nil
	}
	s.told = true
	if n := s.reader.End.Lost; n > 0 {
		s.notice("WARNING: %d events were lost while recording", n)
	}
	s.report()
	switch broken := s.reader.Broken; {
	case broken != nil && !broken.Cut:
		return broken
	case broken != nil:
		s.notice("WARNING: the recording is not complete: %v", broken)
	case !s.reader.Ended:
		s.notice("WARNING: the recording is not complete: it was not ended in order")
	}
	return nil
}

// Run plays END: as it was recorded, or as it would have been.
func (s *fileSession) Run(name string) error {
	n, ok := s.attachOf(name)
	if !ok {
		return host.ErrClosed
	}
	at, recorded := s.recorded[key{n, 0}]
	for recorded {
		e, err := s.peek()
		if err != nil {
			break
		}
		s.ahead = nil
		if e.Probe == at {
			return s.play(e)
		}
	}
	s.now = s.endTime()
	return s.self(s.hookOf(n, 0))
}

// Disable ends the play.
func (s *fileSession) Disable() { s.disabled = true }

// Missed is empty: that it was missed is no event.
func (s *fileSession) Missed() map[string]uint64 { return nil }
