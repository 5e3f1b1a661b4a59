package node_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

const id = "i-0123456789abcdef0"

func TestInstanceIDOfProviderID(t *testing.T) {
	for name, c := range map[string]struct{ providerID, want string }{
		"as the cloud controller writes it": {"aws:///eu-central-1a/" + id, id},
		"an old, short id":                  {"aws:///us-east-1a/i-0a1b2c3d", "i-0a1b2c3d"},
		"without a zone":                    {"aws:///" + id, id},
		"with an account":                   {"aws://111122223333/eu-central-1a/" + id, id},
		"Fargate":                           {"aws:///eu-central-1a/5f3c-1/fargate-ip-10-0-1-2.eu-central-1.compute.internal", ""},
		"another cloud":                     {"gce://project/zone/" + id, ""},
		"kind":                              {"kind://docker/kind/kind-worker", ""},
		"a zone alone":                      {"aws:///eu-central-1a/", ""},
		"none yet":                          {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := node.InstanceID(c.providerID); got != c.want {
				t.Errorf("InstanceID(%q) = %q, want %q", c.providerID, got, c.want)
			}
		})
	}
}

func FuzzInstanceID(f *testing.F) {
	for _, seed := range []string{"aws:///eu-central-1a/" + id, "aws:////", "aws://i-", "gce://x/i-1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, providerID string) {
		got := node.InstanceID(providerID)
		if got == "" {
			return
		}
		if !strings.HasPrefix(providerID, "aws://") || !strings.HasSuffix(providerID, "/"+got) || !strings.HasPrefix(got, "i-") || strings.Contains(got, "/") {
			t.Errorf("InstanceID(%q) = %q", providerID, got)
		}
	})
}

