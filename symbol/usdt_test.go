package symbol

import (
	"debug/elf"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUSDTArgs(t *testing.T) {
	unknown := func(text string) USDTArg { return USDTArg{Unknown: "it is not known how to read \"" + text + "\""} }
	for _, test := range []struct {
		machine elf.Machine
		text    string
		want    []USDTArg
	}{
		{elf.EM_X86_64, "", nil},
		{elf.EM_X86_64, "8@%rdi -4@%eax 2@%r9w -1@%sil 1@%r10b", []USDTArg{
			{Size: 8, Register: "di"}, {Size: 4, Signed: true, Register: "ax"}, {Size: 2, Register: "r9"}, {Size: 1, Signed: true, Register: "si"},
			{Size: 1, Register: "r10"},
		}},
		{elf.EM_X86_64, "-4@$-1 8@$0x10 8@$18446744073709551615", []USDTArg{
			{Size: 4, Signed: true, Value: -1}, {Size: 8, Value: 16}, {Size: 8, Value: -1},
		}},
		{elf.EM_X86_64, "8@-8(%rbp) 4@(%rax) 1@16(%r12,%rcx,4)  4@0(%rsp,%rdx)", []USDTArg{
			{Size: 8, Memory: true, Register: "bp", Scale: 1, Value: -8}, {Size: 4, Memory: true, Register: "ax", Scale: 1},
			{Size: 1, Memory: true, Register: "r12", Index: "cx", Scale: 4, Value: 16}, {Size: 4, Memory: true, Register: "sp", Index: "dx", Scale: 1},
		}},
		{elf.EM_X86_64, "8f@%xmm0 3@%rax 8@%foo 8@1(%rax 8@nowhere(%rip) %rbx", []USDTArg{
			unknown("8f@%xmm0"), unknown("3@%rax"), unknown("8@%foo"), unknown("8@1(%rax 8@nowhere(%rip) %rbx"),
		}},
		{elf.EM_AARCH64, "8@x0 -4@w1 4@12 8@[sp, 24] 8@[x19] 4@[x1,x2] 8@sp", []USDTArg{
			{Size: 8, Register: "r0"}, {Size: 4, Signed: true, Register: "r1"}, {Size: 4, Value: 12},
			{Size: 8, Memory: true, Scale: 1, Register: "sp", Value: 24}, {Size: 8, Memory: true, Scale: 1, Register: "r19"},
			{Size: 4, Memory: true, Scale: 1, Register: "r1", Index: "r2"}, {Size: 8, Register: "sp"},
		}},
		{elf.EM_PPC64, "8@3", []USDTArg{unknown("8@3")}},
	} {
		e := &ELF{object: &object{im: &image{machine: test.machine}, read: true}}
		if diff := cmp.Diff(test.want, e.usdtArgs(test.text, 0)); diff != "" {
			t.Errorf("%q: %s", test.text, diff)
		}
	}
}
