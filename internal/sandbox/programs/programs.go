// Package programs builds the sandbox's programs (Kubernetes, Argo Workflows, kwok, etcd, and if asked Argo Events and
// NATS) from their published Go modules: no container registry and no release download is needed, only the Go module proxy. The versions are those of the
// go.mod files in the folders beside this file. What was built is kept until one of those files, the build flags or the Go
// version changes. It does not run anything that it builds.
package programs

import (
	"slices"
	"strings"
)

const (
	kubeModule   = "k8s.io/kubernetes"
	eventsModule = "github.com/argoproj/argo-events"
	natsModule   = "github.com/nats-io/nats-server/v2"
	etcdModule   = "go.etcd.io/etcd/server/v3"
	kwokModule   = "sigs.k8s.io/kwok"
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
	// release is the one that the module pins; the project's own module has none.
	release Release
}

// moduleOf holds all programs of a release. Argo Workflows, Argo Events and etcd pin other versions of what they share with
// Kubernetes; here they compile with its versions, and with those of this project, so that little compiles twice.
func moduleOf(r Release) module {
	argo := r.argoModule()
	m := module{
		name: r.Name,
		programs: []Program{
			{"etcd", etcdModule},
			{"kube-apiserver", kubeModule + "/cmd/kube-apiserver"},
			{"kube-controller-manager", kubeModule + "/cmd/kube-controller-manager"},
			{"kube-scheduler", kubeModule + "/cmd/kube-scheduler"},
			{"kwok", kwokModule + "/cmd/kwok"},
			{"kubelet", kubeModule + "/cmd/kubelet"},
			{"workflow-controller", argo + "/cmd/workflow-controller"},
			{"argoexec", argo + "/cmd/argoexec"},
			{"argo", argo + "/cmd/argo"},
			{"kubectl", kubeModule + "/cmd/kubectl"},
		},
		untilBatch: []string{"kube-apiserver", "kubelet", "kubectl"},
		stamps:     r.stamps(),
		release:    r,
	}
	if r.Events != "" {
		m.programs = append(m.programs, eventPrograms()...)
	}
	return m
}

// eventPrograms are for a sandbox that is asked for events.
func eventPrograms() []Program {
	return []Program{{"nats-server", natsModule}, {"argo-events", eventsModule + "/cmd"}}
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

func (m module) ldflags() string {
	var b strings.Builder
	b.WriteString("-s -w")
	for _, s := range m.stamps {
		b.WriteString(" -X " + s)
	}
	return b.String()
}

// mode is how the go command finds the packages of others: in a vendor folder, to which can be added what they lack.
func (m module) mode() string {
	if m.release != (Release{}) {
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

// withEvents tells whether programs of Argo Events are among the module's.
func (m module) withEvents() bool {
	return slices.ContainsFunc(m.programs, func(p Program) bool { return slices.Contains(Events(), p.Name) })
}

// Cluster are the names of the programs of every cluster.
func Cluster() []string {
	r := Current()
	r.Events = ""
	return names(moduleOf(r).programs)
}

// Events are the names of those that make a cluster listen to events.
func Events() []string { return names(eventPrograms()) }

func names(programs []Program) []string {
	var out []string
	for _, p := range programs {
		out = append(out, p.Name)
	}
	return out
}
