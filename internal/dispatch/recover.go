package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/event"
)

// mayComeYet is how long after the beginning of a termination its event may still be on its way.
const mayComeYet = 5 * time.Minute

// clocks is how far those of AWS and the cluster may differ.
const clocks = time.Minute

// Recover starts what lost events should have started: for each instance of the cluster's groups that waits for the hook and for
// which no workflow was created since its termination began. A late event makes a second workflow, which waits for the first and
// then finds nothing to do. It returns the instances that it found.
func (d *Dispatcher) Recover(ctx context.Context) (found []string, err error) {
	if d.Hook == "" {
		return nil, nil
	}
	groups, err := d.groups(ctx)
	if err != nil {
		return nil, err
	}
	var created map[string]time.Time
	for _, group := range groups {
		hooked := false
		for _, m := range group.Members {
			if m.Lifecycle != asg.TerminatingWait {
				continue
			}
			if !hooked {
				_, err := d.asg.Hook(ctx, group.Name, d.Hook)
				if errors.Is(err, asg.ErrNoHook) {
					break
				}
				if err != nil {
					return found, err
				}
				hooked = true
			}
			if created == nil {
				if created, err = d.argo.CreatedFor(ctx, d.Namespace, string(event.Termination)); err != nil {
					return found, err
				}
			}
			since, known, err := d.asg.TerminatingSince(ctx, group.Name, m.ID)
			if err != nil {
				return found, err
			}
			if !known || time.Since(since) < mayComeYet || created[m.ID].Add(clocks).After(since) {
				continue
			}
			decision := event.Lost(m.ID, group.Name, d.Hook, since.UTC().Format(time.RFC3339))
			outcome, err := d.create(ctx, decision, decision.Parameters)
			if err != nil {
				return found, err
			}
			found = append(found, m.ID)
			d.report.Warn(ctx, fmt.Sprintf("the event that instance %s terminates was lost: %s", m.ID, outcome))
		}
	}
	return found, nil
}

// groups are those of the instances behind the cluster's Nodes.
func (d *Dispatcher) groups(ctx context.Context) ([]asg.Inventory, error) {
	known, err := d.named(ctx, nil)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, l := range known {
		if l.Group != "" {
			names[l.Group] = true
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	source := asg.Source{}
	for name := range names {
		source.Names = append(source.Names, name)
	}
	return d.asg.Inventories(ctx, source)
}
