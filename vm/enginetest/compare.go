package enginetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"skep/vm/code"
)

// Programs is how many random programs a test compares: SKEP_PROGRAMS, or not many.
func Programs(t *testing.T, usual int) int {
	if text := os.Getenv("SKEP_PROGRAMS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return usual / 10
	}
	return usual
}

// Seed is the seed of the first of them: SKEP_SEED, or always the same.
func Seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("SKEP_SEED"), 10, 64)
	if err != nil {
		return 1
	}
	t.Logf("from seed %d on", n)
	return n
}

// A Contender runs random programs, to be compared with others.
type Contender struct {
	Name string
	// Load prepares a program, and returns how to run it on a state and how to free it.
	Load func(r *Random) (run func(*State) error, free func() error, err error)
}

// Contend makes a contender of an engine.
func (e Engine) Contend(t testing.TB, checked bool) Contender {
	g := newGround(t, checked)
	name := e.Name
	if checked {
		name += ", checked"
	}
	return Contender{name, func(r *Random) (func(*State) error, func() error, error) {
		if err := g.renew(r); err != nil {
			return nil, nil, err
		}
		m, err := e.New(r.Program, Helpers(g.value.Base(), g.hash), checked)
		if err != nil {
			return nil, nil, err
		}
		free := func() error { return errors.Join(m.Close(), g.drop()) }
		return func(s *State) error { return g.run(m, s) }, free, nil
	}}
}

// Compare runs the random program of a seed a few times with each contender. It tells why the first one does not take it, or how they
// differ.
func Compare(seed uint64, times int, contenders []Contender) (refused, differ error) {
	r := NewRandom(seed)
	runs := make([]func(*State) error, len(contenders))
	for i, c := range contenders {
		run, free, err := c.Load(r)
		if err != nil && i == 0 {
			return err, nil
		}
		if err != nil {
			return nil, fmt.Errorf("seed %d: %s does not take the program: %w", seed, c.Name, err)
		}
		defer free()
		runs[i] = run
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	for range times {
		in := NewState(rng)
		var first *State
		for i, run := range runs {
			out := in.clone()
			if err := run(out); err != nil {
				return nil, fmt.Errorf("seed %d, %s: %w\n%s", seed, contenders[i].Name, err, Listing(r.Program))
			}
			if i == 0 {
				first = out
			} else if where := first.difference(out); where != "" {
				return nil, fmt.Errorf("seed %d: %s and %s differ in %s\nvalue % x\npacket % x\n%s", seed, contenders[0].Name,
					contenders[i].Name, where, in.Value, in.Packet, Listing(r.Program))
			}
		}
	}
	return nil, nil
}

// Listing is the program in numbers.
func Listing(p *code.Program) string {
	var b strings.Builder
	for at, in := range p.Insns {
		if p.FuncAt(at) >= 0 {
			fmt.Fprintf(&b, "function %d\n", p.FuncAt(at))
		}
		fmt.Fprintf(&b, "%4d: op %02x dst r%d src r%d off %d imm %#x\n", at, in.Op, in.Dst(), in.Src(), in.Off, uint32(in.Imm))
	}
	return b.String()
}
