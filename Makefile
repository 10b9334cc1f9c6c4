# Everything here needs Go and make, nothing else. PostgreSQL is used where it is
# installed.

GO       ?= go
FUZZTIME ?= 10000x
BENCHFLAGS ?=
SOAKTIME ?= 60s

# The race detector needs a C compiler; without one the tests run without it.
RACE := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

# How many tests of a package run at a time: they wait for PostgreSQL more than they work.
PARALLEL ?= 4

# The long tests end in _Long (package walsender/walsendertest/longtest). With "all" they are
# as long as they can be: every combination, a million files.
PGPARALLEL_LONG ?= 1
LONG := PGPARALLEL_LONG=$(PGPARALLEL_LONG) PGPARALLEL_SOAK=$(SOAKTIME) .ci/in-memory $(GO) test $(RACE) -parallel $(PARALLEL) -count=1 -v -timeout 60m

# What --version tells where Go finds no commit: in a work tree of git worktree.
BUILDFLAGS = -trimpath -ldflags '-X main.commit=$(shell git rev-parse HEAD 2>/dev/null)$(shell test -z "$$(git status --porcelain 2>/dev/null)" || echo +dirty) -X main.committed=$(shell git log -1 --format=%cI 2>/dev/null)'

# The platforms that it has to compile for, besides this one. The last is big-endian.
PLATFORMS := linux/arm64 darwin/arm64 freebsd/amd64 linux/s390x

.PHONY: help build install uninstall deb rpm run test lint platforms fuzz bench microbench conform soak postgres check-long check-upstream

help:
	@echo 'make build   build pgparallel into this directory'
	@echo 'make install install what make build has built, with manual pages, completion and the'
	@echo '             systemd unit, below PREFIX ($(PREFIX)); make uninstall removes them'
	@echo 'make deb rpm make the packages, in dist; packaging/test installs and removes them'
	@echo 'make run     show it at work: make a cluster, serve it, back it up, restore it'
	@echo 'make test    run all tests but the long ones, with the race detector where there is a C compiler'
	@echo 'make check-long run the long tests: every major of PostgreSQL, many files, soaks of SOAKTIME'
	@echo 'make check-upstream run PostgreSQL'"'"'s own tests of pg_basebackup and pg_verifybackup with pgparallel in their place'
	@echo 'make lint    check formatting, go vet, staticcheck'
	@echo 'make postgres fetch every major of PostgreSQL that the tests know, into a cache folder'
	@echo 'make platforms check that it compiles for $(PLATFORMS)'
	@echo 'make soak    take many backups with random faults for SOAKTIME ($(SOAKTIME))'
	@echo 'make fuzz    run every fuzz target for FUZZTIME ($(FUZZTIME))'
	@echo 'make bench   take backups side by side with pg_basebackup and others, and print a table;'
	@echo '             BENCHFLAGS="-size 200MB -rounds 3 -only unix" is a quick one'
	@echo 'make microbench run the Go benchmarks'
	@echo 'make conform run the conformance kit against pgparallel backup'

build:
	$(GO) build $(BUILDFLAGS) -o pgparallel ./cmd/pgparallel

# Where things lie on Linux and where the BSDs look for them as well.
PREFIX   ?= /usr/local
BINDIR   := $(DESTDIR)$(PREFIX)/bin
MANDIR   := $(DESTDIR)$(PREFIX)/share/man/man1
SHAREDIR := $(DESTDIR)$(PREFIX)/share/pgparallel
UNITDIR  := $(DESTDIR)$(PREFIX)/lib/systemd/system
BASHDIR  := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSHDIR   := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISHDIR  := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
# The program to install, and one that runs here: they differ where the first is for another
# machine.
PROGRAM  ?= pgparallel
HERE     ?= $(PROGRAM)

