package e2e

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// recycled checks what must be so after a recycle of the group's first instance.
func (s *scenario) recycled(state string) {
	s.Helper()
	id := s.ids[0]
	if got := s.instanceState(id); got != state {
		s.Errorf("instance %s is %s, want %s", id, got, state)
	}
	if s.node(s.nodes[id]) != nil {
		s.Errorf("node %s is still there", s.nodes[id])
	}
	in := s.members(astypes.LifecycleStateInService)
	if len(in) != 3 || len(s.asg().Instances) != 3 {
		s.Errorf("members in service: %v of %d", in, len(s.asg().Instances))
	}
	s.others(in)
	s.clean()
}

// asOneRecycle checks that the calls that change something are those of one undisturbed recycle, however many workflows
// and attempts made them.
func (s *scenario) asOneRecycle() {
	s.Helper()
	s.acted("EnterStandby", "CreateTags", "DetachInstances", "StopInstances")
}

// acted checks the calls that change something. AZRebalance is suspended before the first and resumed after the last;
// where a workflow ended on the way, its exit handler resumed it, and the next workflow suspended it again.
func (s *scenario) acted(want ...string) {
	s.Helper()
	const suspend, resume = "SuspendProcesses", "ResumeProcesses"
	var acts []string
	suspended := false
	actions := s.actions()
	for _, action := range actions {
		switch {
		case action == suspend && !suspended, action == resume && suspended:
			suspended = !suspended
		case action == suspend, action == resume, !suspended:
			s.Errorf("group %s: %s while AZRebalance is suspended: %v, in %v", s.group, action, suspended, actions)
		}
		if action != suspend && action != resume {
			acts = append(acts, action)
		}
	}
	if suspended {
		s.Errorf("group %s: AZRebalance is not resumed, in %v", s.group, actions)
	}
	if diff := cmp.Diff(want, acts); diff != "" {
		s.Errorf("group %s: calls that change something (-want +got):\n%s", s.group, diff)
	}
}

// untouched checks that the group and its nodes are as at the start.
func (s *scenario) untouched() {
	s.Helper()
	in := s.members(astypes.LifecycleStateInService)
	if len(in) != 3 || len(s.asg().Instances) != 3 {
		s.Errorf("members in service: %v of %d", in, len(s.asg().Instances))
	}
	if len(in) > 0 && in[0] != s.ids[0] {
		s.Errorf("members are %v, were %v", in, s.ids)
	}
	s.others(in)
	s.clean()
}

// others checks that nobody but the first instance left service, not even for a while, the group's sizes, and
// that IAM allows what was called.
func (s *scenario) others(inService []string) {
	s.Helper()
	for _, id := range s.ids[1:] {
		found := false
		for _, in := range inService {
			found = found || in == id
		}
		if !found {
			s.Errorf("instance %s is no longer in service", id)
		}
	}
	events, err := s.events(s.Context(), s.sinceSeen)
	s.must(err)
	for _, e := range events {
		if e.Kind == "lifecycle" && e.Group == s.group && e.Instance != s.ids[0] && e.From == string(astypes.LifecycleStateInService) {
			s.Errorf("instance %s, which nobody named, went from %s to %s at %s", e.Instance, e.From, e.To, e.Time.Format(time.TimeOnly))
		}
	}
	s.allowed()
	g := s.asg()
	if *g.MinSize != 1 || *g.DesiredCapacity != 3 || *g.MaxSize != 5 {
		s.Errorf("sizes are %d/%d/%d, want 1/3/5", *g.MinSize, *g.DesiredCapacity, *g.MaxSize)
	}
}

// clean checks that no Node of the group carries a mark, that no process is suspended and that no claim is held.
func (s *scenario) clean() {
	s.Helper()
	var ids []string
	for _, m := range s.asg().Instances {
		ids = append(ids, *m.InstanceId)
	}
	nodes, err := s.groupsNodes(s.Context())
	s.must(err)
	for _, n := range nodes {
		if !slices.Contains(ids, instanceOf(n)) {
			continue
		}
		// Kubernetes' own marks: on a Node that has just become Ready, and on one of which it heard nothing for a while.
		taints := slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
		})
		if n.Spec.Unschedulable || len(taints) > 0 {
			s.Errorf("node %s is left cordoned or tainted: %v", n.Name, taints)
		}
		for key := range n.Annotations {
			if strings.HasPrefix(key, "eks-recycle.io/") || strings.HasPrefix(key, "cluster-autoscaler") {
				s.Errorf("node %s is left with annotation %s", n.Name, key)
			}
		}
	}
	for _, p := range s.asg().SuspendedProcesses {
		if !slices.Contains(s.suspended, aws.ToString(p.ProcessName)) {
			s.Errorf("process %s is left suspended: %s", aws.ToString(p.ProcessName), aws.ToString(p.SuspensionReason))
		}
	}
	if s.claim() != nil {
		s.Error("the claim is still held")
	}
}

// claim returns the Lease on the group's first instance, or nil.
func (s *scenario) claim() *coordinationv1.Lease {
	s.Helper()
	leases, err := s.kube.CoordinationV1().Leases(s.cluster.Namespace).List(s.Context(), metav1.ListOptions{})
	s.must(err)
	for i := range leases.Items {
		holder := leases.Items[i].Spec.HolderIdentity
		if leases.Items[i].Name == "eks-recycle-"+s.ids[0] && holder != nil && *holder != "" { // a parked recycle is nobody's
			return &leases.Items[i]
		}
	}
	return nil
}
