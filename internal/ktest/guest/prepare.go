package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// prepare mounts what a running system has, and gives back what did not work: a test that misses it says so itself.
func prepare() []error {
	var problems []error
	for _, m := range []struct{ source, target, kind, data string }{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devtmpfs", "/dev", "devtmpfs", ""},
		{"devpts", "/dev/pts", "devpts", "ptmxmode=0666"},
		{"tmpfs", "/dev/shm", "tmpfs", ""},
		{"tmpfs", "/tmp", "tmpfs", ""},
		{"tmpfs", "/run", "tmpfs", ""},
		{"securityfs", "/sys/kernel/security", "securityfs", ""},
		{"tracefs", "/sys/kernel/tracing", "tracefs", ""},
		{"debugfs", "/sys/kernel/debug", "debugfs", ""},
		{"bpf", "/sys/fs/bpf", "bpf", ""},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", ""},
	} {
		if !strings.HasPrefix(m.target, "/sys/") {
			os.MkdirAll(m.target, 0o755)
		}
		if err := unix.Mount(m.source, m.target, m.kind, 0, m.data); err != nil {
			problems = append(problems, fmt.Errorf("mounting %s: %w", m.target, err))
		}
	}
	os.Chmod("/tmp", 0o1777)
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		os.Symlink(target, "/dev/"+name)
	}
	for _, v := range []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=linux", "LANG=C.UTF-8", "TMPDIR=/tmp"} {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		problems = append(problems, err)
	}
	if err := loopbackUp(); err != nil {
		problems = append(problems, fmt.Errorf("bringing lo up: %w", err))
	}
	return problems
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	parameters := ""
	if strings.HasSuffix(path, "/null_blk.ko") {
		parameters = "nr_devices=1" // one disk to make block I/O with
	}
	if err := unix.FinitModule(int(f.Fd()), parameters, 0); err != nil {
		return fmt.Errorf("loading %s: %w", path, err)
	}
	return nil
}
