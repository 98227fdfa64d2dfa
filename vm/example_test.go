package vm_test

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"skep/vm"
)

// A collection may come from a compiler, an ELF object, or be written down like this one: a program that drops short packets.
func Example() {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"short": {Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data
			asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data_end
			asm.Sub.Reg(asm.R3, asm.R2),
			asm.Mov.Imm(asm.R0, 1), // XDP_DROP
			asm.JLT.Imm(asm.R3, 60, "out"),
			asm.Mov.Imm(asm.R0, 2), // XDP_PASS
			asm.Return().WithSymbol("out"),
		}},
	}}
	m, err := vm.New(vm.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	c, err := m.Load(spec, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	thread, err := m.NewThread(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	packet, err := m.NewXDP(1500)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, size := range []int{40, 100} {
		if err := packet.SetData(make([]byte, size)); err != nil {
			fmt.Println(err)
			return
		}
		verdict, err := thread.Run(c.Programs["short"], packet)
		fmt.Println(size, verdict, err)
	}
	// Output:
	// 40 1 <nil>
	// 100 2 <nil>
}
