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
ACTIONLINT_VERSION := v1.7.12
ACTIONLINT := $(CURDIR)/.sandbox/cache/tools/actionlint-$(ACTIONLINT_VERSION)/actionlint
GOVULNCHECK_VERSION := v1.9.0
GOVULNCHECK := $(CURDIR)/.sandbox/cache/tools/govulncheck-$(GOVULNCHECK_VERSION)/govulncheck
HELM_VERSION := v4.3.1
HELM := $(CURDIR)/.sandbox/cache/tools/helm-$(HELM_VERSION)/helm
PROMTOOL_VERSION := v0.316.0
PROMTOOL := $(CURDIR)/.sandbox/cache/tools/promtool-$(PROMTOOL_VERSION)/promtool
GOTESTSUM_VERSION := v1.13.0
GOTESTSUM := $(CURDIR)/.sandbox/cache/tools/gotestsum-$(GOTESTSUM_VERSION)/gotestsum
# What each part of the checks leaves for the report at the end.
REPORTS := .sandbox/reports
GOTEST = @mkdir -p $(REPORTS) && $(GOTESTSUM) --jsonfile-timing-events $(REPORTS)/$@.json --
PARTS := @MAKE='$(MAKE)' REPORTS=$(REPORTS) GOTESTSUM=$(GOTESTSUM) test/parts.sh

.DEFAULT_GOAL := help
.PHONY: help build image release check test lint vuln unit crashes schedules templates monitoring terraform report docs e2e demo sandbox-up sandbox-down bench soak compat contract compare

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

GO_BUILD := go build -ldflags "-s -w -X main.version=$(VERSION)"

build: ## build bin/step, and bin/kubectl-recycle, the plugin of kubectl
	$(GO_BUILD) -o bin/step ./cmd/step
	@ln -sf step bin/kubectl-recycle

# For docker a builder of the driver docker-container, or the containerd image store; podman and buildah make a manifest list.
PLATFORMS ?= linux/amd64,linux/arm64
image: ## build the container image for PLATFORMS, with IMAGE_BUILDER=docker, podman or buildah
	$(IMAGE_BUILDER) $(if $(findstring docker,$(IMAGE_BUILDER)),buildx build -t,build --manifest) $(IMAGE) --platform $(PLATFORMS) $(IMAGE_FLAGS) --build-arg VERSION=$(VERSION) .

# The plugin of kubectl is the step's program under another name.
PLUGIN_PLATFORMS ?= linux-amd64 linux-arm64 darwin-amd64 darwin-arm64

release: ## write the files of release VERSION, such as v0.1.0, to dist/
	go run ./internal/release/cmd/release $(VERSION)
	@set -e; for p in $(PLUGIN_PLATFORMS); do \
		GOOS=$${p%-*} GOARCH=$${p#*-} $(GO_BUILD) -o dist/kubectl-recycle-$$p ./cmd/step; \
	done; cd dist; sha256sum kubectl-recycle-* >> SHA256SUMS

check: $(GOTESTSUM) ## before a commit: lint, unit, vuln, 1,000 random schedules, templates, monitoring, terraform, docs
	$(PARTS) lint vuln unit schedules templates monitoring terraform docs

check: export SCHEDULES ?= 1000

test: $(GOTESTSUM) ## run everything: what check runs, with all random schedules; crashes; e2e
	$(PARTS) lint vuln unit crashes schedules templates monitoring terraform report docs e2e

lint: $(LINT) $(ACTIONLINT) ## lint the code, import doors included, and the GitHub workflows
	$(LINT) run --allow-parallel-runners ./...
	$(ACTIONLINT)

# Where the database of vulnerabilities cannot be reached, the run says that this was not run.
vuln: $(GOVULNCHECK) ## look for known vulnerabilities that the step's code reaches
	@test/vuln.sh $(GOVULNCHECK) $(REPORTS)/vuln.not-run

# Minutes of whole recycles in virtual time, too long for what is run before each commit.
CRASHES := ^(TestCrashAtEveryCall.*|TestFleetOfManyNodes)$$

unit: $(GOTESTSUM) ## unit tests, whole recycles against the simulator
	$(GOTEST) -timeout 15m -skip '^TestRandomSchedules$$|$(CRASHES)' ./cmd/... ./internal/... ./test/contract/... ./test/checks/...

# Not by go test, which would neither pass on a signal nor let a run clean up that takes longer than its timeout.
contract: ## hold AWS to what recycles rely on: simulated, or real with CONTRACT_AWS=1 CONTRACT_SUBNET=subnet-…
	go test -c -o bin/contract.test ./test/contract
	@cd test/contract && exec ../../bin/contract.test -test.v -test.run '^TestContract$$'

crashes: $(GOTESTSUM) ## a crash at every call of a recycle and of a hook's end, and fleets of many nodes
	$(GOTEST) -timeout 15m -run '$(CRASHES)' ./internal/cli

schedules: $(GOTESTSUM) ## play 20,000 random schedules, or SCHEDULES
	$(GOTEST) -timeout 30m -run '^TestRandomSchedules$$' ./internal/cli

templates: export HELM := $(HELM)
templates: $(GOTESTSUM) $(HELM) ## render and check what a release holds: templates, manifests, chart
	$(GOTEST) ./test/workflows/... ./test/release/...
	# Anew each time: the go command does not notice that files outside of a module have changed.
	@cd test/argo4 && $(GOTESTSUM) --jsonfile-timing-events ../../$(REPORTS)/argo4.json -- -count=1 ./...

monitoring: export PROMTOOL := $(PROMTOOL)
monitoring: $(GOTESTSUM) $(PROMTOOL) ## hold metrics, alerts, dashboard and their docs to one another, and play the alerts
	$(GOTEST) ./test/monitoring/...

terraform: $(GOTESTSUM) ## check the Terraform module; needs terraform
	@mkdir -p $(REPORTS)
	@cd test/terraform && $(GOTESTSUM) --jsonfile-timing-events ../../$(REPORTS)/terraform.json -- -count=1 ./...

CHROMIUM := /usr/bin/chromium
report: $(GOTESTSUM) $(CHROMIUM) ## open the page of a report in Chromium
	$(GOTEST) ./test/report/...

docs: $(GOTESTSUM)
	$(GOTEST) ./test/docs/...

PROMETHEUS := /usr/bin/prometheus
e2e: export HELM := $(HELM)
e2e: $(GOTESTSUM) $(HELM) $(PROMETHEUS) ## recycle nodes of a real local cluster; needs root on Linux
	$(GOTEST) -count=1 -timeout 40m -parallel 12 ./test/e2e/...

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

compare: ## measure drain and select beside kubectl, and a whole recycle; needs root on Linux, 8 GiB of memory, half an hour
	go run ./test/compare

# Built by the toolchain of this module: a linter must not be older than the Go it reads.
$(LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

$(ACTIONLINT):
	GOBIN=$(@D) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

$(GOVULNCHECK):
	GOBIN=$(@D) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)

$(HELM):
	GOBIN=$(@D) go install helm.sh/helm/v4/cmd/helm@$(HELM_VERSION)

$(PROMETHEUS) $(CHROMIUM):
	@apt-get install --quiet --yes --no-install-recommends $(@F) || { apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends $(@F); }

# Without service discovery, which would bring the SDKs of all clouds.
$(PROMTOOL):
	GOBIN=$(@D) go install -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool@$(PROMTOOL_VERSION)

$(GOTESTSUM):
	GOBIN=$(@D) go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
