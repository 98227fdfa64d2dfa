GO = CGO_ENABLED=0 go
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
KERNEL = all
RUN =
PKG = ./...
JSON =

# Where the machine of package vm runs besides Linux. The tests of vm itself and of its verifier need Linux.
ELSEWHERE = darwin/arm64 darwin/amd64 windows/amd64

# The long run: how many programs, from which seed on, and how long each fuzzer of the packages in FUZZ.
PROGRAMS = 1000000
SEED = $(shell date +%s)
FUZZ = .
FUZZTIME = 1m

# Inlining gains no time in these packages, and costs more than half a megabyte.
SMALL = -gcflags='skep/lang/...=-l' -gcflags='skep/app/...=-l' -gcflags='skep/cmd/...=-l' \
	-gcflags='github.com/ianlancetaylor/demangle=-l' -gcflags='github.com/cilium/ebpf/...=-l' \
	-gcflags='skep/vm/verifier=-l' -gcflags='skep/vm/disasm=-l' -gcflags='skep/vm/kernellog=-l' -gcflags='skep/vm/witness=-l' \
	-gcflags='skep/host/user=-l' -gcflags='skep/host/replay=-l' -gcflags='skep/recording=-l' -gcflags='compress/flate=-l' \
	-gcflags='debug/...=-l' -gcflags='regexp/...=-l' -gcflags='fmt=-l' -gcflags='time=-l'

bin/skep: FORCE
	@$(GO) run ./app/tools/genpacked > app/tools/scripts.packed
	$(GO) build -trimpath -tags packed $(SMALL) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/skep ./cmd/skep

# Not by go run, which does not pass on signals: guests would outlive a make that is told to end.
bin/ktest: FORCE
	@$(GO) build -o bin/ktest ./internal/ktest/cmd

# What skep is for, in a few seconds: the system calls of this machine.
run: bin/skep
	bin/skep examples/overview.bt

# One package at a time: tests that measure would see what those of another package do. The matrix has the rest, and the live kernel too.
test: bin/ktest bin/skep lint
	bin/ktest setup -optional
	$(GO) test -p 1 -timeout 5m $$(bin/ktest others)
	exec bin/ktest run -kernel "$(KERNEL)" ./...

quick: lint
	$(GO) test -timeout 5m ./...

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt these files:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	GOARCH=arm64 $(GO) vet ./...
	@set -e; for target in $(ELSEWHERE); do \
		export GOOS=$${target%/*} GOARCH=$${target#*/}; echo "building the machine for $$target"; \
		$(GO) build ./vm/...; $(GO) vet $$($(GO) list ./vm/... | grep -v -e '/vm$$' -e '/verifier$$'); done

setup: bin/ktest
	bin/ktest setup

test-kernels: bin/ktest
	exec bin/ktest run -kernel "$(KERNEL)" -run "$(RUN)" -json "$(JSON)" $(PKG)

shell: bin/ktest
	exec bin/ktest shell -kernel "$(KERNEL)"

# A million programs on the interpreter, the JIT and this kernel, as they are and spoilt, and then every fuzzer.
fuzz:
	SKEP_PROGRAMS=$(PROGRAMS) SKEP_SEED=$(SEED) $(GO) test -count 1 -timeout 0 -run 'Kernel|Random|Mutations' -v ./vm/enginetest ./vm/jit
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' $(FUZZ) | sort | while read file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$file); do echo "$$name of $$(dirname $$file)"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file); done; done

bench: bin/skep
	$(GO) run ./internal/bench

# What the verifier accepts is run, and must stay within what it knows.
oracle:
	SKEP_ORACLE=$(PROGRAMS) SKEP_SEED=$(SEED) $(GO) test -timeout 0 -run TestOracle -v ./vm/verifier

FORCE:
.PHONY: run test quick lint setup test-kernels shell fuzz oracle bench FORCE
