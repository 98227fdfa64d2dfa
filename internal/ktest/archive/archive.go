// Package archive gets the kernels of the test matrix out of Debian's archive and keeps them unpacked in a cache.
//
// Nothing is installed: apt reads a sources list and a lists folder of our own, checks the archive's signatures with
// debian-archive-keyring, and dpkg unpacks the packages. What was unpacked is noted with its hashes, and compared before
// each use. The archive's address is whatever the machine's own apt uses.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Kernel is unpacked and ready to boot.
type Kernel struct {
	Name    string // of the matrix: "5.10", "newest"
	Release string // what uname says: "6.1.0-50-cloud-amd64"
	Image   string // the bzImage
	Modules string // the folder /lib/modules/RELEASE
}

// ErrUnavailable says that the archive or the tools to reach it are missing, which is no fault of the tests.
var ErrUnavailable = errors.New("no Debian archive")

// Names lists the kernels, oldest first.
func Names() []string { return []string{"5.10", "6.1", "6.12", "newest"} }

// suites gives where a kernel comes from, the preferred suite first.
func suites(name string) []suite {
	switch name {
	case "5.10":
		return []suite{{"bullseye-security", true}, {"bullseye", false}}
	case "6.1":
		return []suite{{"bookworm", false}}
	case "6.12":
		return []suite{{"trixie", false}}
	case "newest":
		return []suite{{"sid", false}}
	}
	return nil
}

// Cache is the folder of the unpacked kernels: $SKEP_KERNELS, or else in the user's cache.
func Cache() string {
	if dir := os.Getenv("SKEP_KERNELS"); dir != "" {
		return dir
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "skep", "kernels")
	}
	return "/var/cache/skep/kernels"
}

// Known says whether the name is that of a kernel here.
func Known(name string) error {
	if suites(name) == nil {
		return fmt.Errorf("no kernel %q: have %s", name, strings.Join(Names(), ", "))
	}
	return nil
}

// Fetch gives the named kernel from the cache in dir, filling it first if it is not there, is no longer what was
// fetched, or refresh is set.
func Fetch(ctx context.Context, dir, name string, refresh bool, log io.Writer) (Kernel, error) {
	if err := Known(name); err != nil {
		return Kernel{}, err
	}
	dir, err := filepath.Abs(dir) // apt runs elsewhere
	if err != nil {
		return Kernel{}, err
	}
	home := filepath.Join(dir, name)
	if !refresh { // A complete cache needs no lock, so that one that nobody may write to will do.
		if k, err := open(home, name); err == nil {
			return k, nil
		}
	}
	unlock, err := lock(ctx, dir, name, log)
	if err != nil {
		return Kernel{}, err
	}
	defer unlock()

	k, err := open(home, name)
	if err == nil && !refresh {
		return k, nil
	}
	if errors.Is(err, errChanged) {
		fmt.Fprintf(log, "kernel %s in %s %v\n", name, dir, err)
	}
	abandoned, _ := filepath.Glob(filepath.Join(dir, name+".new-*"))
	for _, d := range abandoned { // by runs that were killed
		os.RemoveAll(d)
	}
	fmt.Fprintf(log, "fetching kernel %s from Debian's archive\n", name)
	staging, err := os.MkdirTemp(dir, name+".new-")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(staging)
	if err := fill(ctx, staging, suites(name)); err != nil {
		return Kernel{}, fmt.Errorf("fetching kernel %s: %w", name, err)
	}
	if err := noteContents(staging); err != nil {
		return Kernel{}, err
	}
	if _, err := open(staging, name); err != nil {
		return Kernel{}, err
	}
	if err := os.RemoveAll(home); err != nil {
		return Kernel{}, err
	}
	if err := os.Rename(staging, home); err != nil {
		return Kernel{}, err
	}
	return open(home, name)
}

// open gives a kernel whose files are the ones that were fetched.
func open(home, name string) (Kernel, error) {
	if err := checkContents(home); err != nil {
		return Kernel{}, err
	}
	return find(home, name)
}

// find looks for the parts of an unpacked kernel, which older packages keep in /boot and newer ones with the modules.
func find(home, name string) (Kernel, error) {
	k := Kernel{Name: name}
	for _, pattern := range []string{"lib/modules/*/kernel", "usr/lib/modules/*/kernel"} {
		if found, _ := filepath.Glob(filepath.Join(home, pattern)); len(found) == 1 {
			k.Modules = filepath.Dir(found[0])
			k.Release = filepath.Base(k.Modules)
		}
	}
	for _, path := range []string{"boot/vmlinuz-" + k.Release, "usr/lib/modules/" + k.Release + "/vmlinuz"} {
		if _, err := os.Stat(filepath.Join(home, path)); err == nil && k.Release != "" {
			k.Image = filepath.Join(home, path)
		}
	}
	if k.Image == "" {
		return Kernel{}, fmt.Errorf("no kernel image with modules in %s", home)
	}
	return k, nil
}

// lock keeps two runs from filling the same folder; it waits for the other one until the context is done.
func lock(ctx context.Context, dir, name string, log io.Writer) (unlock func(), err error) {
	const hint = "(SKEP_KERNELS names another folder for the kernels)"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w %s", err, hint)
	}
	f, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%w %s", err, hint)
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if !told {
			fmt.Fprintf(log, "waiting for another run that fetches kernel %s\n", name)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
