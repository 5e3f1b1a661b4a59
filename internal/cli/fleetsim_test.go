package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
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
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// fleetSim is an account and a cluster of many nodes in virtual time. Each node has a pod that has to finish by itself: when
// the node's recycle begins, it has still so long to run as was drawn for it.
type fleetSim struct {
	*argoWorld
	api     *apiServer
	base    cli.Options              // of the recycles
	without time.Duration            // how long a recycle takes without its pod
	modeled bool                     // recycles take that and the pod's time, and do nothing
	lengths map[string]time.Duration // of the pods, by instance
	groups  map[string][]string      // instances
	fleet   tally
	recycle tally
	steps   int // runs of steps by recycles
	ended   time.Time
}

// tally is a door that counts calls.
type tally struct {
	mu        sync.Mutex
	aws, kube int
}

// door counts the calls of one client.
type countedDoor struct{ *tally }

func (d countedDoor) kube(_ context.Context, _, _, _ string, do func() error) error {
	d.add(&d.tally.kube)
	return do()
}

func (d countedDoor) aws(ctx context.Context, _, _ string, _ url.Values, do func(context.Context) error) error {
	d.add(&d.tally.aws)
	return do(ctx)
}

func (t *tally) add(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

func (t *tally) String() string {
	return fmt.Sprintf("%d calls to AWS, %d to Kubernetes", t.aws, t.kube)
}

// countedTransport counts the SDK's calls.
type countedTransport struct {
	*tally
	next http.RoundTripper
}

func (t countedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.add(&t.tally.aws)
	return t.next.RoundTrip(r)
}

const (
	simSeed      = 1
	longestPod   = 24 * time.Hour
	shortestPod  = 5 * time.Minute
	simCompact   = 10 * time.Minute
	simHistory   = 500
	simPollPause = 5 * time.Second
	simWindow    = 12 * time.Hour
)

// newFleetSim makes groups of nodes that have all drifted.
func newFleetSim(ctx context.Context, t *testing.T, groups, size int) *fleetSim {
	w := &world{T: t, budget: map[string]string{}, over: make(chan struct{}), region: "eu-central-1"}
	f := &fleetSim{api: newAPIServer(), lengths: map[string]time.Duration{}, groups: map[string][]string{}, base: baseOptions(t)}
	f.base.Window, f.base.PollInterval, f.base.Recycle.ReplacementTimeout, f.base.ClaimDuration = 20*time.Minute, 10*time.Second, 30*time.Minute, 5*time.Minute
	config := awssim.DefaultConfig()
	config.Kubernetes, config.MarkNodesReady, config.NoCallLog = &kubeClient{server: f.api, door: open{}}, true, true
	w.sim = awssim.New(config)
	w.sim.Start(ctx)
	t.Cleanup(w.sim.Close)
	cfg := aws.Config{
		Region: w.region, HTTPClient: &http.Client{Transport: countedTransport{&f.fleet, awssim.Transport(w.sim)}}, BaseEndpoint: aws.String("http://awssim"), Credentials: w.credentials(),
	}
	w.groups, w.ec2 = autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg)
	f.argoWorld = newArgoWorld(w, f.child)
	f.argoWorld.steps.Kube = typed(&kubeClient{server: f.api, door: countedDoor{&f.fleet}})
	count := func(ktesting.Action) (bool, runtime.Object, error) {
		f.fleet.add(&f.fleet.kube)
		return false, nil, nil
	}
	f.metadata.PrependReactor("*", "*", count)
	f.dynamic.PrependReactor("*", "*", count)
	go f.compacts(ctx)

	w.template("nodes", "ami-1", "m5.large")
	w.template("nodes", "ami-2", "m5.large")
	dice := rand.New(rand.NewPCG(simSeed, 0))
	for i := range groups {
		name := fmt.Sprintf("workers-%d", i)
		f.createGroup(ctx, name, size)
	}
	time.Sleep(5 * time.Minute)
	for _, name := range slices.Sorted(maps.Keys(f.groups)) {
		f.groups[name] = w.membersOf(name)
		for _, id := range f.groups[name] {
			f.lengths[id] = shortestPod + time.Duration(dice.Int64N(int64(longestPod-shortestPod)))
		}
		w.launches(name, "2")
	}
	return f
}

