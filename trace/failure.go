package trace

import "skep/schema"

// errorSites counts the failures at run time by their place, so that a failure in a busy probe does not drown all else.
type errorSites struct {
	script *schema.Script
	sink   sink
	sites  []errorSite
	player bool // only what the recording does not have is shown
}

type errorSite struct {
	shown, hidden uint64 // since the last report
	result        int    // of the last one
}

// shownPerInterval is how many failures of one place are shown each lossInterval; the others are counted.
const shownPerInterval = 5

func newErrorSites(script *schema.Script, s sink) *errorSites {
	return &errorSites{script: script, sink: s, sites: make([]errorSite, len(script.Errors))}
}

func (e *errorSites) add(id, result int) {
	if id < 0 || id >= len(e.sites) || e.player && e.script.Errors[id].Message == "" && result != errNotRecorded {
		return
	}
	site := &e.sites[id]
	site.result = result
	if site.shown < shownPerInterval {
		site.shown++
		e.show(id, 1)
	} else {
		site.hidden++
	}
}

// report tells of the failures that were only counted.
func (e *errorSites) report() {
	for id := range e.sites {
		site := &e.sites[id]
		if site.hidden > 0 {
			e.show(id, site.hidden)
		}
		site.shown, site.hidden = 0, 0
	}
}

func (e *errorSites) show(id int, times uint64) {
	r := e.script.Errors[id]
	message, result := r.Message, e.sites[id].result
	if message == "" {
		message = helperMessage(r.Helper, result)
	}
	e.sink.failure(r.Span, message, r.Helper, result, times)
}

const (
	errNoEntry  = -2
	errTooBig   = -7
	errNoMemory = -12
	// errNotRecorded is -ENODATA, which no helper of the kernel gives.
	errNotRecorded = -61
)

// helperMessage says what the result of a function of the kernel means.
func helperMessage(helper string, result int) string {
	switch {
	case helper == "map_update_elem" && result == errTooBig:
		return "Map full; can't update element. Try increasing max_map_keys config or manually setting the max entries in " +
			"a map declaration e.g. `let @a = hash(5000)`"
	case result == errNotRecorded:
		return "the recording does not have what is read here: nobody read it then"
	case helper == "map_delete_elem" && result == errNoEntry:
		return "Can't delete map element because it does not exist."
	case helper == "map_lookup_elem" && result == 0:
		return "Can't lookup map element because it does not exist."
	}
	return schema.ErrnoText(-result)
}
