package trace

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Descriptors of the stub: the gate that it waits at, and where it tells why the command cannot be run.
const (
	stubGate   = 3
	stubStatus = 4
)

// stubCode is the program that a child of -c is until its command runs, for a processor of 64 bits. A Go program in its place would be
// seen by the script, since the threads of its runtime do not sleep. In C it is:
//
//	fcntl(3, F_SETFD, FD_CLOEXEC); fcntl(4, F_SETFD, FD_CLOEXEC);
//	while ((n = read(3, buf, 1)) == -EINTR);
//	if (n != 1) exit_group(0);
//	n = execve(argv[1], argv + 2, envp);
//	write(4, &n, 4);
//	exit_group(127);
func stubCode(arch string) (machine elf.Machine, code string) {
	switch arch {
	case "amd64":
		return elf.EM_X86_64, `
			bf03000000 e86a000000                  mov edi,3; call cloexec
			bf04000000 e860000000                  mov edi,4; call cloexec
			31c0 bf03000000 488d7424f8 ba01000000  again: xor eax,eax; mov edi,3; lea rsi,[rsp-8]; mov edx,1
			0f05 4883f8fc 74e7                     syscall; cmp rax,-4; je again
			31ff 83f801 7539                       xor edi,edi; cmp eax,1; jne exit
			488b0c24 488b7c2410                    mov rcx,[rsp]; mov rdi,[rsp+16]
			488d742418 488d54cc10                  lea rsi,[rsp+24]; lea rdx,[rsp+rcx*8+16]
			b83b000000 0f05                        mov eax,59; syscall
			894424f8 bf04000000                    mov [rsp-8],eax; mov edi,4
			488d7424f8 ba04000000                  lea rsi,[rsp-8]; mov edx,4
			b801000000 0f05                        mov eax,1; syscall
			bf7f000000                             mov edi,127
			b8e7000000 0f05                        exit: mov eax,231; syscall
			be02000000 ba01000000                  cloexec: mov esi,2; mov edx,1
			b848000000 0f05 c3                     mov eax,72; syscall; ret`
	case "arm64":
		return elf.EM_AARCH64, `
			e00740b2 e1037fb2 e20340b2             mov x0,3; mov x1,2; mov x2,1
			280380d2 010000d4                      mov x8,25; svc 0
			e0037eb2 e1037fb2 e20340b2             mov x0,4; mov x1,2; mov x2,1
			280380d2 010000d4                      mov x8,25; svc 0
			e00740b2 e14300d1 e20340b2             again: mov x0,3; sub x1,sp,16; mov x2,1
			e81740b2 010000d4                      mov x8,63; svc 0
			1f1000b1 40ffff54                      cmn x0,4; b.eq again
			1f0400f1 e0031faa e1010054             cmp x0,1; mov x0,xzr; b.ne exit
			e30340f9 e00b40f9                      ldr x3,[sp]; ldr x0,[sp,16]
			e1630091 e26f238b 42400091             add x1,sp,24; add x2,sp,x3,uxtx 3; add x2,x2,16
			a81b80d2 010000d4                      mov x8,221; svc 0
			e0031ff8 e0037eb2                      str x0,[sp,-16]; mov x0,4
			e14300d1 e2037eb2                      sub x1,sp,16; mov x2,4
			e8037ab2 010000d4                      mov x8,64; svc 0
			e01b40b2                               mov x0,127
			c80b80d2 010000d4                      exit: mov x8,94; svc 0`
	}
	return 0, ""
}

// stubFile makes an ELF file of the stub: one header, two of segments, and the code.
func stubFile(arch string) ([]byte, error) {
	const headers, base = 64 + 2*56, 0x400000
	machine, text := stubCode(arch)
	var code []byte
	for line := range strings.Lines(text) {
		for _, word := range strings.Fields(line) {
			b, err := hex.DecodeString(word)
			if err != nil {
				break // what it means, for people
			}
			code = append(code, b...)
		}
	}
	if len(code) == 0 {
		return nil, fmt.Errorf("there is no code for %s", arch)
	}
	size := uint64(headers + len(code))
	file, err := binary.Append(nil, binary.LittleEndian, elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	})
	for _, segment := range []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 1 << 16},
		{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W), Align: 16},
	} {
		if err == nil {
			file, err = binary.Append(file, binary.LittleEndian, segment)
		}
	}
	return append(file, code...), err
}

// openStub gives the stub as a file in memory. Its descriptor is none of those that the child is started with.
func openStub() (*os.File, error) {
	file, err := stubFile(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate(childName, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 there is no such flag, nor the need for it
		fd, err = unix.MemfdCreate(childName, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("making a program in memory: %w", err)
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 2*stubStatus)
	unix.Close(fd)
	if err != nil {
		return nil, fmt.Errorf("making a program in memory: %w", err)
	}
	stub := os.NewFile(uintptr(high), childName)
	if _, err := stub.Write(file); err != nil {
		stub.Close()
		return nil, fmt.Errorf("making a program in memory: %w", err)
	}
	return stub, nil
}
