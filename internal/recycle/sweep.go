package recycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/report"
)

// Leftover is what a recycle left that no workflow works on any more. Settled says that the sweep put it right; Parked, that a
// person has to decide on it.
type Leftover struct {
	InstanceID, NodeName string
	Workflow             string
	What                 []string // that was found
	Outcome              string
	Settled, Parked      bool
}

// Sweep finds the records of workflows that were terminated or deleted, and settles them as their exit handlers would have; and
// marks on Nodes whose recycle is over, and takes them off. What a person began from a laptop, and what is parked for a person
// to decide on, it lists only. One that cannot be settled holds up no other.
func (r *Recycle) Sweep(ctx context.Context) (remaining []Leftover, err error) {
	remaining = slices.Clone(r.swept) // what an earlier turn of this run has settled
	records, unreadable, err := r.claims.Records(ctx)
	if err != nil {
		return remaining, err
	}
	r.report.Begun, r.report.InProgress = true, nil
	var failures []error
	add := func(l Leftover, err error) {
		if err != nil {
			failures = append(failures, fmt.Errorf("settling instance %s: %w", l.InstanceID, err))
			l.Outcome = err.Error()
		}
		if l.Outcome == "" { // its workflow runs
			return
		}
		r.log.InfoContext(ctx, "left behind", "instance", l.InstanceID, "node", l.NodeName, "workflow", l.Workflow, "what", strings.Join(l.What, ", "), "outcome", l.Outcome)
		remaining = append(remaining, l)
		if l.Settled {
			r.swept = append(r.swept, l)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unreadable)) {
		add(Leftover{InstanceID: strings.TrimPrefix(name, "eks-recycle-"), What: []string{"Lease " + name}}, unreadable[name])
	}
	recorded := map[string]claim.Record{}
	for _, record := range records {
		recorded[record.InstanceID] = record
		l := Leftover{InstanceID: record.InstanceID, NodeName: record.Node, Workflow: record.Workflow, What: []string{"claim of " + record.Holder}}
		if record.Parked() {
			l.What = []string{"parked recycle"}
		}
		for _, process := range record.Suspends {
			l.What = append(l.What, fmt.Sprintf("%s of Auto Scaling group %s suspended", process, record.Group))
		}
		l, err := r.sweepRecord(ctx, l, record)
		if l.Outcome == "" && err == nil {
			r.report.InProgress = append(r.report.InProgress, record.Began())
		}
		add(l, err)
		if ctx.Err() != nil {
			return remaining, errors.Join(append(failures, context.Cause(ctx))...)
		}
	}
	leaving, replacements, err := r.nodes.Marked(ctx)
	if err != nil {
		return remaining, errors.Join(append(failures, err)...)
	}
	for i := range leaving {
		if id := node.InstanceID(leaving[i].Spec.ProviderID); recorded[id].InstanceID == "" {
			add(r.sweepNode(ctx, id, &leaving[i]))
		}
	}
	for i := range replacements {
		if id := replacements[i].Labels[node.LabelReplaces]; recorded[id].InstanceID == "" {
			add(r.sweepReplacement(ctx, id, &replacements[i]))
		}
	}
	if err := errors.Join(failures...); err != nil {
		return remaining, err
	}
	settled := 0
	for _, l := range remaining {
		if l.Settled {
			settled++
		}
	}
	return remaining, r.report.Done("%d recycle(s) without a workflow found, %d settled", len(remaining), settled)
}

