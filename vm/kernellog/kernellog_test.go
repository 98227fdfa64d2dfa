package kernellog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"skep/internal/golden"
)

// TestExplain explains logs of real kernels.
func TestExplain(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, ar *txtar.Archive) map[string]string {
		for _, f := range ar.Files {
			if f.Name == "log" {
				e, err := Explain(string(f.Data))
				if err != nil {
					t.Fatal(err)
				}
				return map[string]string{"explanation": e.String()}
			}
		}
		t.Fatal("no log")
		return nil
	})
}

// TestMessages asks that each message is found in the form that a kernel prints it, and is about the right register.
func TestMessages(t *testing.T) {
	for _, test := range []struct {
		message, rule string
		reg           int
	}{
		{"R3 invalid mem access 'inv'", "not a pointer", 3},
		{"R1 invalid mem access 'mem_or_null'", "null", 1},
		{"R2 invalid mem access 'trusted_ptr_or_null_task_struct'", "null", 2},
		{"R8 !read_ok", "uninitialized", 8},
		{"R2 unbounded memory access, use 'var &= const' or 'if (var < const)'", "size", 2},
		{"R2 min value is negative, either use unsigned or 'var &= const'", "size", 2},
		{"R1 min value is negative, either use unsigned index or do a if (index >=0) check.", "bounds", 1},
		{"value -2147483648 makes map_value pointer be out of bounds", "unbounded", -1},
		{"dereference of modified ctx ptr R1 off=8 disallowed", "context", 1},
		{"R1 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem", "argument", 1},
		{"R1 is of type struct sock but task_struct is expected", "argument", 1},
		{"At program exit the register R0 has unknown scalar value should have been in (0x0; 0x1)", "return value", 0},
		{"At program exit the register R0 has smin=0 smax=255 should have been in [0, 1]", "return value", 0},
		{"BPF program is too large. Processed 1000001 insn", "complexity", -1},
		{"The sequence of 8193 jumps is too complex.", "complexity", -1},
		{"infinite loop detected at insn 5", "infinite loop", -1},
		{"back-edge from insn 7 to 3", "infinite loop", -1},
		{"cannot call GPL-restricted function from non-GPL compatible program", "license", -1},
		{"program of this type cannot use helper bpf_probe_read#4", "helper", -1},
		{"unknown func bpf_get_func_ip#173", "helper", -1},
		{"Possibly NULL pointer passed to trusted arg0", "null", -1},
		{"Expected an initialized dynptr as arg #1", "argument", -1},
		{"combined stack size of 2 calls is 544. Too large", "stack depth", -1},
		{"access beyond struct task_struct at off 9999 size 8", "bounds", -1},
		{"invalid indirect read from stack R2 off -16+4 size 16", "stack", -1},
		{"invalid read from stack R10 off=-520 size=8", "bounds", 10},
		{"BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region", "lock", -1},
		{"function calls are not allowed while holding a lock", "lock", -1},
		{"misaligned stack access off (0x0; 0x0)+0+-13 size 4", "alignment", -1},
		{"unreachable insn 3", "unreachable", -1},
		{"unknown opcode 06", "opcode", -1},
	} {
		f := recognise([]string{test.message})
		if f.rule != test.rule || f.reg != test.reg || f.text == "" {
			t.Errorf("%s: %+v", test.message, f)
		}
	}
}

// TestNoMessage gives what is no log.
func TestNoMessage(t *testing.T) {
	for _, text := range []string{"", "\n", "hello\nworld\n"} {
		if _, err := Explain(text); !errors.Is(err, ErrNoMessage) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzExplain asks that no text makes it fail.
func FuzzExplain(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := Explain(text); err == nil && e.String() == "" {
			t.Error("nothing is said")
		}
	})
}
