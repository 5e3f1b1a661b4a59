package recycle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// candidates looks for the replacement's Node among the instances that joined the group.
type candidates struct {
	*Recycle
	target  string
	instead *corev1.Node        // the Node that is replaced
	names   map[string][]string // of the Nodes, by instance
	wake    chan struct{}       // when the Node of one can serve
	watched map[string]bool     // instances whose Node is watched
}

func (r *Recycle) candidates(s subject) *candidates {
	return &candidates{Recycle: r, target: s.Instance.ID, instead: s.node, names: map[string][]string{}, wake: make(chan struct{}, 1), watched: map[string]bool{}}
}

// follow watches the Nodes of the instances that come, under the names that they can have, and wakes the wait when one can serve.
// The watches last as long as watching.
func (c *candidates) follow(watching, ctx context.Context, h asg.Handover) error {
	coming := slices.Clone(h.Booting)
	for _, m := range h.Candidates {
		coming = append(coming, m.ID)
	}
	for _, id := range coming {
		if c.watched[id] {
			continue
		}
		known, err := c.namesOf(ctx, id)
		if err != nil || !known {
			return err
		}
		c.watched[id] = true
		for _, name := range c.names[id] {
			go func() {
				if c.nodes.AwaitUsable(watching, name, c.instead) {
					poll.Offer(c.wake, struct{}{})
				}
			}()
		}
	}
	return nil
}

// replacement is what find found: a newer member that serves in the target's place, or what it waits for. short says that the
// group is not whole without the target all the same. Others may have been lost, or the desired capacity raised; or another
// recycle that began earlier had this one for its own: once that is over, nothing tells it from a free one.
type replacement struct {
	serves *corev1.Node
	status string
	short  bool
}

// find takes candidates whose Nodes can serve until they weigh enough. It takes none before that one can: another recycle of
// the group may be waiting for one too.
func (c *candidates) find(ctx context.Context, h asg.Handover) (came replacement, err error) {
	mine := c.held.Record().Replacements
	var free *asg.Member
	var freeNode *corev1.Node
	var taken, ready int32
	others := map[string]bool(nil)
	for _, m := range h.Candidates {
		n, why, err := c.nodeOf(ctx, m.ID)
		if err != nil {
			return came, err
		}
		if why == "" {
			ready += m.Weight
		}
		switch isMine := slices.Contains(mine, m.ID); {
		case why != "":
			came.status = fmt.Sprintf("replacement %s %s", m.ID, why)
		case isMine:
			came.serves, taken = n, taken+m.Weight
		case free == nil:
			if others == nil {
				if others, err = c.taken(ctx); err != nil {
					return came, err
				}
			}
			if !others[m.ID] {
				free, freeNode = &m, n
			}
		}
	}
	if !h.Enough(taken) && free != nil {
		took, err := c.take(ctx, h.Group.Name, free.ID, freeNode)
		if err != nil || !took {
			return replacement{status: fmt.Sprintf("instance %s has become the replacement of another one", free.ID)}, err
		}
		came.serves, taken = freeNode, taken+free.Weight
	}
	if came.serves == nil {
		return came, nil
	}
	id := node.InstanceID(came.serves.Spec.ProviderID)
	if !h.Enough(taken) {
		return replacement{status: fmt.Sprintf("replacement %s (node %s) is Ready, but weighs less than the instance", id, came.serves.Name)}, nil
	}
	came.short = !h.Whole(ready)
	came.status = fmt.Sprintf("replacement %s (node %s) is Ready", id, came.serves.Name)
	if came.short {
		came.status += ", but the group is short of its desired capacity without the instance"
	}
	return came, nil
}

// taken are the instances that other recycles have for their replacements.
func (c *candidates) taken(ctx context.Context) (map[string]bool, error) {
	records, _, err := c.claims.Records(ctx)
	taken := map[string]bool{}
	for _, record := range records {
		if record.InstanceID == c.target || record.Group != c.held.Record().Group {
			continue
		}
		for _, id := range record.Replacements {
			taken[id] = true
		}
	}
	return taken, err
}

// take writes down that a candidate replaces the target, unless another recycle was quicker, and keeps cluster-autoscaler from
// removing its Node.
func (c *candidates) take(ctx context.Context, group, id string, n *corev1.Node) (took bool, err error) {
	err = c.withGroupLock(ctx, group, func(ctx context.Context) error {
		others, err := c.taken(ctx)
		if err != nil || others[id] {
			return err
		}
		took = true
		return c.held.Update(ctx, func(record *claim.Record) {
			if !slices.Contains(record.Replacements, id) {
				record.Replacements = append(record.Replacements, id)
			}
		})
	})
	if err != nil || !took {
		return false, err
	}
	_, err = c.nodes.Apply(ctx, n, node.Replaces(c.target))
	return true, err
}

// nodeOf finds the Node of a candidate, and says why it cannot serve yet.
func (c *candidates) nodeOf(ctx context.Context, id string) (n *corev1.Node, why string, err error) {
	known, err := c.namesOf(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if !known {
		return nil, "is not known to EC2 yet", nil
	}
	if n, err = c.nodes.Find(ctx, id, c.names[id]); err != nil || n == nil {
		return nil, "is in service but its Node has not joined", err
	}
	if why := node.Usable(n, c.instead); why != "" {
		return n, fmt.Sprintf("(node %s) %s", n.Name, why), nil
	}
	return n, "", nil
}

// namesOf finds out how the Node of an instance can be called, once. EC2 is eventually consistent: the group may know of an
// instance first.
func (c *candidates) namesOf(ctx context.Context, id string) (known bool, err error) {
	if c.names[id] != nil {
		return true, nil
	}
	i, err := c.asg.Instance(ctx, id)
	if errors.Is(err, asg.ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.names[id] = node.NamesOf(id, i.PrivateDNSName, c.report.Region)
	return true, nil
}