func (f *fleetSim) createGroup(ctx context.Context, name string, size int) {
	n := aws.Int32(int32(size))
	_, err := f.world.groups.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(0), MaxSize: n, DesiredCapacity: n,
		AvailabilityZones: []string{f.region + "a", f.region + "b", f.region + "c"},
		LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes"), Version: aws.String("1")},
		Tags:              []types.Tag{{Key: aws.String("kubernetes.io/cluster/sandbox"), Value: aws.String("owned"), PropagateAtLaunch: aws.Bool(true)}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.groups[name] = nil
}

// compacts forgets old versions, as an API server does.
func (f *fleetSim) compacts(ctx context.Context) {
	for pause(ctx, simCompact) {
		f.api.mu.Lock()
		if old := len(f.api.history) - simHistory; old > 0 {
			f.api.compacted = f.api.history[old-1].version
			f.api.history = slices.Clone(f.api.history[old:])
		}
		f.api.mu.Unlock()
	}
}

// child is the recycle of a node.
func (f *fleetSim) child(parameters map[string]string) (failure string) {
	id := parameters["instance-id"]
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = time.Now()
	}()
	if f.modeled {
		time.Sleep(f.without + f.lengths[id])
		return ""
	}
	if f.lengths[id] > 0 {
		f.runs(id)
	}
	o := f.base
	o.Recycle.InstanceID, o.WorkflowUID, o.Workflow, o.Recycle.Fleet = id, parameters["uid"], "eks-recycle/"+parameters["name"], parameters["fleet"]
	for _, step := range recycleSteps {
		if code, said := f.retried(step, o); code != 0 {
			failure = said
			break
		}
	}
	o.Recycle.WorkflowStatus = "Succeeded"
	if failure != "" {
		o.Recycle.WorkflowStatus = "Failed"
	}
	f.retried("settle", o)
	return failure
}

// runs puts the pod on a node.
func (f *fleetSim) runs(id string) {
	nodes, _ := f.api.list("nodes", "", func(o object) bool { return strings.HasSuffix(o.(*corev1.Node).Spec.ProviderID, "/"+id) })
	name := "batch-" + id
	_, err := f.api.create("pods", &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.PodSpec{NodeName: nodes[0].GetName(), RestartPolicy: corev1.RestartPolicyNever},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	})
	if err != nil {
		f.Error(err)
	}
	f.api.later(f.lengths[id], func() { _ = f.api.remove("pods", "default", name, nil) })
}

func (f *fleetSim) retried(step string, o cli.Options) (code int, said string) {
	wire := &awsWire{transport: awssim.Transport(f.sim), region: f.region, key: o.WorkflowUID, door: countedDoor{&f.recycle}}
	clients := &cli.Clients{AWS: wire.client(), Kube: typed(&kubeClient{server: f.api, door: countedDoor{&f.recycle}}), Region: f.region}
	for {
		f.recycle.add(&f.steps)
		var out, log bytes.Buffer
		code := cli.RunStep(f.Context(), step, o, cli.Streams{Out: &out, Err: &log, Version: "test", Connect: func(context.Context, cli.Options) (*cli.Clients, error) { return clients, nil }})
		if code != 75 || f.Context().Err() != nil {
			var result cli.Result
			_ = json.Unmarshal(out.Bytes(), &result)
			return code, result.Message
		}
		time.Sleep(simPollPause)
	}
}

