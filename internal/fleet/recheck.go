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
// that are looked at in one go.
type recheck struct {
	*run
	now   *launching
	pools map[string]*asg.Pool
}

func (f *run) recheck() *recheck {
	return &recheck{run: f, now: f.launching(), pools: map[string]*asg.Pool{}}
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
	case node.FactOf(n, nil).Skip:
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
	i.node, i.drift = node.FactOf(n, s.Criteria.Conditions), nil
	if len(s.Criteria.reasons(&i, s.selected.controlPlane, time.Now())) > 0 {
		return "", nil
	}
	if s.Criteria.Drifted {
		if i.pool, err = s.pool(ctx, c.ASGName); err != nil {
			return "", err
		}
		member := slices.IndexFunc(i.pool.Members, func(m asg.Serving) bool { return m.ID == c.InstanceID })
		if member < 0 || i.pool.Members[member].Lifecycle != asg.InService {
			return "it is not in service any more", nil
		}
		ways, err := s.now.of(ctx, i.pool)
		if err != nil || len(asg.Drift(i.pool.Members[member], i.launched.Image, ways)) > 0 {
			return "", err
		}
	}
	return fmt.Sprintf("no longer holds: %s", c.because()), nil
}

func (s *recheck) pool(ctx context.Context, name string) (*asg.Pool, error) {
	if pool, known := s.pools[name]; known {
		return pool, nil
	}
	pool, err := s.asg.Pool(ctx, name)
	if err == nil {
		s.pools[name] = &pool
	}
	return &pool, err
}
