package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// recheck asks right before a node's recycle begins whether anybody still wants it. It reads the Node, and AWS only
// where nothing but drift speaks for the recycle: its group and that one's launch template, once for all nodes of the group
// that are checked at once.
type recheck struct {
	*run
	now         *launching
	inventories map[string]*asg.Inventory
}

func (f *run) recheck() *recheck {
	return &recheck{run: f, now: f.launching(), inventories: map[string]*asg.Inventory{}}
}

// at says why a node that was selected a while ago is not recycled after all, or "".
func (s *recheck) at(ctx context.Context, c Candidate) (because string, err error) {
	n, err := s.nodes.Get(ctx, c.NodeName)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	switch {
	case n == nil || node.InstanceID(n.Spec.ProviderID) != c.InstanceID:
		return "it is gone", nil
	case node.InfoOf(n, nil).Skip:
		return "it is annotated " + node.AnnotationSkip, nil
	case node.IsLeaving(n):
		return "it is being recycled already", nil
	case !s.Criteria.NodeSelector.Matches(labels.Set(n.Labels)):
		return "it does not match the node selector any more", nil
	}
	return s.reason(ctx, c, n)
}

// reason says that none of those is left for which the node was selected.
func (s *recheck) reason(ctx context.Context, c Candidate, n *corev1.Node) (because string, err error) {
	i := s.selected.inspected[c.InstanceID]
	i.node, i.drift = node.InfoOf(n, s.Criteria.Conditions), nil
	if len(s.Criteria.reasons(&i, s.selected.controlPlane, time.Now())) > 0 {
		return "", nil
	}
	if s.Criteria.Drifted {
		if i.inventory, err = s.inventory(ctx, c.ASGName); err != nil {
			return "", err
		}
		member := slices.IndexFunc(i.inventory.Members, func(m asg.Serving) bool { return m.ID == c.InstanceID })
		if member < 0 || i.inventory.Members[member].Lifecycle != asg.InService {
			return "it is not in service any more", nil
		}
		specs, err := s.now.of(ctx, i.inventory)
		if err != nil || len(asg.Drift(i.inventory.Members[member], i.launched.Image, specs)) > 0 {
			return "", err
		}
	}
	return fmt.Sprintf("no longer holds: %s", c.because()), nil
}

func (s *recheck) inventory(ctx context.Context, name string) (*asg.Inventory, error) {
	if inventory, known := s.inventories[name]; known {
		return inventory, nil
	}
	inventory, err := s.asg.Inventory(ctx, name)
	if err == nil {
		s.inventories[name] = &inventory
	}
	return &inventory, err
}
