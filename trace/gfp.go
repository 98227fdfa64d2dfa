package trace

// gfpFlag is a name for bits of an allocation's flags.
type gfpFlag struct {
	bits uint64
	name string
}

// gfpFlags are the names of combinations, then of single bits, in the order in which they are looked for. The bits are
// those of Linux 6.10 and later without CONFIG_KASAN_HW_TAGS.
func gfpFlags() []gfpFlag {
	return []gfpFlag{
		{0x3c24ca | 0x8, "GFP_TRANSHUGE"},
		{0x3c20ca | 0x8, "GFP_TRANSHUGE_LIGHT"},
		{0x100cc2 | 0x8, "GFP_HIGHUSER_MOVABLE"},
		{0x100cc2, "GFP_HIGHUSER"},
		{0x100cc0, "GFP_USER"},
		{0x400cc0, "GFP_KERNEL_ACCOUNT"},
		{0xcc0, "GFP_KERNEL"},
		{0xc40, "GFP_NOFS"},
		{0x820, "GFP_ATOMIC"},
		{0xc00, "GFP_NOIO"},
		{0x800, "GFP_NOWAIT"},
		{0x1, "GFP_DMA"},
		{0x4, "GFP_DMA32"},
		{0x2, "__GFP_HIGHMEM"},
		{0x8, "__GFP_MOVABLE"},
		{0x10, "__GFP_RECLAIMABLE"},
		{0x20, "__GFP_HIGH"},
		{0x40, "__GFP_IO"},
		{0x80, "__GFP_FS"},
		{0x100, "__GFP_ZERO"},
		{0x400, "__GFP_DIRECT_RECLAIM"},
		{0x800, "__GFP_KSWAPD_RECLAIM"},
		{0x1000, "__GFP_WRITE"},
		{0x2000, "__GFP_NOWARN"},
		{0x4000, "__GFP_RETRY_MAYFAIL"},
		{0x8000, "__GFP_NOFAIL"},
		{0x10000, "__GFP_NORETRY"},
		{0x20000, "__GFP_MEMALLOC"},
		{0x40000, "__GFP_COMP"},
		{0x80000, "__GFP_NOMEMALLOC"},
		{0x100000, "__GFP_HARDWALL"},
		{0x200000, "__GFP_THISNODE"},
		{0x400000, "__GFP_ACCOUNT"},
		{0x800000, "__GFP_ZEROTAGS"},
	}
}

// appendGFP appends the flags' names, joined by |; bits without a name follow in hex.
func appendGFP(dst []byte, flags uint64) []byte {
	if flags == 0 {
		return append(dst, '0')
	}
	first := true
	part := func(name string) {
		if !first {
			dst = append(dst, '|')
		}
		first = false
		dst = append(dst, name...)
	}
	for _, f := range gfpFlags() {
		if flags&f.bits == f.bits {
			flags &^= f.bits
			part(f.name)
		}
	}
	if flags != 0 {
		part("0x")
		dst = appendUint(dst, flags, 16)
	}
	return dst
}
