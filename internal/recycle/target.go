package recycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// subject is what a step is about: the instance with its group, its Node if it has one, the record of its recycle if there is
// one, and how far that is. Steps that ask AWS for nothing know no group and no stage.
type subject struct {
	asg.Target
	node   *corev1.Node
	record *claim.Record
	stage  Stage
}

// errGone says that the Node is no more because a recycle has retired its instance: for a step on it, nothing is left to do.
var errGone = errors.New("the node is gone, its instance is retired or terminated")

// ErrUncertain is the cause of an error that only time can confirm: one source says that something is not there, and another
// one that it is. It is waited out.
var ErrUncertain = errors.New("it is asked for again")

// uncertainFor is how long sources may contradict each other until the one that says "not there" is believed: EC2 is
// eventually consistent (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
const uncertainFor = 2 * time.Minute

// joinsWithin is how long the Node of an instance that is being terminated is waited for, if the cluster has none.
const joinsWithin = 10 * time.Minute

// What can be missing.
const (
	theInstance = "instance"
	theNode     = "node"
	theAction   = "lifecycle action"
)

// doubt returns an uncertain error until what could not be found has been missing for as long as within.
func (r *Recycle) doubt(what string, within time.Duration, err error) error {
	what += " " + r.report.InstanceID
	if r.missing[what].IsZero() {
		r.missing[what] = time.Now()
	}
	if time.Since(r.missing[what]) < within {
		return fmt.Errorf("%w: %w", err, ErrUncertain)
	}
	return err
}

// lookup finds the subject of the steps that need AWS.
func (r *Recycle) lookup(ctx context.Context) (s subject, err error) {
	id := cmp.Or(r.InstanceID, r.report.InstanceID) // what a name meant once, it means to the end of this attempt
	var named *corev1.Node
	if id == "" {
		if id, named, err = r.identify(ctx); err != nil {
			return s, err
		}
	}
	r.report.InstanceID = id
	if s.record, err = r.claims.Record(ctx, id); err != nil {
		return s, err
	}
	group := r.Hook.Group
	if s.record != nil {
		group = cmp.Or(s.record.Group, group)
		if err := r.claims.Held(ctx, *s.record); err != nil && !r.DryRun {
			return s, err // before anything is asked of AWS: this may be so for a long time
		}
	}
	s.Target, err = r.asg.Lookup(ctx, id, group)
	unknown := errors.Is(err, asg.ErrUnknown)
	if err != nil && !unknown {
		return s, err
	}
	if unknown || s.Instance.State == asg.Unknown {
		if s.record == nil && named == nil && s.Instance.State != asg.Unknown {
			return s, err // nobody has ever heard of it
		}
		if doubt := r.doubt(theInstance, uncertainFor, fmt.Errorf("instance %q %w", id, asg.ErrUnknown)); errors.Is(doubt, ErrUncertain) {
			return s, doubt
		}
		s.Instance = asg.Instance{ID: id, State: asg.Unknown, Tags: map[string]string{}}
	} else {
		delete(r.missing, theInstance+" "+id)
	}
	if s.Group != nil {
		r.report.ASGName = s.Group.Name
	}
	if err := r.findNode(ctx, &s, named); err != nil {
		return s, err
	}
	s.stage, r.report.Answered = StateOf(s.Target, s.record), true
	return s, nil
}

// findNode finds the Node by the names that EC2 gives the instance, or checks the one that was named.
func (r *Recycle) findNode(ctx context.Context, s *subject, named *corev1.Node) (err error) {
	names := node.NamesOf(s.Instance.ID, s.Instance.PrivateDNSName, r.report.Region)
	if s.record != nil && s.Instance.Gone() { // EC2 forgets the names of what is terminated
		names = append(names, s.record.Node)
	}
	if named == nil {
		s.node, err = r.nodes.Find(ctx, s.Instance.ID, names)
	} else {
		s.node, err = named, r.nodes.Verify(named, names)
	}
	if err != nil {
		return err
	}
	r.found(s.node, s.record)
	return nil
}

