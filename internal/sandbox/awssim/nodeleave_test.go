package awssim_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestNodesThatLeave(t *testing.T) {
	leaving := func(how string, returns time.Duration) func(*awssim.Config) {
		return func(c *awssim.Config) {
			c.NodeLeavesAfter, c.NodeLeaves, c.NodeReturnsAfter = 5*time.Minute, how, returns
		}
	}
	// A Node of these latencies is Ready after 55 seconds.
	for _, c := range []struct {
		name   string
		change func(*awssim.Config)
		story  func(w *world, k *fake.Clientset, id string)
	}{
		{"it goes NotReady while its instance runs on", leaving("", 0), func(w *world, k *fake.Clientset, id string) {
			w.pass(5 * time.Minute)
			w.want(ready(w.node(k, id)), "True", "ready before")
			w.pass(time.Minute)
			w.want(ready(w.node(k, id)), "Unknown", "ready after")
			w.pass(time.Hour)
			w.want(ready(w.node(k, id)), "Unknown", "ready for good")
			w.want(w.instance(id).State.Name, "running", "instance")
		}},
		{"it is deleted while its instance runs on", leaving(awssim.LeaveDeleted, 0), func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Hour)
			w.want(w.node(k, id) == nil, true, "gone")
			w.want(w.instance(id).State.Name, "running", "instance")
		}},
		{"it comes back Ready as the object it was, and leaves again", leaving("", time.Minute), func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Minute)
			uid := w.node(k, id).UID
			w.pass(5*time.Minute + 30*time.Second)
			w.want(ready(w.node(k, id)), "Unknown", "ready while away")
			w.pass(time.Minute)
			w.want(ready(w.node(k, id)), "True", "ready once back")
			w.want(w.node(k, id).UID, uid, "uid")
			w.pass(5 * time.Minute)
			w.want(ready(w.node(k, id)), "Unknown", "ready when it left again")
		}},
		{"one that was deleted comes back as another object", leaving(awssim.LeaveDeleted, time.Minute), func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Minute)
			uid := w.node(k, id).UID
			w.pass(6*time.Minute + 30*time.Second)
			w.want(ready(w.node(k, id)), "True", "ready once back")
			w.want(w.node(k, id).UID != uid, true, "another uid")
		}},
		{"kwok is kept from a Node that left", func(c *awssim.Config) {
			leaving("", time.Minute)(c)
			c.MarkNodesReady = false
		}, func(w *world, k *fake.Clientset, id string) {
			w.pass(6 * time.Minute)
			w.want(w.node(k, id).Annotations["kwok.x-k8s.io/node"], "", "kwok's annotation while away")
			w.want(w.node(k, id).Labels["type"], "", "kwok's label while away")
			w.want(ready(w.node(k, id)), "Unknown", "ready while away")
			w.pass(time.Minute)
			w.want(w.node(k, id).Annotations["kwok.x-k8s.io/node"], "fake", "kwok's annotation once back")
		}},
		{"taken away by hand before it was Ready, it does not become so", nil, func(w *world, k *fake.Clientset, id string) {
			w.pass(50 * time.Second)
			w.ok(w.sim.LeaveNode(id, awssim.LeaveNotReady))
			w.pass(time.Hour)
			w.want(ready(w.node(k, id)), "Unknown", "ready")
		}},
		{"its instance terminated while it is away, it does not come back", leaving(awssim.LeaveDeleted, 10*time.Minute), func(w *world, k *fake.Clientset, id string) {
			w.pass(7 * time.Minute)
			w.ok(w.sim.ActOutside(id, "terminate"))
			w.pass(time.Hour)
			w.want(w.node(k, id) == nil, true, "gone")
		}},
		{"joined anew it is another object, bare and NotReady at first", nil, func(w *world, k *fake.Clientset, id string) {
			w.pass(time.Minute)
			node := w.node(k, id)
			uid := node.UID
			node.Spec.Unschedulable = true
			node.Spec.Taints = []corev1.Taint{{Key: "leaving", Effect: corev1.TaintEffectNoSchedule}}
			node.Labels["mine"], node.Annotations["mine"] = "x", "x"
			_, err := k.CoreV1().Nodes().Update(w.ctx, node, metav1.UpdateOptions{})
			w.ok(err)
			w.ok(w.sim.RejoinNode(id))
			w.pass(time.Second)
			node = w.node(k, id)
			w.want(ready(node), "False", "ready at first")
			w.want(node.UID != uid && node.UID != "", true, "another uid")
			w.want(node.Spec.Unschedulable || len(node.Spec.Taints) > 0 || node.Labels["mine"]+node.Annotations["mine"] != "", false, "anything kept")
			w.want(node.Labels["pool"], "x", "the label of its bootstrap")
			w.pass(10 * time.Second)
			w.want(ready(w.node(k, id)), "True", "ready later")
		}},
		{"an instance that does not run has no Node to act on", nil, func(w *world, _ *fake.Clientset, id string) {
			for _, err := range []error{w.sim.RejoinNode(id), w.sim.LeaveNode(id, ""), w.sim.RejoinNode("i-0")} {
				if err == nil {
					w.Error("not refused")
				}
			}
			w.pass(time.Minute)
			if w.sim.LeaveNode(id, "sideways") == nil {
				w.Error("not refused")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inCluster(t, c.change, func(w *world, k *fake.Clientset) {
				id, err := w.sim.AddInstance(awssim.InstanceSpec{JoinsCluster: true, NodeLabels: map[string]string{"pool": "x"}})
				w.ok(err)
				c.story(w, k, id)
			})
		})
	}
}
