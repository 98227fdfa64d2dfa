package trace

import (
	"fmt"
	"strings"

	"skep/schema"
)

// remedies tell what the user can do about losses: who has not written the script cannot change it.
type remedies struct {
	script     *schema.Script
	bufferFlag string // "" if there is none
}

func (r remedies) embedded() bool { return r.script.Source != nil && r.script.Source.Embedded }

// setting says how a configuration variable is set.
func (r remedies) setting(name, value string) string {
	environment := "BPFTRACE_" + strings.ToUpper(name) + "=" + value + " in the environment"
	if r.embedded() {
		return environment
	}
	return "config = { " + name + " = " + value + " }, or " + environment + ","
}

// ring says how to make the event ring larger.
func (r remedies) ring() string {
	const unit = " (pages of 4 KB)"
	switch {
	case r.bufferFlag != "":
		return r.bufferFlag + unit
	case r.embedded():
		return r.setting("perf_rb_pages", "N") + unit
	}
	return "config = { perf_rb_pages = N }" + unit
}

// smallerCopies says how to copy less of each stack.
func (r remedies) smallerCopies() string {
	if r.embedded() {
		return r.setting("dw_ustack_bytes", "N")
	}
	return "dw_ustack_bytes"
}

const fewer = "leave out more with the tool's filters"

// less says how to have fewer events.
func (r remedies) less() string {
	if r.embedded() {
		return fewer
	}
	return "print less"
}

func (r remedies) fullMessage(m *schema.Map) string {
	return fmt.Sprintf("Map full; can't update element: %s holds %d keys, and more are lost. %s", m.Name, m.Max, r.raise(m))
}

// raise says how to make a map larger.
func (r remedies) raise(m *schema.Map) string {
	n := max(10*m.Max, 1)
	switch {
	case !r.embedded():
		return fmt.Sprintf("Raise it with config = { max_map_keys = %d }, or for this map alone with let %s = hash(%d)", n, m.Name, n)
	case m.Max == r.script.Config.MaxMapKeys:
		return "Raise it with " + r.setting("max_map_keys", fmt.Sprint(n)) + ", or " + fewer
	}
	return "The tool has no room for more: " + fewer
}
