// Package components builds the sandbox's programs (Kubernetes, Argo Workflows, kwok, etcd, and if asked Argo Events and
// NATS) from their published Go modules: no container registry and no release download is needed, only the Go module proxy. The versions are those of the
// go.mod files in the folders beside this file. What was built is kept until one of those files, the build flags or the Go
// version changes. It does not run anything that it builds.
package components

import (
	"slices"
	"strings"
)

// Versions of what the go.mod files pin; a test compares them. They are stamped into the programs, which report them.
const (
	KubernetesVersion = "v1.33.4"
	ArgoVersion       = "v3.7.18"
	KwokVersion       = "v0.7.0"
	EtcdVersion       = "v3.6.8"
	EventsVersion     = "v1.9.7"
	NATSVersion       = "v2.12.15"
)

const (
	argoModule   = "github.com/argoproj/argo-workflows/v3"
	kubeModule   = "k8s.io/kubernetes"
	eventsModule = "github.com/argoproj/argo-events"
)

// Program is one main package and the name of the file built from it.
type Program struct {
	Name    string
	Package string
}

// module is one nested Go module, or this project's own. Its programs are named in the order in which a cluster that comes
// up needs them, and built in batches: the next ones compile while the first ones start.
type module struct {
	name     string
	programs []Program
	// untilBatch are the last programs of each batch but the last one.
	untilBatch []string
	stamps     []string
	// vendored modules are built from a vendor folder, in which what their published zips lack is added.
	vendored bool
	// forEvents modules are for a sandbox that is asked for events.
	forEvents bool
}

func modules() []module {
	return []module{
		{name: "etcd", programs: []Program{{"etcd", "go.etcd.io/etcd/server/v3"}}},
		{
			name: "cluster",
			programs: []Program{
				{"kube-apiserver", kubeModule + "/cmd/kube-apiserver"},
				{"kube-controller-manager", kubeModule + "/cmd/kube-controller-manager"},
				{"kube-scheduler", kubeModule + "/cmd/kube-scheduler"},
				{"kwok", "sigs.k8s.io/kwok/cmd/kwok"},
				{"kubelet", kubeModule + "/cmd/kubelet"},
				{"workflow-controller", argoModule + "/cmd/workflow-controller"},
				{"argoexec", argoModule + "/cmd/argoexec"},
				{"argo", argoModule + "/cmd/argo"},
				{"kubectl", kubeModule + "/cmd/kubectl"},
			},
			untilBatch: []string{"kube-apiserver", "kubelet"},
			stamps:     stamps(),
			vendored:   true,
		},
		{name: "nats", programs: []Program{{"nats-server", "github.com/nats-io/nats-server/v2"}}, forEvents: true},
		{
			name:     "events",
			programs: []Program{{"argo-events", eventsModule + "/cmd"}},
			stamps: []string{
				eventsModule + ".version=" + EventsVersion,
				eventsModule + ".gitTag=" + EventsVersion,
				eventsModule + ".gitCommit=" + EventsVersion,
				eventsModule + ".gitTreeState=clean",
			},
			forEvents: true,
		},
	}
}

// own are the project's programs. The sandbox's command runs as awssim.
func own() module {
	return module{
		name: "own",
		programs: []Program{
			{"sandbox", "./internal/sandbox/cmd/sandbox"},
			{"pause", "./internal/sandbox/cmd/pause"},
			{"step", "./cmd/step"},
		},
		untilBatch: []string{"pause"},
	}
}

func isOwn(program string) bool {
	return slices.ContainsFunc(own().programs, func(p Program) bool { return p.Name == program })
}

func stamps() []string {
	parts := strings.SplitN(strings.TrimPrefix(KubernetesVersion, "v"), ".", 3)
	var out []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		out = append(out,
			pkg+".gitVersion="+KubernetesVersion,
			pkg+".gitMajor="+parts[0],
			pkg+".gitMinor="+parts[1],
			pkg+".gitTreeState=clean",
			pkg+".gitCommit="+KubernetesVersion,
		)
	}
	return append(out,
		argoModule+".version="+ArgoVersion,
		argoModule+".gitTag="+ArgoVersion,
		argoModule+".gitCommit="+ArgoVersion,
		argoModule+".gitTreeState=clean",
		"sigs.k8s.io/kwok/pkg/consts.Version="+KwokVersion,
	)
}

func (m module) ldflags() string {
	var b strings.Builder
	b.WriteString("-s -w")
	for _, s := range m.stamps {
		b.WriteString(" -X " + s)
	}
	return b.String()
}

// mode is how the go command finds the packages of others.
func (m module) mode() string {
	if m.vendored {
		return "-mod=vendor"
	}
	return "-mod=readonly"
}

// batches are parts of the module that are built one after another.
func (m module) batches() []module {
	var out []module
	var batch []Program
	for _, p := range m.programs {
		batch = append(batch, p)
		if slices.Contains(m.untilBatch, p.Name) {
			out, batch = append(out, m.with(batch)), nil
		}
	}
	if len(batch) > 0 {
		out = append(out, m.with(batch))
	}
	return out
}

func (m module) with(programs []Program) module {
	m.programs = programs
	return m
}

func (m module) packages() []string {
	var out []string
	for _, p := range m.programs {
		out = append(out, p.Package)
	}
	return out
}

// only is the module with no other programs than the named ones.
func (m module) only(names []string) module {
	var kept []Program
	for _, p := range m.programs {
		if slices.Contains(names, p.Name) {
			kept = append(kept, p)
		}
	}
	return m.with(kept)
}

// Cluster are the names of the programs of every cluster.
func Cluster() []string { return names(false) }

// Events are the names of those that make a cluster listen to events.
func Events() []string { return names(true) }

func names(forEvents bool) []string {
	var out []string
	for _, m := range modules() {
		if m.forEvents != forEvents {
			continue
		}
		for _, p := range m.programs {
			out = append(out, p.Name)
		}
	}
	return out
}
