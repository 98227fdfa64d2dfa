package vm

import "skep/vm/maps"

func (t *Thread) reserved(addr uint64) bool { return false }
func discardRecord(addr uint64)             {}
func (t *Thread) output(m, flags uint64, data []byte, extra uint64) uint64 {
	return errno(maps.ENOENT)
}
