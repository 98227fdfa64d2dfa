package vm

// regsSize is room for the registers of every kind of computer: struct pt_regs of amd64 has 168 bytes, user_pt_regs of arm64 272.
const regsSize = 34 * 8
