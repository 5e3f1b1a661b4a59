package e2e

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// reaction measures how long after the end of a pod the drain makes its next API call, the Event on the Node, both as a
// watch of this process sees them.
func (s *scenario) reaction(pod string) <-chan time.Duration {
	s.Helper()
	pods, err := s.kube.CoreV1().Pods(s.namespace).Watch(s.Context(), metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", pod).String()})
	s.must(err)
	events, err := s.kube.CoreV1().Events(metav1.NamespaceDefault).Watch(s.Context(), metav1.ListOptions{
		FieldSelector: fields.Set{"reason": "RecycleDrained", "involvedObject.name": s.nodes[s.ids[0]]}.String(),
	})
	s.must(err)
	result := make(chan time.Duration, 1)
	go func() {
		defer pods.Stop()
		defer events.Stop()
		ended := first(pods, func(o any) bool {
			p, ok := o.(*corev1.Pod)
			return ok && p.Status.Phase == corev1.PodSucceeded
		})
		result <- first(events, func(o any) bool { _, ok := o.(*corev1.Event); return ok }).Sub(ended)
	}()
	return result
}

// first is when a watch first showed what is looked for, or the zero time if it ended before.
func first(w watch.Interface, found func(any) bool) time.Time {
	for event := range w.ResultChan() {
		if found(event.Object) {
			return time.Now()
		}
	}
	return time.Time{}
}
