// Package boot runs a Debian kernel under QEMU's software emulation, with a root file system made on the spot, and
// gives back all that the programs in it print, also when the kernel panics or hangs.
package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"skep/internal/ktest/archive"
)

// A Guest describes one boot.
type Guest struct {
	Kernel  archive.Kernel
	Init    string // the static program of package guest
	Root    *Root
	Options []string // more for the kernel's command line
	Plan    Plan
	// Silence is how long the guest's processes may fail to run, once it has booted, before it counts as hung; 0 means
	// a minute.
	Silence time.Duration
	// Limit ends the boot whatever happens; 0 means 15 minutes.
	Limit time.Duration
}

// End says how a boot ended.
type End string

const (
	EndDone    End = "done"    // the plan was carried out
	EndPanic   End = "panic"   // the kernel stopped before that
	EndHang    End = "hang"    // no process ran any more
	EndLimit   End = "limit"   // it took too long
	EndStopped End = "stopped" // the machine went away without a word, or the caller gave up
)

// A Report is what is known after a boot.
type Report struct {
	End      End
	Release  string // of the kernel, "" if it did not get that far
	Console  string // all that the kernel printed
	BootTime time.Duration
	Time     time.Duration
}

// An Output is a piece of what a program printed, or its exit.
type Output struct {
	Program string
	Data    []byte
	Exit    *Mark // set when the program has ended; Data is empty then
}

// Run boots the guest and waits for its end. Outputs come in order, from one goroutine.
func (g Guest) Run(ctx context.Context, sink func(Output)) (Report, error) {
	dir, err := os.MkdirTemp("", "ktest-")
	if err != nil {
		return Report{}, err
	}
	defer os.RemoveAll(dir)
	initramfs, memory, err := g.prepare(dir)
	if err != nil {
		return Report{}, fmt.Errorf("preparing kernel %s: %w", g.Kernel.Name, err)
	}
	m, err := startMachine(dir, g.machineArgs(initramfs, memory))
	if err != nil {
		return Report{}, err
	}
	return m.watch(ctx, sink, orDefault(g.Silence, time.Minute), orDefault(g.Limit, 15*time.Minute)), nil
}

// prepare writes the initial root file system and says how many MB of memory the guest needs.
func (g Guest) prepare(dir string) (initramfs string, memory int64, err error) {
	root, plan := g.Root.clone(), g.Plan
	if err := root.File("/init", g.Init); err != nil {
		return "", 0, err
	}
	mods, err := modules(g.Kernel.Modules, wantedModules())
	if err != nil {
		return "", 0, err
	}
	for _, m := range mods {
		path := "/ktest/" + m.name + ".ko"
		root.Bytes(path, 0o644, m.code)
		plan.Modules = append(plan.Modules, path)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return "", 0, err
	}
	root.Bytes(PlanPath, 0o644, text)

	if initramfs, err = filepath.Abs(filepath.Join(dir, "initramfs")); err != nil { // the emulator runs elsewhere
		return "", 0, err
	}
	f, err := os.Create(initramfs)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	if err := root.write(f); err != nil {
		return "", 0, err
	}
	// While it is being unpacked the root is in memory twice, and a file system in memory may fill half of it.
	return initramfs, 1024 + 2*root.size()>>20, f.Close()
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
