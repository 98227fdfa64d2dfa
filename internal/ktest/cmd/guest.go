package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skep/internal/ktest/archive"
	"skep/internal/ktest/boot"
	"skep/internal/ktest/matrix"
)

// newGuest prepares a guest with the module's programs; dir keeps them until it has ended.
func newGuest(ctx context.Context, dir, kernel string, additions []matrix.Addition) (boot.Guest, error) {
	if err := boot.CheckEmulator(ctx); err != nil {
		return boot.Guest{}, err
	}
	base, options, _ := strings.Cut(kernel, "+")
	k, err := archive.Fetch(ctx, archive.Cache(), base, false, os.Stderr)
	if err != nil {
		return boot.Guest{}, err
	}
	commands, err := matrix.BuildCommands(ctx, dir, os.Stderr)
	if err != nil {
		return boot.Guest{}, err
	}
	root, err := matrix.NewRoot(commands, additions)
	if err != nil {
		return boot.Guest{}, err
	}
	g := boot.Guest{Kernel: k, Init: commands.Init, Root: root, Plan: boot.Plan{Env: []string{"SKEP_KERNEL=" + kernel}}}
	if options != "" {
		g.Options = strings.Split(options, "+")
	}
	return g, nil
}

// execute runs one program in guests, one after the other, and passes on its output and its failure.
func execute(ctx context.Context, args []string) error {
	flags, kernels, additions := newFlags("exec")
	limit := flags.Duration("timeout", 5*time.Minute, "for the program")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("exec: no program")
	}
	list := kernelList(*kernels, archive.Names())
	var failed error
	for _, kernel := range list {
		if len(list) > 1 {
			fmt.Fprintf(os.Stderr, "== %s\n", kernel)
		}
		if err := executeOn(ctx, kernel, *additions, flags.Args(), *limit); err != nil {
			fmt.Fprintf(os.Stderr, "ktest: kernel %s: %v\n", kernel, err)
			failed = errFailed
		}
	}
	return failed
}

func executeOn(ctx context.Context, kernel string, additions []matrix.Addition, argv []string, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "ktest-exec-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g, err := newGuest(ctx, dir, kernel, additions)
	if err != nil {
		return err
	}
	g.Limit = limit + time.Minute
	g.Plan.Programs = []boot.Program{{Name: argv[0], Argv: argv, Dir: "/root", Timeout: limit}}
	code := 0
	report, err := g.Run(ctx, func(o boot.Output) {
		os.Stdout.Write(o.Data)
		if o.Exit != nil {
			code = o.Exit.Code
		}
	})
	switch {
	case err != nil:
		return err
	case report.End != boot.EndDone:
		return fmt.Errorf("the machine did not end well (%s); its console:\n%s", report.End, report.Console)
	case code != 0:
		return fmt.Errorf("exit status %d", code)
	}
	return nil
}

// shell gives a prompt in a guest, on the caller's terminal.
func shell(ctx context.Context, args []string) error {
	flags, kernels, additions := newFlags("shell")
	if err := flags.Parse(args); err != nil {
		return err
	}
	list := kernelList(*kernels, []string{"newest"})
	if len(list) != 1 {
		return errors.New("shell: one kernel at a time")
	}
	dir, err := os.MkdirTemp("", "ktest-shell-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g, err := newGuest(ctx, dir, list[0], *additions)
	if err != nil {
		return err
	}
	g.Plan.Shell = "/bin/bash"
	g.Plan.Env = append(g.Plan.Env, `PS1=\s `+list[0]+` \w# `)
	if size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ); err == nil {
		g.Plan.Rows, g.Plan.Columns = int(size.Row), int(size.Col)
	}
	fmt.Fprintln(os.Stderr, "booting; exit ends the guest, Ctrl-A X stops it")
	return g.Interactive(ctx)
}
