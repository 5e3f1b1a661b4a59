package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// run is one attempt of a fleet. What it must not forget is in its children: a later attempt finds them by label, and
// selects anew who is left. Those who wait, and what came of those that failed, it only remembers to ask once.
type run struct {
	*Fleet
	following *argo.Following
	children  []argo.Child // as of the last look
	selected  *selection
	waiting   []Candidate
	sizes     map[string]int         // of the groups
	started   map[string]argo.Child  // by this attempt, until they are seen
	verdicts  map[string]NodeOutcome // of children that failed, by uid
	passed    []NodeOutcome          // over, by this attempt
	ours      argo.Parent
}

// noPhaseFor is how long a child may have no phase: its controller sees it within seconds.
const noPhaseFor = 5 * time.Minute

// fleetLook is the pause after which a fleet that could start more looks whether other people's recycles have ended. Its own
// children it watches.
const fleetLook = time.Minute

// Run creates one Workflow a node, as many at a time as the budget allows, and waits for their ends.
func (r *Fleet) Run(ctx context.Context) error {
	criteria := r.Criteria
	if criteria.LaunchedBefore.IsZero() || criteria.LaunchedBefore.After(r.StartedAt) {
		criteria.LaunchedBefore = r.StartedAt // the replacements are not next
	}
	criteria.Limit = 0 // it bounds the recycles of the fleet, over all attempts
	selected, err := r.selectNodes(ctx, criteria)
	if err != nil {
		return err
	}
	f := &run{Fleet: r, selected: selected, waiting: selected.nodes, sizes: map[string]int{}, started: map[string]argo.Child{}, verdicts: map[string]NodeOutcome{}}
	for _, p := range selected.inventories {
		f.sizes[p.Name] = p.Size
	}
	if r.DryRun {
		return f.plan(ctx)
	}
	if !argo.IsWorkflow(r.claims.Workflow) {
		return hint.Errorf("argo submit --from workflowtemplate/recycle-fleet; with --dry-run it works anywhere", "step fleet runs in a workflow, which its children belong to")
	}
	f.ours = r.parent()
	if f.ours.Controller, err = r.argo.Controller(ctx, r.claims.Namespace, f.ours.Name); err != nil {
		return err
	}
	if f.following, err = r.argo.Follow(ctx, r.claims.Namespace, r.claims.Holder); err != nil {
		return err
	}
	begun := map[string]bool{}
	for _, c := range f.following.Children() {
		begun[c.Instance] = true
	}
	f.waiting = slices.DeleteFunc(f.waiting, func(c Candidate) bool { return begun[c.InstanceID] })
	loop := r.wait
	loop.Interval, loop.Wake = fleetLook, f.following.Changed
	if err := loop.Until(ctx, f.look); err != nil {
		return err
	}
	return f.conclude(ctx)
}

// look starts whom it may and says whether all is over.
func (f *run) look(ctx context.Context) (done bool, status string, err error) {
	f.see()
	for _, c := range f.children {
		if c.Phase == "" && !c.Ended && !c.Created.IsZero() && time.Since(c.Created) > noPhaseFor {
			f.report.Warn(ctx, fmt.Sprintf("workflow %s was created at %s, and no workflow controller has taken it up", c.Name, c.Created.UTC().Format(time.RFC3339)))
		}
	}
	closed, err := f.closed(ctx)
	if err != nil {
		return false, "", err
	}
	later := ""
	if closed == "" && len(f.waiting) > 0 {
		if later = f.later(ctx); later == "" {
			err = f.startNext(ctx)
		}
		if err != nil {
			return false, "", err
		}
	}
	running := len(f.running())
	ended, total := len(f.children)-running, len(f.children)
	if closed == "" {
		total += len(f.waiting)
	}
	if err := argo.Progress(f.ProgressFile, ended, total); err != nil {
		f.log.WarnContext(ctx, "reporting progress", "err", err)
	}
	status = fmt.Sprintf("%d of %d recycle(s) have ended, %d in progress", ended, total, running)
	switch {
	case closed != "":
		status += ", no more are started: " + closed
	case later != "":
		status += ", the next waits: " + later
	}
	return running == 0 && (closed != "" || len(f.waiting) == 0), status, nil
}

// later says why the next node waits: for the window, or between two nodes for the gate. "" is that it may begin.
func (f *run) later(ctx context.Context) string {
	if outside := f.Window.Closed(time.Now()); outside != "" {
		return outside
	}
	if f.Gate == nil || len(f.children) == 0 || len(f.next(f.running())) == 0 {
		return ""
	}
	return f.Gate.Closed(ctx)
}