// identify says which instance a Node's name means: the one that this workflow has claimed by that name, and otherwise the Node's.
// Names are used again: the Node of that name may be another instance's by now.
func (r *Recycle) identify(ctx context.Context) (id string, n *corev1.Node, err error) {
	mine, err := r.claims.Mine(ctx, r.Node)
	if err != nil {
		return "", nil, err
	}
	if mine != nil {
		return mine.InstanceID, nil, nil
	}
	if n, err = r.nodes.Get(ctx, r.Node); err != nil {
		return "", nil, err
	}
	id = node.InstanceID(n.Spec.ProviderID)
	if pool := node.KarpenterPool(n); pool != "" && id == "" {
		return "", nil, fmt.Errorf("node %q belongs to Karpenter NodePool %q and names no instance", n.Name, pool)
	}
	if id == "" {
		return "", nil, hint.Errorf("Fargate and other virtual nodes cannot be recycled", "node %q has providerID %q, which names no EC2 instance", n.Name, n.Spec.ProviderID)
	}
	return id, n, nil
}

// locate finds the subject of the steps that need no AWS: the record remembers the Node's name. Its error is errGone for an
// instance that has been retired or terminated.
func (r *Recycle) locate(ctx context.Context) (s subject, err error) {
	if r.Node != "" {
		if s, err = r.lookup(ctx); err == nil && s.node == nil {
			err = r.noNode(ctx, s)
		}
		return s, err
	}
	id := r.InstanceID
	r.report.InstanceID = id
	if s.record, err = r.claims.Record(ctx, id); err != nil {
		return s, err
	}
	names := []string{id}
	if s.record != nil {
		names = append([]string{s.record.Node}, names...)
	}
	if s.node, err = r.nodes.Find(ctx, id, names); err != nil {
		return s, err
	}
	if s.node != nil {
		r.report.Answered = true
		r.found(s.node, s.record)
		return s, nil
	}
	if s, err = r.lookup(ctx); err == nil && s.node == nil {
		err = r.noNode(ctx, s)
	}
	return s, err
}

// neverJoined is the errGone of an instance whose Node has not registered for as long as it is waited for.
type neverJoined struct{ id string }

func (e neverJoined) Error() string {
	return fmt.Sprintf("instance %s has not joined the cluster within %s, so that no pod runs on it", e.id, joinsWithin)
}

func (e neverJoined) Is(err error) bool { return err == errGone }

// doneIfGone is what a step on the Node makes of locate's error.
func (r *Recycle) doneIfGone(err error) error {
	if errors.Is(err, errGone) {
		return r.report.Done("%v", err)
	}
	return err
}

// noNode says why an instance has no Node.
func (r *Recycle) noNode(ctx context.Context, s subject) error {
	switch {
	case s.stage.forward(), s.Instance.Gone():
		return errGone
	case r.Hook.Name == "":
		return r.foreign(s.Instance)
	}
	if time.Since(r.Hook.Began) < joinsWithin || r.Hook.Began.IsZero() { // it may join yet, and pods with it
		if err := r.doubt(theNode, joinsWithin, r.foreign(s.Instance)); errors.Is(err, ErrUncertain) {
			return err
		}
	}
	ours, err := r.isOurs(ctx, s)
	if err == nil && ours {
		return neverJoined{s.Instance.ID}
	}
	return errors.Join(err, r.foreign(s.Instance))
}

// isOurs reports that Nodes of the instance's group are in this cluster, so that the instance's would be too.
func (r *Recycle) isOurs(ctx context.Context, s subject) (bool, error) {
	if s.Group == nil || (r.Cluster != "" && asg.OtherCluster(s.Instance, r.Cluster) != "") {
		return false, nil
	}
	infos, err := r.nodes.Infos(ctx, "", nil)
	if err != nil {
		return false, err
	}
	infos = slices.DeleteFunc(infos, func(i node.Info) bool { _, member := s.Group.Member(i.InstanceID); return !member })
	ids := make([]string, 0, len(infos))
	for _, i := range infos {
		ids = append(ids, i.InstanceID)
	}
	known, err := r.asg.Launched(ctx, ids)
	return slices.ContainsFunc(infos, func(i node.Info) bool {
		l, found := known[i.InstanceID]
		return found && r.nodes.IsCalled(i.Name, node.NamesOf(l.ID, l.PrivateDNSName, r.report.Region))
	}), err
}

func (r *Recycle) found(n *corev1.Node, record *claim.Record) {
	switch {
	case n != nil:
		r.report.NodeName = n.Name
	case record != nil && record.Node != "":
		r.report.NodeName = record.Node
	}
}

