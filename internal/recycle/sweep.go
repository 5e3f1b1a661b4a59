package recycle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/report"
)

// Leftover is what a recycle left that no workflow works on any more.
type Leftover struct {
	InstanceID, NodeName string
	Workflow             string
	What                 []string // that was found
	Outcome              string

	record *claim.Record
	node   *corev1.Node
	busy   bool // somebody renews a claim
}

// Sweep finds claims, marks on Nodes and suspensions of workflows that were terminated or deleted, and settles them as
// their exit handlers would have. What a person began from a laptop, and what settle left on standby for a person to
// decide on, it lists only.
func (r *Recycle) Sweep(ctx context.Context) (remaining []Leftover, err error) {
	found, err := r.leftovers(ctx)
	if err != nil {
		return nil, err
	}
	var failures []error
	settled := 0
	for _, left := range found {
		outcome, mine, err := r.whose(ctx, left)
		switch {
		case err != nil:
			return nil, err
		case outcome == "": // its workflow runs
			continue
		case mine && !r.DryRun:
			if outcome, err = r.settleFor(ctx, left); err != nil {
				failures = append(failures, fmt.Errorf("settling instance %s: %w", left.InstanceID, err))
				outcome = err.Error()
			} else {
				settled++
			}
		}
		left.Outcome = outcome
		r.log.InfoContext(ctx, "left behind", "instance", left.InstanceID, "node", left.NodeName, "workflow", left.Workflow, "what", strings.Join(left.What, ", "), "outcome", outcome)
		remaining = append(remaining, *left)
	}
	if err := errors.Join(failures...); err != nil {
		return remaining, err
	}
	return remaining, r.report.Done("%d recycle(s) without a workflow found, %d settled", len(remaining), settled)
}

// leftovers gathers all traces of recycles in the cluster by instance, under way or not.
func (r *Recycle) leftovers(ctx context.Context) ([]*Leftover, error) {
	records, err := r.claims.Records(ctx)
	if err != nil {
		return nil, err
	}
	leaving, replacements, err := r.nodes.Marked(ctx)
	if err != nil {
		return nil, err
	}
	var all []*Leftover
	of := func(id string) *Leftover {
		i := slices.IndexFunc(all, func(l *Leftover) bool { return l.InstanceID == id })
		if i < 0 {
			i, all = len(all), append(all, &Leftover{InstanceID: id})
		}
		return all[i]
	}
	for i := range leaving {
		l := of(node.InstanceID(leaving[i].Spec.ProviderID))
		l.node, l.NodeName, l.Workflow = &leaving[i], leaving[i].Name, leaving[i].Annotations[node.AnnotationWorkflow]
		l.What = append(l.What, "taint and marks on its node")
	}
	for i := range replacements {
		l := of(node.ReplacementFor(&replacements[i]))
		l.What = append(l.What, "mark on replacement "+replacements[i].Name)
	}
	for i := range records {
		l := of(records[i].InstanceID)
		l.What = append(l.What, "claim of "+records[i].Holder)
		for _, process := range records[i].Suspends {
			l.What = append(l.What, fmt.Sprintf("%s of Auto Scaling group %s suspended", process, records[i].Group))
		}
		if l.busy = l.busy || records[i].Live(); !records[i].OnGroup {
			l.record = &records[i]
		}
		l.NodeName, l.Workflow = cmp.Or(l.NodeName, records[i].Node), cmp.Or(records[i].Workflow, l.Workflow)
	}
	slices.SortFunc(all, func(a, b *Leftover) int { return strings.Compare(a.InstanceID, b.InstanceID) })
	return all, nil
}

// whose says what is to become of a leftover; "" means that somebody works on it. mine says that the sweep may settle it.
func (r *Recycle) whose(ctx context.Context, l *Leftover) (outcome string, mine bool, err error) {
	if l.busy {
		return "", false, nil
	}
	if l.record == nil && l.node != nil && node.IsNoticed(l.node) {
		return fmt.Sprintf("AWS gave notice of it at %s: it goes with its instance; if that stays, bring it back: step restore --instance-id %s", l.node.Annotations[node.AnnotationNotice], l.InstanceID), false, nil
	}
	if !argo.IsWorkflow(l.Workflow) && l.Workflow != "" {
		return fmt.Sprintf("left to %s, who runs the steps by hand: step settle --instance-id %s", l.Workflow, l.InstanceID), false, nil
	}
	uid := ""
	if l.record != nil {
		uid = l.record.Holder
	}
	ended := l.Workflow == ""
	if !ended {
		if ended, err = r.argo.Ended(ctx, l.Workflow, uid); err != nil || !ended {
			return "", false, err
		}
	}
	if l.record == nil && l.node != nil && l.node.Annotations[node.AnnotationReplacement] != "" && !node.IsRetiring(l.node) {
		return fmt.Sprintf("stands by, replaced: submit it again to go on, or bring it back: step restore --instance-id %s", l.InstanceID), false, nil
	}
	return "would be settled", true, nil
}

// settleFor does the work of the exit handler that never ran, with the claim and the parameters of its workflow.
func (r *Recycle) settleFor(ctx context.Context, l *Leftover) (outcome string, err error) {
	request := r.Request
	request.InstanceID, request.WorkflowStatus = l.InstanceID, "Failed"
	if l.node != nil {
		if err := request.waitAs(l.node.Annotations[node.AnnotationWaitsFor]); err != nil {
			return "", err
		}
	}
	if action := r.action(ctx, l.InstanceID); action != nil {
		request.Action = action
	}
	claims := r.claims
	claims.Workflow = cmp.Or(l.Workflow, claims.Workflow)
	out := &report.Report{Log: r.log, Region: r.report.Region}
	one := New(request, Clients{AWS: *r.asg, Nodes: r.nodes, Pods: r.pods, Claims: claims, Argo: r.argo}, out)
	if _, err := one.claims.Acquire(ctx, l.InstanceID, l.node, ""); err != nil {
		return "", err
	}
	err = one.Settle(ctx)
	r.report.Changes, r.report.Warnings = append(r.report.Changes, out.Changes...), append(r.report.Warnings, out.Warnings...)
	return out.Message, err
}

// action is what the workflow wanted to become of an instance that it was taking out, or nil.
func (r *Recycle) action(ctx context.Context, id string) asg.Action {
	instance, err := r.asg.Instance(ctx, id)
	if err != nil {
		return nil // settle meets the same error and says it
	}
	action, _ := asg.ParseAction(instance.Tags[asg.TagAction])
	return action
}

// waitsFor is what a Node remembers of the pods that its recycle waits for.
type waitsFor struct {
	LabelSelector string `json:"labelSelector,omitempty"`
	Namespace     string `json:"namespace,omitempty"`
}

func (r *Recycle) waitsFor() string {
	text, _ := json.Marshal(waitsFor{r.Pods.Labels(), strings.Join(r.Pods.Namespaces, ",")}) // two strings always marshal
	return string(text)
}

// waitAs takes over the pods that a Node says its recycle waits for.
func (r *Request) waitAs(text string) (err error) {
	if text == "" {
		return nil
	}
	var was waitsFor
	if err := json.Unmarshal([]byte(text), &was); err != nil {
		return fmt.Errorf("reading annotation %s: %w", node.AnnotationWaitsFor, err)
	}
	r.Pods, err = drain.ParseSelection(was.LabelSelector, was.Namespace)
	return err
}
