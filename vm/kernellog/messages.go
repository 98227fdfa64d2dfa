package kernellog

import (
	"strings"
)

// A found message is what was recognised.
type found struct {
	rule, text, advice string
	known              string // what the message itself says of the register
	reg                int    // that it is about, -1 if none
	insn               int    // that it names, -1 if none
	from               int    // where something was acquired
	pointer            bool   // what matters is what was added to the register
}

// A message is one of the kernel's, as a pattern, and the same in other words: $1 is what the first bracket has found.
type message struct {
	pattern pattern
	rule    string
	text    string
	reg     int // the bracket with the register, 0 if there is none
	insn    int // the bracket with an instruction
	from    int // the bracket with the instruction that has acquired something
	pointer bool
	known   string // as text
	advice  string
}

const (
	adviseNull     = "compare it with 0 right after the call, and use it only where it is not: if (!p) return 0;"
	adviseBounds   = "compare the index with the size before it is used (as an unsigned number), or mask it: if (i >= SIZE) return 0;"
	advisePacket   = "compare with data_end as many bytes as are accessed, from the same pointer: if (p + N > data_end) return 0;"
	adviseWrite    = "set it before it is read; r1 to r5 are gone after every call"
	adviseStack    = "initialise the whole variable, padding included: struct x v = {};"
	adviseRelease  = "release it on this path too, before the end"
	adviseRead     = "read it with bpf_probe_read_kernel or BPF_CORE_READ, or get the pointer from something that the kernel trusts"
	adviseSize     = "give the size bounds before the call: if (n > sizeof(buf)) return 0; or n &= sizeof(buf) - 1;"
	adviseLoop     = "bound the loop by a constant, use bpf_loop or an iterator, or move its body to a global function"
	adviseHelper   = "use a helper that this type of program has on this kernel"
	adviseCompiler = "this comes from how the code was generated: a newer clang, or an intermediate variable, may change it"
)

// recognise finds what the first known message says. What follows it may say more.
func recognise(lines []string) found {
	for i, line := range lines {
		for j := range messages {
			m := &messages[j]
			got := m.pattern.find(line)
			if got == nil {
				continue
			}
			f := found{rule: m.rule, text: fill(m.text, got), known: fill(m.known, got), advice: m.advice, reg: -1, insn: -1, from: -1, pointer: m.pointer}
			if m.reg > 0 {
				f.reg = number(got[m.reg])
			}
			if m.insn > 0 {
				f.insn = number(got[m.insn])
			}
			if m.from > 0 {
				f.from = number(got[m.from])
			}
			if i+1 < len(lines) {
				f.more(recognise(lines[i+1:]))
			}
			return f
		}
	}
	return found{reg: -1, insn: -1, from: -1}
}

// more adds what a second line of a message says.
func (f *found) more(g found) {
	if g.rule == "" {
		return
	}
	if f.reg < 0 {
		f.reg = g.reg
	}
	f.text += ": " + g.text
	f.pointer = f.pointer || g.pointer
}

func fill(text string, got []string) string {
	for i := len(got) - 1; i > 0; i-- {
		text = strings.ReplaceAll(text, "$"+itoa(i), got[i])
	}
	return text
}

