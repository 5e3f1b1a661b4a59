package node_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/node"
)

func TestOlderLooksAtMinorVersions(t *testing.T) {
	for _, c := range []struct {
		kubelet, controlPlane string
		want                  bool
	}{
		{"v1.32.9-eks-1", "v1.33.1-eks-2", true},
		{"v1.33.0", "v1.33.1", false},
		{"v1.33.1", "v1.33.0", false},
		{"v1.34.0", "v1.33.9", false},
		{"v1.9.0", "v1.10.0", true},
		{"v1.33.0", "v2.0.0", true},
		{"", "v1.33.0", false},
		{"v1.32.0", "unknown", false},
	} {
		if got := node.Older(c.kubelet, c.controlPlane); got != c.want {
			t.Errorf("Older(%q, %q) = %v", c.kubelet, c.controlPlane, got)
		}
	}
}

func TestFactOf(t *testing.T) {
	asked := []node.Condition{{Type: "MemoryPressure", Status: "True"}, {Type: "Ready", Status: "Unknown"}}
	for name, c := range map[string]struct {
		annotations, labels map[string]string
		conditions          []corev1.NodeCondition
		want                node.Info
	}{
		"a plain one":                 {nil, nil, nil, node.Info{}},
		"to be skipped":               {map[string]string{"eks-recycle.io/skip": ""}, nil, nil, node.Info{Skip: true}},
		"skipped no more":             {map[string]string{"eks-recycle.io/skip": "false"}, nil, nil, node.Info{}},
		"requested":                   {map[string]string{"eks-recycle.io/recycle": "requested"}, nil, nil, node.Info{Requested: true}},
		"annotated with another word": {map[string]string{"eks-recycle.io/recycle": "done"}, nil, nil, node.Info{}},
		"Karpenter's":                 {nil, map[string]string{"karpenter.sh/nodepool": "p"}, nil, node.Info{Karpenter: true}},
		"a condition that is asked for": {
			nil, nil, []corev1.NodeCondition{{Type: "MemoryPressure", Status: "True"}, {Type: "Ready", Status: "True"}, {Type: "DiskPressure", Status: "True"}},
			node.Info{Conditions: asked[:1]},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Name, c.want.InstanceID, c.want.Kubelet = "n", "i-1", "v1.33.4"
			n := &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "n", Annotations: c.annotations, Labels: c.labels}, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-central-1a/i-1"},
				Status: corev1.NodeStatus{Conditions: c.conditions, NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.33.4"}},
			}
			if diff := cmp.Diff(c.want, node.InfoOf(n, asked)); diff != "" {
				t.Errorf("fact (-want +got):\n%s", diff)
			}
		})
	}
}
