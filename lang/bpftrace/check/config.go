package check

import (
	"strconv"
	"strings"

	"skep/internal/diag"
)

// setting is a configuration variable: its name in a script, its old names in the environment, and how it is set.
type setting struct {
	name string
	old  []string
	set  func(c *Config, value string) string // "" or what is expected
}

func settings() []setting {
	return []setting{
		{name: "max_map_keys", old: []string{"BPFTRACE_MAP_KEYS_MAX"}, set: number64(1, 1<<31-1, func(c *Config) *int { return &c.MaxMapKeys })},
		{name: "max_strlen", old: []string{"BPFTRACE_STRLEN"}, set: number64(1, maxSize-16, func(c *Config) *int { return &c.MaxStrlen })},
		{name: "max_cat_bytes", old: []string{"BPFTRACE_CAT_BYTES_MAX"}, set: number64(1, 1<<31-1, func(c *Config) *int { return &c.MaxCatBytes })},
		{name: "max_probes", set: number64(1, 1<<31-1, func(c *Config) *int { return &c.MaxProbes })},
		{name: "max_bpf_progs", set: number64(1, 1<<31-1, func(c *Config) *int { return &c.MaxPrograms })},
		{name: "perf_rb_pages", set: number64(1, 1<<24, func(c *Config) *int { return &c.PerfRBPages })},
		{name: "dw_ustack_bytes", set: number64(4096, maxStackCopy, func(c *Config) *int { return &c.StackCopy })},
		{name: "on_stack_limit", set: number64(0, 512, func(c *Config) *int { return &c.OnStackLimit })},
		{name: "print_maps_on_exit", set: boolean(func(c *Config) *bool { return &c.PrintMapsOnExit })},
		{name: "cpp_demangle", set: boolean(func(c *Config) *bool { return &c.CppDemangle })},
		{name: "missing_probes", set: word(func(c *Config) *string { return &c.MissingProbes }, "error", "warn", "ignore")},
		{name: "stack_mode", set: word(func(c *Config) *string { return &c.StackMode }, "bpftrace", "perf", "raw", "build_id")},
		{name: "cache_user_symbols", set: word(func(c *Config) *string { return &c.CacheUserSymbols }, "PER_PID", "PER_PROGRAM", "NONE", "0", "1")},
		{name: "str_trunc_trailer", set: func(c *Config, v string) string { c.StrTruncTrailer = v; return "" }},
		{name: "license", set: func(c *Config, v string) string { c.License = v; return "" }},
		// These have no meaning here, but scripts set them.
		{name: "lazy_symbolication", set: ignored}, {name: "show_debug_info", set: ignored}, {name: "use_blazesym", set: ignored},
		{name: "log_size", set: ignored}, {name: "unstable_tseries", set: ignored}, {name: "unstable_dw_ustack", set: ignored},
		{name: "unstable_import", set: ignored}, {name: "unstable_macro", set: ignored}, {name: "unstable_map_decl", set: ignored},
		{name: "unstable_addr", set: ignored}, {name: "max_type_res_iterations", set: ignored}, {name: "max_ast_nodes", set: ignored},
		{name: "symbol_source", set: ignored}, {name: "debuginfo", set: ignored},
	}
}

func ignored(*Config, string) string { return "" }

func number64(least, most int64, at func(*Config) *int) func(*Config, string) string {
	return func(c *Config, v string) string {
		n, err := strconv.ParseInt(strings.ReplaceAll(v, "_", ""), 0, 64)
		if err != nil || n < least || n > most {
			return "a number from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10)
		}
		*at(c) = int(n)
		return ""
	}
}

func boolean(at func(*Config) *bool) func(*Config, string) string {
	return func(c *Config, v string) string {
		switch strings.ToLower(v) {
		case "true", "1", "on", "yes":
			*at(c) = true
		case "false", "0", "off", "no":
			*at(c) = false
		default:
			return "true or false"
		}
		return ""
	}
}

func word(at func(*Config) *string, words ...string) func(*Config, string) string {
	return func(c *Config, v string) string {
		for _, w := range words {
			if v == w {
				*at(c) = v
				return ""
			}
		}
		return "one of " + join(words)
	}
}

// configure reads the config block and then the environment, which wins.
func (c *checker) configure() {
	if at := c.script.ConfigSpan; len(c.script.Probes) > 0 && at.Start > c.script.Probes[0].Span.Start {
		c.list.Errorf(diag.Span{Start: at.Start, End: at.Start + diag.Pos(len("config"))}, "config must stand before the probes")
	}
	c.config = Config{
		MaxMapKeys: 4096, MaxStrlen: defaultStrlen, MaxCatBytes: 10240, MaxProbes: 1024, MaxPrograms: 1024, OnStackLimit: 32, StackCopy: 16384,
		PrintMapsOnExit: true, MissingProbes: "error", StackMode: "bpftrace", StrTruncTrailer: "..", License: "GPL",
		CppDemangle: true, CacheUserSymbols: "PER_PID", Unsafe: c.Unsafe,
	}
	all := settings()
	for _, item := range c.script.Config {
		name := strings.TrimPrefix(strings.ToLower(item.Name), "bpftrace_")
		s := findSetting(all, name)
		if s == nil {
			d := c.list.Errorf(item.NameSpan, "there is no configuration variable %q", item.Name)
			names := make([]string, len(all))
			for i := range all {
				names[i] = all[i].name
			}
			if near := diag.Nearest(name, names); near != "" {
				d.Hint = "did you mean " + near + "?"
			}
			continue
		}
		value := item.Value
		if name, ok := strings.CutPrefix(value, "$"); ok {
			c.wantParameter(name, "")
			if value, ok = c.attachParameter(name); !ok {
				continue // without the parameter it is as if nothing was written
			}
		}
		if want := s.set(&c.config, value); want != "" {
			c.list.Errorf(item.ValueSpan, "%s must be %s, not %q", s.name, want, value)
		}
	}
	for i := range all {
		c.fromEnvironment(&all[i])
	}
	if v := c.Env("BPFTRACE_NO_CPP_DEMANGLE"); v == "1" || v == "true" {
		c.config.CppDemangle = false
	}
}

func findSetting(all []setting, name string) *setting {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

func (c *checker) fromEnvironment(s *setting) {
	for _, name := range append(s.old, "BPFTRACE_"+strings.ToUpper(s.name)) {
		v := c.Env(name)
		if v == "" {
			continue
		}
		if want := s.set(&c.config, v); want != "" {
			c.list.Errorf(diag.Span{}, "the environment variable %s must be %s, not %q", name, want, v)
		}
	}
}

// defaultStrlen is max_strlen if the script has none.
const defaultStrlen = 1024

// StrSize is the size of str() without a length. As in bpftrace, max_strlen does not count the NUL, unless it is the default or
// more.
func (c *Config) StrSize() int {
	if c.MaxStrlen < defaultStrlen {
		return c.MaxStrlen + 1
	}
	return c.MaxStrlen
}
