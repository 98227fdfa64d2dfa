package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// load makes n events of a kind on one CPU, at a rate per second (0 for as fast as it can), and prints the seconds it took:
// load KIND N RATE CPU.
func load(args []string) {
	if len(args) != 4 {
		fmt.Fprintln(os.Stderr, "load wants KIND N RATE CPU")
		os.Exit(2)
	}
	n, _ := strconv.Atoi(args[1])
	rate, _ := strconv.Atoi(args[2])
	cpu, _ := strconv.Atoi(args[3])
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	_ = unix.SchedSetaffinity(0, &set)
	event, err := loadEvent(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	begun := time.Now()
	for i := range n {
		if rate > 0 && i%64 == 0 {
			due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
			for time.Now().Before(due) {
			}
		}
		event()
	}
	fmt.Println(time.Since(begun).Seconds())
}

func loadEvent(kind string) (func(), error) {
	switch kind {
	case "getpriority":
		return func() { _, _, _ = unix.RawSyscall(unix.SYS_GETPRIORITY, 0, 0, 0) }, nil
	case "openat":
		path := []byte("/proc/self/no/such/file\x00")
		dir := unix.AT_FDCWD
		return func() {
			_, _, _ = unix.RawSyscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), 0, 0, 0, 0)
		}, nil
	case "read":
		f, err := os.Open("/dev/zero")
		if err != nil {
			return nil, err
		}
		fd, buf := int(f.Fd()), make([]byte, 512)
		return func() { _, _ = unix.Read(fd, buf) }, nil
	case "read-disk":
		return readDisk()
	case "stat":
		var st unix.Stat_t
		return func() { _ = unix.Stat("/proc/self/no/such/file", &st) }, nil
	case "umount":
		return func() { _ = unix.Unmount("/proc/self/no/such/file", 0) }, nil
	case "kill":
		self := os.Getpid()
		return func() { _ = unix.Kill(self, unix.SIGWINCH) }, nil // which nobody heeds
	case "sleep":
		return func() { _ = unix.Nanosleep(&unix.Timespec{Nsec: 10000}, nil) }, nil
	case "exec":
		return func() { _ = exec.Command("/bin/true").Run() }, nil
	case "connect":
		return connectLoop()
	}
	return nil, fmt.Errorf("no kind of event %q", kind)
}

// connectLoop opens and closes connections to a listener of its own.
func connectLoop() (func(), error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return func() {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			return
		}
		_ = c.(*net.TCPConn).SetLinger(0) // no port is kept after the end
		peer, err := l.Accept()
		_ = c.Close()
		if err == nil {
			_ = peer.Close()
		}
	}, nil
}

// readDisk reads blocks of a file of its own around the page cache.
func readDisk() (func(), error) {
	f, err := os.CreateTemp(".", "skep-bench-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(make([]byte, 8<<20)); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	direct, err := os.OpenFile(f.Name(), os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	buf, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	fd, i := int(direct.Fd()), int64(0)
	return func() {
		_, _ = unix.Pread(fd, buf, i%2048*4096)
		i += 7
	}, nil
}