// leastTime is how long it takes at least to recycle nodes of which so many may be in progress at a time: they share the work
// without a pause, and none takes less than its own.
func leastTime(each []time.Duration, atATime int) time.Duration {
	var sum, longest time.Duration
	for _, d := range each {
		sum, longest = sum+d, max(longest, d)
	}
	return max(sum/time.Duration(atATime), longest)
}

// recycledForReal is the number of nodes of which the steps of recycles really run: FLEET_NODES, or so many as an ordinary
// test run has time for.
func recycledForReal(t *testing.T) int {
	text := os.Getenv("FLEET_NODES")
	if text == "" {
		return 80
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 20 {
		t.Fatalf("FLEET_NODES is %q, want a number of at least 20", text)
	}
	return n
}

// A fleet of many nodes with pods of minutes up to a day keeps its budget used up until nobody waits: it takes no longer
// than 1.15 times what no schedule can do better. What it asks AWS and Kubernetes for goes by the nodes, and hardly by the
// hours that it waits.
func TestFleetOfManyNodes(t *testing.T) {
	nodes := recycledForReal(t)
	groups := max(nodes/100, 2)
	for _, c := range []struct {
		name         string
		groups, size int
		modeled      bool
	}{
		{"a thousand nodes, recycles that only take their time", 10, 100, true},
		{"real recycles", groups, nodes / groups, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f := newFleetSim(ctx, t, c.groups, c.size)
				defer close(f.api.over)
				defer close(f.over)
				f.measure(c.modeled)
			})
		})
	}
}

func (f *fleetSim) measure(modeled bool) {
	f.createGroup(f.Context(), "spare", 1)
	time.Sleep(5 * time.Minute)
	began := time.Now()
	if failure := f.child(map[string]string{"instance-id": f.membersOf("spare")[0], "uid": "alone", "name": "alone"}); failure != "" {
		f.Fatal(failure)
	}
	delete(f.groups, "spare")
	f.without, f.modeled = time.Since(began), modeled
	const share = 5
	var names []string
	var least time.Duration
	nodes := 0
	for name, ids := range f.groups {
		var each []time.Duration
		for _, id := range ids {
			each = append(each, f.without+f.lengths[id])
		}
		names, nodes = append(names, name), nodes+len(ids)
		least = max(least, leastTime(each, max(len(ids)*share/100, 1)))
	}
	f.fleet, f.recycle, f.steps = tally{}, tally{}, 0
	f.parent("fleet-1")
	began = time.Now()
	o, attempts := f.argoWorld.fleet(f.Context(), "fleet-1", "--asg", strings.Join(names, ","), "--drifted", "--max-unavailable", strconv.Itoa(share)+"%", "--poll-window", simWindow.String())
	if o.code != 0 || o.result.Fleet.Recycled != nodes || len(f.order) != nodes {
		f.Fatalf("exit %d: %s", o.code, o.result.Message)
	}
	took := f.ended.Sub(began)
	if float64(took) > 1.15*float64(least) {
		f.Errorf("it took %s, and %s would have been enough: %.3f times", took, least, float64(took)/float64(least))
	}
	if most := int(took/simWindow) + 2; attempts > most {
		f.Errorf("%d attempts, want at most %d", attempts, most)
	}
	if f.fleet.aws > 4*nodes || f.fleet.kube > 12*nodes {
		f.Errorf("the fleet made %s, for %d nodes", &f.fleet, nodes)
	}
	f.Logf("%d nodes: %s, at least %s (%.3f times); without its pod a recycle takes %s", nodes, took, least, float64(took)/float64(least), f.without)
	f.Logf("the fleet, %d attempts: %s; %.1f and %.1f a node", attempts, &f.fleet, float64(f.fleet.aws)/float64(nodes), float64(f.fleet.kube)/float64(nodes))
	f.Logf("its recycles, %d runs of steps: %s; %.1f and %.1f a node", f.steps, &f.recycle, float64(f.recycle.aws)/float64(nodes), float64(f.recycle.kube)/float64(nodes))
	f.Logf("%d at once", f.peak)
}
