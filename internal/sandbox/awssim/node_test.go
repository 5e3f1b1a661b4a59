package awssim_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func inCluster(t *testing.T, change func(*awssim.Config), story func(w *world, k *fake.Clientset)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := fake.NewClientset()
		cfg := awssim.DefaultConfig()
		cfg.Kubernetes, cfg.MarkNodesReady = k, true
		if change != nil {
			change(&cfg)
		}
		sim := awssim.New(cfg)
		sim.Start(t.Context())
		defer sim.Close()
		story(newWorld(t, sim, region), k)
	})
}

func (w *world) node(k *fake.Clientset, id string) *corev1.Node {
	w.Helper()
	for _, i := range w.sim.State().Instances {
		if i.ID == id {
			node, err := k.CoreV1().Nodes().Get(w.ctx, i.NodeName, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			w.ok(err)
			return node
		}
	}
	return nil
}

func ready(node *corev1.Node) corev1.ConditionStatus {
	if node == nil {
		return "no node"
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return "no condition"
}

func TestNodes(t *testing.T) {
	var down atomic.Bool
	for _, c := range []struct {
		name   string
		change func(*awssim.Config)
		story  func(w *world, k *fake.Clientset, id string)
	}{
		{"a node joins, NotReady at first", nil, func(w *world, k *fake.Clientset, id string) {
			w.pass(44 * time.Second)
			w.want(ready(w.node(k, id)), "no node", "before")
			w.pass(2 * time.Second)
			w.want(ready(w.node(k, id)), "False", "just joined")
			w.pass(10 * time.Second)
			node := w.node(k, id)
			w.want(ready(node), "True", "later")
			w.want(node.Spec.ProviderID, "aws:///eu-central-1a/"+id, "provider id")
			w.want(node.Labels["topology.kubernetes.io/zone"], "eu-central-1a", "zone")
			w.want(node.Labels["topology.kubernetes.io/region"], "eu-central-1", "region")
			w.want(node.Labels["type"], "kwok", "kwok's label")
			w.want(node.Labels["pool"], "x", "own label")
			w.want(node.Annotations["kwok.x-k8s.io/node"], "fake", "kwok's annotation")
		}},
		{"stop taints, start mends", nil, func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Minute)
			w.ok(w.stop(id))
			w.pass(time.Minute)
			node := w.node(k, id)
			w.want(node.Spec.Taints, []corev1.Taint{{Key: "node.cloudprovider.kubernetes.io/shutdown", Effect: "NoSchedule"}}, "taints")
			w.want(ready(node), "Unknown", "ready while stopped")
			w.pass(24 * time.Hour)
			w.want(w.node(k, id) != nil, true, "a stopped instance keeps its node")
			_, err := w.ec2.StartInstances(w.ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}})
			w.ok(err)
			w.pass(2 * time.Minute)
			w.want(len(w.node(k, id).Spec.Taints), 0, "taints after start")
			w.want(ready(w.node(k, id)), "True", "ready after start")
		}},
		{"a node deleted by someone else stays away until the next start", nil, func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Minute)
			w.ok(k.CoreV1().Nodes().Delete(w.ctx, w.node(k, id).Name, metav1.DeleteOptions{}))
			w.ok(w.stop(id))
			w.pass(time.Hour)
			w.want(w.node(k, id) == nil, true, "stays away")
			_, err := w.ec2.StartInstances(w.ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}})
			w.ok(err)
			w.pass(2 * time.Minute)
			w.want(ready(w.node(k, id)), "True", "registers anew")
		}},
		{"terminate deletes", nil, func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Minute)
			w.ok(w.sim.ActOutside(id, "terminate"))
			w.pass(time.Second)
			w.want(w.node(k, id) != nil, true, "while shutting down")
			w.pass(time.Minute)
			w.want(w.node(k, id) == nil, true, "once terminated")
		}},
		{"boots but never joins", func(c *awssim.Config) { c.NodeNeverJoins = true }, func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Hour)
			w.want(w.instance(id).State.Name, "running", "instance")
		}},
		{"joins but is never Ready", func(c *awssim.Config) { c.NodeNeverReady, c.MarkNodesReady = true, false }, func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Hour)
			node := w.node(k, id)
			w.want(ready(node), "False", "ready")
			w.want(node.Annotations["kwok.x-k8s.io/node"], "", "kwok keeps off")
		}},
		{"with kwok the conditions are kwok's", func(c *awssim.Config) { c.MarkNodesReady = false }, func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Hour)
			w.want(ready(w.node(k, id)), "no condition", "ready")
		}},
		{"a cluster that fails is asked again, and holds up nothing", func(c *awssim.Config) {
			down.Store(true)
			c.Kubernetes.(*fake.Clientset).PrependReactor("*", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
				return down.Load(), nil, errors.New("connection refused")
			})
		}, func(w *world, k *fake.Clientset, id string) {
			w.pass(10 * time.Minute)
			w.want(w.instance(id).State.Name, "running", "instance")
			down.Store(false)
			w.pass(10 * time.Second)
			w.want(ready(w.node(k, id)), "True", "ready in the end")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inCluster(t, c.change, func(w *world, k *fake.Clientset) {
				id, err := w.sim.AddInstance(awssim.InstanceSpec{JoinsCluster: true, NodeLabels: map[string]string{"pool": "x"}})
				w.ok(err)
				if w.sim.State().Instances[0].NodeName == "" {
					w.Error("no node name")
				}
				c.story(w, k, id)
			})
		})
	}
}

func TestNodesOfAGroup(t *testing.T) {
	inCluster(t, nil, func(w *world, k *fake.Clientset) {
		ids := w.group(1, 4, 3)
		for _, id := range ids {
			w.want(ready(w.node(k, id)), "True", "ready")
			w.want(w.node(k, id).Labels["alpha.eksctl.io/nodegroup-name"], name, "group")
		}
	})
}
