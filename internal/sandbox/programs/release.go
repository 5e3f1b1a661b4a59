package programs

import (
	"fmt"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Release is a set of versions that a sandbox runs together: those that the go.mod in the folder of its name pins; a test
// compares them. They are stamped into the programs, which report them.
type Release struct {
	Name       string
	Kubernetes string
	Argo       string
	Kwok       string
	Etcd       string
	// Events and NATS are empty where there is no Argo Events.
	Events string
	NATS   string
}

// Current is what the sandbox runs unless told otherwise.
func Current() Release {
	return Release{
		Name: "current", Kubernetes: "v1.36.3", Argo: "v4.1.4", Kwok: "v0.8.0", Etcd: "v3.6.15",
		Events: "v1.9.11", NATS: "v2.14.9",
	}
}

// Oldest is the oldest one that is supported. It has no Argo Events: what starts recycles does not depend on it.
func Oldest() Release {
	return Release{Name: "oldest", Kubernetes: "v1.34.12", Argo: "v3.7.18", Kwok: "v0.7.0", Etcd: "v3.6.15"}
}

// ReleaseOf is the release of that name, the current one for none.
func ReleaseOf(name string) (Release, error) {
	if name == "" {
		return Current(), nil
	}
	var names []string
	for _, r := range releases() {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Release{}, hint.Errorf("there are: "+strings.Join(names, ", "), "finding release %q: there is none of that name", name)
}

func releases() []Release { return []Release{Current(), Oldest()} }

// argoModule is the module of Argo Workflows, whose path holds its major version.
func (r Release) argoModule() string {
	major, _, _ := strings.Cut(r.Argo, ".")
	return "github.com/argoproj/argo-workflows/" + major
}

func (r Release) stamps() []string {
	parts := strings.SplitN(strings.TrimPrefix(r.Kubernetes, "v"), ".", 3)
	var out []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		out = append(out,
			pkg+".gitVersion="+r.Kubernetes,
			pkg+".gitMajor="+parts[0],
			pkg+".gitMinor="+parts[1],
			pkg+".gitTreeState=clean",
			pkg+".gitCommit="+r.Kubernetes,
		)
	}
	out = append(out, "sigs.k8s.io/kwok/pkg/consts.Version="+r.Kwok)
	out = append(out, argoStamps(r.argoModule(), r.Argo)...)
	if r.Events != "" {
		out = append(out, argoStamps(eventsModule, r.Events)...)
	}
	return out
}

func argoStamps(module, version string) []string {
	return []string{
		fmt.Sprintf("%s.version=%s", module, version),
		fmt.Sprintf("%s.gitTag=%s", module, version),
		fmt.Sprintf("%s.gitCommit=%s", module, version),
		module + ".gitTreeState=clean",
	}
}
