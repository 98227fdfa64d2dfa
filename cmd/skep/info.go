package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"skep/host/kernel"
	"skep/ir"
)

// runInfo shows what this kernel can do, for reports of problems.
func runInfo(env *environment) int {
	h := kernel.New()
	target, err := h.Target()
	if err != nil {
		return fail(env, err)
	}
	if env.name == "bpftrace" {
		return infoForHarness(env, target)
	}
	fmt.Fprintf(env.stdout, "skep: v%s\nkernel: %d.%d.%d %s, %d possible CPUs\n", version,
		target.Kernel>>16, target.Kernel>>8&0xff, target.Kernel&0xff, target.Arch, target.CPUs)
	if err := kernel.Privileges(); err != nil {
		fmt.Fprintf(env.stdout, "privileges: %v\n", err)
		return 0
	}
	fmt.Fprintln(env.stdout, "privileges: all")
	for _, f := range ir.Features() {
		fmt.Fprintf(env.stdout, "  %-40s %s\n", f, yes(target.Supports(f)))
	}
	return 0
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// infoForHarness prints what harnesses made for bpftrace look for, under its names. What skep does without is "no".
func infoForHarness(env *environment, target *ir.Target) int {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fail(env, fmt.Errorf("asking for the kernel's name: %w", err))
	}
	arch := unix.ByteSliceToString(uts.Machine[:])
	if runtime.GOARCH == "arm64" {
		arch = "arm64"
	}
	fmt.Fprintf(env.stdout, "System\n  OS: %s %s %s\n  Arch: %s\n\n", unix.ByteSliceToString(uts.Sysname[:]),
		unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Version[:]), arch)
	fmt.Fprintf(env.stdout, "Build\n  version: v0.27.1\n  skep: v%s\n  LLVM: none\n  bfd: no\n  libdw (DWARF support): no\n"+
		"  libsystemd (systemd notify support): no\n  blazesym (advanced symbolization): no\n  dwunwind (DWARF stack unwinding): no\n\n", version)
	has := func(f ir.Feature) string { return yes(target.Supports(f)) }
	_, err := os.Stat("/sys/kernel/btf/vmlinux")
	modules, _ := os.ReadDir("/sys/kernel/btf")
	for _, group := range []struct {
		title string
		lines []string
	}{
		{"Kernel helpers", []string{"dpath: " + yes(target.Supports(ir.DPath) && target.Supports(ir.FentryProg)), "get_tai_ns: " + has(ir.KtimeTAI), "get_func_ip: " + has(ir.FuncIPKprobe),
			"lookup_percpu_elem: " + has(ir.LookupPerCPU), "loop: " + has(ir.Loop)}},
		// Since 5.11 a kernel lists its modules' types, if it has any.
		{"Kernel features", []string{"Instruction limit: 1000000", "btf: " + yes(err == nil),
			"module btf: " + yes(len(modules) > 0 && target.Kernel >= 5<<16|11<<8)}},
		{"Probe types", []string{"kprobe_multi: " + has(ir.KprobeMulti), "uprobe_multi: " + has(ir.UprobeMulti), "kprobe_session: no", "iter: no"}},
	} {
		var b strings.Builder
		fmt.Fprintf(&b, "%-35s\n", group.title)
		for i, line := range group.lines {
			if i%2 == 0 {
				b.WriteString("  ")
			}
			fmt.Fprintf(&b, "%-33s", line)
			if i%2 == 1 || i == len(group.lines)-1 {
				b.WriteString("\n")
			}
		}
		fmt.Fprintln(env.stdout, b.String())
	}
	return 0
}
