package drain

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// What is kept of a pod in memory decides like the whole.
func TestASlimPodIsJudgedLikeTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "p", Namespace: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"), UID: types.UID(rapid.String().Draw(t, "uid")),
				Labels: rapid.MapOfN(rapid.SampledFrom([]string{"app", ownLabel}), rapid.SampledFrom([]string{"batch", ownValue}), 0, 2).Draw(t, "labels"),
			},
			Spec: corev1.PodSpec{
				NodeName:      "n",
				RestartPolicy: rapid.SampledFrom([]corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure}).Draw(t, "policy"),
				Containers:    []corev1.Container{{Name: "work", Env: []corev1.EnvVar{{Name: "BIG", Value: "x"}}}},
			},
			Status: corev1.PodStatus{Phase: rapid.SampledFrom([]corev1.PodPhase{corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending}).Draw(t, "phase")},
		}
		if rapid.Bool().Draw(t, "mirror") {
			whole.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "", "big": "x"}
		}
		for _, asks := range []string{doNotDisrupt, safeToEvict} {
			if value := rapid.SampledFrom([]string{"", "true", "false"}).Draw(t, asks); value != "" {
				metav1.SetMetaDataAnnotation(&whole.ObjectMeta, asks, value)
			}
		}
		if rapid.Bool().Draw(t, "tolerates") {
			whole.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}
		if rapid.Bool().Draw(t, "waits") {
			whole.Status.ContainerStatuses = []corev1.ContainerStatus{{Image: "big", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "big"}}}}
		}
		if kind := rapid.SampledFrom([]string{"", "Job", "DaemonSet"}).Draw(t, "owner"); kind != "" {
			controller := rapid.Bool().Draw(t, "controller")
			whole.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Controller: &controller}}
		}
		if rapid.Bool().Draw(t, "terminating") {
			now := metav1.Now()
			whole.DeletionTimestamp = &now
		}
		object, err := slim(whole)
		if err != nil {
			t.Fatal(err)
		}
		kept := object.(*corev1.Pod)
		for _, selector := range []string{"", "app", "app=batch", "!app"} {
			for _, namespaces := range []string{"", "a"} {
				s, err := ParseSelection(selector, namespaces)
				if err != nil {
					t.Fatal(err)
				}
				if s.Matters(kept) != s.Matters(whole) {
					t.Errorf("selection %q: matters %t, the whole %t", s, s.Matters(kept), s.Matters(whole))
				}
			}
		}
		h := Host{Taint: corev1.Taint{Key: "leaving", Effect: corev1.TaintEffectNoSchedule}}
		if h.tolerated(kept) != h.tolerated(whole) {
			t.Errorf("tolerates the taint: %t, the whole %t", h.tolerated(kept), h.tolerated(whole))
		}
		own := Selection{Own: "a"}
		if own.toEvict(kept) != own.toEvict(whole) || Describe([]*corev1.Pod{kept}) != Describe([]*corev1.Pod{whole}) || kept.UID != whole.UID {
			t.Errorf("kept %+v", kept)
		}
		if len(kept.Spec.Containers) != 0 || kept.Annotations["big"] != "" {
			t.Error("it keeps what nobody looks at")
		}
	})
}

func TestSlimLeavesWhatIsNoPod(t *testing.T) {
	if object, err := slim("tombstone"); err != nil || object != "tombstone" {
		t.Errorf("%v, %v", object, err)
	}
}
