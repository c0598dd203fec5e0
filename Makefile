# The tools have their versions in .ci/tools.mod, apart from go.mod, so that users of the library do not get them.
tool = go tool -modfile=.ci/tools.mod
fuzztime ?= 20s

.PHONY: all fmt lint test race bench fuzz pages ci

all: fmt lint test

fmt:
	$(tool) gofumpt -w .

lint:
	@test -z "$$($(tool) gofumpt -l .)" || { echo 'not formatted, run make fmt:'; $(tool) gofumpt -l .; exit 1; }
	go vet ./...
	$(tool) staticcheck ./...

test:
	go test ./...

race:
	go test -race ./...

# Benchmarks of the packages; count=10 and benchstat tell a difference from noise.
bench:
	go test -run '^$$' -bench . -benchmem ./...

# Every fuzz target in turn, each for fuzztime.
fuzz:
	.ci/fuzz $(fuzztime)

# The pages that are made from test names.
pages:
	go test ./internal/spec -update

ci:
	.ci/run
