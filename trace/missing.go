package trace

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"skep/host"
	"skep/lang/bpftrace/lower"
)

// missing deals with points that could not be attached while others could, as the script's missing_probes asks for. Its error ends
// the run: by default a point that the script names must be there, while of those that match a pattern some may be missing. Without files to attach them by, nothing else would work.
func (r *run) missing(failed []*host.AttachError) error {
	mode := r.unit.Script.Config.MissingProbes
	counts := map[string]int{}
	var causes []error
	for _, f := range failed {
		if mode == "ignore" && !errors.Is(f, unix.EMFILE) {
			continue
		}
		if mode == "error" && r.named(f) || errors.Is(f, unix.EMFILE) {
			return f
		}
		if counts[f.Err.Error()]++; counts[f.Err.Error()] == 1 {
			causes = append(causes, f.Err)
		}
		switch {
		case r.opt.Warn != nil:
			r.opt.Warn(f)
		case counts[f.Err.Error()] <= missingShown:
			r.message("WARNING: " + f.Error())
		}
	}
	for _, cause := range causes {
		if more := counts[cause.Error()] - missingShown; more > 0 && r.opt.Warn == nil {
			r.message(fmt.Sprintf("WARNING: %d more points could not be attached: %v", more, cause))
		}
	}
	if mode == "error" && len(failed) > 0 && len(failed) == r.wanted() {
		return fmt.Errorf("nothing could be attached but skep's own probes: %w", failed[0].Err)
	}
	return nil
}

// wanted is how many points of events there are, which are not skep's own.
func (r *run) wanted() (n int) {
	for _, a := range r.unit.Attach {
		for _, p := range a.Points {
			if !p.Kind.Own() {
				n++
			}
		}
	}
	return n
}

// missingShown is how many points are named for each reason why they could not be attached.
const missingShown = 5

// named reports whether the script's text has the last part of the point's name, whole, or a parameter for it that stands for nothing else.
func (r *run) named(f *host.AttachError) bool {
	program, source := r.unit.Programs[f.Attach.Program], r.unit.Script.Source
	if program == nil || source == nil || program.Probe.Start < 0 || int(program.Probe.End) > len(source.Text) || program.Probe.Start > program.Probe.End {
		return false
	}
	head, _, _ := strings.Cut(source.Text[program.Probe.Start:program.Probe.End], "{")
	name := ":" + f.Point.Name[strings.LastIndexByte(f.Point.Name, ':')+1:]
	for word := range strings.FieldsFuncSeq(head, func(c rune) bool { return strings.ContainsRune(" \t\n,/", c) }) {
		if strings.HasSuffix(word, name) || strings.Contains(word, ":$") && r.points(program) == 1 {
			return true
		}
	}
	return false
}

// points is how many points a program's probe has.
func (r *run) points(of *lower.Program) (n int) {
	for _, a := range r.unit.Attach {
		if p := r.unit.Programs[a.Program]; p != nil && p.Probe == of.Probe {
			n += len(a.Points)
		}
	}
	return n
}

// passedOver tells of events for which programs did not run.
func (r *run) passedOver() {
	missed := r.session.Missed()
	for _, a := range r.unit.Attach {
		n := missed[a.Program]
		if n == 0 || len(a.Points) == 0 {
			continue
		}
		name := a.Points[0].Name
		if len(a.Points) > 1 {
			name += fmt.Sprintf(" and %d others", len(a.Points)-1)
		}
		r.message(fmt.Sprintf("WARNING: up to %d events were missed, of whatever process: the kernel runs no program while it is at work on that CPU already (%s)", n, name))
		delete(missed, a.Program)
	}
}
