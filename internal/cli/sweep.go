package cli

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
)

// Left is what a recycle left that no workflow works on any more.
type Left struct {
	InstanceID string   `json:"instanceId"`
	NodeName   string   `json:"nodeName,omitempty"`
	Workflow   string   `json:"workflow"`
	What       []string `json:"what"`
	Outcome    string   `json:"outcome,omitempty"`
}

// leftover is a Left with what it was found by.
type leftover struct {
	Left
	record *claim.Record
	node   *corev1.Node
	busy   bool // somebody renews a claim
}

// sweep finds claims, marks on Nodes and suspensions of workflows that were terminated or deleted, and settles them as
// their exit handlers would have. What a person began from a laptop, and what settle left on standby for a person to
// decide on, it lists only.
func sweep(ctx context.Context, r *session) error {
	found, err := r.leftovers(ctx)
	if err != nil {
		return err
	}
	r.result.Left = nil
	var failures []error
	settled := 0
	for _, left := range found {
		outcome, mine, err := r.whose(ctx, left)
		switch {
		case err != nil:
			return err
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
		r.result.Left = append(r.result.Left, left.Left)
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	return r.done("%d recycle(s) without a workflow found, %d settled", len(r.result.Left), settled)
}

// leftovers gathers all traces of recycles in the cluster by instance, under way or not.
func (r *session) leftovers(ctx context.Context) ([]*leftover, error) {
	records, err := r.claims.Records(ctx)
	if err != nil {
		return nil, err
	}
	leaving, replacements, err := r.nodes.Marked(ctx)
	if err != nil {
		return nil, err
	}
	var all []*leftover
	of := func(id string) *leftover {
		i := slices.IndexFunc(all, func(l *leftover) bool { return l.InstanceID == id })
		if i < 0 {
			i, all = len(all), append(all, &leftover{Left: Left{InstanceID: id}})
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
	slices.SortFunc(all, func(a, b *leftover) int { return strings.Compare(a.InstanceID, b.InstanceID) })
	return all, nil
}

// whose says what is to become of a leftover; "" means that somebody works on it. mine says that the sweep may settle it.
func (r *session) whose(ctx context.Context, l *leftover) (outcome string, mine bool, err error) {
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
func (r *session) settleFor(ctx context.Context, l *leftover) (outcome string, err error) {
	o := r.Options
	o.InstanceID, o.WorkflowStatus, o.Workflow = l.InstanceID, "Failed", cmp.Or(l.Workflow, r.Workflow)
	if l.node != nil {
		if err := o.waitAs(l.node.Annotations[node.AnnotationWaitsFor]); err != nil {
			return "", err
		}
	}
	child := &session{Options: o, asg: r.asg, nodes: r.nodes, pods: r.pods, claims: r.claims, argo: r.argo, wait: r.wait, log: r.log}
	child.claims.Workflow, child.result.Region = o.Workflow, r.result.Region
	client := *r.asg
	client.Alone = child.alone
	child.asg = &client
	if action := child.action(ctx, l.InstanceID); action != "" {
		child.Action = action
	}
	if _, err := child.claims.Acquire(ctx, l.InstanceID, l.node, ""); err != nil {
		return "", err
	}
	err = settle(ctx, child)
	r.result.Changes, r.result.Warnings = append(r.result.Changes, child.result.Changes...), append(r.result.Warnings, child.result.Warnings...)
	return child.result.Message, err
}

// action is what the workflow wanted to become of an instance that it was taking out, or "".
func (r *session) action(ctx context.Context, id string) asg.Action {
	instance, err := r.asg.Instance(ctx, id)
	if err != nil {
		return "" // settle meets the same error and says it
	}
	return asg.Action(instance.Tags[asg.TagAction])
}

// waitsFor is what a Node remembers of the pods that its recycle waits for.
type waitsFor struct {
	LabelSelector string `json:"labelSelector,omitempty"`
	Namespace     string `json:"namespace,omitempty"`
}

func (o Options) waitsFor() string {
	text, _ := json.Marshal(waitsFor{o.LabelSelector, o.Namespaces}) // two strings always marshal
	return string(text)
}

// waitAs takes over the pods that a Node says its recycle waits for.
func (o *Options) waitAs(text string) (err error) {
	if text == "" {
		return nil
	}
	var was waitsFor
	if err := json.Unmarshal([]byte(text), &was); err != nil {
		return fmt.Errorf("reading annotation %s: %w", node.AnnotationWaitsFor, err)
	}
	o.LabelSelector, o.Namespaces = was.LabelSelector, was.Namespace
	o.Selection, err = drain.ParseSelection(was.LabelSelector, was.Namespace)
	return err
}
