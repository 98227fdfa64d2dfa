// Package matrix runs the module's tests on every kernel and shows how they went, tests by kernels.
package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"skep/internal/ktest/archive"
	"skep/internal/ktest/boot"
)

// Live is the name of the machine's own kernel.
const Live = "live"

// A Matrix says what to run where.
type Matrix struct {
	Kernels   []string // names as of archive.Names, with options behind "+", or Live
	Patterns  []string // of packages
	Run       string   // only tests that match, as of go test -run
	Short     bool     // go test -short
	Timeout   time.Duration
	Parallel  int // boots at a time
	Additions []Addition
	Events    io.Writer // where to write go test -json events with the kernel's name added; may be nil
	Progress  io.Writer
}

// DefaultKernels are all of the matrix, in the order of the table's columns.
func DefaultKernels() []string {
	return append(archive.Names(), Live, "6.12+lockdown=confidentiality")
}

// An Outcome is how the whole matrix went.
type Outcome struct {
	Kernels []string // in the order of the columns
	Results []Result
	// NotRun says for a kernel why it was not run; that is no failure of a test.
	NotRun map[string]string
	// Machines are the reports of boots that did not end well, by kernel.
	Machines map[string][]boot.Report
	Releases map[string]string
	Times    map[string]time.Duration
}

func newOutcome(kernels []string) *Outcome {
	return &Outcome{
		Kernels:  kernels,
		NotRun:   map[string]string{},
		Machines: map[string][]boot.Report{},
		Releases: map[string]string{},
		Times:    map[string]time.Duration{},
	}
}

// workspace is what all columns share while the matrix runs.
type workspace struct {
	Matrix
	dir      string
	packages []Package
	commands Commands
	root     *boot.Root
	rootErr  error

	mu        sync.Mutex
	outcome   *Outcome
	eventsErr error // the first from writing events
}

