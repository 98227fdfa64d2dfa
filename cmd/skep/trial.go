package main

import (
	"errors"
	"regexp"

	"skep/internal/diag"
	"skep/lang/bpftrace/syntax"
	"skep/probe"
)

// trials is the kind of probes that --test or --bench runs, or 0.
func (t *tracing) trials() probe.Kind {
	switch t.mode {
	case "test":
		return probe.Test
	case "bench":
		return probe.Bench
	}
	return 0
}

// pickTrials leaves those probes test: and bench: in the script that are to be run.
func (t *tracing) pickTrials(script *syntax.Script) error {
	filter, err := regexp.Compile(t.probeFilter)
	if err != nil {
		return err
	}
	list := &diag.List{Source: script.Source}
	seen := map[string]diag.Span{}
	left, others := 0, ""
	probes := script.Probes[:0]
	for _, p := range script.Probes {
		points := p.Points[:0]
		for _, pt := range p.Points {
			kind, known := probe.KindOf(pt.Text)
			if !known || kind != probe.Test && kind != probe.Bench {
				points = append(points, pt)
				continue
			}
			if kind != t.trials() {
				others = kind.String()
				continue
			}
			if first, twice := seen[pt.Text]; twice {
				d := list.Errorf(pt.Span, "%s is defined twice", pt.Text)
				d.Related = append(d.Related, diag.Related{Span: first, Message: "the first one"})
			}
			seen[pt.Text] = pt.Span
			if filter.MatchString(pt.Text) {
				points = append(points, pt)
			}
		}
		if p.Points = points; len(points) > 0 {
			probes = append(probes, p)
			left++
		}
	}
	script.Probes = probes
	if show(t.environment, t.options, list) {
		return errShown{}
	}
	switch {
	case left > 0:
	case others != "":
		return errors.New("no probes attached; use --" + others + " to run " + others + " probes")
	case len(seen) > 0:
		return errors.New("--probe-filter leaves no probe")
	}
	return nil
}
