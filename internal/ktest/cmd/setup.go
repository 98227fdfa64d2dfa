package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"skep/internal/ktest/archive"
	"skep/internal/ktest/boot"
)

// needed are the Debian packages behind the guests, compilers for tests of what they make, and programs to be traced, each with a file that shows it is there.
func needed() map[string]string {
	return map[string]string{
		"qemu-system-x86":        "/usr/bin/qemu-system-x86_64",
		"busybox-static":         "/bin/busybox",
		"bash":                   "/bin/bash",
		"xz-utils":               "/usr/bin/xz",
		"gcc":                    "/usr/bin/gcc",
		"clang":                  "/usr/bin/clang",
		"g++":                    "/usr/bin/g++",
		"libc6-dev":              "/usr/include/stdio.h",
		"openssl":                "/usr/bin/openssl",
		"nginx":                  "/usr/sbin/nginx",
		"strace":                 "/usr/bin/strace",
		"qemu-user":              "/usr/bin/qemu-aarch64",
		"debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
	}
}

// setup installs what is missing; it does nothing and needs no privileges if nothing is.
func setup(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("setup", flag.ContinueOnError)
	optional := flags.Bool("optional", false, "without the archive say so and succeed, but not in CI")
	if err := flags.Parse(args); err != nil {
		return err
	}
	err := install(ctx)
	if err != nil && *optional && !inCI() && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "ktest: no guests on this machine: %v\n", err)
		return nil
	}
	return err
}

func install(ctx context.Context) error {
	wanted := []string{"install", "-y", "-q", "--no-install-recommends"}
	missing := 0
	for name, file := range needed() {
		if _, err := os.Stat(file); err != nil {
			wanted = append(wanted, name)
			missing++
		}
	}
	if missing == 0 && boot.CheckEmulator(ctx) == nil {
		return nil
	}
	steps := [][]string{{"update", "-q"}, wanted}
	if missing == 0 {
		steps = steps[:1]
	}
	for _, args := range steps {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1") // servers are not started
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	if err := boot.CheckEmulator(ctx); err == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "installing a newer emulator from the backports")
	if err := archive.InstallBackport(ctx, "qemu-system-x86"); err != nil {
		return err
	}
	return boot.CheckEmulator(ctx)
}

// fetch fills the cache, so that later runs need no network.
func fetch(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	refresh := flags.Bool("refresh", false, "fetch also what is there, for its newest update")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		names = archive.Names()
	}
	for _, name := range names {
		k, err := archive.Fetch(ctx, archive.Cache(), name, *refresh, os.Stderr)
		if err != nil {
			return err
		}
		fmt.Printf("%-8s Linux %s\n", name, k.Release)
	}
	return nil
}
