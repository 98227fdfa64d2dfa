package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// tool is one side of the comparison.
type tool struct {
	name string
	path string // below root
	root string // its root folder, if that is not the machine's
}

func (t tool) command(args ...string) *exec.Cmd {
	cmd := exec.Command(t.path, args...)
	if t.root != "" {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: t.root}
	}
	return cmd
}

// peers are what skep is measured beside; the zero value is without them.
type peers struct{ root string }

// alone is for rows that find the other side themselves, on this machine.
func alone(peers) *tool { return nil }

func bpftrace(p peers) *tool { return p.tool("bpftrace", "usr/bin") }

// tool finds a program of the peers' folder; nil if there is none.
func (p peers) tool(name string, dirs ...string) *tool {
	if p.root == "" {
		return nil
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(p.root, dir, name)); err == nil {
			return &tool{name, filepath.Join("/", dir, name), p.root}
		}
	}
	return nil
}

// findPeers makes their folder if it is not there yet. What is mounted there is to be seen by this thread and its children alone: nothing
// stands between a measurement and what it starts.
func findPeers() (peers, error) {
	root, err := install()
	if err != nil {
		return peers{}, err
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return peers{}, fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return peers{}, fmt.Errorf("making mounts private: %w", err)
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp"} {
		if err := unix.Mount("/"+dir, filepath.Join(root, dir), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return peers{}, fmt.Errorf("mounting /%s in %s: %w", dir, root, err)
		}
	}
	// They may be mounted already.
	_ = unix.Mount("tracefs", filepath.Join(root, "sys/kernel/tracing"), "tracefs", 0, "")
	_ = unix.Mount("debugfs", filepath.Join(root, "sys/kernel/debug"), "debugfs", 0, "")
	return peers{root}, nil
}

func install() (root string, err error) {
	if root = os.Getenv("SKEP_PEER"); root == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		root = filepath.Join(cache, "skep", "peer")
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin/bpftrace")); err == nil {
		return root, nil
	}
	fmt.Fprintln(os.Stderr, "installing bpftrace and libbpf-tools in", root)
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("debootstrap", "--variant=minbase", "--include=bpftrace,libbpf-tools,bpftool,procps", "sid", root)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("debootstrap (a Debian package): %w", err)
	}
	return root, nil
}
