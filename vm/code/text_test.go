package code

import "testing"

func TestText(t *testing.T) {
	for _, c := range []struct {
		in     Insn
		wide   uint64
		symbol string
		want   string
	}{
		{in: Insn{Op: ClassALU64 | MOV, Regs: 1, Imm: -5}, want: "r1 = -5"},
		{in: Insn{Op: ClassALU | ADD | SrcReg, Regs: 0x21}, want: "w1 += w2"},
		{in: Insn{Op: ClassALU64 | DIV | SrcReg, Regs: 0x21, Off: 1}, want: "r1 s/= r2"},
		{in: Insn{Op: ClassALU64 | MOV | SrcReg, Regs: 0x21, Off: 8}, want: "r1 = (s8)r2"},
		{in: Insn{Op: ClassALU | END | SrcReg, Regs: 3, Imm: 16}, want: "r3 = be16 r3"},
		{in: Insn{Op: ClassALU64 | END, Regs: 3, Imm: 64}, want: "r3 = bswap64 r3"},
		{in: Insn{Op: ClassALU64 | NEG, Regs: 3}, want: "r3 = -r3"},
		{in: Insn{Op: LoadImm64, Regs: 1}, wide: 0x1_0000_0002, want: "r1 = 0x100000002 ll"},
		{in: Insn{Op: LoadImm64, Regs: 1}, symbol: "map[counts]", want: "r1 = map[counts] ll"},
		{in: Insn{Op: ClassLDX | ModeMEM | 0x10, Regs: 0x21, Off: -1}, want: "r1 = *(u8 *)(r2 - 1)"},
		{in: Insn{Op: ClassLDX | ModeMEMSX | 0x08, Regs: 0x21, Off: 2}, want: "r1 = *(s16 *)(r2 + 2)"},
		{in: Insn{Op: ClassST | ModeMEM, Regs: 0x0a, Off: -4, Imm: 7}, want: "*(u32 *)(r10 - 4) = 7"},
		{in: Insn{Op: ClassSTX | ModeMEM | 0x18, Regs: 0x1a, Off: -8}, want: "*(u64 *)(r10 - 8) = r1"},
		{in: Insn{Op: ClassSTX | ModeATOMIC | 0x18, Regs: 0x21, Imm: ADD}, want: "lock *(u64 *)(r1 + 0) += r2"},
		{in: Insn{Op: ClassSTX | ModeATOMIC, Regs: 0x21, Imm: OR | AtomicFetch}, want: "w2 = atomic_fetch_or((u32 *)(r1 + 0), w2)"},
		{in: Insn{Op: ClassSTX | ModeATOMIC | 0x18, Regs: 0x21, Imm: AtomicCmp}, want: "r0 = cmpxchg_64(r1 + 0, r0, r2)"},
		{in: Insn{Op: ClassSTX | ModeATOMIC | 0x18, Regs: 0x21, Imm: AtomicLoad}, want: "r1 = load_acquire((u64 *)(r2 + 0))"},
		{in: Insn{Op: ClassSTX | ModeATOMIC | 0x18, Regs: 0x21, Imm: 0x77}, want: "(db) regs 0x21 off 0 imm 0x77"},
		{in: Insn{Op: ClassLD | ModeABS | 0x08, Imm: 12}, want: "r0 = *(u16 *)skb[12]"},
		{in: Insn{Op: ClassJMP32 | JSGT, Regs: 1, Imm: 3, Off: -4}, want: "if w1 s> 3 goto -4 <7>"},
		{in: Insn{Op: Goto, Off: 2}, want: "goto +2 <13>"},
		{in: Insn{Op: CallOp, Imm: 5}, symbol: "bpf_ktime_get_ns#5", want: "call bpf_ktime_get_ns#5"},
		{in: Insn{Op: CallOp, Regs: CallLocal << 4, Imm: 5}, symbol: "f", want: "call f <16>"},
		{in: Insn{Op: Exit}, want: "exit"},
		{in: Insn{Op: 0xff}, want: "(ff) regs 0x00 off 0 imm 0x0"},
	} {
		if got := c.in.Text(10, c.wide, c.symbol); got != c.want {
			t.Errorf("%+v is %q, not %q", c.in, got, c.want)
		}
	}
}
