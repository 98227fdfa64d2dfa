package kernellog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// describe says in words what the kernel writes of a register.
func describe(text string) string {
	kind, rest, _ := strings.Cut(text, "(")
	rest = strings.TrimSuffix(rest, ")")
	kind = strings.TrimPrefix(kind, "P")
	null := strings.HasSuffix(kind, "_or_null")
	kind = strings.TrimSuffix(strings.TrimSuffix(kind, "_or_null"), "_")
	f := fields(rest)
	s := ""
	switch {
	case kind == "scalar", kind == "inv":
		return "a number" + f.numbers()
	case strings.HasPrefix(kind, "inv"):
		return "a number " + strings.TrimPrefix(strings.TrimPrefix(kind, "inv"), "P")
	case kind == "ctx":
		s = "the context"
	case kind == "map_ptr":
		return "a map"
	case kind == "map_value":
		s = "a pointer to a map's value"
		if vs := f["vs"]; f["map"] != "" {
			s = "a pointer to a value of " + f["map"] + ", of " + vs + " bytes,"
		} else if vs != "" {
			s += " of " + vs + " bytes"
		}
	case kind == "map_key":
		s = "a pointer to a map's key"
	case strings.HasPrefix(kind, "fp"):
		s = "a pointer to the stack"
		if off := kind[2:]; off != "" && off != "0" {
			s += " at offset " + off
		}
	case kind == "pkt_meta":
		s = "a pointer to the packet's metadata"
	case kind == "pkt":
		s = "a pointer into the packet"
		if r := f["r"]; r != "" && r != "0" {
			s += ", which is known to have " + r + " bytes,"
		}
	case kind == "pkt_end":
		return "the packet's end"
	case kind == "sock", kind == "sock_common", kind == "tcp_sock", kind == "xdp_sock":
		s = "a pointer to a socket"
	case strings.HasSuffix(kind, "mem"):
		s = "a pointer to memory"
		if sz := f["sz"] + f["mem_size"]; sz != "" {
			s = "a pointer to " + sz + " bytes of memory"
		}
		if strings.Contains(kind, "ringbuf") || strings.Contains(kind, "alloc") {
			s = "a record in a ring buffer"
		}
	case strings.Contains(kind, "ptr_"):
		_, name, _ := strings.Cut(kind, "ptr_")
		if strings.HasPrefix(name, "or_null_") {
			name, null = strings.TrimPrefix(name, "or_null_"), true
		}
		s = "a pointer to struct " + name
		for _, q := range []string{"trusted", "rcu", "untrusted", "percpu"} {
			if strings.HasPrefix(kind, q+"_") {
				s += ", " + q
			}
		}
	case kind == "func":
		return "a function"
	default:
		if _, err := strconv.ParseInt(kind, 0, 64); err == nil {
			return "a number " + kind
		}
		return text
	}
	if off := f["off"]; off != "" && off != "0" {
		s += " at offset " + off
	}
	if _, varies := f["var_off"]; varies && kind != "ctx" {
		s += " plus" + f.numbers()
	}
	if null {
		return strings.TrimSuffix(s, ",") + ", or null"
	}
	return strings.TrimSuffix(s, ",")
}

// parts are what a state has in brackets: "smin=umin=1,umax=5" has smin, umin and umax.
type parts map[string]string

func fields(text string) parts {
	all := parts{}
	depth, start := 0, 0
	add := func(part string) {
		names := strings.Split(part, "=")
		for _, n := range names[:len(names)-1] {
			all[strings.TrimSuffix(strings.TrimSpace(n), "_value")] = names[len(names)-1]
		}
	}
	for i, c := range text {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			add(text[start:i])
			start = i + 1
		}
	}
	add(text[start:])
	return all
}

func (f parts) number(name string) (int64, bool) {
	if v, ok := f[name]; ok {
		if n, err := strconv.ParseInt(v, 0, 64); err == nil {
			return n, true
		}
		if n, err := strconv.ParseUint(v, 0, 64); err == nil {
			return int64(n), true
		}
	}
	return 0, false
}

// numbers is a range in words, with a space before it.
func (f parts) numbers() string {
	smin, hasSmin := f.number("smin")
	smax, hasSmax := f.number("smax")
	umin, hasUmin := f.number("umin")
	umax, hasUmax := f.number("umax")
	switch {
	case hasUmax && umax >= 0:
		if !hasUmin {
			umin = max(0, smin)
		}
		if umin == umax {
			return fmt.Sprintf(" %d", umax)
		}
		return fmt.Sprintf(" from %d to %d", umin, umax)
	case hasSmin && hasSmax:
		return fmt.Sprintf(" from %d to %d", smin, smax)
	case hasSmax && smax != math.MaxInt64:
		return fmt.Sprintf(" from the lowest to %d", smax)
	case hasSmin && smin != math.MinInt64:
		return fmt.Sprintf(" from %d to the highest", smin)
	case hasUmin && umin > 0:
		return fmt.Sprintf(" of at least %d", umin)
	}
	return " of which nothing is known"
}
