package boot

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Emulator is the program that plays the machine.
const Emulator = "qemu-system-x86_64"

// ErrNoEmulator says that there is none that will do, or that a tool is missing with which its guests are made.
var ErrNoEmulator = errors.New("no emulator: run `go run ./internal/ktest/cmd setup`")

// CheckEmulator says why guests cannot run on this machine.
//
// QEMU before 8.1 may translate an instruction that is being patched, and the kernel then panics at a breakpoint it has
// taken away: attaching many probes ends most boots so. With both processors on one thread it corrupts flags instead.
func CheckEmulator(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, Emulator, "--version").Output()
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrNoEmulator, err)
	}
	return checkVersion(string(out))
}

func checkVersion(printed string) error {
	var major, minor int
	first, _, _ := strings.Cut(printed, "\n")
	if _, err := fmt.Sscanf(first, "QEMU emulator version %d.%d", &major, &minor); err != nil {
		return fmt.Errorf("%w (its version is %q)", ErrNoEmulator, first)
	}
	if major < 8 || major == 8 && minor < 1 {
		return fmt.Errorf("%w (QEMU %d.%d breaks kernels that patch their code, 8.1 does not)", ErrNoEmulator, major, minor)
	}
	return nil
}
