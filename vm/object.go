package vm

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"skep/vm/maps"
)

// handleBase is where maps seem to be, for programs: at addresses where no memory is.
const (
	handleBase = 0xffe0_0000_0000_0000
	handleStep = 16
	maxObjects = 1 << 20
)

// objects are the maps and programs of a machine by number, which user space calls a file descriptor. Programs read them without a lock.
type objects struct {
	mu  sync.Mutex // held to add
	all atomic.Pointer[[]object]
}

// An object is a map or a program.
type object struct {
	m maps.Map
	p *Program
}

// add gives a number, beginning with 1, to what fill makes of it.
func (o *objects) add(fill func(id uint32) (object, error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var old []object
	if p := o.all.Load(); p != nil {
		old = *p
	}
	if len(old) >= maxObjects {
		return fmt.Errorf("the machine has %d maps and programs already", maxObjects)
	}
	x, err := fill(uint32(len(old) + 1))
	if err != nil {
		return err
	}
	// Readers have the old length, so that they do not see what is behind it.
	grown := append(old, x)
	o.all.Store(&grown)
	return nil
}

// remove forgets objects, whose numbers are not given again.
func (o *objects) remove(ids ...uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.all.Load()
	if p == nil || len(ids) == 0 {
		return
	}
	left := slices.Clone(*p)
	for _, id := range ids {
		left[id-1] = object{}
	}
	o.all.Store(&left)
}

func (o *objects) get(id uint32) object {
	p := o.all.Load()
	if p == nil || id == 0 || uint64(id) > uint64(len(*p)) {
		return object{}
	}
	return (*p)[id-1]
}

func (o *objects) mapOf(id uint32) maps.Map { return o.get(id).m }

func (o *objects) program(id uint32) *Program { return o.get(id).p }

func handleOf(id uint32) uint64 { return handleBase + uint64(id)*handleStep }

// mapAt is the map that a program means by its pointer to it, nil if it is none.
func (m *Machine) mapAt(handle uint64) maps.Map {
	n := handle - handleBase
	if handle < handleBase || n%handleStep != 0 || n/handleStep > maxObjects {
		return nil
	}
	return m.objects.mapOf(uint32(n / handleStep))
}