// messages are those of Linux 5.10 to 6.18. The more special ones come first.
var messages = []message{
	// Pointers that may be null, and what is none.
	{pattern: pattern{text: `^R(\d+) invalid mem access '(\w*)_or_null_?'`}, rule: "null", text: "r$1 may be null: it must be compared with 0 first", reg: 1, advice: adviseNull},
	{pattern: pattern{text: `^R(\d+) invalid mem access '\w*ptr_or_null_(\w*)'`}, rule: "null", text: "r$1, a pointer to struct $2, may be null", reg: 1, advice: adviseNull},
	{pattern: pattern{text: `^R(\d+) invalid mem access '(?:inv|scalar)'`}, rule: "not a pointer", text: "r$1 is a number and not a pointer: it cannot be followed", reg: 1, advice: adviseRead},
	{pattern: pattern{text: `^R(\d+) invalid mem access '(\w+)'`}, rule: "not a pointer", text: "r$1 is a $2: it cannot be followed", reg: 1, advice: adviseRead},
	{pattern: pattern{text: `^R(\d+) type=(\S*_or_null\S*) expected=(.*)`}, rule: "null", text: "r$1 may be null, and is given to a function", reg: 1, advice: adviseNull},
	{pattern: pattern{text: `[Pp]ossibly NULL pointer passed to (?:trusted )?(?:helper )?arg#?(\d+)`}, rule: "null", text: "argument $1 may be null", advice: adviseNull},
	{pattern: pattern{text: `^R(\d+) pointer arithmetic on (\S*_or_null\S*) prohibited`}, rule: "null", text: "r$1 may be null: compare it with 0 before adding to it", reg: 1, advice: adviseNull},
	{pattern: pattern{text: `^R(\d+) !read_ok`}, rule: "uninitialized", text: "r$1 is read but has no value here", reg: 1, advice: adviseWrite},

	// Bounds.
	{pattern: pattern{text: `^invalid access to map value, value_size=(\d+) off=(-?\d+) size=(\d+)`}, rule: "bounds", text: "an access of $3 bytes at offset $2 does not lie inside of a map's value, which has $1 bytes", pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^invalid access to map key, key_size=(\d+) off=(-?\d+) size=(\d+)`}, rule: "bounds", text: "an access of $3 bytes at offset $2 does not lie inside of a map's key, which has $1 bytes", pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^invalid access to memory, mem_size=(\d+) off=(-?\d+) size=(\d+)`}, rule: "bounds", text: "an access of $3 bytes at offset $2 does not lie inside of memory of $1 bytes", pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^invalid access to packet, off=(-?\d+) size=(\d+), R(\d+)\(id=\d+,off=-?\d+,r=(-?\d+)\)`}, rule: "bounds", text: "$2 bytes of the packet at offset $1 are accessed, of which a comparison with its end has shown $4", reg: 3, pointer: true, known: "a pointer into the packet, which is known to have $4 bytes", advice: advisePacket},
	{pattern: pattern{text: `^R(\d+) offset is outside of the packet`}, rule: "bounds", text: "r$1 may lead outside of the packet", reg: 1, advice: advisePacket},
	{pattern: pattern{text: `^R(\d+) max value is outside of the (?:allowed memory range|array range)`}, rule: "bounds", text: "r$1 may lie behind its end", reg: 1, pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^R(\d+) min value is outside of the (?:allowed memory range|array range)`}, rule: "bounds", text: "r$1 may lie before its start", reg: 1, pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^R(\d+) min value is negative, either use unsigned index`}, rule: "bounds", text: "the offset of r$1 may be negative", reg: 1, pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^R(\d+) unbounded memory access, make sure to bounds check`}, rule: "bounds", text: "the offset of r$1 has no upper bound", reg: 1, pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^R(\d+) is outside of the allowed memory range`}, rule: "bounds", text: "r$1 leads outside of the memory that it was given for", reg: 1, pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^R(\d+) is ptr_(\w+) invalid (variable|negative) (?:access|offset)`}, rule: "bounds", text: "r$1: the offset in struct $2 must be known and not negative", reg: 1, advice: adviseBounds},
	{pattern: pattern{text: `^access beyond struct (\w+) at off (-?\d+) size (\d+)`}, rule: "bounds", text: "$3 bytes at offset $2 do not lie in struct $1", advice: "the program was built for other structs: use CO-RE"},
	{pattern: pattern{text: `^access beyond the end of member (\w+) .*struct (\w+)`}, rule: "bounds", text: "the access goes past member $1 of struct $2", advice: "load the member with its own size"},
	{pattern: pattern{text: `^math between (\w+) pointer and register with unbounded (min|max) value`}, rule: "unbounded", text: "the number that is added to a $1 pointer has no bound ($2)", advice: adviseBounds},
	{pattern: pattern{text: `^value (-?\d+) makes (\w+) pointer be out of bounds`}, rule: "unbounded", text: "the number that is added to a $2 pointer may be $1, far outside of it", advice: adviseBounds},
	{pattern: pattern{text: `^(\w+) pointer offset (-?\d+) is not allowed`}, rule: "pointer arithmetic", text: "the offset $2 of a $1 pointer is too large"},
	{pattern: pattern{text: `^math between (\w+) pointer and (-?\d+) is not allowed`}, rule: "pointer arithmetic", text: "the offset $2 from a $1 pointer is too large"},

	{pattern: pattern{text: `^dereference of modified ctx ptr R(\d+)`}, rule: "context", text: "r$1 was moved away from the start of the context", reg: 1, advice: adviseCompiler},

	// Pointer arithmetic.
	{pattern: pattern{text: `^R(\d+) 32-bit pointer arithmetic prohibited`}, rule: "pointer arithmetic", text: "r$1: pointers are 64 bits wide, this operation changes 32", reg: 1, advice: adviseCompiler},
	{pattern: pattern{text: `^R(\d+) bitwise operator (\S+) on pointer prohibited`}, rule: "pointer arithmetic", text: "r$1: only addition and subtraction are allowed on pointers", reg: 1, advice: adviseCompiler},
	{pattern: pattern{text: `^R(\d+) pointer arithmetic with (\S+) operator prohibited`}, rule: "pointer arithmetic", text: "r$1: only addition and subtraction are allowed on pointers", reg: 1, advice: adviseCompiler},
	{pattern: pattern{text: `^R(\d+) pointer arithmetic on (\S+) prohibited`}, rule: "pointer arithmetic", text: "r$1 is a $2: nothing can be added to it", reg: 1},
	{pattern: pattern{text: `^R(\d+) pointer (\S+) pointer prohibited`}, rule: "pointer arithmetic", text: "two pointers are combined: they can be subtracted only", reg: 1},
	{pattern: pattern{text: `^R(\d+) tried to subtract pointer from scalar`}, rule: "pointer arithmetic", text: "a pointer cannot be subtracted from the number in r$1", reg: 1},
	{pattern: pattern{text: `^R(\d+) subtraction from stack pointer prohibited`}, rule: "pointer arithmetic", text: "r$1: nothing can be subtracted from a pointer to the stack; add a negative number", reg: 1},
	{pattern: pattern{text: `^R(\d+) (?:has unknown scalar|tried to add|tried to sub)`}, rule: "pointer arithmetic", text: "r$1: this cannot be added to a pointer", reg: 1},

	// The stack.
	{pattern: pattern{text: `^invalid (?:indirect )?read from stack (?:R\d+ )?(?:var_)?off (\S+?)\+(\d+) size (\d+)`}, rule: "stack", text: "the stack at offset $1 is read, but byte $2 of $3 was never written", advice: adviseStack},
	{pattern: pattern{text: `^invalid read from stack R(\d+) off=(\d+|-(?:5(?:1[3-9]|[2-9]\d)|[6-9]\d\d|\d{4,})) size=(\d+)`}, rule: "bounds", text: "a read of $3 bytes at offset $2 does not lie inside of the stack, which has offsets -512 to -1", reg: 1, advice: adviseBounds},
	{pattern: pattern{text: `^invalid read from stack R(\d+) off=(-?\d+) size=(\d+)`}, rule: "stack", text: "a read of $3 bytes at offset $2 of the stack: it was never written, or does not lie inside", reg: 1, advice: adviseStack},
	{pattern: pattern{text: `^invalid write to stack R(\d+) off=(-?\d+) size=(\d+)`}, rule: "bounds", text: "a write of $3 bytes at offset $2 does not lie inside of the stack, which has offsets -512 to -1", reg: 1, advice: adviseBounds},
	{pattern: pattern{text: `^invalid (?:stack off|stack type R\d+ off)=(-?\d+) (?:access_)?size=(-?\d+)`}, rule: "bounds", text: "an access of $2 bytes at offset $1 does not lie inside of the stack", advice: adviseBounds},
	{pattern: pattern{text: `^invalid variable-offset read from stack R(\d+)`}, rule: "stack", text: "the stack is read at an offset that is not known here (r$1)", reg: 1, pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^invalid (?:zero-size|zero-sized|variable-offset|unbounded variable-offset|indirect access).* stack R(\d+)`}, rule: "bounds", text: "the access of the stack through r$1 may lie outside of it, or its size is not allowed", reg: 1, pointer: true, advice: adviseBounds},
	{pattern: pattern{text: `^invalid size of register (spill|fill)`}, rule: "fill", text: "a pointer in the stack must be stored and read as a whole ($1)", advice: adviseCompiler},
	{pattern: pattern{text: `^corrupted spill memory|attempt to corrupt spilled pointer`}, rule: "fill", text: "a pointer stored in the stack is read or overwritten in part", advice: adviseCompiler},
	{pattern: pattern{text: `^R(\d+) leaks addr`}, rule: "spill", text: "the pointer in r$1 would become visible outside of the program", reg: 1},
	{pattern: pattern{text: `^cannot spill pointers to stack into stack frame of the caller`}, rule: "spill", text: "a pointer to the stack cannot be stored in the caller's stack"},
	{pattern: pattern{text: `^cannot return stack pointer to the caller`}, rule: "stack", text: "a function cannot return a pointer to its stack"},
	{pattern: pattern{text: `combined stack size of (\d+) calls is (\d+)\. Too large`}, rule: "stack depth", text: "the functions that call each other ($1 deep) need $2 bytes of stack, at most 512 are allowed", advice: "move large variables to a per-CPU array"},
	{pattern: pattern{text: `^stack size of subprog \d+ is (\d+)\. Too large|stack size (\d+)\.? ?[Tt]oo large`}, rule: "stack depth", text: "a function needs more than the 512 bytes of stack that are allowed", advice: "move large variables to a per-CPU array"},
	{pattern: pattern{text: `tail_calls are not allowed when call stack of previous frames is (\d+) bytes`}, rule: "stack depth", text: "a tail call needs 256 bytes of stack, and its callers use $1", advice: "make the functions before the tail call use less stack"},
	{pattern: pattern{text: `the call stack of (\d+) frames is too deep`}, rule: "call depth", text: "the calls are $1 deep, at most 8 are allowed", advice: "let functions be inlined: static __always_inline"},
	{pattern: pattern{text: `recursive call|is recursive`}, rule: "recursion", text: "functions may not call themselves"},

	// References and locks.
	{pattern: pattern{text: `^Unreleased reference id=\d+ alloc_insn=(\d+)`}, rule: "reference", text: "what was acquired at instruction $1 is not released", from: 1, advice: adviseRelease},
	{pattern: pattern{text: `would lead to reference leak`}, rule: "reference", text: "something that was acquired is not released here", advice: adviseRelease},
	{pattern: pattern{text: `^R(\d+) must be referenced when passed to release`}, rule: "reference", text: "r$1 has not been acquired, so it cannot be released", reg: 1},
	{pattern: pattern{text: `^release (?:helper|kernel function) \S+ expects referenced`}, rule: "reference", text: "what is released has not been acquired", advice: "release what the acquiring call returned, once"},
	{pattern: pattern{text: `^(?:R(\d+) must have zero offset|dereference of modified (\S+) ptr R(\d+) off=(-?\d+) disallowed)`}, rule: "offset", text: "a pointer that must be as it was got has been moved", advice: "give the pointer itself; keep a moved copy in another variable"},
	{pattern: pattern{text: `function calls are not allowed while holding a lock`}, rule: "lock", text: "nothing may be called while a lock is held, except what gives it back", advice: "call before the lock is taken, or after it is given back"},
	{pattern: pattern{text: `spin_lock-ed region|bpf_spin_unlock is missing|cannot be used inside bpf_.*lock`}, rule: "lock", text: "the lock or section is still held here", advice: "give it back on this path too"},
	{pattern: pattern{text: `^Locking two bpf_spin_locks are not allowed|Acquiring .* while holding`}, rule: "lock", text: "a lock is held already"},
	{pattern: pattern{text: `bpf_spin_unlock (?:without taking a lock|of different lock)`}, rule: "lock", text: "the lock that is given back is not held"},
	{pattern: pattern{text: `bpf_spin_lock cannot be accessed directly|cannot be accessed directly by load/store`}, rule: "special field", text: "locks, timers and the like are for their helpers only"},
	{pattern: pattern{text: `doesn't have bpf_spin_lock|has no valid bpf_(\w+)|bpf_spin_lock(?:'s offset| at off)`}, rule: "lock", text: "the value of the map has no lock there, or no BTF that tells"},

	// Context, types and arguments.
	{pattern: pattern{text: `^invalid bpf_context access off=(-?\d+) size=(\d+)`}, rule: "context", text: "$2 bytes at offset $1 of the context cannot be accessed by programs of this type", advice: "use the fields that this type of program has, in their own sizes"},
	{pattern: pattern{text: `^(?:variable|negative offset) ctx access`}, rule: "context", text: "fields of the context are accessed at constant offsets only", advice: adviseCompiler},
	{pattern: pattern{text: `^BPF_ST stores into R(\d+) ctx is not allowed`}, rule: "context", text: "constants cannot be stored in the context (r$1), only registers", reg: 1},
	{pattern: pattern{text: `^BPF_(?:ST|ATOMIC|XADD)\S* (?:stores|atomic stores) into R(\d+) (\S+) is not allowed`}, rule: "atomic", text: "this kind of store into a $2 (r$1) is not allowed", reg: 1},
	{pattern: pattern{text: `^R(\d+) type=(\S+) expected=(.*)`}, rule: "argument", text: "r$1 is a $2, and must be one of: $3", reg: 1},
	{pattern: pattern{text: `^R(\d+) is of type (.*) but (.*) is expected`}, rule: "argument", text: "r$1 points to $2, and must point to $3", reg: 1},
	{pattern: pattern{text: `^R(\d+) min value is negative, either use unsigned or`}, rule: "size", text: "the size in r$1 may be negative", reg: 1, advice: adviseSize},
	{pattern: pattern{text: `^R(\d+) unbounded memory access, use`}, rule: "size", text: "the size in r$1 has no upper bound", reg: 1, advice: adviseSize},
	{pattern: pattern{text: `^R(\d+) invalid zero-sized read`}, rule: "size", text: "the size in r$1 may be 0, which is not allowed", reg: 1, advice: adviseSize},
	{pattern: pattern{text: `^invalid zero-sized read`}, rule: "size", text: "the size may not be 0", advice: adviseSize},
	{pattern: pattern{text: `^R(\d+)(?: must be| is not| unbounded.*| doesn't have)? ?(?:a )?(?:known|const|constant)`}, rule: "constant", text: "r$1 must be a constant that is known here", reg: 1},
	{pattern: pattern{text: `^R(\d+) cannot write into (\S+)`}, rule: "read only", text: "the function would write into r$1, a $2", reg: 1},
	{pattern: pattern{text: `^cannot write into (packet|\S+)`}, rule: "read only", text: "the $1 cannot be written"},
	{pattern: pattern{text: `^write into map forbidden`}, rule: "read only", text: "programs cannot write to this map", advice: "make the variable non-const, so that it is in .data"},
	{pattern: pattern{text: `^read from map forbidden`}, rule: "write only", text: "programs cannot read from this map"},
	{pattern: pattern{text: `^write to change key R(\d+)`}, rule: "read only", text: "the key of a map cannot be written", reg: 1},
	{pattern: pattern{text: `^only read (?:from \S+ )?is supported|cannot write into rdonly`}, rule: "read only", text: "this memory may be read and not written"},
	{pattern: pattern{text: `^helper access to the packet is not allowed`}, rule: "packet", text: "this function cannot be given memory of the packet", advice: "copy it to the stack first"},
	{pattern: pattern{text: `^invalid bpf_sock access|invalid (sock\w*|tcp_sock|xdp_sock) access`}, rule: "socket", text: "this field of a socket cannot be accessed like that"},
	{pattern: pattern{text: `^R(\d+) (?:is )?invalid (\S+) access`}, rule: "bounds", text: "r$1: this access of a $2 is not allowed", reg: 1},
	{pattern: pattern{text: `^(?:misaligned|invalid alignment|.*misaligned (?:stack|packet|value|context|pointer|access)).* access|^misaligned`}, rule: "alignment", text: "the access is not aligned to its size", advice: "access it byte by byte, or align the variable"},
	{pattern: pattern{text: `^pointer type (\S+) (\S+) mismatch|same insn cannot be used with different pointers`}, rule: "pointer arithmetic", text: "one instruction accesses different kinds of memory on different paths", advice: adviseCompiler},

	// Functions.
	{pattern: pattern{text: `^(?:unknown func|invalid func) (\S+?)#(-?\d+)`}, rule: "helper", text: "this kernel, or this type of program, has no $1", advice: adviseHelper},
	{pattern: pattern{text: `^program of this type cannot use helper (\S+?)#(\d+)`}, rule: "helper", text: "programs of this type may not call $1", advice: adviseHelper},
	{pattern: pattern{text: `^helper call is not allowed in probe|helper call might sleep|sleepable helper (\S+) in`}, rule: "sleep", text: "this helper is not allowed here: it may sleep, or programs of this type may not call it", advice: adviseHelper},
	{pattern: pattern{text: `^cannot call GPL-restricted function`}, rule: "license", text: "the function is for programs with a GPL-compatible license only", advice: `declare it: char _license[] SEC("license") = "GPL";`},
	{pattern: pattern{text: `^cannot pass map_type (\d+) into func (\S+?)#`}, rule: "map", text: "$2 does not work on maps of this type ($1)"},
	{pattern: pattern{text: `^expected prog array map for tail call`}, rule: "map", text: "a tail call needs a program array"},
	{pattern: pattern{text: `^verifier bug|^BUG|verifier internal error`}, rule: "kernel", text: "the kernel's verifier has found a mistake of its own", advice: adviseCompiler},
	{pattern: pattern{text: `^calling kernel function (\S+) is not allowed`}, rule: "helper", text: "programs of this type may not call $1", advice: adviseHelper},
	{pattern: pattern{text: `^kernel function (\S+) args#(\d+)|^arg#(\d+) .*(?:pointer|expected|must)`}, rule: "argument", text: "an argument of the function is not what its prototype names"},
	{pattern: pattern{text: `^R(\d+) must (?:be|point)|^R(\d+) (?:is not|expected|has no)`}, rule: "argument", text: "r$1$2 is not what the function wants", reg: 1},
	{pattern: pattern{text: `^Caller passes invalid args into func#(\d+)|^caller passes invalid args`}, rule: "argument", text: "a function is called with other arguments than its prototype names"},
	{pattern: pattern{text: `(?:Expected an initialized|expected an? (?:un)?initialized) (\S+)`}, rule: "argument", text: "the function wants a $1 in the state that its name tells: made before, or not yet", advice: "make it once with its constructor, and end it once on every path"},
	{pattern: pattern{text: `^At (?:program|subprogram|callback|async callback) (?:exit|return) the register R(\d+) has (.*) should have been in (.*)`}, rule: "return value", text: "what is returned (r$1 has $2) must be in $3", reg: 1, advice: "return a constant of those, or mask what is returned"},
	{pattern: pattern{text: `^At program exit the register R(\d+) is not a known value`}, rule: "return value", text: "what is returned in r$1 must be a known number", reg: 1, advice: "return a constant"},
	{pattern: pattern{text: `^At (?:\w+ )+exit the register R(\d+) is not a scalar value`}, rule: "return value", text: "what is returned in r$1 must be a number", reg: 1, advice: "return a number"},
	{pattern: pattern{text: `^R(\d+) not a scalar value`}, rule: "return value", text: "what is in r$1 must be a number", reg: 1},
	{pattern: pattern{text: `Global function (\S+?)\(\) doesn't return scalar`}, rule: "return value", text: "the global function $1 must return a number"},

	// Dynptrs, iterators, sections and what the kernel's functions are given.
	{pattern: pattern{text: `arg (\d+) is an unacquired reference`}, rule: "reference", text: "argument $1 is not held: it was never acquired, or is released already", advice: "release what was acquired, once, and nothing else"},
	{pattern: pattern{text: `^cannot overwrite referenced dynptr`}, rule: "reference", text: "a dynptr that holds something would be overwritten, and what it holds lost", advice: "submit or discard it first"},
	{pattern: pattern{text: `^release kernel function (\S+) expects refcounted`}, rule: "reference", text: "$1 releases what was acquired, and this was not", advice: "release what the acquiring function returned, once"},
	{pattern: pattern{text: `^Unsupported reg type (\S+) for (bpf_\S+)`}, rule: "argument", text: "$2 cannot be given a $1", advice: "give it memory of a map's value"},
	{pattern: pattern{text: `^expected uninitialized (\S+) as arg #(\d+)`}, rule: "argument", text: "argument $2 must be an $1 that is not in use", advice: "destroy it first, or use another one"},
	{pattern: pattern{text: `does not allow writes to packet data|no write support to (\S+) at off (\d+)`}, rule: "read only", text: "this may be read and not written by programs of this type"},
	{pattern: pattern{text: `^unmatched (?:attempt to enable preemption|rcu read unlock)|^nested rcu read lock|^cannot restore irq state out of order`}, rule: "lock", text: "sections are ended by who has begun them, in the reverse order, and not begun twice", advice: "pair begin and end on every path"},
	{pattern: pattern{text: `cannot be used inside (bpf_\w+)-ed region`}, rule: "lock", text: "the section that $1 has begun is not ended here", advice: "end it on this path too"},
	{pattern: pattern{text: `^kernel func (\S+) requires RCU critical section`}, rule: "lock", text: "$1 is called inside of a section of RCU only", advice: "call bpf_rcu_read_lock before, and bpf_rcu_read_unlock behind it"},
	{pattern: pattern{text: `^program must be sleepable to call sleepable kfunc (\S+)`}, rule: "sleep", text: "$1 may sleep, this program may not", advice: "make the program sleepable (SEC(\"fentry.s/…\") and the like), or use another function"},
	{pattern: pattern{text: `^off (\d+) doesn't point to 'struct (bpf_\w+)' that is at (\d+)`}, rule: "special field", text: "the $2 of the value is at offset $3, not at $1"},
	{pattern: pattern{text: `^(\w+) pointer in R(\d+) map_uid=\d+ doesn't match map pointer in R(\d+)`}, rule: "argument", text: "the $1 in r$2 is of another map than the one in r$3", reg: 2},
	{pattern: pattern{text: `^tracing progs cannot use (bpf_\w+)`}, rule: "map", text: "programs that trace cannot use maps with a $1 in their values"},
	{pattern: pattern{text: `^invalid access to flow keys off=(\d+) size=(\d+)`}, rule: "bounds", text: "$2 bytes at offset $1 do not lie in struct bpf_flow_keys"},
	{pattern: pattern{text: `^Invalid format string`}, rule: "constant", text: "the format does not fit the arguments, or has what the kernel does not print"},

	// Flow.
	{pattern: pattern{text: `^back-edge from insn (\d+) to (\d+)`}, rule: "infinite loop", text: "the jump from instruction $1 back to $2 makes a loop, which this kernel or program type does not allow", insn: 1, advice: adviseLoop},
	{pattern: pattern{text: `^infinite loop detected at insn (\d+)`}, rule: "infinite loop", text: "the loop at instruction $1 does not end: after a round, nothing has changed", insn: 1, advice: adviseLoop},
	{pattern: pattern{text: `^BPF program is too large\. Processed (\d+) insn`}, rule: "complexity", text: "the program is too complex: $1 instructions were walked", advice: adviseLoop},
	{pattern: pattern{text: `sequence of (\d+) jumps is too complex`}, rule: "complexity", text: "the sequence of $1 jumps is too complex", advice: adviseLoop},
	{pattern: pattern{text: `^unreachable insn (\d+)`}, rule: "unreachable", text: "instruction $1 is never reached", insn: 1},
	{pattern: pattern{text: `^jump out of range from insn (\d+) to (-?\d+)`}, rule: "jump", text: "the jump leads from instruction $1 to $2, outside of its function", insn: 1},
	{pattern: pattern{text: `^jump into the middle of ldimm64`}, rule: "jump", text: "a jump leads into the middle of a 64-bit immediate load"},
	{pattern: pattern{text: `^last insn is not an exit or jmp`}, rule: "fall through", text: "the function does not end with an exit or a jump"},
	{pattern: pattern{text: `^invalid BPF_LD_IMM insn|invalid bpf_ld_imm64|unrecognized bpf_ld_imm64|BPF_\w+ uses reserved fields|unknown opcode ([0-9a-f]+)|uses reserved fields|uses invalid atomic opcode|invalid may_goto|addr_space_cast insn|invalid atomic operand size|BPF_\w+ is not supported|unsupported`}, rule: "opcode", text: "this kernel does not know the instruction, or a part of it that must be 0 is not", advice: "compile for an older instruction set: -mcpu=v3 or -mcpu=v2"},
	{pattern: pattern{text: `^div by zero|^BPF_(?:DIV|MOD).* by 0`}, rule: "division", text: "division by zero"},
	{pattern: pattern{text: `^invalid shift (-?\d+)`}, rule: "shift", text: "shift by $1 bits"},
	{pattern: pattern{text: `^frame pointer is read only`}, rule: "frame pointer", text: "r10 is read only"},
	{pattern: pattern{text: `^R(\d+) is invalid`}, rule: "register", text: "r$1 does not exist", reg: 1},
	{pattern: pattern{text: `^fd (-?\d+) is not pointing to valid bpf_map`}, rule: "map", text: "the program refers to a map that was not made (file descriptor $1)", advice: "load the program through the collection that has its maps"},
	{pattern: pattern{text: `^func(?:tion)? .* (?:BTF|btf)|BTF (?:is|type|info)|missing btf|btf_vmlinux is malformed|attach_btf_id`}, rule: "types", text: "the program's BTF does not fit what it is attached to or what it calls", advice: "check the name that the program is attached to, on this kernel"},
	{pattern: pattern{text: `func_info doesn't match|line_info|func_info`}, rule: "types", text: "the program's BTF does not fit its functions", advice: "compile again with -g, and load the object as it is"},
	{pattern: pattern{text: `kernel subsystem misconfigured`}, rule: "kernel", text: "the kernel has not all that this program type or function needs"},
	{pattern: pattern{text: `hit verifier bug, increase LogSize`}, rule: "complexity", text: "the kernel gave up without a message, as it does when branches are too many to remember", advice: adviseLoop},
	{pattern: pattern{text: `REG INVARIANTS VIOLATION`}, rule: "complexity", text: "the kernel's own bookkeeping of ranges contradicts itself; it goes on with less knowledge", advice: adviseCompiler},
}
