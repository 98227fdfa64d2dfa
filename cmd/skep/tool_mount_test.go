package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skep/internal/ktest"
)

// TestMountsnoopConfigures: a file system that is configured by the calls of Linux 5.2, and is mounted nowhere.
func TestMountsnoopConfigures(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf)
	ktest.Oldest(t)
	s := startSkep(t, "mountsnoop", "-p", fmt.Sprint(os.Getpid()))
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err == nil {
		err = errors.Join(unix.FsconfigSetString(fs, "size", "2m"), unix.FsconfigCreate(fs), unix.Close(fs))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.MoveMount(unix.AT_FDCWD, "/nowhere", unix.AT_FDCWD, "/neither", 0); err != unix.ENOENT {
		t.Errorf("moving nothing: %v", err)
	}
	output, exit := s.end(os.Interrupt)
	want := fmt.Sprintf(`.* fsopen\("tmpfs", FSOPEN_CLOEXEC\) = %[1]d
.* fsconfig\(%[1]d, FSCONFIG_SET_STRING, "size", "2m", 0\) = 0
.* fsconfig\(%[1]d, FSCONFIG_CMD_CREATE, "", "", 0\) = 0
.* move_mount\(AT_FDCWD, "/nowhere", AT_FDCWD, "/neither", 0x0\) = -ENOENT`, fs)
	if got := strings.Join(output, "\n"); !regexp.MustCompile("^"+want+"$").MatchString(got) || exit != 0 {
		t.Errorf("exit code %d:\n%s\nwant\n%s", exit, got, want)
	}
}
