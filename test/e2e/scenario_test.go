package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
)

// scenario is one test with a world of its own: a group, whose settings in awssim are its own too, and a namespace for its
// pods. It shares nodes, controllers and templates with those that run beside it, and changes none of these.
type scenario struct {
	*testing.T
	*suite
	group, namespace string
	template         string            // its launch template's id, if the scenario makes one
	size             int32             // of the group
	ids              []string          // of the group's first members
	nodes            map[string]string // their Nodes' names
	since, sinceSeen int               // the last call and the last event before the scenario's own
	suspended        []string          // processes that the scenario suspends itself
	pasted           map[string]bool   // commands of pages that were run
}

// given makes a group of three nodes that are Ready. The settings are the group's from the first launch on.
func given(t *testing.T, name string, settings ...setting) *scenario {
	t.Helper()
	s := begin(t, name, 3, "$Latest", settings...)
	s.awaitNodes()
	return s
}

// sideBySide makes several, each with a name, whose instances boot side by side.
func sideBySide(t *testing.T, names ...string) (all []*scenario) {
	t.Helper()
	for _, name := range names {
		all = append(all, begin(t, name, 3, "$Latest"))
	}
	for _, s := range all {
		s.awaitNodes()
	}
	return all
}

// setting is one of awssim's, for a group alone.
type setting struct{ name, value string }

// quick are latencies that still let each state be seen.
var quick = []setting{
	{"boot", "1s"}, {"nodeJoin", "500ms"}, {"nodeReady", "500ms"}, {"enteringStandby", "1s"}, {"exitingStandby", "1s"}, {"detaching", "1s"},
	{"stopping", "1s"}, {"starting", "1s"}, {"terminating", "1s"}, {"reconcile", "200ms"}, {"healthCheck", "5s"}, {"launchRetry", "2s"},
}

// configure gives the group settings of its own beside the quick latencies, in the place of those that it had.
func (s *scenario) configure(settings ...setting) {
	s.Helper()
	all := map[string]string{}
	for _, set := range append(slices.Clone(quick), settings...) {
		all[set.name] = set.value
	}
	s.must(s.control(s.Context(), http.MethodPut, "groups/"+s.group+"/config", all, nil))
}

// begin makes a group of so many nodes, from a version of the launch template of its name.
func begin(t *testing.T, name string, size int32, version string, settings ...setting) *scenario {
	t.Helper()
	s := &scenario{T: t, suite: shared, group: "e2e-" + name, namespace: "e2e-" + name, size: size, nodes: map[string]string{}}
	ctx := t.Context()
	s.configure(settings...)
	tag := func(key, value string) astypes.Tag {
		return astypes.Tag{Key: &key, Value: &value, PropagateAtLaunch: aws.Bool(true)}
	}
	_, err := s.groups.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &s.group, MinSize: aws.Int32(1), DesiredCapacity: &size, MaxSize: aws.Int32(size + 2),
		AvailabilityZones: []string{"eu-central-1a", "eu-central-1b", "eu-central-1c"},
		LaunchTemplate:    &astypes.LaunchTemplateSpecification{LaunchTemplateName: &s.group, Version: &version},
		Tags:              []astypes.Tag{tag("kubernetes.io/cluster/"+s.cluster.ClusterName, "owned")},
	})
	s.must(err)
	t.Cleanup(s.remove)
	_, err = s.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, metav1.CreateOptions{})
	s.must(err)
	return s
}

func (s *scenario) awaitNodes() {
	s.Helper()
	ctx := s.Context()
	s.await(time.Minute, "the nodes", func(ctx context.Context) (bool, string, error) {
		s.ids = s.members(astypes.LifecycleStateInService)
		ready, err := s.readyNodes(ctx, s.ids)
		return len(ready) == int(s.size), fmt.Sprintf("%d ready", len(ready)), err
	})
	var err error
	s.nodes, err = s.readyNodes(ctx, s.ids)
	s.must(err)
	s.fromNow()
}

// fromNow has calls and events count that come from now on.
func (s *scenario) fromNow() {
	s.Helper()
	calls, err := s.calls(s.Context(), s.since)
	s.must(err)
	events, err := s.events(s.Context(), s.sinceSeen)
	s.must(err)
	if len(calls) > 0 {
		s.since = calls[len(calls)-1].Seq
	}
	if len(events) > 0 {
		s.sinceSeen = events[len(events)-1].Seq
	}
}

// remove takes the group and the namespace away.
func (s *scenario) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.Failed() {
		s.tell(ctx)
	}
	_, err := s.groups.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: &s.group, ForceDelete: aws.Bool(true)})
	if err != nil {
		s.Errorf("deleting group: %v", err)
	}
	if err := s.kube.CoreV1().Namespaces().Delete(ctx, s.namespace, metav1.DeleteOptions{}); err != nil {
		s.Errorf("deleting namespace: %v", err)
	}
}

func (s *scenario) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// patience stretches every wait: a limit is there to end a scenario that hangs, not to measure a busy machine.
const patience = 3

