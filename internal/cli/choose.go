package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// nodeFacts are what a selection keeps of a Node, which can have 20 KiB.
type nodeFacts struct {
	name, kubelet                          string
	skipped, leaving, requested, karpenter bool
	conditions                             []string // that are asked for and hold
}

func (s SelectOptions) factsOf(n *corev1.Node) nodeFacts {
	f := nodeFacts{
		name: n.Name, kubelet: n.Status.NodeInfo.KubeletVersion, skipped: node.IsSkipped(n), leaving: node.IsLeaving(n),
		requested: n.Annotations[node.AnnotationRecycle] == "requested", karpenter: node.KarpenterPool(n) != "",
	}
	for _, wanted := range s.Conditions {
		kind, status, given := strings.Cut(wanted, "=")
		if !given {
			status = string(corev1.ConditionTrue)
		}
		for _, c := range n.Status.Conditions {
			if string(c.Type) == kind && string(c.Status) == status {
				f.conditions = append(f.conditions, kind+"="+status)
			}
		}
	}
	return f
}

// choice decides on one member after the other.
type choice struct {
	SelectOptions
	now     time.Time
	newest  string         // the control plane's version, if it matters
	skipped map[string]int // members that are left alone, by why
}

// of is a member as a candidate, if it is one.
func (c choice) of(g asg.Group, m asg.Member, i asg.Instance, n nodeFacts, joined bool, drift string) (Candidate, bool) {
	skip := ""
	switch {
	case m.Lifecycle != asg.InService:
		skip = "not in service"
	case i.ID == "" || i.State != "running":
		skip = "not running"
	case !joined:
		skip = "without such a Node"
	case n.karpenter:
		skip = "of Karpenter"
	case n.leaving || i.Retiring():
		skip = "under way"
	case n.skipped:
		skip = "annotated " + node.AnnotationSkip
	case !c.LaunchedBefore.IsZero() && !i.LaunchTime.Before(c.LaunchedBefore):
		skip = "launched later"
	}
	why := c.why(i, n, drift)
	if skip == "" && len(why) == 0 {
		skip = "no reason"
	}
	if skip != "" {
		c.skipped[skip]++
		return Candidate{}, false
	}
	return Candidate{i.ID, n.name, g.Name, i.Zone, i.LaunchTime.UTC(), age(c.now.Sub(i.LaunchTime)), why}, true
}

func (c choice) why(i asg.Instance, n nodeFacts, drift string) (why []string) {
	if c.MinAge > 0 && c.now.Sub(i.LaunchTime) >= c.MinAge {
		why = append(why, "older than "+age(c.MinAge))
	}
	if c.Drifted && drift != "" {
		why = append(why, drift)
	}
	if c.KubeletOlder && minorOlder(n.kubelet, c.newest) {
		why = append(why, fmt.Sprintf("kubelet %s, control plane %s", n.kubelet, c.newest))
	}
	for _, condition := range n.conditions {
		why = append(why, "condition "+condition)
	}
	if c.Requested && n.requested {
		why = append(why, "requested")
	}
	if c.MinAge == 0 && !c.Drifted && !c.KubeletOlder && len(c.Conditions) == 0 && !c.Requested {
		why = append(why, "all")
	}
	return why
}

// minorOlder compares minor versions: nodes of an older patch level are no part of an upgrade of the control plane, and EKS
// patches the two apart. A version that nobody understands is not older.
func minorOlder(kubelet, newest string) bool {
	k, err := version.ParseGeneric(kubelet)
	if err != nil {
		return false
	}
	n, err := version.ParseGeneric(newest)
	return err == nil && (k.Major() < n.Major() || k.Major() == n.Major() && k.Minor() < n.Minor())
}

// age is a length of time in its two biggest units.
func age(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	units := []string{fmt.Sprintf("%dd", days), fmt.Sprintf("%dh", hours), fmt.Sprintf("%dm", minutes)}
	for i, n := range []int{days, hours, minutes} {
		if n > 0 || i == 2 {
			units = units[i:min(i+2, 3)]
			break
		}
	}
	if len(units) == 2 && (units[1] == "0h" || units[1] == "0m") {
		units = units[:1]
	}
	return strings.Join(units, "")
}

// spread orders candidates: the next is the oldest of the zone that has had the fewest turns, so that whatever part of them
// is recycled is spread over the zones. Of zones that have had equally many turns, the one with the older node is next.
func spread(all []Candidate) []Candidate {
	older := func(a, b Candidate) int {
		return cmp.Or(a.LaunchTime.Compare(b.LaunchTime), strings.Compare(a.InstanceID, b.InstanceID))
	}
	zones := map[string][]Candidate{}
	for _, c := range all {
		zones[c.Zone] = append(zones[c.Zone], c)
	}
	type turn struct {
		Candidate
		nth int // of its zone
	}
	turns := make([]turn, 0, len(all))
	for _, zone := range zones {
		slices.SortFunc(zone, older)
		for i, c := range zone {
			turns = append(turns, turn{c, i})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { return cmp.Or(cmp.Compare(a.nth, b.nth), older(a.Candidate, b.Candidate)) })
	ordered := make([]Candidate, 0, len(all))
	for _, t := range turns {
		ordered = append(ordered, t.Candidate)
	}
	return ordered
}
