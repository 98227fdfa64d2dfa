// Package ktest lets any test of this module say which hooks of the kernel it needs, and run on the kernels that have
// them: Linux 5.10, 6.1, 6.12 and the newest under emulation, and the live one.
//
// A test that touches the kernel begins with
//
//	ktest.Need(t, ktest.Root, ktest.Kprobe)
//
// Each need is tried, not looked up. A test whose needs the running kernel does not meet is skipped with the reason,
// unless it is one of the matrix's kernels that must meet them (see [Must]): there the missing hook is a failure.
// Importing this package is what puts a package's tests into the matrix:
//
//	make test-kernels                            every kernel, and a table of tests by kernels
//	make test-kernels KERNEL=6.1 RUN=TestKprobe  one kernel, some tests
//	make test-kernels PKG=./host/kernel          some packages
//	make shell KERNEL=5.10                       a prompt in a guest, with skep in the path
//
// KERNEL is a list like "5.10 6.1 live". A name can have more for the kernel's command line behind "+", as in
// "6.12+lockdown=confidentiality": such a variant runs only the tests that ask for it with [Option].
//
// In a guest all packages' test binaries run one after the other, each in the folder of its package with the testdata
// folders of all packages around it, as root, with tracefs at /sys/kernel/tracing, debugfs, bpffs, cgroup2, a working
// loopback, a null block device, bash with its libraries, busybox, the module's work and skep commands, and nothing else:
// no Go toolchain, no network. The live kernel runs the same binaries in a mount namespace of their own.
//
// The packages below: archive fetches kernels, boot runs one, guest is its first process, matrix runs the tests on
// all of them, work makes events that tests can count.
package ktest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Need ends the test here unless the running kernel has all features: skipped where it may lack them, failed where
// it must have them.
func Need(t testing.TB, features ...Feature) {
	t.Helper()
	skip, fail := decide(runningKernel(), features, probed)
	switch {
	case fail != "":
		t.Fatal("ktest: " + fail)
	case skip != "":
		t.Skip("ktest: " + skip)
	}
}

// Has reports whether the running kernel has a feature, for tests of what happens without it.
func Has(f Feature) bool { return probed(f) == nil }

// Emulated says that this is a guest, where a processor is some twenty times slower: a test that tries many cases does
// with fewer.
func Emulated() bool {
	switch runningKernel() {
	case "", "live", "unprepared":
		return false
	}
	return true
}

// Edges leaves a test to the oldest and the newest of the guests' kernels, and to the live one: what differs between kernels shows there, and
// guests are slow.
func Edges(t testing.TB) {
	t.Helper()
	leaveOut(t, "the oldest and the newest kernel run this", "6.1", "6.12")
}

// Oldest leaves a test to the oldest of the guests' kernels and to the live one, which is nearly as new as the newest: for what needs no hook
// of its own, and for tools, each of which starts in every guest.
func Oldest(t testing.TB) {
	t.Helper()
	leaveOut(t, "the oldest kernel runs this", "6.1", "6.12", "newest")
}

// LiveOnly is for the TestMain of packages of which no guest has anything to tell: what they compare with a kernel they compare with the
// live one, and the rest has nothing to do with kernels.
func LiveOnly(m *testing.M) {
	if Emulated() {
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func leaveOut(t testing.TB, who string, kernels ...string) {
	t.Helper()
	if slices.Contains(kernels, runningKernel()) {
		t.Skip("guests are slow: " + who)
	}
}

// decide gives the reason to skip or to fail a test with these needs, or none to run it.
func decide(kernel string, features []Feature, probe func(Feature) error) (skip, fail string) {
	if option := unaskedOption(kernel, features); option != "" {
		return "not meant for a kernel with " + option, ""
	}
	for _, f := range features {
		switch err := probe(f); {
		case err == nil:
		case isMust(kernel, f):
			return "", fmt.Sprintf("kernel %s must have %s: %v", kernel, f, err)
		case skip == "":
			skip = fmt.Sprintf("%s: %v", f, err)
		}
	}
	return skip, ""
}

// runningKernel is the matrix's name for the kernel below: set by who started the test, or the live kernel in CI,
// or "" for a person's own, which must have nothing.
func runningKernel() string {
	if name := os.Getenv("SKEP_KERNEL"); name != "" {
		return name
	}
	if os.Getenv("CI") == "true" {
		return "unprepared"
	}
	return ""
}

// unaskedOption gives an option of a kernel variant that the test did not ask for.
func unaskedOption(kernel string, features []Feature) string {
	variant := strings.Split(kernel, "+")[1:]
	for _, option := range variant {
		asked := false
		for _, f := range features {
			asked = asked || f == Option(option)
		}
		if !asked {
			return option
		}
	}
	return ""
}

// Probing takes milliseconds, and many under emulation.
var probes struct {
	sync.Mutex
	done map[Feature]error
}

func probed(f Feature) error {
	probes.Lock()
	defer probes.Unlock()
	if err, ok := probes.done[f]; ok {
		return err
	}
	err := probe(f)
	if probes.done == nil {
		probes.done = map[Feature]error{}
	}
	probes.done[f] = err
	return err
}
