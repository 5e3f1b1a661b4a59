package asg

import (
	"fmt"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// karpenterTag is on every instance that Karpenter launched.
const karpenterTag = "karpenter.sh/nodepool"

// nodeGroupTag is on every instance of an EKS managed node group.
const nodeGroupTag = "eks:nodegroup-name"

// clusterTagPrefix precedes the cluster's name in the tag that every EKS worker carries.
const clusterTagPrefix = "kubernetes.io/cluster/"

// Preflight decides whether the target can be put on standby at all. It returns the reason why not, and warnings for
// what is allowed but not what AWS documents. refresh is the id of an instance refresh in progress, or "".
func Preflight(t Target, action Action, refresh string) (warnings []string, err error) {
	id := t.Instance.ID
	if t.Instance.Gone() {
		return nil, fmt.Errorf("instance %q is %s", id, t.Instance.State)
	}
	if t.Group == nil {
		return nil, noGroup(t.Instance)
	}
	g := *t.Group
	if g.Suspends(Launch) {
		return nil, hint.Errorf("resume it: aws autoscaling resume-processes --auto-scaling-group-name "+g.Name+" --scaling-processes Launch",
			"process Launch of Auto Scaling group %q is suspended: no replacement for instance %q would ever come", g.Name, id)
	}
	if refresh != "" {
		return nil, hint.Errorf("wait for it to end or cancel it: aws autoscaling cancel-instance-refresh --auto-scaling-group-name "+g.Name,
			"instance refresh %q of Auto Scaling group %q is in progress: it would wait on a Standby instance or terminate it", refresh, g.Name)
	}
	switch state := t.Lifecycle(); state {
	case InService, EnteringStandby, Standby:
	default:
		return nil, hint.Errorf("wait until the instance is InService, then submit again",
			"instance %q of Auto Scaling group %q is in lifecycle state %q, which cannot be put on standby", id, g.Name, state)
	}
	if err := action.possible(t.Instance); err != nil {
		return nil, err
	}
	if name := t.Instance.Tags[nodeGroupTag]; name != "" {
		warnings = append(warnings, fmt.Sprintf("instance %q belongs to managed node group %q: AWS documents no support for standby and detach there", id, name))
	}
	return warnings, nil
}

func noGroup(i Instance) error {
	if pool := i.Tags[karpenterTag]; pool != "" {
		return hint.Errorf("let Karpenter replace it: kubectl delete nodeclaim …, or set expireAfter on the NodePool",
			"instance %q is managed by Karpenter (NodePool %q) and belongs to no Auto Scaling group", i.ID, pool)
	}
	return hint.Errorf("only members of an Auto Scaling group can be recycled", "instance %q belongs to no Auto Scaling group", i.ID)
}

// OtherCluster returns the name of the EKS cluster that the instance is tagged for when that is not the given one.
func OtherCluster(i Instance, cluster string) string {
	other := ""
	for key := range i.Tags {
		if name, ok := strings.CutPrefix(key, clusterTagPrefix); ok {
			if name == cluster {
				return ""
			}
			other = name
		}
	}
	return other
}
