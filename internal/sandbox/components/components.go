// Package components builds the sandbox's programs (Kubernetes, Argo Workflows, kwok, etcd) from their published Go
// modules: no container registry and no release download is needed, only the Go module proxy. The versions are those of the
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
)

const (
	argoModule = "github.com/argoproj/argo-workflows/v3"
	kubeModule = "k8s.io/kubernetes"
)

// Program is one main package and the name of the file built from it.
type Program struct {
	Name    string
	Package string
}

// module is one nested Go module; its programs are built in one run, so that shared packages compile once.
type module struct {
	name     string
	programs []Program
	stamps   []string
	// vendored modules are built from a vendor folder, in which what their published zips lack is added.
	vendored bool
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
				{"kubelet", kubeModule + "/cmd/kubelet"},
				{"kubectl", kubeModule + "/cmd/kubectl"},
				{"workflow-controller", argoModule + "/cmd/workflow-controller"},
				{"argoexec", argoModule + "/cmd/argoexec"},
				{"argo", argoModule + "/cmd/argo"},
				{"kwok", "sigs.k8s.io/kwok/cmd/kwok"},
			},
			stamps:   stamps(),
			vendored: true,
		},
	}
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
	m.programs = kept
	return m
}

// All are the names of all programs.
func All() []string {
	var out []string
	for _, m := range modules() {
		for _, p := range m.programs {
			out = append(out, p.Name)
		}
	}
	return out
}