// await waits for a condition, which says what it still waits for.
func (s *scenario) await(atMost time.Duration, what string, condition poll.Condition) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience*atMost)
	defer cancel()
	loop := poll.Loop{Interval: time.Second, Log: slog.New(slog.DiscardHandler)}
	if err := loop.Until(ctx, condition); err != nil {
		s.Fatalf("waiting for %s: %v", what, err)
	}
}

func (s *scenario) asg() astypes.AutoScalingGroup {
	s.Helper()
	out, err := s.groups.DescribeAutoScalingGroups(s.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{s.group}})
	s.must(err)
	return out.AutoScalingGroups[0]
}

// members lists the ids in a lifecycle state.
func (s *scenario) members(state astypes.LifecycleState) []string {
	s.Helper()
	var ids []string
	for _, m := range s.asg().Instances {
		if m.LifecycleState == state {
			ids = append(ids, aws.ToString(m.InstanceId))
		}
	}
	return ids
}

// readyNodes maps instances to the names of their Ready Nodes.
func (s *scenario) readyNodes(ctx context.Context, ids []string) (map[string]string, error) {
	nodes, err := s.groupsNodes(ctx)
	if err != nil {
		return nil, err
	}
	ready := map[string]string{}
	for _, n := range nodes {
		id := instanceOf(n)
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && slices.Contains(ids, id) {
				ready[id] = n.Name
			}
		}
	}
	return ready, nil
}

// groupsNodes lists the Nodes of instances that the group launched.
func (s *scenario) groupsNodes(ctx context.Context) ([]corev1.Node, error) {
	list, err := s.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(s.ofGroup()).String()})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// instanceOf reads a Node's instance off its providerID.
func instanceOf(n corev1.Node) string {
	return n.Spec.ProviderID[strings.LastIndex(n.Spec.ProviderID, "/")+1:]
}

func (s *scenario) node(name string) *corev1.Node {
	s.Helper()
	n, err := s.kube.CoreV1().Nodes().Get(s.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	s.must(err)
	return n
}

func (s *scenario) instanceState(id string) string {
	s.Helper()
	out, err := s.ec2.DescribeInstances(s.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	s.must(err)
	return string(out.Reservations[0].Instances[0].State.Name)
}

// ours lists the calls that the steps made on this scenario's group and instances, plain reads included if asked for.
func (s *scenario) ours(readOnly bool) []awssim.Call {
	s.Helper()
	calls, err := s.calls(s.Context(), s.since)
	s.must(err)
	return slices.DeleteFunc(calls, func(c awssim.Call) bool {
		return !s.concerns(c) || !strings.Contains(c.UserAgent, "app/eks-recycle") || (c.ReadOnly && !readOnly)
	})
}

// concerns tells whether a call is about the group, its first instances or its launch template.
func (s *scenario) concerns(c awssim.Call) bool {
	for value := range maps.Values(c.Params) {
		if value == s.group || slices.Contains(s.ids, value) || (s.template != "" && value == s.template) {
			return true
		}
	}
	return false
}

func (s *scenario) actions() []string {
	s.Helper()
	var names []string
	for _, c := range s.ours(false) {
		if c.Params["DryRun"] == "true" {
			continue
		}
		names = append(names, c.Action)
	}
	return names
}

// allowed checks that the IAM policies that ship permit every call the steps made.
func (s *scenario) allowed() {
	s.Helper()
	for _, c := range s.ours(true) {
		request := iampolicy.Request{Service: c.Service, Action: c.Action, Params: c.Params}
		for _, r := range c.Resources {
			request.Resources = append(request.Resources, iampolicy.Resource{ARN: r.ARN, Tags: r.Tags})
		}
		err := s.policies[c.AccessKey].Check(request)
		if c.AccessKey == "sandbox" { // a person, who may run a fleet's steps as well
			if err = s.policies["eks-recycle"].Check(request); err != nil {
				err = s.policies["eks-recycle-fleet"].Check(request)
			}
		}
		if err != nil {
			s.Errorf("%s called what its IAM policy does not allow: %v", c.AccessKey, err)
		}
	}
}

// tell prints what helps to understand a failure.
func (s *scenario) tell(ctx context.Context) {
	for _, command := range [][]string{
		{s.cluster.Argo, "list", "-n", s.cluster.Namespace},
		{s.cluster.Kubectl, "get", "nodes,leases", "-A", "-o", "wide"},
		{s.cluster.Kubectl, "get", "pods", "-A", "-o", "wide"},
	} {
		out, _ := s.command(ctx, command...)
		s.Logf("%s\n%s", strings.Join(command, " "), out)
	}
	calls, err := s.calls(ctx, s.since)
	if err != nil {
		s.Errorf("reading the call log: %v", err)
	}
	for _, c := range calls {
		if s.concerns(c) {
			s.Logf("%s %s %s %v %s", c.Time.Format(time.TimeOnly), c.Service, c.Action, c.Params, c.ErrorCode)
		}
	}
}

// command runs a program with the sandbox's environment.
func (s *scenario) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = s.cluster.Env("/usr/bin:/bin")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
