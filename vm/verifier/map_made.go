package verifier

import "github.com/cilium/ebpf"

// checkMapMade asks that the kernel makes the map, as far as nothing that loaders change decides it: they give maps their number of entries,
// and ring buffers a size that is a power of two.
func (v *verifier) checkMapMade(m *mapDef) {
	s := m.spec
	const noPrealloc = 1
	if s.Flags&rdonlyProg != 0 && s.Flags&wronlyProg != 0 {
		v.reject("map", "the kernel makes no map that programs can neither read nor write, as %s", m.name)
	}
	switch s.Type {
	case ebpf.Array, ebpf.PerCPUArray, ebpf.ProgramArray, ebpf.PerfEventArray, ebpf.CGroupArray, ebpf.ArrayOfMaps:
		if s.KeySize != 4 && s.KeySize != 0 {
			v.reject("map", "keys of maps of type %s have 4 bytes, those of %s have %d", s.Type, m.name, s.KeySize)
		}
	case ebpf.Arena:
		const mmapable = 1 << 10
		if !v.rules.arenas {
			v.reject("map", "arenas exist since Linux 6.9, and %s is one", s.Name)
		}
		if s.Flags&mmapable == 0 || s.KeySize != 0 || s.ValueSize != 0 {
			v.reject("map", "arenas need the flag BPF_F_MMAPABLE, and have neither keys nor values, as %s", m.name)
		}
	case ebpf.LPMTrie:
		if s.Flags&noPrealloc == 0 {
			v.reject("map", "maps of type %s need the flag BPF_F_NO_PREALLOC, and %s has it not", s.Type, m.name)
		}
	}
	if m.inner != nil {
		v.checkMapMade(m.inner)
	}
}
