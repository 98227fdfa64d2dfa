package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// openFiles goes through all names N times; failing opens are part of the work.
func openFiles(n int, files []string) error {
	return repeat(n, func() error {
		for _, name := range files {
			if fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
				unix.Close(fd)
			}
		}
		return nil
	})
}

// openPaced opens a file so many times a second, evenly. What it is late for it does at once.
func openPaced(n, rate int, file string) error {
	begin := time.Now()
	for done := 0; done < n; {
		due := min(n, 1+int(int64(time.Since(begin))*int64(rate)/int64(time.Second)))
		if done >= due {
			if err := nanosleep(100); err != nil {
				return err
			}
			continue
		}
		for ; done < due; done++ {
			fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			unix.Close(fd)
		}
	}
	return nil
}

func readFile(n, bytes int, file string) error {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, bytes)
	return repeat(n, func() error {
		if _, err := unix.Seek(fd, 0, 0); err != nil && !errors.Is(err, unix.ESPIPE) {
			return err
		}
		_, err := unix.Read(fd, buf)
		return err
	})
}

func writeFile(n, bytes int, file string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, bytes)
	return repeat(n, func() error {
		_, err := unix.Write(fd, buf)
		return err
	})
}

func stat(file string) error {
	var st unix.Statx_t
	return unix.Statx(unix.AT_FDCWD, file, 0, unix.STATX_BASIC_STATS, &st)
}

func mkdir(dir string) error {
	if err := unix.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return unix.Rmdir(dir)
}

// statAll asks for a file's state in every way that has a name, whether it is there or not.
func statAll(file string) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	stat(file)
	unix.Fstatat(unix.AT_FDCWD, file, &st, 0)
	unix.Statfs(file, &fs)
	return nil
}

// syncFile writes a file, and has it written to its disk in every way that concerns it alone.
func syncFile(file string) error {
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(unix.Getpagesize())); err != nil {
		return err
	}
	mem, err := unix.Mmap(fd, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer unix.Munmap(mem)
	mem[0] = 1
	return errors.Join(unix.Fsync(fd), unix.Fdatasync(fd), unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE), unix.Msync(mem, unix.MS_SYNC))
}

// mount mounts in a mount namespace of the thread's own, so that nobody else sees it.
func mount(dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("work", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64k"); err != nil {
		return err
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return err
	}
	if err := unix.Unmount(dir+"/nowhere", 0); !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmounting what is not there: %w", err)
	}
	return nil
}

func nanosleep(micros int) error {
	t := unix.NsecToTimespec(int64(micros) * int64(time.Microsecond))
	for {
		err := unix.Nanosleep(&t, &t)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