// sweepRecord settles a recycle that nobody will, or says why not; no outcome means that somebody works on it.
func (r *Recycle) sweepRecord(ctx context.Context, l Leftover, record claim.Record) (Leftover, error) {
	mine := record.Holder == r.claims.Holder && argo.IsWorkflow(record.Workflow) // by an earlier attempt; a person may run the steps as well
	if record.Live() && !mine {
		return l, nil
	}
	if !record.Parked() && !mine {
		if !argo.IsWorkflow(record.Workflow) {
			l.Outcome = fmt.Sprintf("left to %s, who runs the steps by hand: step settle --instance-id %s", record.Workflow, l.InstanceID)
			return l, nil
		}
		if ended, err := r.ended(ctx, record); err != nil || !ended {
			return l, err
		}
	}
	request := r.Request
	request.InstanceID, request.WorkflowStatus = l.InstanceID, "Failed"
	out := &report.Report{Log: r.log, Region: r.report.Region}
	client := *r.asg
	client.Alone = nil
	one := New(request, Clients{AWS: client, Nodes: r.nodes, Pods: r.pods, Claims: r.claims, Argo: r.argo}, out)
	one.missing = r.missing
	s, err := one.lookup(ctx)
	switch {
	case errors.Is(err, asg.ErrUnknown) && !errors.Is(err, ErrUncertain):
		s = subject{Target: asg.Target{Instance: asg.Instance{ID: l.InstanceID, State: asg.Unknown}}, record: &record, stage: Gone}
	case err != nil:
		return l, err
	}
	if record.Parked() && !s.stage.forward() && (s.stage == Replaced || s.stage == Waiting) {
		l.Parked = true
		l.Outcome = fmt.Sprintf("parked, %s: submit it again to go on, or bring it back: step restore --instance-id %s", s.stage, l.InstanceID)
		return l, nil
	}
	if r.DryRun {
		l.Outcome = fmt.Sprintf("would be settled: it is %s", s.stage)
		return l, nil
	}
	if err := one.asRecorded(record); err != nil {
		return l, err
	}
	err = one.claimed(ctx, s, func(ctx context.Context) error { return one.settle(ctx, s) })
	r.report.Changes, r.report.Warnings = append(r.report.Changes, out.Changes...), append(r.report.Warnings, out.Warnings...)
	var held *claim.HeldError
	if errors.As(err, &held) { // somebody was quicker
		return l, nil
	}
	l.Outcome, l.Settled = out.Message, err == nil
	return l, err
}

// interruptionLasts is how long after a notice its instance may still serve. If it serves after that, it came back: from a warm pool, or
// as a Spot Instance that was stopped or hibernated.
const interruptionLasts = time.Hour

// sweepNode is about a Node with the marks of a recycle of which there is no record. If its instance serves, they are taken off;
// nothing is done to the instance.
func (r *Recycle) sweepNode(ctx context.Context, id string, n *corev1.Node) (Leftover, error) {
	l := Leftover{InstanceID: id, NodeName: n.Name, Workflow: n.Annotations[node.AnnotationWorkflow], What: []string{"taint and marks on its node"}}
	if r.ofAnother(l.Workflow) {
		return l, nil
	}
	if at := node.InterruptedAt(n); !at.IsZero() && time.Since(at) < interruptionLasts {
		l.Outcome = fmt.Sprintf("AWS gave notice of it at %s: it goes with its instance; if that stays: step restore --instance-id %s", n.Annotations[node.AnnotationInterruption], id)
		return l, nil
	}
	target, err := r.asg.Lookup(ctx, id, "")
	if err != nil && !errors.Is(err, asg.ErrUnknown) {
		return l, err
	}
	if stage := StateOf(target, nil); err != nil || stage != Serving {
		l.Outcome = fmt.Sprintf("no record says what is to become of it (%s): submit it again, or step restore --instance-id %s", stage, id)
		return l, nil
	}
	return r.unmark(ctx, l, n, node.Restored)
}

// sweepReplacement takes the mark of a recycle that is over off a replacement.
func (r *Recycle) sweepReplacement(ctx context.Context, id string, n *corev1.Node) (Leftover, error) {
	l := Leftover{InstanceID: id, NodeName: n.Name, What: []string{"mark on replacement " + n.Name}}
	return r.unmark(ctx, l, n, node.Released(id))
}

func (r *Recycle) unmark(ctx context.Context, l Leftover, n *corev1.Node, mark node.Mark) (Leftover, error) {
	if l.Outcome = "its marks would be taken off"; r.DryRun {
		return l, nil
	}
	if record, err := r.claims.Record(ctx, l.InstanceID); err != nil || record != nil { // it has begun meanwhile
		l.Outcome = ""
		return l, err
	}
	_, err := r.nodes.Apply(ctx, n, mark)
	r.report.Change("node %s: marks of a recycle taken off", n.Name)
	l.Outcome, l.Settled = "its marks are taken off", err == nil
	return l, err
}

// ofAnother reports that a workflow belongs to another installation, which sweeps for itself.
func (r *Recycle) ofAnother(workflow string) bool {
	namespace, _, found := strings.Cut(workflow, "/")
	return found && namespace != r.claims.Namespace
}
