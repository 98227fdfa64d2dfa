package interp

import "math/bits"

// loop runs what needs no other memory than the windows show, from the slot on. It returns at what run has to do, with the slot of that
// instruction or, if fuel is below 0, of the next one. It knows as little as possible: what is alive in it stays in the machine's
// registers.
func (s *state) loop(pc int) int {
	code := s.code
	for {
		in := &code[pc]
		pc++
		d := &s.r[in.dst&15]
		switch in.op {
		case opAdd64K:
			*d += in.imm
		case opAdd64X:
			*d += s.r[in.src&15]
		case opAdd32K:
			*d = uint64(uint32(*d) + uint32(in.imm))
		case opAdd32X:
			*d = uint64(uint32(*d) + uint32(s.r[in.src&15]))
		case opSub64K:
			*d -= in.imm
		case opSub64X:
			*d -= s.r[in.src&15]
		case opSub32K:
			*d = uint64(uint32(*d) - uint32(in.imm))
		case opSub32X:
			*d = uint64(uint32(*d) - uint32(s.r[in.src&15]))
		case opMul64K:
			*d *= in.imm
		case opMul64X:
			*d *= s.r[in.src&15]
		case opMul32K:
			*d = uint64(uint32(*d) * uint32(in.imm))
		case opMul32X:
			*d = uint64(uint32(*d) * uint32(s.r[in.src&15]))
		case opOr64K:
			*d |= in.imm
		case opOr64X:
			*d |= s.r[in.src&15]
		case opOr32K:
			*d = uint64(uint32(*d) | uint32(in.imm))
		case opOr32X:
			*d = uint64(uint32(*d) | uint32(s.r[in.src&15]))
		case opAnd64K:
			*d &= in.imm
		case opAnd64X:
			*d &= s.r[in.src&15]
		case opAnd32K:
			*d = uint64(uint32(*d) & uint32(in.imm))
		case opAnd32X:
			*d = uint64(uint32(*d) & uint32(s.r[in.src&15]))
		case opXor64K:
			*d ^= in.imm
		case opXor64X:
			*d ^= s.r[in.src&15]
		case opXor32K:
			*d = uint64(uint32(*d) ^ uint32(in.imm))
		case opXor32X:
			*d = uint64(uint32(*d) ^ uint32(s.r[in.src&15]))
		case opLsh64K:
			*d <<= in.imm & 63
		case opLsh64X:
			*d <<= s.r[in.src&15] & 63
		case opLsh32K:
			*d = uint64(uint32(*d) << (uint32(in.imm) & 31))
		case opLsh32X:
			*d = uint64(uint32(*d) << (uint32(s.r[in.src&15]) & 31))
		case opRsh64K:
			*d >>= in.imm & 63
		case opRsh64X:
			*d >>= s.r[in.src&15] & 63
		case opRsh32K:
			*d = uint64(uint32(*d) >> (uint32(in.imm) & 31))
		case opRsh32X:
			*d = uint64(uint32(*d) >> (uint32(s.r[in.src&15]) & 31))
		case opArsh64K:
			*d = uint64(int64(*d) >> (in.imm & 63))
		case opArsh64X:
			*d = uint64(int64(*d) >> (s.r[in.src&15] & 63))
		case opArsh32K:
			*d = uint64(uint32(int32(*d) >> (uint32(in.imm) & 31)))
		case opArsh32X:
			*d = uint64(uint32(int32(*d) >> (uint32(s.r[in.src&15]) & 31)))
		case opMov64K:
			*d = in.imm
		case opMov64X:
			*d = s.r[in.src&15]
		case opMov32K:
			*d = uint64(uint32(in.imm))
		case opMov32X:
			*d = uint64(uint32(s.r[in.src&15]))
		case opDiv64K:
			*d = div64(*d, in.imm)
		case opDiv64X:
			*d = div64(*d, s.r[in.src&15])
		case opDiv32K:
			*d = div32(uint32(*d), uint32(in.imm))
		case opDiv32X:
			*d = div32(uint32(*d), uint32(s.r[in.src&15]))
		case opMod64K:
			*d = mod64(*d, in.imm)
		case opMod64X:
			*d = mod64(*d, s.r[in.src&15])
		case opMod32K:
			*d = mod32(uint32(*d), uint32(in.imm))
		case opMod32X:
			*d = mod32(uint32(*d), uint32(s.r[in.src&15]))
		case opSdiv64K:
			*d = sdiv64(int64(*d), int64(in.imm))
		case opSdiv64X:
			*d = sdiv64(int64(*d), int64(s.r[in.src&15]))
		case opSdiv32K:
			*d = sdiv32(int32(*d), int32(uint32(in.imm)))
		case opSdiv32X:
			*d = sdiv32(int32(*d), int32(uint32(s.r[in.src&15])))
		case opSmod64K:
			*d = smod64(int64(*d), int64(in.imm))
		case opSmod64X:
			*d = smod64(int64(*d), int64(s.r[in.src&15]))
		case opSmod32K:
			*d = smod32(int32(*d), int32(uint32(in.imm)))
		case opSmod32X:
			*d = smod32(int32(*d), int32(uint32(s.r[in.src&15])))
		case opNeg64:
			*d = -*d
		case opNeg32:
			*d = uint64(-uint32(*d))
		case opMovsx64From8:
			*d = uint64(int64(int8(s.r[in.src&15])))
		case opMovsx64From16:
			*d = uint64(int64(int16(s.r[in.src&15])))
		case opMovsx64From32:
			*d = uint64(int64(int32(s.r[in.src&15])))
		case opMovsx32From8:
			*d = uint64(uint32(int32(int8(s.r[in.src&15]))))
		case opMovsx32From16:
			*d = uint64(uint32(int32(int16(s.r[in.src&15]))))
		case opTrunc16:
			*d = uint64(uint16(*d))
		case opTrunc32:
			*d = uint64(uint32(*d))
		case opSwap16:
			*d = uint64(bits.ReverseBytes16(uint16(*d)))
		case opSwap32:
			*d = uint64(bits.ReverseBytes32(uint32(*d)))
		case opSwap64:
			*d = bits.ReverseBytes64(*d)
		case opNop:
		case opGoto:
			goto jump
		case opJeq64K:
			if *d == in.imm {
				goto jump
			}
		case opJeq64X:
			if *d == s.r[in.src&15] {
				goto jump
			}
		case opJeq32K:
			if uint32(*d) == uint32(in.imm) {
				goto jump
			}
		case opJeq32X:
			if uint32(*d) == uint32(s.r[in.src&15]) {
				goto jump
			}
		case opJgt64K:
			if *d > in.imm {
				goto jump
			}
		case opJgt64X:
			if *d > s.r[in.src&15] {
				goto jump
			}
		case opJgt32K:
			if uint32(*d) > uint32(in.imm) {
				goto jump
			}
		case opJgt32X:
			if uint32(*d) > uint32(s.r[in.src&15]) {
				goto jump
			}
		case opJge64K:
			if *d >= in.imm {
				goto jump
			}
		case opJge64X:
			if *d >= s.r[in.src&15] {
				goto jump
			}
		case opJge32K:
			if uint32(*d) >= uint32(in.imm) {
				goto jump
			}
		case opJge32X:
			if uint32(*d) >= uint32(s.r[in.src&15]) {
				goto jump
			}
		case opJset64K:
			if *d&in.imm != 0 {
				goto jump
			}
		case opJset64X:
			if *d&s.r[in.src&15] != 0 {
				goto jump
			}
		case opJset32K:
			if uint32(*d)&uint32(in.imm) != 0 {
				goto jump
			}
		case opJset32X:
			if uint32(*d)&uint32(s.r[in.src&15]) != 0 {
				goto jump
			}
		case opJne64K:
			if *d != in.imm {
				goto jump
			}
		case opJne64X:
			if *d != s.r[in.src&15] {
				goto jump
			}
		case opJne32K:
			if uint32(*d) != uint32(in.imm) {
				goto jump
			}
		case opJne32X:
			if uint32(*d) != uint32(s.r[in.src&15]) {
				goto jump
			}
		case opJsgt64K:
			if int64(*d) > int64(in.imm) {
				goto jump
			}
		case opJsgt64X:
			if int64(*d) > int64(s.r[in.src&15]) {
				goto jump
			}
		case opJsgt32K:
			if int32(*d) > int32(in.imm) {
				goto jump
			}
		case opJsgt32X:
			if int32(*d) > int32(s.r[in.src&15]) {
				goto jump
			}
		case opJsge64K:
			if int64(*d) >= int64(in.imm) {
				goto jump
			}
		case opJsge64X:
			if int64(*d) >= int64(s.r[in.src&15]) {
				goto jump
			}
		case opJsge32K:
			if int32(*d) >= int32(in.imm) {
				goto jump
			}
		case opJsge32X:
			if int32(*d) >= int32(s.r[in.src&15]) {
				goto jump
			}
		case opJlt64K:
			if *d < in.imm {
				goto jump
			}
		case opJlt64X:
			if *d < s.r[in.src&15] {
				goto jump
			}
		case opJlt32K:
			if uint32(*d) < uint32(in.imm) {
				goto jump
			}
		case opJlt32X:
			if uint32(*d) < uint32(s.r[in.src&15]) {
				goto jump
			}
		case opJle64K:
			if *d <= in.imm {
				goto jump
			}
		case opJle64X:
			if *d <= s.r[in.src&15] {
				goto jump
			}
		case opJle32K:
			if uint32(*d) <= uint32(in.imm) {
				goto jump
			}
		case opJle32X:
			if uint32(*d) <= uint32(s.r[in.src&15]) {
				goto jump
			}
		case opJslt64K:
			if int64(*d) < int64(in.imm) {
				goto jump
			}
		case opJslt64X:
			if int64(*d) < int64(s.r[in.src&15]) {
				goto jump
			}
		case opJslt32K:
			if int32(*d) < int32(in.imm) {
				goto jump
			}
		case opJslt32X:
			if int32(*d) < int32(s.r[in.src&15]) {
				goto jump
			}
		case opJsle64K:
			if int64(*d) <= int64(in.imm) {
				goto jump
			}
		case opJsle64X:
			if int64(*d) <= int64(s.r[in.src&15]) {
				goto jump
			}
		case opJsle32K:
			if int32(*d) <= int32(in.imm) {
				goto jump
			}
		case opJsle32X:
			if int32(*d) <= int32(s.r[in.src&15]) {
				goto jump
			}
		case opLoadB:
			a := s.r[in.src&15] + offset(in)
			if a-s.reads.base > s.reads.size-1 {
				return pc - 1
			}
			*d = uint64(load8(a))
		case opLoadH:
			a := s.r[in.src&15] + offset(in)
			if a-s.reads.base > s.reads.size-2 {
				return pc - 1
			}
			*d = uint64(load16(a))
		case opLoadW:
			a := s.r[in.src&15] + offset(in)
			if a-s.reads.base > s.reads.size-4 {
				return pc - 1
			}
			*d = uint64(load32(a))
		case opLoadDW:
			a := s.r[in.src&15] + offset(in)
			if a-s.reads.base > s.reads.size-8 {
				return pc - 1
			}
			*d = uint64(load64(a))
		case opLoadSxB:
			a := s.r[in.src&15] + offset(in)
			if a-s.reads.base > s.reads.size-1 {
				return pc - 1
			}
			*d = uint64(int64(int8(load8(a))))
		case opLoadSxH:
			a := s.r[in.src&15] + offset(in)
			if a-s.reads.base > s.reads.size-2 {
				return pc - 1
			}
			*d = uint64(int64(int16(load16(a))))
		case opLoadSxW:
			a := s.r[in.src&15] + offset(in)
			if a-s.reads.base > s.reads.size-4 {
				return pc - 1
			}
			*d = uint64(int64(int32(load32(a))))
		case opStoreBX:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-1 {
				return pc - 1
			}
			store8(a, uint8(s.r[in.src&15]))
		case opStoreHX:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-2 {
				return pc - 1
			}
			store16(a, uint16(s.r[in.src&15]))
		case opStoreWX:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-4 {
				return pc - 1
			}
			store32(a, uint32(s.r[in.src&15]))
		case opStoreDWX:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-8 {
				return pc - 1
			}
			store64(a, s.r[in.src&15])
		case opStoreBK:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-1 {
				return pc - 1
			}
			store8(a, uint8(in.imm))
		case opStoreHK:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-2 {
				return pc - 1
			}
			store16(a, uint16(in.imm))
		case opStoreWK:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-4 {
				return pc - 1
			}
			store32(a, uint32(in.imm))
		case opStoreDWK:
			a := *d + offset(in)
			if a-s.writes.base > s.writes.size-8 {
				return pc - 1
			}
			store64(a, in.imm)
		case opLoadImm:
			*d = in.imm
			pc++ // over the second half
		case opMovAdd:
			*d = s.r[in.src&15] + in.imm
			pc++
		case opMovMul:
			*d = s.r[in.src&15] * in.imm
			pc++
		case opMovOr:
			*d = s.r[in.src&15] | in.imm
			pc++
		case opMovAnd:
			*d = s.r[in.src&15] & in.imm
			pc++
		case opMovXor:
			*d = s.r[in.src&15] ^ in.imm
			pc++
		case opMovLsh:
			*d = s.r[in.src&15] << (in.imm & 63)
			pc++
		case opMovRsh:
			*d = s.r[in.src&15] >> (in.imm & 63)
			pc++
		case opMovArsh:
			*d = uint64(int64(s.r[in.src&15]) >> (in.imm & 63))
			pc++
		case opAddJneK:
			*d += in.imm
			in = &code[pc]
			pc++
			if s.r[in.dst&15] != in.imm {
				goto jump
			}
		case opAddJneX:
			*d += in.imm
			in = &code[pc]
			pc++
			if s.r[in.dst&15] != s.r[in.src&15] {
				goto jump
			}
		case opAddJltK:
			*d += in.imm
			in = &code[pc]
			pc++
			if s.r[in.dst&15] < in.imm {
				goto jump
			}
		case opAddJltX:
			*d += in.imm
			in = &code[pc]
			pc++
			if s.r[in.dst&15] < s.r[in.src&15] {
				goto jump
			}
		default:
			return pc - 1
		}
		continue

	jump:
		back := pc - int(in.off)
		pc = int(in.off)
		if back > 0 {
			if s.fuel -= int64(back); s.fuel < 0 {
				return pc
			}
		}
	}
}
