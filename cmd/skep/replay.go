package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"skep/host/replay"
	"skep/probe"
	"skep/recording"
	"skep/trace"
)

// runReplay is skep replay FILE: the usual options, and a recording in place of the kernel.
func runReplay(env *environment, args []string) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(env.stderr, "usage: skep replay FILE [options] [-e 'program' | SCRIPT]")
		return exitUsage
	}
	file, err := os.Open(args[0])
	if err != nil {
		return fail(env, fmt.Errorf("opening the recording: %w", err))
	}
	defer file.Close()
	var seeker io.ReadSeeker = file
	if _, err := file.Seek(0, io.SeekCurrent); err != nil { // a pipe: it is read twice
		content, err := io.ReadAll(file)
		if err != nil {
			return fail(env, fmt.Errorf("reading the recording: %w", err))
		}
		seeker = bytes.NewReader(content)
	}
	r, err := recording.Open(seeker)
	if err != nil {
		return fail(env, fmt.Errorf("%s: %w", args[0], err))
	}
	o, err := parseOptions(args[1:])
	var wrong *errUsage
	if errors.As(err, &wrong) && strings.HasPrefix(wrong.message, noProgram) {
		o, err = parseOptions(append([]string{"-e", r.Header.Script}, args[1:]...))
		if err == nil && len(o.args)+len(o.named) == 0 {
			o.args, o.named = r.Header.Args, r.Header.Named
		}
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "ERROR: %v (%s --help shows the options)\n", err, env.name)
		return exitUsage
	}
	switch {
	case o.help:
		return runHelp(env, nil)
	case o.info, o.list:
		return describe(env, r)
	case o.child != nil || o.pid != 0 || o.host != "":
		return fail(env, errors.New("a replay has no processes: -c, -p and --host are for recording"))
	case r.Header.Arch != runtime.GOARCH:
		return fail(env, fmt.Errorf("the recording is of %s, and this is %s: their system calls have other numbers", r.Header.Arch, runtime.GOARCH))
	}
	o.unsafe = true // what may do harm has been done
	asked := replay.NewAsked(r.Answers)
	t := &tracing{environment: env, options: o, played: r, answers: asked}
	code, err := t.run()
	if asked.Missing > 0 {
		t.warnOnce(fmt.Sprintf("WARNING: %d names were not looked up while recording: they are shown as numbers, or not at all", asked.Missing))
	}
	if err != nil && !errors.Is(err, trace.ErrInterrupted) {
		return fail(env, err)
	}
	return code
}

func replayPlace(r *recording.Reader) *place {
	catalog := replay.NewCatalog(r)
	return &place{
		host: &replay.Host{Reader: r}, probes: catalog, types: catalog.Types, otherPIDs: r.Header.OtherPIDNS,
		hasRaw: func(probe.Point) bool { return false },
	}
}

// describe tells what a recording has.
func describe(env *environment, r *recording.Reader) int {
	counts := make([]int, len(r.Header.Probes))
	first, last := uint64(0), uint64(0)
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		if first == 0 {
			first = e.Boot
		}
		last = max(last, e.Boot)
		counts[e.Probe]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "recorded on    Linux %s, %s, %d CPUs, host %s\n", r.Header.Kernel, r.Header.Arch, r.Header.CPUs, r.Header.Host)
	if r.Started {
		zone := time.FixedZone(r.Header.Zone, r.Header.ZoneOffset)
		fmt.Fprintf(&b, "begun          %s\n", time.Unix(0, int64(r.Start.Boot)+r.Start.Wall).In(zone).Format("2006-01-02 15:04:05 MST"))
	}
	fmt.Fprintf(&b, "events         %d in %v\n", r.Events, time.Duration(last-first).Round(time.Microsecond))
	if r.End.Lost > 0 {
		fmt.Fprintf(&b, "lost           %d\n", r.End.Lost)
	}
	switch {
	case r.Broken != nil:
		fmt.Fprintf(&b, "not complete   %v\n", r.Broken)
	case !r.Ended:
		b.WriteString("not complete   it was not ended in order\n")
	}
	b.WriteString("\n")
	for i, p := range r.Header.Probes {
		fmt.Fprintf(&b, "%10d  %s\n", counts[i], p.Point.Name)
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(r.Header.Script, "\n"))
	return write(env, b.String())
}