// closed says why no more recycles are started, or "".
func (f *run) closed(ctx context.Context) (string, error) {
	switch {
	case f.StartFor > 0 && time.Since(f.StartedAt) >= f.StartFor:
		return fmt.Sprintf("the time to start has ended after %s", f.StartFor), nil
	case f.Criteria.Limit > 0 && len(f.children) >= f.Criteria.Limit:
		return fmt.Sprintf("the limit of %d is reached", f.Criteria.Limit), nil
	case !f.StopOnFailure:
		return "", nil
	}
	for _, c := range f.children {
		if !c.Ended || c.Succeeded() {
			continue
		}
		verdict, err := f.verdict(ctx, c)
		if err != nil {
			return "", err
		}
		if verdict.Outcome == Failed {
			return fmt.Sprintf("the recycle of instance %s failed: %s", c.Instance, verdict.Reason), nil
		}
	}
	return "", nil
}

// see looks at the fleet's children, those included that it has just created and not seen yet.
func (f *run) see() {
	f.children = f.following.Children()
	for _, c := range f.children {
		delete(f.started, c.Instance)
	}
	for _, c := range f.started {
		f.children = append(f.children, c)
	}
}

// startNext starts as many as the budget has room for, while no other fleet does.
func (f *run) startNext(ctx context.Context) error {
	if len(f.next(f.running())) == 0 { // its own recycles use the budget up: nothing to ask anyone
		return nil
	}
	return f.claims.WithFleetLock(ctx, f.wait, func(ctx context.Context) error {
		inProgress, err := f.inProgress(ctx)
		if err != nil {
			return err
		}
		again := f.recheck()
		for passed := true; passed; { // over: then the next one has its place
			passed = false
			for _, c := range f.next(append(f.running(), inProgress...)) {
				because, err := f.start(ctx, c, again)
				if err != nil {
					return err
				}
				passed = passed || because != ""
			}
		}
		return nil
	})
}

// running are the fleet's own recycles in progress.
func (f *run) running() []argo.Child {
	return slices.DeleteFunc(slices.Clone(f.children), func(c argo.Child) bool { return c.Ended })
}

// next is whose turn it is while others are in progress.
func (f *run) next(inProgress []argo.Child) []Candidate {
	waiting := make([]argo.Child, 0, len(f.waiting))
	for _, c := range f.waiting {
		waiting = append(waiting, f.child(c))
	}
	var next []Candidate
	for _, n := range Next(waiting, inProgress, f.sizes, f.Limits) {
		i := slices.IndexFunc(f.waiting, func(c Candidate) bool { return c.InstanceID == n.Instance })
		next = append(next, f.waiting[i])
	}
	if room := f.Criteria.Limit - len(f.children); f.Criteria.Limit > 0 && len(next) > room {
		next = next[:max(room, 0)]
	}
	return next
}

// start creates the recycle of a node, after a second look at it: it may have waited for hours. because says why it was
// passed over.
func (f *run) start(ctx context.Context, c Candidate, again *recheck) (because string, err error) {
	if because, err = again.at(ctx, c); err != nil {
		return "", err
	}
	f.waiting = slices.DeleteFunc(f.waiting, func(w Candidate) bool { return w.InstanceID == c.InstanceID })
	if because != "" {
		f.passOver(ctx, c, because)
		return because, nil
	}
	child := f.child(c)
	started, err := f.argo.Start(ctx, argo.Submission{
		Namespace: f.claims.Namespace, Template: f.Template, Fleet: f.claims.Holder, Parent: f.ours, Child: child, Parameters: f.parameters(c),
	})
	switch {
	case errors.Is(err, argo.ErrTaken):
		f.passOver(ctx, c, err.Error())
		return err.Error(), nil
	case err != nil:
		f.waiting = append([]Candidate{c}, f.waiting...)
		return "", err
	case started:
		f.started[c.InstanceID], f.children = child, append(f.children, child)
		f.Gate.Again() // what the gate said before this node tells nothing of after it
		f.report.Change("workflow %s: created, for instance %s (node %s): %s", child.Name, c.InstanceID, c.NodeName, c.because())
		f.log.InfoContext(ctx, "recycle started", "workflow", child.Name, "node", c.NodeName, "instance", c.InstanceID, "asg", c.ASGName, "because", c.because())
	}
	return "", nil
}

func (f *run) passOver(ctx context.Context, c Candidate, because string) {
	f.log.InfoContext(ctx, "node is passed over", "node", c.NodeName, "instance", c.InstanceID, "asg", c.ASGName, "because", because)
	f.passed = append(f.passed, NodeOutcome{InstanceID: c.InstanceID, NodeName: c.NodeName, ASGName: c.ASGName, Outcome: Skipped, Reason: because})
}

// plan says what would be started first.
func (f *run) plan(ctx context.Context) error {
	if text := f.Window.Closed(time.Now()); text != "" {
		f.report.Warn(ctx, text)
	}
	for _, c := range f.next(nil) {
		f.report.Change("workflow %s: create, for instance %s (node %s): %s", argo.ChildName(c.InstanceID), c.InstanceID, c.NodeName, c.because())
	}
	f.Planned = f.waiting
	return f.report.Done("would recycle %d node(s), %d at once at first", len(f.waiting), len(f.report.Changes))
}