// Do builds the tests and runs them on the kernels. Its error is for what kept it from that; with an outcome it comes
// after some have been run.
func (m Matrix) Do(ctx context.Context) (*Outcome, error) {
	for _, kernel := range m.Kernels {
		if base, _, _ := strings.Cut(kernel, "+"); base != Live {
			if err := archive.Known(base); err != nil {
				return nil, fmt.Errorf("%w, %s", err, Live)
			}
		}
	}
	dir, err := os.MkdirTemp("", "ktest-matrix-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w := &workspace{Matrix: m, dir: dir, outcome: newOutcome(m.Kernels)}
	if w.packages, _, err = Packages(ctx, m.Patterns); err != nil {
		return nil, err
	}
	if len(w.packages) == 0 {
		return nil, fmt.Errorf("no package among %s has tests that import %s", strings.Join(m.Patterns, " "), apiPackage)
	}
	fmt.Fprintf(m.Progress, "building the tests of %d packages\n", len(w.packages))
	if w.commands, err = BuildCommands(ctx, dir, m.Progress); err != nil {
		return nil, err
	}
	BuildTests(ctx, w.packages, dir)
	w.root, w.rootErr = w.testRoot(ctx)

	column := func(kernel string) {
		started := time.Now()
		w.column(ctx, kernel)
		w.mu.Lock()
		w.outcome.Times[kernel] = time.Since(started)
		w.mu.Unlock()
	}
	guests := inTurn(m.Kernels)
	for _, kernel := range m.Kernels { // alone: its tests measure, and look at what all of the machine does
		if !slices.Contains(guests, kernel) {
			column(kernel)
		}
	}
	gate := make(chan struct{}, max(1, m.Parallel))
	var all sync.WaitGroup
	for _, kernel := range guests {
		gate <- struct{}{}
		all.Go(func() {
			defer func() { <-gate }()
			column(kernel)
		})
	}
	all.Wait()
	w.again(ctx)
	return w.outcome, errors.Join(ctx.Err(), w.eventsErr)
}

// inTurn gives the guests among the kernels: first the oldest and the newest, which have most to do (see ktest.Oldest).
func inTurn(kernels []string) []string {
	names := archive.Names()
	var edges, others []string
	for _, kernel := range kernels {
		switch base, _, _ := strings.Cut(kernel, "+"); {
		case base == Live:
		case kernel == names[0] || kernel == names[len(names)-1]:
			edges = append(edges, kernel)
		default:
			others = append(others, kernel)
		}
	}
	return append(edges, others...)
}

// testRoot gives the guests' file system with all test binaries and all testdata in it.
func (w *workspace) testRoot(ctx context.Context) (*boot.Root, error) {
	if err := boot.CheckEmulator(ctx); err != nil {
		return nil, err
	}
	root, err := NewRoot(w.commands, w.Additions)
	if err != nil {
		return nil, err
	}
	if len(w.packages) > 0 {
		p := w.packages[0]
		readme := filepath.Join(strings.TrimSuffix(p.Dir, filepath.FromSlash(p.Relative)), "README.md")
		if err := root.File("/src/README.md", readme); err != nil {
			return nil, err
		}
	}
	for _, p := range w.packages {
		root.Folder(guestDir(p))
		if _, err := os.Stat(filepath.Join(p.Dir, "testdata")); err == nil {
			// A copy, since a kernel that boots minutes later must see what belongs to the built tests.
			copied := filepath.Join(w.dir, "testdata", p.Relative)
			if err := os.CopyFS(copied, os.DirFS(filepath.Join(p.Dir, "testdata"))); err != nil {
				return nil, err
			}
			if err := root.Tree(guestDir(p)+"/testdata", copied); err != nil {
				return nil, err
			}
		}
		if p.Binary != "" {
			if err := root.File(guestBinary(p), p.Binary); err != nil {
				return nil, err
			}
		}
	}
	return root, nil
}

func guestDir(p Package) string    { return "/src/" + filepath.ToSlash(p.Relative) }
func guestBinary(p Package) string { return "/ktest/" + filepath.Base(p.Binary) }

// column runs all packages on one kernel.
func (w *workspace) column(ctx context.Context, kernel string) {
	base, options, _ := strings.Cut(kernel, "+")
	packages := w.packagesFor(options)
	for _, p := range packages {
		if p.Binary == "" {
			w.record(kernel, []Result{w.problem(kernel, p.Path, "(build)", p.Problem)})
		}
	}
	if base == Live {
		w.liveColumn(ctx, kernel, packages)
		return
	}
	if w.rootErr != nil {
		w.unable(kernel, w.rootErr)
		return
	}
	k, err := archive.Fetch(ctx, archive.Cache(), base, false, w.Progress)
	if err != nil {
		w.unable(kernel, err)
		return
	}
	guest := boot.Guest{Kernel: k, Init: w.commands.Init, Root: w.root, Plan: boot.Plan{Env: w.environment(kernel, "/bin")}}
	if options != "" {
		guest.Options = strings.Split(options, "+")
	}
	w.guestColumn(ctx, kernel, guest, packages)
}

// packagesFor gives all packages, or for a variant the ones that know of its options, and those that did not build.
func (w *workspace) packagesFor(options string) []Package {
	if options == "" {
		return w.packages
	}
	var asking []Package
	for _, p := range w.packages {
		binary, err := os.ReadFile(p.Binary)
		asks := true
		for option := range strings.SplitSeq(options, "+") {
			asks = asks && bytes.Contains(binary, []byte(option))
		}
		if asks || err != nil {
			asking = append(asking, p)
		}
	}
	return asking
}

// environment tells the tests where they are; bin is the folder of the module's commands.
func (w *workspace) environment(kernel, bin string) []string {
	env := []string{"SKEP_KERNEL=" + kernel, "SKEP_WORK=" + bin + "/work", "CI=" + os.Getenv("CI")}
	if w.commands.Skep != "" {
		env = append(env, "SKEP="+bin+"/skep")
	}
	return env
}

func (w *workspace) testArgs() []string {
	args := []string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=" + w.Timeout.String()}
	if w.Run != "" {
		args = append(args, "-test.run="+w.Run)
	}
	if w.Short {
		args = append(args, "-test.short")
	}
	return args
}

// unable notes why a kernel is not run. That the archive or the emulator is missing is no failure of the tests; all else is.
func (w *workspace) unable(kernel string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	missing := errors.Is(err, archive.ErrUnavailable) || errors.Is(err, boot.ErrNoEmulator)
	for _, p := range w.packages {
		if missing {
			w.writeEvents(kernel, []event{
				{Action: "start", Package: p.Path},
				{Action: "output", Package: p.Path, Output: fmt.Sprintf("kernel %s was not run: %v\n", kernel, err)},
				{Action: "skip", Package: p.Path},
			})
		} else {
			w.record(kernel, []Result{w.problem(kernel, p.Path, "(boot)", err.Error()+"\n")})
		}
	}
	if missing {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.outcome.NotRun[kernel] = err.Error()
	}
}

func (w *workspace) record(kernel string, results []Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range results {
		r.Kernel = kernel
		w.outcome.Results = append(w.outcome.Results, r)
	}
}
