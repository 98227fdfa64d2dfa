package trace

import (
	"fmt"

	"skep/host"
	"skep/lang/bpftrace/lower"
	"skep/schema"
)

// loss watches the counters of what programs could not hand over or keep.
type loss struct {
	session host.Session
	object  host.Map
	sink    sink
	message func(string)
	remedies
	seen   []uint64
	unsure map[string]bool // maps whose insertions failed and that were not full when that was seen
}

// Indices of the counters; those of the maps follow.
const (
	lostEvents = iota
	lostControl
	lostStacks
	lostCopies // stacks that the ring had no room for
)

func newLoss(session host.Session, s sink, message func(string), r remedies) *loss {
	return &loss{session: session, unsure: map[string]bool{}, object: session.Map(lower.MapDrops), sink: s, message: message, remedies: r}
}

// read returns the counters.
func (l *loss) read() []uint64 {
	if l.object == nil {
		return nil
	}
	counts := make([]uint64, len(l.seen))
	var key [4]byte
	values, ok, err := l.object.Lookup(key[:])
	if err != nil || !ok {
		return counts
	}
	for _, v := range values {
		for i := 0; 8*i+8 <= len(v); i++ {
			if i == len(counts) {
				counts = append(counts, 0)
			}
			counts[i] += unsigned(v[8*i:], 8)
		}
	}
	return counts
}

// check tells at once of what was lost since the last look, of full maps only the first time.
func (l *loss) check() {
	counts := l.read()
	if len(counts) <= lostCopies {
		return
	}
	old := func(i int) uint64 {
		if i < len(l.seen) {
			return l.seen[i]
		}
		return 0
	}
	if n := counts[lostEvents] - old(lostEvents); n > 0 {
		l.sink.lost(n)
	}
	for _, m := range l.script.Maps {
		if total(m, l.seen) > 0 {
			continue
		}
		for _, d := range m.Drops {
			if d.Index < len(counts) && counts[d.Index] > 0 {
				if l.unsure[m.Name] = !l.full(m); l.unsure[m.Name] {
					l.sink.failure(d.Span, unsureMessage(m), "map_update_elem", errNoMemory, 1)
				} else {
					l.sink.failure(d.Span, l.fullMessage(m), "map_update_elem", errTooBig, 1)
				}
				break
			}
		}
	}
	l.seen = counts
}

// total is how many insertions into a map have failed.
func total(m *schema.Map, counts []uint64) (n uint64) {
	for _, d := range m.Drops {
		if d.Index < len(counts) {
			n += counts[d.Index]
		}
	}
	return n
}

// full counts what the map holds now.
func (l *loss) full(m *schema.Map) bool {
	keys := l.session.Map(m.Object)
	if keys == nil {
		return true
	}
	n := 0
	err := keys.Each(func([]byte, [][]byte) bool {
		n++
		return n < m.Max
	})
	return n >= m.Max || err != nil
}

func unsureMessage(m *schema.Map) string {
	return fmt.Sprintf("can't update element: %s, for %d keys, is not full now: it was, or the kernel had no memory for a new key at that moment", m.Name, m.Max)
}

// summary tells at the end how much was lost, by name. What to do about full maps has been said when they were found full.
func (l *loss) summary() {
	l.check()
	if len(l.seen) <= lostCopies {
		return
	}
	if n := l.seen[lostEvents]; n > 0 {
		l.message(fmt.Sprintf("WARNING: Total lost event count: %d", n))
		l.message("HINT: the event buffer was full: make it larger with " + l.ring() + ", or " + l.less())
	}
	if n := l.seen[lostControl]; n > 0 {
		l.message(fmt.Sprintf("WARNING: %d calls of print(), clear(), zero() or exit() were lost: they came faster than they "+
			"could be carried out", n))
	}
	if n := l.seen[lostStacks]; n > 0 {
		l.message(fmt.Sprintf("WARNING: %d stacks were lost: there are too many different ones", n))
	}
	if n := l.seen[lostCopies]; n > 0 {
		l.message(fmt.Sprintf("WARNING: %d stacks of dw_ustack were lost: the event buffer was full", n))
		l.message("HINT: make it larger with " + l.ring() + ", or copy less of each stack with " + l.smallerCopies())
	}
	for _, m := range sortedMaps(l.script.Maps) {
		if n := total(m, l.seen); n > 0 {
			why := "was full"
			if l.unsure[m.Name] {
				why = "was full, or the kernel had no memory for a new key"
			}
			l.message(fmt.Sprintf("WARNING: map %s %s: %d insertions lost", m.Name, why, n))
		}
	}
}
