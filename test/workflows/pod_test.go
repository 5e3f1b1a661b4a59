package workflows_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// The fields are those of the Pod Security Standard "restricted".
func TestPodsRunRestricted(t *testing.T) {
	wantPod := &corev1.PodSecurityContext{
		RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532), RunAsGroup: ptr.To[int64](65532), FSGroup: ptr.To[int64](65532),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	wantContainer := &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	for _, wt := range templates(t) {
		if diff := cmp.Diff(wantPod, wt.Spec.SecurityContext); diff != "" {
			t.Errorf("pod security context (-want +got):\n%s", diff)
		}
		for _, step := range steps(t, &wt) {
			if diff := cmp.Diff(wantContainer, step.Container.SecurityContext); diff != "" {
				t.Errorf("%s: security context (-want +got):\n%s", step.Name, diff)
			}
			if step.SecurityContext != nil || step.HostAliases != nil || len(step.Volumes) > 0 || step.PodSpecPatch != "" {
				t.Errorf("%s changes the pod's own settings", step.Name)
			}
			if limit := step.Container.Resources.Limits.Memory().String(); limit != "128Mi" {
				t.Errorf("%s: memory limit %s", step.Name, limit)
			}
			if len(step.Container.Resources.Requests) != 2 {
				t.Errorf("%s requests %v", step.Name, step.Container.Resources.Requests)
			}
		}
	}
}

func TestPodsAreLeftAlone(t *testing.T) {
	wt := recycleNode(t)
	want := map[string]string{
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
		"karpenter.sh/do-not-disrupt":                    "true",
	}
	if diff := cmp.Diff(want, wt.Spec.PodMetadata.Annotations); diff != "" {
		t.Errorf("pod annotations (-want +got):\n%s", diff)
	}
	// The label by which the steps tell their own pods from those that they wait for.
	if diff := cmp.Diff(map[string]string{"app.kubernetes.io/name": "eks-recycle"}, wt.Spec.PodMetadata.Labels); diff != "" {
		t.Errorf("pod labels (-want +got):\n%s", diff)
	}
}

func TestPodsKeepOffTheLeavingNode(t *testing.T) {
	want := []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{
		Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"{{inputs.parameters.node-name}}"},
	}}}}
	for _, step := range steps(t, recycleNode(t)) {
		// standby is the step that finds out which node leaves, and settle must run when it never did.
		if step.Name == "standby" || step.Name == "settle" {
			continue
		}
		if step.Affinity == nil || step.Affinity.NodeAffinity == nil {
			t.Errorf("%s has no node affinity", step.Name)
			continue
		}
		got := step.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: node affinity (-want +got):\n%s", step.Name, diff)
		}
	}
}