func TestNamesOfANode(t *testing.T) {
	for name, c := range map[string]struct {
		dns, region string
		want        []string
	}{
		"named by address":              {"ip-10-0-1-2.eu-central-1.compute.internal", "eu-central-1", []string{"ip-10-0-1-2.eu-central-1.compute.internal", id, id + ".eu-central-1.compute.internal"}},
		"named by address in us-east-1": {"ip-10-0-1-2.ec2.internal", "us-east-1", []string{"ip-10-0-1-2.ec2.internal", id, id + ".ec2.internal"}},
		"named by instance":             {id + ".eu-central-1.compute.internal", "eu-central-1", []string{id + ".eu-central-1.compute.internal", id}},
		"in a domain of one's own":      {"ip-10-0-1-2.corp.example", "eu-central-1", []string{"ip-10-0-1-2.corp.example", id, id + ".eu-central-1.compute.internal"}},
		"terminated, so without a name": {"", "eu-central-1", []string{id, id + ".eu-central-1.compute.internal"}},
		"without a region":              {"", "", []string{id}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, node.NamesOf(id, c.dns, c.region)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func newNode(name, instance string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-central-1a/" + instance}}
	for _, c := range change {
		c(n)
	}
	return n
}

func client(nodes ...*corev1.Node) (*node.Client, *fake.Clientset) {
	kube := fake.NewClientset()
	for _, n := range nodes {
		if err := kube.Tracker().Add(n); err != nil {
			panic(err)
		}
	}
	return &node.Client{Nodes: kube.CoreV1().Nodes(), Events: func(namespace string) node.EventAPI { return kube.CoreV1().Events(namespace) }, Log: slog.New(slog.DiscardHandler)}, kube
}

// requests lists verbs of the calls made so far.
func requests(kube *fake.Clientset) (verbs []string) {
	for _, a := range kube.Actions() {
		verbs = append(verbs, a.GetVerb())
	}
	return verbs
}

// A kubelet can claim any providerID, but not another Node's name.
func TestFind(t *testing.T) {
	others := []*corev1.Node{newNode("a", "i-00000000000000001"), newNode("namesake", "i-00000000000000002")}
	for name, c := range map[string]struct {
		nodes   []*corev1.Node
		names   []string
		anyName bool
		found   string
		calls   []string
		error   string
	}{
		"by its likeliest name":                        {[]*corev1.Node{newNode("mine", id)}, []string{"mine", id}, false, "mine", []string{"get"}, ""},
		"by its second name":                           {[]*corev1.Node{newNode(id, id)}, []string{"mine", id}, false, id, []string{"get", "get"}, ""},
		"a Node of its name that is another's":         {[]*corev1.Node{newNode("odd", id)}, []string{"namesake", id}, false, "", []string{"get", "get"}, ""},
		"a Node with its providerID and another name":  {[]*corev1.Node{newNode("odd", id)}, []string{"", id}, false, "", []string{"get"}, ""},
		"not at all":                                   {nil, []string{id}, false, "", []string{"get"}, ""},
		"by no name, where names do not matter":        {[]*corev1.Node{newNode("odd", id)}, []string{"", id}, true, "odd", []string{"get", "list"}, ""},
		"two with its providerID, if names are theirs": {[]*corev1.Node{newNode("odd", id), newNode("even", id)}, []string{id}, true, "", []string{"get", "list"}, "both say that they are instance"},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, kube := client(append(c.nodes, others...)...)
			nodes.AnyName = c.anyName
			n, err := nodes.Find(t.Context(), id, c.names)
			if (err == nil) != (c.error == "") || (err != nil && !strings.Contains(err.Error(), c.error)) {
				t.Fatal(err)
			}
			if (n == nil) != (c.found == "") || (n != nil && n.Name != c.found) {
				t.Errorf("found %v, want %q", n, c.found)
			}
			if diff := cmp.Diff(c.calls, requests(kube)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if n != nil && nodes.Verify(n, c.names) != nil {
				t.Error("it is not verified")
			}
		})
	}
	nodes, _ := client()
	if err := nodes.Verify(newNode("odd", id), []string{"mine", id}); err == nil || hint.Of(err) == "" {
		t.Errorf("a Node with another name is taken: %v", err)
	}
}

func TestUsable(t *testing.T) {
	ready := func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	}
	tainted := func(key string, effect corev1.TaintEffect) func(*corev1.Node) {
		return func(n *corev1.Node) {
			ready(n)
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect})
		}
	}
	instead := newNode("old", "i-1", tainted("dedicated", corev1.TaintEffectNoSchedule), tainted(node.TaintLeaving, corev1.TaintEffectNoSchedule))
	for name, c := range map[string]struct {
		change func(*corev1.Node)
		why    string
	}{
		"Ready":                            {ready, ""},
		"not Ready":                        {func(*corev1.Node) {}, "is not Ready"},
		"cordoned":                         {func(n *corev1.Node) { ready(n); n.Spec.Unschedulable = true }, "is cordoned"},
		"a driver that starts":             {tainted("ebs.csi.aws.com/agent-not-ready", corev1.TaintEffectNoExecute), "has taint ebs.csi.aws.com/agent-not-ready:NoExecute"},
		"a taint that the other one has":   {tainted("dedicated", corev1.TaintEffectNoSchedule), ""},
		"a taint that only warns":          {tainted("slow", corev1.TaintEffectPreferNoSchedule), ""},
		"a taint that the other lacks":     {tainted("gpu", corev1.TaintEffectNoSchedule), "has taint gpu:NoSchedule"},
		"one that is on its way out again": {tainted(node.TaintLeaving, corev1.TaintEffectPreferNoSchedule), ""},
	} {
		if why := node.Usable(newNode("n", id, c.change), instead); why != c.why {
			t.Errorf("%s: %q, want %q", name, why, c.why)
		}
	}
}

func TestANodeThatDoesNotExist(t *testing.T) {
	nodes, _ := client()
	_, err := nodes.Get(t.Context(), "nosuch")
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `node "nosuch" does not exist in this cluster`) || hint.Of(err) == "" {
		t.Errorf("error %v, hint %q", err, hint.Of(err))
	}
}