install:
	@test -x $(PROGRAM) || { echo 'first: make build' >&2; exit 1; }
	install -d $(BINDIR) $(MANDIR) $(UNITDIR) $(BASHDIR) $(ZSHDIR) $(FISHDIR) $(SHAREDIR)
	install -m 755 $(PROGRAM) $(BINDIR)/pgparallel
	./$(HERE) man $(MANDIR)
	gzip -9nf $(MANDIR)/pgparallel.1 $(MANDIR)/pgparallel-*.1
	./$(HERE) completion bash >$(BASHDIR)/pgparallel
	./$(HERE) completion zsh >$(ZSHDIR)/_pgparallel
	./$(HERE) completion fish >$(FISHDIR)/pgparallel.fish
	sed 's:/usr/bin/:$(PREFIX)/bin/:; s:/usr/share/:$(PREFIX)/share/:' packaging/systemd/pgparallel@.service >$(UNITDIR)/pgparallel@.service
	install -m 644 packaging/example.conf $(SHAREDIR)/example.conf
	chmod 644 $(MANDIR)/pgparallel*.1.gz $(BASHDIR)/pgparallel $(ZSHDIR)/_pgparallel \
		$(FISHDIR)/pgparallel.fish $(UNITDIR)/pgparallel@.service

uninstall:
	rm -f $(BINDIR)/pgparallel $(MANDIR)/pgparallel.1.gz $(MANDIR)/pgparallel-*.1.gz \
		$(UNITDIR)/pgparallel@.service $(BASHDIR)/pgparallel $(ZSHDIR)/_pgparallel $(FISHDIR)/pgparallel.fish \
		$(SHAREDIR)/example.conf

# Packages are made by a pinned nfpm, which is no dependency of the module. VERSION is that of
# the tag, or one before every release.
NFPM     := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.42.0
ARCH     ?= $(shell $(GO) env GOARCH)
VERSION  ?= $(or $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v*' 2>/dev/null)),$\
              0.0.0~$(shell git log -1 --format=%cd.%h --date=format:%Y%m%d%H%M%S 2>/dev/null))

deb rpm: build
	rm -rf dist/root
	CGO_ENABLED=0 GOARCH=$(ARCH) $(GO) build $(subst -ldflags ',-ldflags '-s -w ,$(BUILDFLAGS)) -o dist/pgparallel ./cmd/pgparallel
	$(MAKE) install DESTDIR=dist/root PREFIX=/usr PROGRAM=dist/pgparallel HERE=pgparallel
	test ! -d packaging/grafana || { install -d dist/root/usr/share/pgparallel && cp -r packaging/grafana dist/root/usr/share/pgparallel; }
	VERSION='$(VERSION)' ARCH=$(ARCH) $(GO) run $(NFPM) package --config packaging/nfpm.yaml --packager $@ --target dist

run:
	$(GO) run ./cmd/pgparallel demo

test:
	.ci/in-memory $(GO) test $(RACE) -parallel $(PARALLEL) -timeout 30m ./...

# Both kinds take SOAKTIME each. They print their seeds; PGPARALLEL_SOAK_SEED replays one.
soak:
	$(LONG) -run '^TestSoak(Live)?_Long$$' ./cmd/pgparallel/acceptance

postgres:
	walsender/walsendertest/postgres/fetch

check-upstream: postgres
	.ci/in-memory cmd/pgparallel/testdata/upstream/run

check-long: postgres
	PGPARALLEL_REQUIRE_POSTGRES=1 $(LONG) -run '_Long$$' ./...

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# The tests too: they must compile where somebody may run them.
platforms:
	@set -e; for platform in $(PLATFORMS); do \
		echo "go vet for $$platform"; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) vet ./...; \
	done

# A run of go test takes one target of one package only. Where goroutines take turns, an
# input covers other code each time, and Go would spend the whole time on minimizing it.
# FUZZTIME is a number of inputs: at the end of a time Go may report "context deadline
# exceeded" where nothing failed (go.dev/issue/75804; mended in Go 1.27).
fuzz:
	@set -e; grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | \
	while IFS=: read -r file target; do \
		package=$${file%/*} target=$${target#func }; \
		echo "fuzz $$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$package; \
	done

# The Go benchmarks are under microbench.
bench:
	$(GO) run ./cmd/bench $(BENCHFLAGS)

microbench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

conform: build
	./pgparallel conform --strict -- ./pgparallel backup -h {host} -p {port} -D {dir} \
		-j {jobs} --min-jobs={min-jobs} -X {wal} -T {tablespace-old}={tablespace-new}
