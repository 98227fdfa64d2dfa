GO = CGO_ENABLED=0 go
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
KERNEL = all
RUN =
PKG = ./...
JSON =

# Inlining gains no time in these packages, and costs more than half a megabyte.
SMALL = -gcflags='skep/lang/...=-l' -gcflags='skep/app/...=-l' -gcflags='skep/cmd/...=-l' \
	-gcflags='github.com/ianlancetaylor/demangle=-l' -gcflags='github.com/cilium/ebpf/...=-l' \
	-gcflags='skep/vm/verifier=-l' -gcflags='skep/vm/disasm=-l' -gcflags='skep/host/user=-l' -gcflags='skep/host/replay=-l' -gcflags='skep/recording=-l' -gcflags='encoding/json=-l' -gcflags='compress/flate=-l' -gcflags='debug/...=-l' -gcflags='regexp/...=-l' -gcflags='fmt=-l' -gcflags='time=-l'

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

setup: bin/ktest
	bin/ktest setup

test-kernels: bin/ktest
	exec bin/ktest run -kernel "$(KERNEL)" -run "$(RUN)" -json "$(JSON)" $(PKG)

shell: bin/ktest
	exec bin/ktest shell -kernel "$(KERNEL)"

bench: bin/skep
	$(GO) run ./internal/bench

FORCE:
.PHONY: run test quick lint setup test-kernels shell bench FORCE
