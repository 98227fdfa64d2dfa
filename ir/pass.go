package ir

import "fmt"

// pass is one step of optimisation.
type pass struct {
	name string
	run  func(*Func, *Options) bool // reports whether something changed
	why  string
}

// rounds is how often the passes are repeated at most while they find something.
const rounds = 4

func passes() []pass {
	return []pass{
		{"unreachable", plain(dropUnreachable), "first, so that nothing looks at blocks that are never run"},
		{"leaves", plain(hoistLeaves), "one value for each constant, so that equal phis and expressions show"},
		{"phi", plain(simplifyPhis), "the front end makes phis for variables that do not change"},
		{"fold", plain(fold), "constants first: they decide branches"},
		{"signs", plain(dropSigns), "extensions that the stores and extensions behind them do not need"},
		{"branch", plain(straighten), "larger blocks, fewer joins: more can be shared"},
		{"phi-again", plain(simplifyPhis), "joins that lost their edges"},
		{"common", plain(shareCommon), "what is equal is seen best after folding has made it look equal"},
		{"stores", plain(dropStores), "what is stored and not read, now that loads have been shared"},
		{"merge", plain(mergeStores), "neighbouring stores; wide ones of zeros have been narrowed before"},
		{"dead", plain(dropDead), "last, takes away what the others left over"},
	}
}

func plain(run func(*Func) bool) func(*Func, *Options) bool {
	return func(f *Func, _ *Options) bool { return run(f) }
}

// optimise runs the passes, makes the operations those of the target, and runs them again over what that made.
func (m *Module) optimise(opt *Options) error {
	for _, f := range m.Funcs {
		if err := f.optimise(opt); err != nil {
			return err
		}
		legalise(f, opt)
		if err := f.after("legal", opt); err != nil {
			return err
		}
		if err := f.optimise(opt); err != nil {
			return err
		}
	}
	return nil
}

func (f *Func) optimise(opt *Options) error {
	all := passes()
	idle := 0 // how many passes in a row have changed nothing
	for i := 0; i < rounds*len(all) && idle < len(all); i++ {
		p := all[i%len(all)]
		if idle++; !p.run(f, opt) {
			continue
		}
		idle = 0
		if err := f.after(p.name, opt); err != nil {
			return err
		}
	}
	return nil
}

// after shows and checks the function behind a pass.
func (f *Func) after(name string, opt *Options) error {
	if opt.Dump != nil && opt.Verbose {
		opt.dump(name, &Module{Funcs: []*Func{f}})
	}
	if opt.Check {
		if err := (&Module{Funcs: []*Func{f}}).Check(); err != nil {
			return fmt.Errorf("after pass %s: %w", name, err)
		}
	}
	return nil
}
