package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Candidate is a node to recycle.
type Candidate struct {
	InstanceID string    `json:"instanceId"`
	NodeName   string    `json:"nodeName"`
	ASGName    string    `json:"asgName"`
	Zone       string    `json:"zone"`
	LaunchTime time.Time `json:"launchTime"`
	Age        string    `json:"age"`
	Reasons    []string  `json:"reasons"`
}

func (c Candidate) because() string { return cmp.Or(strings.Join(c.Reasons, ", "), "selected") }

// candidates are those for which there is a reason.
func candidates(all []inspected, o Criteria, controlPlane string, now time.Time) (chosen []Candidate) {
	for i := range all {
		why := o.reasons(&all[i], controlPlane, now)
		launch := all[i].launched.LaunchTime.UTC()
		if len(why) == 0 || (!o.LaunchedBefore.IsZero() && !launch.Before(o.LaunchedBefore)) {
			continue
		}
		chosen = append(chosen, Candidate{
			InstanceID: all[i].serving.ID, NodeName: all[i].node.Name, ASGName: all[i].inventory.Name, Zone: all[i].launched.Zone,
			LaunchTime: launch, Age: age(now.Sub(launch)), Reasons: why,
		})
	}
	return chosen
}

// reasons says why a node is to be recycled. Without any asked for, being there is one.
func (o Criteria) reasons(i *inspected, controlPlane string, now time.Time) (why []string) {
	if o.MinAge == 0 && !o.Drifted && !o.KubeletOlder && !o.Requested && len(o.Conditions) == 0 {
		return []string{"all"}
	}
	if o.MinAge > 0 && now.Sub(i.launched.LaunchTime) >= o.MinAge {
		why = append(why, "older than "+age(o.MinAge))
	}
	if o.Drifted {
		why = append(why, i.drift...)
	}
	if o.KubeletOlder && node.Older(i.node.Kubelet, controlPlane) {
		why = append(why, fmt.Sprintf("kubelet %s, control plane %s", node.Release(i.node.Kubelet), node.Release(controlPlane)))
	}
	for _, c := range i.node.Conditions {
		why = append(why, "condition "+c.String())
	}
	if o.Requested && i.node.Requested {
		why = append(why, "requested")
	}
	return why
}

// spread orders candidates: the oldest first, and yet never more of one zone than of another while that one has any left.
// A fleet that is stopped half-way has then weakened no zone more than the others.
func spread(all []Candidate) []Candidate {
	older := func(a, b Candidate) int {
		if c := a.LaunchTime.Compare(b.LaunchTime); c != 0 {
			return c
		}
		return strings.Compare(a.InstanceID, b.InstanceID) // the same order in each run
	}
	zones := map[string][]Candidate{}
	for _, c := range all {
		zones[c.Zone] = append(zones[c.Zone], c)
	}
	for _, queue := range zones {
		slices.SortFunc(queue, older)
	}
	taken := map[string]int{}
	ordered := make([]Candidate, 0, len(all))
	for len(ordered) < len(all) {
		next := ""
		for zone, queue := range zones {
			switch {
			case len(queue) == 0:
			case len(zones[next]) == 0, taken[zone] < taken[next], taken[zone] == taken[next] && older(queue[0], zones[next][0]) < 0:
				next = zone
			}
		}
		ordered, zones[next] = append(ordered, zones[next][0]), zones[next][1:]
		taken[next]++
	}
	return ordered
}

// age is a duration as people say it: the two largest units of days, hours and minutes.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	days, hours := d/day, d%day/time.Hour
	switch {
	case days > 0 && hours > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case days > 0:
		return fmt.Sprintf("%dd", days)
	case d >= time.Minute:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	default:
		return d.Truncate(time.Second).String()
	}
}