func (r *Recycle) foreign(i asg.Instance) error {
	if other := asg.OtherCluster(i, r.Cluster); other != "" {
		return hint.Errorf("name that cluster with --cluster, or use its kubeconfig; if it is this one, the instance has not joined it", "instance %q has no Node in this cluster; it is tagged for cluster %q", i.ID, other)
	}
	return hint.Errorf("is this the right cluster (--cluster, --context)? has the instance joined it? if nodes have names of their own: EKS_RECYCLE_NODE_NAMES=any", "instance %q has no Node in this cluster", i.ID)
}

// ended answers for claims that have expired. A workflow's is orphaned once Argo says that the workflow has ended, or is gone;
// a person's at once.
func (r *Recycle) ended(ctx context.Context, record claim.Record) (bool, error) {
	if !argo.IsWorkflow(record.Workflow) {
		return true, nil
	}
	return r.argo.Ended(ctx, record.Workflow, record.Holder)
}

// claimed runs act while this workflow holds the claim on the instance. When the claim is lost, act's context ends and
// the error says why.
func (r *Recycle) claimed(ctx context.Context, s subject, act func(context.Context) error) error {
	if r.DryRun {
		if s.record != nil {
			if err := r.claims.Held(ctx, *s.record); err != nil {
				r.report.Warn(ctx, err.Error())
			}
		}
		return act(ctx)
	}
	held, err := r.claims.Acquire(ctx, r.report.InstanceID, func(record *claim.Record) {
		if group := s.OwnGroup(); group != "" && group != record.Group {
			record.Group, record.Suspends = group, nil // what it says of another group is nobody's
		}
		if record.RetiringSince.IsZero() && s.stage.forward() { // its tags say so, and the record was lost
			record.RetiringSince = time.Now().UTC().Truncate(time.Second)
		}
		if record.Node == "" && s.node != nil {
			record.Node, record.NodeUID = s.node.Name, string(s.node.UID)
		}
	})
	if err != nil {
		return err
	}
	r.held, r.report.Begun = held, true
	if held.From != "" && s.node != nil {
		r.nodes.Event(ctx, s.node, "RecycleTakenOver", fmt.Sprintf("%s takes the recycle over from %s, which has ended", r.claims.Workflow, held.From))
	}
	return held.Hold(ctx, act)
}

// withGroupLock runs act while no other recycle changes the group, and waits for its turn.
func (r *Recycle) withGroupLock(ctx context.Context, group string, act func(context.Context) error) error {
	return r.claims.WithGroupLock(ctx, r.wait, group, r.report.InstanceID, act)
}

// registeredAgain reports that the Node is another one than when the recycle began: it was deleted, and its kubelet has
// registered anew. All marks are lost then.
func registeredAgain(record *claim.Record, n *corev1.Node) bool {
	return record != nil && record.NodeUID != "" && record.NodeUID != string(n.UID)
}

// checkCordoned refuses a Node that is open and was not registered again since this recycle cordoned it, before anything is
// touched.
func checkCordoned(s subject) error {
	if node.IsCordoned(s.node) || registeredAgain(s.record, s.node) {
		return nil
	}
	return hint.Errorf("run step taint first", "node %q is not cordoned and tainted: new pods could land on it", s.node.Name)
}

// requireCordoned returns the Node if nothing new is scheduled there. One that was deleted and has registered again in the
// middle of the recycle is cordoned again; one that somebody uncordoned by hand is their decision.
func (r *Recycle) requireCordoned(ctx context.Context, s subject) (*corev1.Node, error) {
	record := r.held.Record()
	s.record = &record
	if node.IsCordoned(s.node) || !registeredAgain(s.record, s.node) {
		return s.node, checkCordoned(s)
	}
	r.report.Warn(ctx, fmt.Sprintf("node %s was deleted and has registered again: it is cordoned and tainted anew", s.node.Name))
	return r.cordon(ctx, s.node, node.Cordoned(r.claims.Workflow))
}

// cordon marks a Node and writes down that it is the one.
func (r *Recycle) cordon(ctx context.Context, n *corev1.Node, mark node.Mark) (*corev1.Node, error) {
	after, err := r.nodes.Apply(ctx, n, mark)
	if err != nil {
		return nil, err
	}
	return after, r.held.Update(ctx, func(record *claim.Record) { record.Node, record.NodeUID = after.Name, string(after.UID) })
}
