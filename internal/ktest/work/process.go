package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// bee is there to be probed: its arguments are in the registers of Go's calling convention (AX, BX), and so is its
// result (AX).
//
//go:noinline
func bee(a, b uint64) uint64 { return a + b }

func callBee(n int) error {
	for i := range uint64(n) {
		if got := bee(i, 2*i); got != 3*i {
			return fmt.Errorf("bee(%d, %d) = %d", i, 2*i, got)
		}
	}
	return nil
}

func execute(n int, program []string) error {
	return repeat(n, func() error { return exec.Command(program[0], program[1:]...).Run() })
}

// threads ends each thread by ending a goroutine that is locked to it.
func threads(n int) error {
	return repeat(n, func() error {
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(started)
		}()
		<-started
		return nil
	})
}

func fault(pages int) error {
	size := unix.Getpagesize()
	if pages == 0 {
		return nil
	}
	mem, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(mem)
	// Huge pages would take many touches with one fault.
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil {
		return err
	}
	for i := range pages {
		mem[i*size] = 1
	}
	return nil
}

func burn(millis int) error {
	var x uint32
	for end := time.Now().Add(time.Duration(millis) * time.Millisecond); time.Now().Before(end); {
		x ^= spin(100_000)
	}
	runtime.KeepAlive(x)
	return nil
}

// spin is the function that samples of the processor must find.
//
//go:noinline
func spin(n int) (x uint32) {
	x = 1
	for range n {
		x = x*1664525 + 1013904223
	}
	return x
}

func pipes(n int) error {
	for i := range n {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, 1<<20); err != nil {
			return err
		}
		if i == n-1 {
			unix.Close(ends[0])
			unix.Close(ends[1])
		}
	}
	return nil
}

// fork starts a process that ends at once, and waits for it. It has a copy of this thread alone, so it must not do anything else.
func fork() error {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 {
		return e
	}
	if pid == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	_, err := unix.Wait4(int(pid), nil, 0, nil)
	return err
}
