package e2e

import (
	"context"
	"testing"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A fleet that goes on for longer than an ended recycle is kept still counts it: the limit holds, and the summary is whole.
// The template of these recycles keeps them for a second, in the place of a fleet of weeks.
func TestFleetOutlivesItsRecycles(t *testing.T) {
	t.Parallel()
	s := given(t, "fleet-record")
	short := int32(1)
	node := s.ownTemplate("recycle-node", func(w *wfv1.WorkflowTemplate) {
		w.Spec.TTLStrategy = &wfv1.TTLStrategy{SecondsAfterSuccess: &short, SecondsAfterFailure: &short}
	})
	fleet := s.ownTemplate("recycle-fleet", func(w *wfv1.WorkflowTemplate) {
		for i := range w.Spec.Templates {
			if c := w.Spec.Templates[i].Container; w.Spec.Templates[i].Name == "fleet" {
				c.Args = append(c.Args, "--template="+node)
			}
		}
	})
	f := s.submitFrom("workflowtemplate/"+fleet, "asg="+s.group, "limit=2")
	f.ends(wfv1.WorkflowSucceeded)
	f.says("finish", "2 node(s) recycled, 0 skipped, 0 failed")
	if begun := f.children(); len(begun) != 2 {
		t.Errorf("recycles that are kept: %+v, want 2", begun)
	}
}

// ownTemplate makes a WorkflowTemplate of the scenario's own from one that is installed.
func (s *scenario) ownTemplate(of string, change func(*wfv1.WorkflowTemplate)) string {
	s.Helper()
	all := s.workflows.ArgoprojV1alpha1().WorkflowTemplates(s.cluster.Namespace)
	w, err := all.Get(s.Context(), of, metav1.GetOptions{})
	s.must(err)
	w.ObjectMeta = metav1.ObjectMeta{Name: of + "-" + s.group, Namespace: w.Namespace, Labels: w.Labels}
	change(w)
	_, err = all.Create(s.Context(), w, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() { s.must(all.Delete(context.Background(), w.Name, metav1.DeleteOptions{})) })
	return w.Name
}
