package e2e

import (
	"slices"
	"strings"
	"time"

	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// replaced checks what must be so after recycles of these of the group's first instances, and of no other: each of them was
// taken out once, the others never left service, the group is whole, and nothing is left of it all.
func (s *scenario) replaced(ids ...string) {
	s.Helper()
	for _, id := range ids {
		if got := s.instanceState(id); got != "stopped" {
			s.Errorf("instance %s is %s", id, got)
		}
		if s.node(s.nodes[id]) != nil {
			s.Errorf("node %s is still there", s.nodes[id])
		}
		if diff := cmp.Diff([]string{"EnterStandby", "CreateTags", "DetachInstances", "StopInstances"}, s.actionsOn(id)); diff != "" {
			s.Errorf("calls that change instance %s (-want +got):\n%s", id, diff)
		}
	}
	in := s.members(astypes.LifecycleStateInService)
	ready, err := s.readyNodes(s.Context(), in)
	s.must(err)
	g := s.asg()
	if len(in) != int(s.size) || len(g.Instances) != int(s.size) || len(ready) != int(s.size) || *g.DesiredCapacity != s.size {
		s.Errorf("%d of %d members are in service, %d nodes ready, desired capacity %d, want %d each", len(in), len(g.Instances), len(ready), *g.DesiredCapacity, s.size)
	}
	events, err := s.events(s.Context(), s.sinceSeen)
	s.must(err)
	for _, e := range events {
		if e.Kind == "lifecycle" && e.Group == s.group && e.From == string(astypes.LifecycleStateInService) && !slices.Contains(ids, e.Instance) {
			s.Errorf("instance %s, which was not to go, went from %s to %s at %s", e.Instance, e.From, e.To, e.Time.Format(time.TimeOnly))
		}
	}
	s.allowed()
	s.clean()
	s.held()
}

// held checks that of the group's first instances these are claimed, and no others.
func (s *scenario) held(want ...string) {
	s.Helper()
	leases, err := s.kube.CoordinationV1().Leases(s.cluster.Namespace).List(s.Context(), metav1.ListOptions{})
	s.must(err)
	var got []string
	for _, l := range leases.Items {
		id, found := strings.CutPrefix(l.Name, "eks-recycle-")
		if found && slices.Contains(s.ids, id) && l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" {
			got = append(got, id)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.Errorf("instances %v are claimed, want %v", got, want)
	}
}

// actionsOn lists the calls of the steps that changed one instance.
func (s *scenario) actionsOn(id string) (names []string) {
	s.Helper()
	for _, c := range s.ours(false) {
		for _, value := range c.Params {
			if value == id && c.Params["DryRun"] != "true" {
				names = append(names, c.Action)
				break
			}
		}
	}
	return names
}

// spans are times from the beginning of something to its end.
type spans [][2]time.Time

// peak is how many lay over one another at most. One that begins as another ends does not lie over it.
func (all spans) peak() (most int) {
	for _, at := range all {
		n := 0
		for _, other := range all {
			if !other[0].After(at[0]) && other[1].After(at[0]) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// away are the times in which instances were out of service and not yet shut down, and the least number that was in service
// meanwhile, both as AWS saw them.
func (s *scenario) away() (away spans, least int) {
	s.Helper()
	events, err := s.events(s.Context(), s.sinceSeen)
	s.must(err)
	since, serving := map[string]time.Time{}, int(s.size)
	least = serving
	for _, e := range events {
		switch {
		case e.Kind == "lifecycle" && e.Group == s.group && e.From == string(astypes.LifecycleStateInService):
			since[e.Instance] = e.Time
			serving--
			least = min(least, serving)
		case e.Kind == "lifecycle" && e.Group == s.group && e.To == string(astypes.LifecycleStateInService):
			serving++
		case e.Kind == "instance" && e.To == "stopping" && !since[e.Instance].IsZero():
			away = append(away, [2]time.Time{since[e.Instance], e.Time})
		}
	}
	return away, least
}

// images are those of the group's members in service that were not among its first.
func (s *scenario) images() (images []string) {
	s.Helper()
	newcomers := slices.DeleteFunc(s.members(astypes.LifecycleStateInService), func(id string) bool { return slices.Contains(s.ids, id) })
	out, err := s.ec2.DescribeInstances(s.Context(), &ec2.DescribeInstancesInput{InstanceIds: newcomers})
	s.must(err)
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			images = append(images, *i.ImageId)
		}
	}
	return images
}
