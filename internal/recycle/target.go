package recycle

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// errGone says that the Node is no more because a recycle has retired its instance: for a step on it, nothing is left to do.
var errGone = errors.New("the node is gone, its instance is retired or terminated")

// locate finds instance and Node for the steps that need no AWS: the claim remembers the Node's name. It returns errGone
// for an instance that a retire step has taken out already.
func (r *Recycle) locate(ctx context.Context) (*corev1.Node, error) {
	if r.Node != "" {
		return r.byName(ctx)
	}
	r.report.InstanceID = r.InstanceID
	names := []string{r.InstanceID}
	record, err := r.claims.Record(ctx, r.InstanceID)
	if err != nil {
		return nil, err
	}
	if record != nil {
		names = []string{record.Node, r.InstanceID}
	}
	n, err := r.nodes.FindNamed(ctx, r.InstanceID, names)
	if err != nil || n != nil {
		return r.found(n), err
	}
	instance, err := r.asg.Instance(ctx, r.InstanceID)
	if err != nil {
		return nil, err
	}
	n, err = r.nodes.Find(ctx, r.InstanceID, node.NamesOf(r.InstanceID, instance.PrivateDNSName, r.report.Region))
	switch {
	case err != nil || n != nil:
		return r.found(n), err
	case instance.Retiring(), instance.Gone():
		return nil, errGone
	default:
		return nil, r.foreign(instance)
	}
}

func (r *Recycle) byName(ctx context.Context) (*corev1.Node, error) {
	n, err := r.nodes.Get(ctx, r.Node)
	if err != nil {
		return nil, err
	}
	if pool := node.KarpenterPool(n); pool != "" && node.InstanceID(n.Spec.ProviderID) == "" {
		return nil, fmt.Errorf("node %q belongs to Karpenter NodePool %q and names no instance", n.Name, pool)
	}
	if id := node.InstanceID(n.Spec.ProviderID); id == "" {
		return nil, hint.Errorf("Fargate and other virtual nodes cannot be recycled", "node %q has providerID %q, which names no EC2 instance", n.Name, n.Spec.ProviderID)
	}
	return r.found(n), nil
}

func (r *Recycle) found(n *corev1.Node) *corev1.Node {
	if n != nil {
		r.report.NodeName, r.report.InstanceID = n.Name, node.InstanceID(n.Spec.ProviderID)
	}
	return n
}

func (r *Recycle) foreign(i asg.Instance) error {
	if other := asg.OtherCluster(i, r.Cluster); other != "" {
		return hint.Errorf("name that cluster with --cluster, or use its kubeconfig; if it is this one, the instance has not joined it", "instance %q has no Node in this cluster; it is tagged for cluster %q", i.ID, other)
	}
	return hint.Errorf("is this the right cluster (--cluster, --context)? has the instance joined it?", "instance %q has no Node in this cluster", i.ID)
}

// lookup finds instance, group and Node for the steps that need AWS. The Node is nil if the cluster has none.
func (r *Recycle) lookup(ctx context.Context) (asg.Target, *corev1.Node, error) {
	id := r.InstanceID
	var n *corev1.Node
	if r.Node != "" {
		var err error
		if n, err = r.byName(ctx); err != nil {
			return asg.Target{}, nil, err
		}
		id = r.report.InstanceID
	}
	target, err := r.asg.Lookup(ctx, id)
	if err != nil {
		return asg.Target{}, nil, err
	}
	r.report.InstanceID = id
	if target.Group != nil {
		r.report.ASGName = target.Group.Name
	}
	if n == nil {
		if n, err = r.nodes.Find(ctx, id, node.NamesOf(id, target.Instance.PrivateDNSName, r.report.Region)); err != nil {
			return asg.Target{}, nil, err
		}
	}
	return target, r.found(n), nil
}

// claimed runs act while this workflow holds the claim on the instance. When the claim is lost, act's context ends and
// the error says why. The Node may be nil.
func (r *Recycle) claimed(ctx context.Context, n *corev1.Node, act func(context.Context) error) error {
	if r.DryRun {
		if err := r.claims.Free(ctx, r.report.InstanceID); err != nil {
			r.report.Warn(ctx, err.Error())
		}
		return act(ctx)
	}
	held, err := r.claims.Acquire(ctx, r.report.InstanceID, n, r.report.ASGName)
	if apierrors.IsNotFound(err) {
		return hint.Errorf("create it, or name another with --lease-namespace", "claiming instance %q: namespace %q does not exist in the cluster", r.report.InstanceID, r.claims.Namespace)
	}
	if err != nil {
		return err
	}
	r.held = held
	if held.From != "" && n != nil {
		r.nodes.Event(ctx, n, "RecycleTakenOver", fmt.Sprintf("%s takes the recycle over from %s, which no longer renews its claim", r.claims.Workflow, held.From))
	}
	return held.Hold(ctx, act)
}

// alone runs act while no other recycle changes the group, and waits for its turn.
func (r *Recycle) alone(ctx context.Context, group string, act func(context.Context) error) error {
	return r.claims.WithGroupLock(ctx, r.wait, group, r.report.InstanceID, act)
}

// mayBeClosed refuses a Node that is open and was not deleted since this recycle closed it, before anything is touched.
func (r *Recycle) mayBeClosed(ctx context.Context, n *corev1.Node) error {
	if node.IsClosed(n) {
		return nil
	}
	record, err := r.claims.Record(ctx, r.report.InstanceID)
	if err != nil || (record != nil && record.NodeUID != "" && record.NodeUID != string(n.UID)) {
		return err
	}
	return mustBeClosed(n)
}

// closed returns the Node if nothing new is scheduled there. One that was deleted and has registered again in the middle
// of the recycle has lost all marks, and is closed again; one that somebody opened by hand is their decision.
func (r *Recycle) closed(ctx context.Context, n *corev1.Node) (*corev1.Node, error) {
	if node.IsClosed(n) || !r.held.Reborn(n) {
		return n, mustBeClosed(n)
	}
	r.report.Warn(ctx, fmt.Sprintf("node %s was deleted and has registered again: it is cordoned and tainted anew", n.Name))
	n, err := r.nodes.Apply(ctx, n, node.Closed(r.claims.Workflow))
	if err != nil {
		return nil, err
	}
	return n, r.held.Remember(ctx, n)
}
