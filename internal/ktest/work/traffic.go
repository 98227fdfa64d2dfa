package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// traffic makes two files in dir, and deletes them: skep-a gets 20 writes of 4096 bytes and 3 reads of 8192; skep-b 2 writes of 1024
// and 10 reads of 65536, of which 2048 are there. A pipe gets 5 writes of 100 bytes and a read of all.
func traffic(dir string) error {
	dir, err := os.MkdirTemp(dir, "skep-traffic")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return errors.Join(
		writeAndRead(filepath.Join(dir, "skep-a"), 20, 4096, 3, 8192),
		writeAndRead(filepath.Join(dir, "skep-b"), 2, 1024, 10, 65536),
		throughPipe(5, 100),
	)
}

func writeAndRead(name string, writes, writeBytes, reads, readBytes int) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, max(writeBytes, readBytes))
	write := func() error { _, err := unix.Write(fd, buf[:writeBytes]); return err }
	read := func() error { _, err := unix.Pread(fd, buf[:readBytes], 0); return err }
	return errors.Join(repeat(writes, write), repeat(reads, read))
}

func throughPipe(writes, bytes int) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	buf := make([]byte, writes*bytes)
	write := func() error { _, err := unix.Write(ends[1], buf[:bytes]); return err }
	if err := repeat(writes, write); err != nil {
		return err
	}
	_, err := unix.Read(ends[0], buf)
	return err
}

// slowPipe reads from a pipe that is only written to after some time.
func slowPipe(millis int) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	written := make(chan error)
	go func() {
		time.Sleep(time.Duration(millis) * time.Millisecond)
		_, err := unix.Write(ends[1], []byte("late"))
		written <- err
	}()
	_, err := unix.Read(ends[0], make([]byte, 64))
	return errors.Join(err, <-written, unix.Close(ends[0]), unix.Close(ends[1]))
}