func TestReadyAndKarpenter(t *testing.T) {
	condition := func(status corev1.ConditionStatus) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue}, {Type: corev1.NodeReady, Status: status}}
		}
	}
	for status, want := range map[corev1.ConditionStatus]bool{corev1.ConditionTrue: true, corev1.ConditionFalse: false, corev1.ConditionUnknown: false} {
		if got := node.Ready(newNode("n", id, condition(status))); got != want {
			t.Errorf("a node whose condition Ready is %s is taken for ready: %t", status, got)
		}
	}
	if node.Ready(newNode("n", id)) {
		t.Error("a node without conditions is taken for ready")
	}
	for _, label := range []string{"karpenter.sh/nodepool", "karpenter.sh/provisioner-name"} {
		n := newNode("n", id, func(n *corev1.Node) { n.Labels = map[string]string{label: "default"} })
		if pool := node.KarpenterPool(n); pool != "default" {
			t.Errorf("a node with label %s belongs to pool %q", label, pool)
		}
	}
	if pool := node.KarpenterPool(newNode("n", id)); pool != "" {
		t.Errorf("a node without labels belongs to pool %q", pool)
	}
}

func TestAwaitUsable(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // when the node becomes Ready; 0: it is, negative: never
		took  time.Duration
		ready bool
	}{
		"ready at once":         {0, 0, true},
		"ready in between":      {7 * time.Second, 7 * time.Second, true},
		"not ready in time":     {20 * time.Second, 10 * time.Second, false},
		"not ready, never told": {-1, 10 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode("n", id)
				ready := n.DeepCopy()
				ready.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
				if c.after == 0 {
					n = ready
				}
				nodes, kube := client(n)
				if c.after > 0 {
					go func() {
						time.Sleep(c.after)
						if _, err := kube.CoreV1().Nodes().UpdateStatus(t.Context(), ready, metav1.UpdateOptions{}); err != nil && t.Context().Err() == nil {
							t.Error(err)
						}
					}()
				}
				before := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				got := nodes.AwaitUsable(ctx, n.Name, nil)
				if got != c.ready {
					t.Errorf("usable: %t", got)
				}
				if took := time.Since(before); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestAnEventThatCannotBeRecordedIsOnlyLogged(t *testing.T) {
	api := newAPI(newNode("n", id))
	api.refuse = map[string]int{"POST": 403}
	var log bytes.Buffer
	nodes := api.client(t, slog.New(slog.NewTextHandler(&log, nil)))
	nodes.Event(t.Context(), newNode("n", id), "RecycleStarted", "somebody recycles this node")
	if !strings.Contains(log.String(), "recording event") || !strings.Contains(log.String(), "reason=RecycleStarted") {
		t.Errorf("log: %s", log.String())
	}
}

func TestAnEventIsShownByKubectlDescribe(t *testing.T) {
	nodes, kube := client()
	nodes.Event(t.Context(), newNode("n", id), "RecycleStarted", "somebody recycles this node")
	events, err := kube.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 {
		t.Fatalf("events %v, error %v", events, err)
	}
	e := events.Items[0]
	// kubectl describe node searches for these in namespace default, with the name for a UID.
	if e.InvolvedObject.Kind != "Node" || e.InvolvedObject.Name != "n" || e.InvolvedObject.UID != "n" {
		t.Errorf("the event is about %+v", e.InvolvedObject)
	}
}

func TestFindReadsNodesPageByPage(t *testing.T) {
	api := newAPI()
	for i := range 1203 {
		name := "n" + strconv.Itoa(i)
		api.nodes[name] = newNode(name, "i-"+strconv.Itoa(i))
	}
	api.nodes["odd"] = newNode("odd", id)
	nodes := api.client(t, slog.New(slog.DiscardHandler))
	nodes.AnyName = true
	n, err := nodes.Find(t.Context(), id, nil)
	if err != nil || n.GetName() != "odd" {
		t.Errorf("found %v, error %v", n, err)
	}
	if api.largest > 100 {
		t.Errorf("a page had %d nodes", api.largest)
	}
}

func TestReplacementsOfAnInstance(t *testing.T) {
	first, second, other, none := newNode("a", "i-1"), newNode("b", "i-2"), newNode("c", "i-3"), newNode("d", "i-4")
	node.Replaces(id)(first)
	node.Replaces(id)(second)
	node.Replaces("i-9")(other)
	nodes, _ := client(first, second, other, none)
	found, err := nodes.ReplacementsOf(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range found {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Errorf("replacements (-want +got):\n%s", diff)
	}
}
