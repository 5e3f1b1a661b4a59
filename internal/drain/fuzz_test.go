package drain

import (
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// The API server answers a list with what the query lets through, so a pod that matters and that the query hides would go
// down with its node. The query is taken apart as the API server does it: labels.Parse, fields.ParseSelector.
func FuzzTheQueryHidesNoPodThatMatters(f *testing.F) {
	for _, seed := range []string{
		"", " ", "app=batch", "app in (batch,a)", "app notin (batch)", "!app", "app", "app=", "app in ()", "app!=", "app>1,app<3", "app==batch,tier!=gold", "app.kubernetes.io/name=eks-recycle",
	} {
		for _, restart := range []string{"Never", "OnFailure", "Always", ""} {
			f.Add(seed, "", "node-1", "default", "app", "batch", restart, "Running")
		}
	}
	f.Add("app", "team-a,team-b", "node-1", "team-b", "app", "2", "Never", "Pending")
	f.Add("app", "team-a,team-b", "node-1", "team-c", "app", "2", "Never", "Pending")
	f.Add("app>1", "team-a", "a,b=c!=d\\", "team-a", "app", "2", "Always", "")
	f.Add("app", "", "node-1", "default", "app", "batch", "Never", "Succeeded")
	f.Add("app", "", "node-1", "default", "app.kubernetes.io/name", "eks-recycle", "Never", "Running")
	f.Fuzz(func(t *testing.T, selector, namespaces, node, namespace, key, value, restart, phase string) {
		s, err := ParseSelection(selector, namespaces)
		if err != nil || !utf8.ValidString(node) { // names come as JSON or protobuf, and those are UTF-8
			return
		}
		s.Disruptable = len(namespace)%2 == 0
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: namespace, Labels: map[string]string{key: value}},
			Spec:       corev1.PodSpec{NodeName: node, RestartPolicy: corev1.RestartPolicy(restart)},
			Status:     corev1.PodStatus{Phase: corev1.PodPhase(phase)},
		}
		q := s.query(node)
		byLabel, err := labels.Parse(q.labels)
		if err != nil {
			t.Fatalf("the API server refuses the label selector %q of %q: %v", q.labels, selector, err)
		}
		byField, err := fields.ParseSelector(q.fields.String())
		if err != nil {
			t.Fatalf("the API server refuses the field selector %q: %v", q.fields, err)
		}
		asked := len(q.namespaces) == 0
		for _, n := range q.namespaces {
			asked = asked || n == namespace
		}
		found := asked && byLabel.Matches(labels.Set(p.Labels)) &&
			byField.Matches(fields.Set{"spec.nodeName": node, "spec.restartPolicy": restart, "status.phase": phase})
		switch matters := s.Matters(p); {
		case matters && !found:
			t.Errorf("the pod matters to %q, and the query %q, %q hides it", s, q.labels, q.fields)
		case !matters && found && (s.Disruptable || strings.TrimSpace(selector) != ""):
			t.Errorf("the pod is nothing to %q, and the query %q, %q finds it", s, q.labels, q.fields)
		}
		direct, err := labels.Parse(selector)
		if err != nil || (!direct.Empty() && s.Matters(p) && !direct.Matches(labels.Set(p.Labels))) {
			t.Errorf("the selector %q means something else here than on the command line of kubectl: %v", selector, err)
		}
		if strings.ContainsAny(s.String(), "\n\r") {
			t.Errorf("%q does not fit into one line of a message", s)
		}
	})
}
