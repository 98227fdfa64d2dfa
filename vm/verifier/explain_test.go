package verifier

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestExplain asks where what is known comes from.
func TestExplain(t *testing.T) {
	insns := join(
		value(), asm.Mov.Reg(asm.R8, asm.R0), random(), asm.Mov.Reg(asm.R9, asm.R7), asm.JSGT.Imm(asm.R9, 63, "out"),
		asm.StoreMem(asm.RFP, -16, asm.R9, asm.DWord), asm.LoadMem(asm.R1, asm.RFP, -16, asm.DWord),
		asm.Add.Reg(asm.R8, asm.R1), asm.LoadMem(asm.R0, asm.R8, 0, asm.Byte), leave(),
	)
	spec := &ebpf.ProgramSpec{Name: "p", Type: ebpf.SocketFilter, License: "GPL", Instructions: insns}
	r, err := Verify(&ebpf.CollectionSpec{Maps: twinMaps(), Programs: map[string]*ebpf.ProgramSpec{"p": spec}}, "p", Linux6_18, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := r.Rejection
	if e == nil {
		t.Fatalf("%+v", r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", e.Rule, e.Known)
	for _, c := range e.Path {
		fmt.Fprintf(&b, "%d: %s\n", c.Insn, c.Text)
	}
	t.Log(b.String())
	for _, want := range []string{"r1 is a number", "r1 is read back from the stack", "it was stored in the stack here", "r9 is compared with 63", "r0 is what bpf_get_prandom_u32 returned"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not said", want)
		}
	}
}

// TestCauses asks where what was known has been lost, in twins that break one rule each.
func TestCauses(t *testing.T) {
	want := map[string]string{
		"range jgt/bad":                       "r7 is compared with 64, so that it is a number from 0 to 64",
		"range through the stack/bad":         "4 bytes at offset -12 of the stack are stored, of 8 at offset -16 that are read",
		"write somewhere loses a pointer/bad": "1 bytes are stored in the stack at an offset that is not known here",
		"xdp adjust head/bad":                 "bpf_xdp_adjust_head makes r7 unusable, which was a pointer into the packet",
		"use after release/bad":               "bpf_ringbuf_submit makes r6 unusable, which was a record of 16 bytes in a ring buffer",
		"null of a copy/bad":                  "on this branch r8 is null, which was a pointer to a value of array, or null",
		"clobbered by a call/bad":             "the call makes r1 unusable",
		"release/bad":                         "bpf_ringbuf_reserve gives what must be given back",
	}
	for _, s := range twinPrograms() {
		text := want[s.name]
		if text == "" {
			continue
		}
		delete(want, s.name)
		r := verify(s.prog, Linux6_18, Options{})
		if r.Rejection == nil {
			t.Errorf("%s: %v", s.name, r.Verdict)
			continue
		}
		var all []string
		for _, c := range r.Rejection.Causes() {
			all = append(all, c.Text)
		}
		if !strings.Contains(strings.Join(all, "\n"), text) {
			t.Errorf("%s: %q is not in %q", s.name, text, all)
		}
	}
	if len(want) > 0 {
		t.Errorf("no such twins: %v", want)
	}
}
