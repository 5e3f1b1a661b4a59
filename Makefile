export GOFLAGS := -trimpath
export CGO_ENABLED := 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE ?= ghcr.io/eks-recycle/step:$(VERSION)
# Whatever builds a Dockerfile: docker, podman or buildah.
IMAGE_BUILDER ?= docker
IMAGE_FLAGS ?=
SANDBOX := @go run ./internal/sandbox/cmd/launch

LINT_VERSION := v2.15.0
LINT := $(CURDIR)/.sandbox/cache/tools/golangci-lint-$(LINT_VERSION)/golangci-lint
GOTESTSUM_VERSION := v1.13.0
GOTESTSUM := $(CURDIR)/.sandbox/cache/tools/gotestsum-$(GOTESTSUM_VERSION)/gotestsum
# What each part of the checks leaves for the report at the end.
REPORTS := .sandbox/reports
GOTEST = @mkdir -p $(REPORTS) && $(GOTESTSUM) --jsonfile-timing-events $(REPORTS)/$@.json --
PARTS := @MAKE='$(MAKE)' REPORTS=$(REPORTS) GOTESTSUM=$(GOTESTSUM) test/parts.sh

.DEFAULT_GOAL := help
.PHONY: help build image check test lint unit crashes schedules templates docs e2e demo sandbox-up sandbox-down bench soak compat contract

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/step
	go build -ldflags "-s -w -X main.version=$(VERSION)" -o bin/step ./cmd/step

image: ## build the container image, with IMAGE_BUILDER=docker, podman or buildah
	$(IMAGE_BUILDER) build $(IMAGE_FLAGS) --build-arg VERSION=$(VERSION) -t $(IMAGE) .

check: $(GOTESTSUM) ## before a commit: lint, unit, 1,000 random schedules, templates, docs
	$(PARTS) lint unit schedules templates docs

check: export SCHEDULES ?= 1000

test: $(GOTESTSUM) ## run everything: what check runs, with all random schedules; crashes; e2e
	$(PARTS) lint unit crashes schedules templates docs e2e

lint: $(LINT) ## lint the code, import doors included
	$(LINT) run --allow-parallel-runners ./...

# Minutes of whole recycles in virtual time, too long for what is run before each commit.
CRASHES := ^(TestCrashAtEveryCall|TestFleetOfManyNodes)$$

unit: $(GOTESTSUM) ## unit tests, whole recycles against the simulator
	$(GOTEST) -timeout 15m -skip '^TestRandomSchedules$$|$(CRASHES)' ./cmd/... ./internal/... ./test/contract/...

# Not by go test, which would neither pass on a signal nor let a run clean up that takes longer than its timeout.
contract: ## hold AWS to what recycles rely on: simulated, or real with CONTRACT_AWS=1 CONTRACT_SUBNET=subnet-…
	go test -c -o bin/contract.test ./test/contract
	@cd test/contract && exec ../../bin/contract.test -test.v -test.run '^TestContract$$'

crashes: $(GOTESTSUM) ## a crash at every call of a recycle, and fleets of many nodes
	$(GOTEST) -timeout 15m -run '$(CRASHES)' ./internal/cli

schedules: $(GOTESTSUM) ## play 20,000 random schedules, or SCHEDULES
	$(GOTEST) -timeout 30m -run '^TestRandomSchedules$$' ./internal/cli

templates: $(GOTESTSUM)
	$(GOTEST) ./test/workflows/...
	# Anew each time: the go command does not notice that files outside of a module have changed.
	@cd test/argo4 && $(GOTESTSUM) --jsonfile-timing-events ../../$(REPORTS)/argo4.json -- -count=1 ./...

docs: $(GOTESTSUM)
	$(GOTEST) ./test/docs/...

e2e: $(GOTESTSUM) ## recycle nodes of a real local cluster; needs root on Linux
	$(GOTEST) -count=1 -timeout 30m -parallel 16 ./test/e2e/...

# What a version of Argo or Kubernetes can break: retries, stopping, locks, exit handlers, one workflow that makes others, schedules.
COMPAT := ^(TestRecycle|TestStoppedAndSubmittedAgain|TestSubmitsOfOneNode|TestFleetIsStoppedWithItsRecycles|TestCronWorkflowsAreFiredOnTheirSchedule)$$

compat: export SANDBOX_RELEASE := oldest
compat: $(GOTESTSUM) ## recycle nodes on the oldest Kubernetes and Argo supported, which it builds first; needs root on Linux
	$(GOTEST) -count=1 -timeout 30m -parallel 8 -run '$(COMPAT)' ./test/e2e

demo: ## recycle one node of a local cluster before your eyes; needs root on Linux
	$(SANDBOX) demo

sandbox-up: ## start that cluster and leave it running
	$(SANDBOX) up

sandbox-down: ## stop it
	$(SANDBOX) down

# How long, such as 90m or 8h.
SOAK ?= 9999h

soak: ## play random schedules for SOAK, or until interrupted
	go test -c -o bin/soak.test ./internal/cli
	cd internal/cli && SCHEDULES_UNTIL=$(SOAK) ../../bin/soak.test -test.run TestRandomSchedules -test.v -test.timeout 0

bench: ## memory, time and calls of a big drain, of selecting 5,000 nodes, of a fleet of 1,000
	go test -run '^$$' -bench . -benchmem ./internal/drain/... ./internal/cli/...
	FLEET_NODES=1000 go test -count=1 -timeout 30m -run TestFleetOfManyNodes -v ./internal/cli

# Built by the toolchain of this module: a linter must not be older than the Go it reads.
$(LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

$(GOTESTSUM):
	GOBIN=$(@D) go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
