package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"skep/ir"
	"skep/probe"
	"skep/symbol"
)

// Usable says why a point that seems to exist cannot be attached to on this kernel, without attaching to it; nil if it can. Points of
// functions and raw tracepoints are taken on trust when they are expanded, since most scripts name what is there.
func (h *Host) Usable(p probe.Point) error {
	switch p.Kind {
	case probe.Fentry, probe.Fexit:
		if !h.Has(ir.FentryProg) {
			return fmt.Errorf("this kernel cannot attach %s programs", p.Kind)
		}
		return traceable(p)
	case probe.Kprobe, probe.Kretprobe:
		if !h.Has(ir.KprobeHooks) {
			return errors.New("this kernel is built without kprobes")
		}
		if p.Address != 0 || p.Module == "" && traceable(p) == nil {
			return nil
		}
		if _, err := symbol.NewKernel().Address(p.Function); err != nil {
			return fmt.Errorf("the kernel has no function %s", p.Function)
		}
	case probe.RawTracepoint:
		return h.rawTracepoint(p)
	case probe.Uprobe, probe.Uretprobe, probe.USDT:
		if _, err := h.uprobes(); err != nil {
			return errors.New("this kernel is built without uprobes")
		}
	}
	return nil
}

// traceable loads a program for the function, and does not attach it: the kernel says whether there is code under that name.
func traceable(p probe.Point) error {
	if p.Module != "" && p.Module != "vmlinux" {
		return nil // its types say that it is there
	}
	function := probe.TypeName{Name: p.Function, Function: true}
	ids, err := probe.TypeIDs("", []probe.TypeName{function})
	if err != nil {
		return fmt.Errorf("reading the kernel's types: %w", err)
	}
	if ids[function] == 0 {
		return fmt.Errorf("the kernel's types have no function %s", p.Function)
	}
	code, err := assemble(asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()})
	if err != nil {
		return err
	}
	fd, err := bpf(unix.BPF_PROG_LOAD, &progLoadAttr{progType: uint32(ebpf.Tracing), attachType: uint32(ebpf.AttachTraceFEntry), attachBTFID: ids[function],
		insnCount: uint32(len(code) / asm.InstructionSize), insns: pointer(code), license: cString("GPL")})
	if err != nil {
		return fmt.Errorf("function %s is no place for programs: %w", p.Function, err)
	}
	unix.Close(fd)
	return nil
}

// rawTracepoint looks for a tracepoint among the kernel's types, and among the events, where those of modules are.
func (h *Host) rawTracepoint(p probe.Point) error {
	tracepoint := probe.TypeName{Name: "btf_trace_" + p.Event}
	if ids, err := probe.TypeIDs(p.Module, []probe.TypeName{tracepoint}); err == nil && ids[tracepoint] != 0 {
		return nil
	}
	categories, err := h.tracefs.List("events")
	if err != nil {
		return fmt.Errorf("the kernel's types have no tracepoint %s", p.Event)
	}
	for _, c := range categories {
		if _, err := h.tracefs.Read("events/" + c + "/" + p.Event + "/id"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the kernel has no tracepoint %s", p.Event)
}
