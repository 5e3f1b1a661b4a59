package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// world is a simulated account and cluster in virtual time: awssim behind the real SDK, client-go's fake behind the real
// steps. What the fake leaves out of an API server, fakeAPI adds.
type world struct {
	*testing.T
	sim       *awssim.Sim
	kube      *fake.Clientset
	region    string
	groups    *autoscaling.Client
	ec2       *ec2.Client
	ids       []string // of the group's members, in the order of their launch
	mu        sync.Mutex
	version   int           // of the Node patched last
	over      chan struct{} // closed when the scenario is
	steps     *cli.Clients  // of the steps, if not the world's own
	http      http.RoundTripper
	budget    map[string]string   // pods that may not be evicted, and the budget that says so
	evictions map[string]eviction // by pod
	events    []corev1.Event
}

const group = "workers"

// inWorld runs a scenario in a bubble of virtual time.
func inWorld(t *testing.T, change func(*awssim.Config), scenario func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, t, change)
		defer close(w.over)
		scenario(w)
	})
}

func newWorld(ctx context.Context, t *testing.T, change func(*awssim.Config)) *world {
	w := &world{T: t, budget: map[string]string{}, evictions: map[string]eviction{}, over: make(chan struct{})}
	w.kube = w.fakeAPI()
	config := awssim.DefaultConfig()
	config.Kubernetes, config.MarkNodesReady, config.Region = w.kube, true, "eu-central-1"
	if change != nil {
		change(&config)
	}
	w.region = config.Region
	w.sim = awssim.New(config)
	w.sim.Start(ctx)
	t.Cleanup(w.sim.Close)

	cfg := aws.Config{
		Region: w.region, HTTPClient: w.sim.HTTPClient(), BaseEndpoint: aws.String("http://awssim"), Credentials: w.credentials(),
	}
	w.groups, w.ec2 = autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg)
	w.sim.Observe(noteUse)
	w.createGroup(ctx)
	w.sim.ForgetCalls()
	return w
}

func (w *world) credentials() aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
	})
}

func (w *world) createGroup(ctx context.Context) {
	_, err := w.groups.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(group), MinSize: aws.Int32(1), MaxSize: aws.Int32(5), DesiredCapacity: aws.Int32(3),
		AvailabilityZones: []string{w.region + "a", w.region + "b", w.region + "c"},
		LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("workers"), Version: aws.String("1")},
		Tags:              []types.Tag{{Key: aws.String("kubernetes.io/cluster/sandbox"), Value: aws.String("owned"), PropagateAtLaunch: aws.Bool(true)}},
	})
	if err != nil {
		w.Fatal(err)
	}
	time.Sleep(3 * time.Minute)
	for _, m := range w.group().Instances {
		w.ids = append(w.ids, aws.ToString(m.InstanceId))
	}
}

func (w *world) group() types.AutoScalingGroup {
	w.Helper()
	out, err := w.groups.DescribeAutoScalingGroups(context.Background(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{group}})
	if err != nil {
		w.Fatal(err)
	}
	return out.AutoScalingGroups[0]
}

// members lists the ids in a lifecycle state.
func (w *world) members(state string) []string {
	var ids []string
	for _, m := range w.group().Instances {
		if string(m.LifecycleState) == state {
			ids = append(ids, aws.ToString(m.InstanceId))
		}
	}
	return ids
}

func (w *world) instanceState(id string) string {
	out, err := w.ec2.DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		w.Fatal(err)
	}
	return string(out.Reservations[0].Instances[0].State.Name)
}

// nodeOf returns the Node of an instance, or nil.
func (w *world) nodeOf(id string) *corev1.Node {
	nodes, err := w.kube.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	for i := range nodes.Items {
		if bytes.HasSuffix([]byte(nodes.Items[i].Spec.ProviderID), []byte("/"+id)) {
			return &nodes.Items[i]
		}
	}
	return nil
}

// pod puts a pod on an instance's node. With a length it finishes by itself after that.
func (w *world) pod(id, name string, length time.Duration, change func(*corev1.Pod)) {
	w.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: apitypes.UID("uid-" + name), CreationTimestamp: metav1.Now()},
		Spec:       corev1.PodSpec{NodeName: w.nodeOf(id).Name, RestartPolicy: corev1.RestartPolicyNever},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if change != nil {
		change(p)
	}
	if _, err := w.kube.CoreV1().Pods(p.Namespace).Create(context.Background(), p, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	if length == 0 {
		return
	}
	go func() {
		select {
		case <-time.After(length):
		case <-w.over:
			return
		}
		done := p.DeepCopy()
		done.Status.Phase = corev1.PodSucceeded
		if _, err := w.kube.CoreV1().Pods(p.Namespace).UpdateStatus(context.Background(), done, metav1.UpdateOptions{}); err != nil {
			w.Error(err)
		}
	}()
}

// outcome is what one run of a step left.
type outcome struct {
	code   int
	result cli.Result
	stderr string
}

// streams are those of a step, whose calls to AWS are made as the service account that runs it.
func (w *world) streams(step string, out, log *bytes.Buffer) cli.Streams {
	return cli.Streams{Out: out, Err: log, Version: "test", HTTP: w.http, Connect: func(context.Context, cli.Options) (*cli.Clients, error) {
		var c cli.Clients
		if c.Region = w.region; w.steps != nil {
			c = *w.steps
		} else {
			c.Kube = typed(w.kube)
		}
		if c.AWS.Reader.DescribeAutoScalingGroups == nil {
			c.AWS = w.awsAs(accountOf(step))
		}
		return &c, nil
	}}
}

// awsAs are clients with an access key of the service account's name.
func (w *world) awsAs(account string) asg.Client {
	as := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: account, SecretAccessKey: "sandbox"}, nil
	})
	return asg.New(autoscaling.New(w.groups.Options(), func(o *autoscaling.Options) { o.Credentials = as }), ec2.New(w.ec2.Options(), func(o *ec2.Options) { o.Credentials = as }))
}

// step runs a subcommand once.
func (w *world) step(name string, flags ...string) outcome {
	w.Helper()
	return w.stepAs(w.Context(), "wf-1", name, flags...)
}

func (w *world) stepAs(ctx context.Context, holder, name string, flags ...string) outcome {
	w.Helper()
	var out, log bytes.Buffer
	args := append(append([]string{"step"}, strings.Fields(name)...), "--workflow-uid", holder, "--log-format", "text")
	args = append(args, flags...)
	o := outcome{code: cli.Run(ctx, args, w.streams(name, &out, &log)), stderr: log.String()}
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &o.result); err != nil {
			w.Fatalf("stdout of step %s is not one JSON object: %v\n%s", name, err, out.String())
		}
	}
	if bytes.Contains(log.Bytes(), []byte("panic")) {
		w.Fatal(log.String())
	}
	return o
}

// done runs a step until it is done, as the workflow's retries do, and returns the last outcome.
func (w *world) done(name string, flags ...string) outcome {
	w.Helper()
	return w.doneAs("wf-1", name, flags...)
}

func (w *world) doneAs(holder, name string, flags ...string) outcome {
	w.Helper()
	for range 200 {
		o := w.stepAs(w.Context(), holder, name, flags...)
		if o.code == 75 {
			continue
		}
		if o.code != 0 {
			w.Fatalf("step %s: exit %d\n%s", name, o.code, o.stderr)
		}
		return o
	}
	w.Fatalf("step %s is never done", name)
	return outcome{}
}

// result is that of a step which is done at once.
func (w *world) result(name string, flags ...string) cli.Result {
	w.Helper()
	return w.step(name, flags...).result
}

// exitStandby brings an instance back by another hand.
func (w *world) exitStandby(id string) {
	w.Helper()
	if _, err := w.groups.ExitStandby(w.Context(), &autoscaling.ExitStandbyInput{AutoScalingGroupName: aws.String(group), InstanceIds: []string{id}}); err != nil {
		w.Fatal(err)
	}
	time.Sleep(time.Minute)
}

// close replaces an instance and closes its node.
func (w *world) close(id string) {
	w.Helper()
	w.done("standby", "--instance-id", id)
	w.done("taint", "--instance-id", id)
}

// recycle runs all steps of the workflow.
func (w *world) recycle(id string, flags ...string) {
	w.Helper()
	flags = append([]string{"--instance-id", id}, flags...)
	for _, name := range []string{"standby", "taint", "drain", "evict", "retire"} {
		w.done(name, flags...)
	}
	w.done("settle", append(flags, "--workflow-status", "Succeeded")...)
}

// actions lists the mutating AWS calls in order.
func (w *world) actions() []string {
	var names []string
	for _, call := range w.sim.Calls(0) {
		if !call.ReadOnly && call.Params["DryRun"] != "true" {
			names = append(names, call.Action)
		}
	}
	return names
}

// whole checks what must hold at the end of every recycle: the group as it was, nothing left behind.
func (w *world) whole(others ...string) {
	w.Helper()
	g := w.group()
	if *g.DesiredCapacity != 3 || *g.MinSize != 1 || *g.MaxSize != 5 {
		w.Errorf("the group's sizes are %d/%d/%d, want 1/3/5", *g.MinSize, *g.DesiredCapacity, *g.MaxSize)
	}
	inService := w.members("InService")
	if len(inService) != 3 {
		w.Errorf("in service: %v", inService)
	}
	for _, other := range others {
		if !slices.Contains(inService, other) {
			w.Errorf("instance %s is no longer in service", other)
		}
	}
	w.nothingLeft()
}

// nothingLeft checks that no Node carries a mark and nobody holds a claim.
func (w *world) nothingLeft() {
	w.Helper()
	nodes, _ := w.kube.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
			w.Errorf("node %s is left cordoned or tainted: %v", n.Name, n.Spec.Taints)
		}
		for key := range merged(n.Annotations, n.Labels) {
			if strings.Contains(key, "eks-recycle.io") || strings.Contains(key, "autoscaler") {
				w.Errorf("node %s is left with annotation %s", n.Name, key)
			}
		}
	}
	w.unclaimed()
}

// unclaimed checks that nobody holds a claim, whatever the Nodes carry.
func (w *world) unclaimed() {
	w.Helper()
	leases, _ := w.kube.CoordinationV1().Leases("").List(context.Background(), metav1.ListOptions{})
	for _, lease := range leases.Items {
		w.Errorf("lease %s is left", lease.Name)
	}
}

func merged(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for key, value := range m {
			all[key] = value
		}
	}
	return all
}
